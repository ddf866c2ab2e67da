"""Fast weights for any Hugging Face decoder with gated MLPs, by hooks: the model is not changed.

    fw = inject(model, FastWeightsConfig(layers=(0, 1)))
    state = fw.write(dialogue_ids).state
    logits = fw.read(state, input_ids=question_ids).logits

A hook on each chosen MLP sees its input, one on its `down_proj` sees z and may add z dW^T.
Outside `write` and `read` the hooks return at once: the model is the base model, bit for bit.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from ..errors import UserError
from .arguments import check_ids, check_tokens, write_mask_of
from .base_model import gated_mlps, positions, widths
from .chunks import Pending
from .config import FastWeightsConfig
from .layer import FastLayer
from .passes import Read, Write, current, recomputation, running
from .rules import load
from .state import FastState, LayerState


@dataclass(frozen=True)
class WriteResult:
    """What a writing pass leaves."""

    state: FastState
    hidden: Tensor  # [B, T, d], output of the model's final norm
    logits: Tensor | None  # [B, T, vocabulary], if asked for
    gates: dict[int, Tensor] | None  # layer -> [B, T]; None without a gate
    past_key_values: Cache | None


class FastWeights(nn.Module):
    """A model with fast weights in some of its layers. `inject` makes one.

    `fw.model` is the model that was given, `fw.fast` the learned parameters of the fast weights by
    layer, `fw.rule` the update rule.
    """

    def __init__(self, model: PreTrainedModel, config: FastWeightsConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.rule = load(config.update)
        mlps = gated_mlps(model, config.layers)
        self.down_projs = {i: mlp.down_proj for i, mlp in mlps.items()}
        self.fast = nn.ModuleDict(
            {
                str(i): FastLayer(config, *widths(down)).to(down.weight.device, self.dtype)
                for i, down in self.down_projs.items()
            }
        )
        self._handles = [
            model.get_input_embeddings().register_forward_hook(self._on_embeds),
            model.get_decoder().register_forward_hook(self._on_decoder),
        ]
        for i, mlp in mlps.items():
            self._handles += [
                mlp.register_forward_pre_hook(partial(self._on_mlp, i)),
                mlp.down_proj.register_forward_hook(partial(self._on_down, i)),
            ]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the state and of the learned parameters: the model's, but float32 at least."""
        return torch.promote_types(self.model.dtype, torch.float32)

    def fast_parameters(self) -> Iterator[nn.Parameter]:
        """The fast weights' own parameters: all that trains when the base is frozen."""
        return self.fast.parameters()

    @torch.no_grad()
    def untrained(self) -> bool:
        """Whether no learned parameter has changed since `inject` made them: nothing is learned.

        False for a configuration without learned parameters, which can only be trained by its base.
        """
        return all(layer.is_new() for layer in self._layers.values())

    def strengths(self, gates: dict[int, Tensor]) -> Tensor:
        """How strongly each token is written at write weight 1, `[layers, B, T]`.

        `gates` are those of a `WriteResult`; see `UpdateRule.strength`.
        """
        made = {i: self.fast[str(i)].keys_and_values(gate.dtype) for i, gate in gates.items()}
        return torch.stack([self.rule.strength(gates[i], made[i].rate) for i in gates])

    def base_weight(self, layer: int) -> Tensor:
        """W `[d, ff]`: the `down_proj` weight that dW is added to. It may be packed in 4 bits."""
        return self.down_projs[layer].weight

    def widths(self, layer: int) -> tuple[int, int]:
        """The widths d and ff of dW."""
        return widths(self.down_projs[layer])

    def gradient_checkpointing_enable(self) -> None:
        """Recompute each layer's activations in the backward pass, with their fast weights.

        z and the target, from which keys and values are made, are kept all the same.

        Raises:
            UserError: the model cannot.
        """
        options = {"use_reentrant": False, "context_fn": recomputation}
        try:
            self.model.activation_checkpointing_enable(options)
        except ValueError as error:
            raise UserError(f"gradient checkpointing: {error}") from error

    def eject(self) -> PreTrainedModel:
        """Remove the hooks and return the model."""
        for handle in self._handles:
            handle.remove()
        return self.model

    def empty_state(self, batch: int) -> FastState:
        """The state of `batch` sequences of which nothing is written."""
        # A plain tensor also where the weight is a shard of one.
        device = self.base_weight(self.config.layers[0]).device
        like = torch.empty(0, dtype=self.dtype, device=device)
        count = torch.zeros(batch, dtype=torch.long, device=like.device)
        shapes = {i: self.widths(i) for i in self.config.layers}
        layers = {
            i: LayerState(
                self.rule.State.empty(batch, *shape, like), Pending.empty(batch, *shape, like)
            )
            for i, shape in shapes.items()
        }
        return FastState(layers, count, count.clone(), count.bool())

    def write(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | dict[str, Tensor] | None = None,
        state: FastState | None = None,
        write_weight: Tensor | None = None,
        write_mask: Tensor | None = None,
        flush: bool = True,
        same_text: Tensor | None = None,
        logits: bool = False,
        **model_kwargs: object,
    ) -> WriteResult:
        """Run the model over a text and write it into the fast weights.

        Args:
            input_ids: `[B, T]`.
            attention_mask: as the model takes it: 2-D, 4-D, or 4-D by kind of layer. A 2-D one
                also says what is padding, which is never written.
            state: what to continue; None starts empty. It is not changed.
            write_weight: `[B, T]` float, at least 0, multiplies the gated write of each token.
            write_mask: `[B, T]` bool, the tokens to write; needed beside a 4-D attention mask.
            flush: the text ends here: its partial chunk is written, or dropped if the
                configuration says so. False lets it wait in the state for the next call, which
                then goes on with the same text.
            same_text: `[B]` bool, rows in which this is a further segment of a text whose last
                segment was flushed: what they hold grows no older (`recency`).
            logits: also compute the logits.
            model_kwargs: go to the model: position_ids, past_key_values, ...

        Raises:
            UserError: the state is of other fast weights or can only be read, the hooks were not
                reached, or the text is longer than the model's positions (not checked where
                position_ids are given).
            ValueError: shapes do not fit each other.
        """
        self._check_recomputation()
        mask = write_mask_of(input_ids, attention_mask, write_mask)
        check_tokens(self.model, input_ids, write_weight)
        if model_kwargs.get("position_ids") is None:  # else a row may hold several texts
            self._check_length(mask, model_kwargs.get("past_key_values"))
        state = self.empty_state(len(input_ids)) if state is None else self._check_goes_on(state)
        if state.batch != len(input_ids):
            raise ValueError(f"a state of {state.batch} rows for a batch of {len(input_ids)}")
        end = "wait" if not flush else "write" if self.config.flush else "drop"
        call = Write(self.config, self._layers, state, mask, write_weight, end, same_text)
        model_kwargs.setdefault("use_cache", model_kwargs.get("past_key_values") is not None)
        run = self.model if logits else self.model.get_decoder()
        with running(self, call):
            output = run(input_ids=input_ids, attention_mask=attention_mask, **model_kwargs)
        return WriteResult(
            state=call.finish(),
            hidden=call.final_hidden,
            logits=output.logits if logits else None,
            gates=call.gates if self.config.gate != "none" else None,
            past_key_values=output.past_key_values,
        )

    def flush(self, state: FastState) -> FastState:
        """End the texts of `state`: what is pending is written or dropped, as `write` would do."""
        if not state.pending.any():
            return replace(self.check_state(state), open=torch.zeros_like(state.open))
        state = self._check_goes_on(state)
        mask = torch.zeros(state.batch, 0, dtype=torch.bool, device=state.pending.device)
        end = "write" if self.config.flush else "drop"
        call = Write(self.config, self._layers, state, mask, None, end, None)
        return call.without_text()

    def read(
        self,
        state: FastState,
        input_ids: Tensor | None = None,
        *,
        repeat: int = 1,
        **model_kwargs: object,
    ) -> ModelOutput:
        """The model's own forward with dW added to each `down_proj`; nothing is written.

        Batch row b reads row b // repeat of the state, so that several questions about one
        dialogue share its row. All other arguments go to the model: KV caches, 4-D masks and
        packed rows work as they do there.

        Raises:
            UserError: the state is of other fast weights, or the hooks were not reached.
            ValueError: the batch is not `repeat` times the state's.
        """
        self._check_recomputation()
        with running(self, Read(self.check_state(state), repeat)):
            return self.model(input_ids=input_ids, **model_kwargs)

    @torch.no_grad()
    def generate(
        self, state: FastState | None, input_ids: Tensor, **options: object
    ) -> Tensor | ModelOutput:
        """What transformers' `model.generate` gives with dW added; nothing is written.

        Args:
            state: B rows; None generates without fast weights.
            input_ids: `[B, T]`. With several beams or sequences of a prompt, all of them read its
                row.
            options: go to `model.generate`: max_new_tokens, num_beams, do_sample, ...

        Raises:
            UserError: the state is of other fast weights, or the hooks were not reached.
            ValueError: the batch is not the state's.
        """
        if state is None:
            return self.model.generate(input_ids, **options)
        check_ids(input_ids)
        check_tokens(self.model, input_ids)
        if len(input_ids) != self.check_state(state).batch:
            raise ValueError(f"a batch of {len(input_ids)} for a state of {state.batch} rows")
        with running(self, Read(state, None)):
            return self.model.generate(input_ids, **options)

    def forward(
        self, input_ids: Tensor | None = None, state: FastState | None = None, **kwargs: object
    ) -> ModelOutput:
        """`read`, or `plain` without a state: for wrappers that call a module, such as DDP."""
        if state is None:
            return self.plain(input_ids, **kwargs)
        return self.read(state, input_ids, **kwargs)

    def plain(self, input_ids: Tensor | None = None, **model_kwargs: object) -> ModelOutput:
        """The model's own forward, without fast weights."""
        return self.model(input_ids=input_ids, **model_kwargs)

    def check_state(self, state: FastState) -> FastState:
        """`state`, if its layers and sizes are those of these fast weights.

        Raises:
            UserError: they are not, or it is no state.
        """
        if not isinstance(state, FastState):
            raise UserError(f"found a {type(state).__name__}, expected a state that `write` left")
        found = {i: layer.written.sizes for i, layer in state.layers.items()}
        expected = {i: self.widths(i) for i in self.config.layers}
        if found != expected:
            raise UserError(
                f"the state holds layers and shapes {found}; these fast weights have {expected}"
            )
        return state

    @property
    def _layers(self) -> dict[int, FastLayer]:
        return {int(i): layer for i, layer in self.fast.items()}

    def _check_recomputation(self) -> None:
        decoder = self.model.get_decoder()
        for module in (decoder, *decoder.layers):
            function = getattr(module, "_gradient_checkpointing_func", None)
            contexts = getattr(function, "keywords", {}).get("context_fn")
            blind = getattr(module, "gradient_checkpointing", False) and contexts != recomputation
            if blind and decoder.training and torch.is_grad_enabled():
                raise UserError(
                    "gradient checkpointing recomputes layers without their fast weights; "
                    "expected it to be enabled by `FastWeights.gradient_checkpointing_enable`"
                )

    def _check_goes_on(self, state: FastState) -> FastState:
        """Before writing: the state must be one that `write` left, by the same rule."""
        for i, layer in self.check_state(state).layers.items():
            if type(layer.written) is not self.rule.State:
                raise UserError(
                    f"layer {i} of the state is a {type(layer.written).__name__}: it can only be"
                    f" read, or another rule than {self.config.update!r} wrote it; expected it as"
                    " `write` left it"
                )
        return state

    def _check_length(self, mask: Tensor, past: Cache | None) -> None:
        """Refuse a text longer than the model's positions; `mask` `[B, T]` leaves padding out."""
        longest, before = positions(self.model), past.get_seq_length() if past is not None else 0
        if longest is None or before + mask.shape[1] <= longest:
            return
        last = mask.any(0).nonzero().flatten()[-1:]
        length = before + int(last + 1 if len(last) else 0)
        if length > longest:
            raise UserError(
                f"a text of {length} tokens; expected at most {longest}, the positions of"
                f" {type(self.model).__name__}: write it in pieces, the state goes on"
            )

    def _on_embeds(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        if call := current(self):
            call.embeds(output)

    def _on_decoder(self, module: nn.Module, args: tuple, output: ModelOutput) -> None:
        if call := current(self):
            call.hidden(output.last_hidden_state)

    def _on_mlp(self, layer: int, module: nn.Module, args: tuple) -> None:
        if call := current(self):
            call.enter(layer, args[0])

    def _on_down(self, layer: int, module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
        call = current(self)
        return None if call is None else call.down(layer, args[0], output)


def inject(model: PreTrainedModel, config: FastWeightsConfig) -> FastWeights:
    """Give `model` fast weights in the layers that `config` names.

    Raises:
        UserError: the model lacks a layer, or the layer has no gated MLP, or there is no such
            update rule, or what is given is no model or no configuration.
    """
    if not isinstance(config, FastWeightsConfig):
        raise UserError(f"config: found a {type(config).__name__}, expected a FastWeightsConfig")
    if not hasattr(model, "get_decoder"):
        raise UserError(f"model: found a {type(model).__name__}, expected a transformers decoder")
    return FastWeights(model, config)
