"""Tiny random models in float64, and the memory's oracle for a whole model: a dense loop."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache, PreTrainedModel

from ttt_memory.fast_weights import FastWeights, FastWeightsConfig, inject, naive

D, FF, LAYERS, VOCAB = 8, 12, 3, 40


def tiny(kind: str = "qwen3", dtype: torch.dtype = torch.float64, **changes: object):
    """A random decoder of three layers; `kind` is a transformers model type."""
    torch.manual_seed(0)
    sizes = {
        "vocab_size": VOCAB,
        "hidden_size": D,
        "intermediate_size": FF,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 4,
        "initializer_range": 0.4,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = AutoConfig.for_model(kind, **(sizes | changes))
    return AutoModelForCausalLM.from_config(config).to(dtype).eval()


def settings(**changes: object) -> FastWeightsConfig:
    """Two of the three layers, chunks of four tokens, unless changed."""
    return FastWeightsConfig(**{"layers": (0, 2), "chunk": 4, "lr": 0.5} | changes)


def memory(model: PreTrainedModel | None = None, **changes: object) -> FastWeights:
    """A memory whose every own parameter has moved away from where it starts."""
    fw = inject(model or tiny(), settings(**changes))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in fw.fast_parameters():
            parameter += 0.3 * torch.randn(
                parameter.shape, generator=generator, dtype=torch.float64
            )
    return fw


def tokens(*shape: int, seed: int = 0) -> Tensor:
    """Random token ids."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCAB, shape, generator=generator)


def dense(state) -> dict[int, Tensor]:
    """DW of each layer, `[B, d, ff]`."""
    return state.to_dense()


def apart(a, b) -> float:
    """Largest difference between two states' dW."""
    return max((x - dense(b)[i]).abs().max().item() for i, x in dense(a).items())


@dataclass
class DenseLoop:
    """One sequence through the model, chunk by chunk, with W + dW in place of the weights.

    Uses the equations' loop in `naive` and the model as it is, none of the library's hooks.
    """

    fw: FastWeights

    def write(
        self, ids: Tensor, weight: Tensor, dw: dict[int, Tensor] | None = None
    ) -> tuple[Tensor, dict[int, Tensor]]:
        """Hidden states `[T, d]` and dW by layer `[d, ff]`, for ids and write weights `[T]`.

        `dw` is what the text written just before left.
        """
        config, self.seen = self.fw.config, []
        none = {i: torch.zeros_like(self.fw.base_weight(i)) for i in config.layers}
        if dw is None:
            dw, self.memos = none, {i: {} for i in config.layers}
        else:
            dw = {i: self._aged(i, t) for i, t in dw.items()}
        self.start, self.memos_before, self.memos = dw, self.memos, {}
        if not config.read_while_writing:
            hidden, z, x = self._forward(ids, none)
            return hidden, self._written(z, x, hidden, weight)
        hidden, cache = [], DynamicCache()
        for start in range(0, len(ids), config.chunk):
            piece = slice(start, start + config.chunk)
            out, z, x = self._forward(ids[piece], dw, cache)
            hidden.append(out)
            dw = self._written(z, x, out, weight[piece])
        return torch.cat(hidden), dw

    def read(self, ids: Tensor, dw: dict[int, Tensor]) -> Tensor:
        """Hidden states `[T, d]` of a probe."""
        return self._forward(ids, dw)[0]

    def _forward(self, ids: Tensor, dw: dict[int, Tensor], cache=None):
        model = self.fw.model.get_decoder()
        seen, handles = {}, []
        for i, layer in enumerate(model.layers):
            handles.append(layer.mlp.register_forward_pre_hook(_keep(seen, ("x", i))))
            handles.append(layer.mlp.down_proj.register_forward_pre_hook(_keep(seen, ("z", i))))
        handles.append(model.embed_tokens.register_forward_hook(_keep_output(seen, "embed")))
        weights = {f"layers.{i}.mlp.down_proj.weight": self.fw.base_weight(i) + dw[i] for i in dw}
        kwargs = {"input_ids": ids[None], "past_key_values": cache, "use_cache": cache is not None}
        out = functional_call(model, weights, (), kwargs)
        for handle in handles:
            handle.remove()
        own = self.fw.config.target == "hidden_states"
        x = {i: (seen["x", i] if own else seen["embed"])[0] for i in dw}
        self.inputs = {i: seen["x", i][0] for i in dw}
        return out.last_hidden_state[0], {i: seen["z", i][0] for i in dw}, x

    def _aged(self, layer: int, dw: Tensor) -> Tensor:
        recency = torch.as_tensor(self.fw.fast[str(layer)].recency(dw.dtype), dtype=dw.dtype)
        return naive.age(dw, recency, self.fw.config.update, self.memos[layer])

    def _written(self, z, x, hidden, weight) -> dict[int, Tensor]:
        """DW after all pieces up to this one, each time from the first."""
        config = self.fw.config
        piece, new = {}, {}
        for i in z:
            fast = self.fw.fast[str(i)]
            gated = weight
            if config.gate != "none":
                u = (hidden if config.gate == "top" else self.inputs[i]).detach()
                gated = weight * naive.gate(u, fast.gate_weight, fast.gate_bias)
            piece[i] = z[i], x[i], gated
        self.seen.append(piece)
        for i in z:
            fast = self.fw.fast[str(i)]
            self.memos[i] = dict(self.memos_before[i])
            parts = zip(*(before[i] for before in self.seen), strict=True)
            new[i] = naive.write(
                *(torch.cat(part) for part in parts),
                self.start[i],
                lr=config.lr * (fast.log_rate.exp() if config.learn_lr else 1.0),
                conv=fast.conv,
                proj=fast.proj,
                chunk=config.chunk,
                normalise=config.key_norm == "l2",
                update=config.update,
                decay=config.decay,
                flush=config.flush,
                memo=self.memos[i],
            )[1]
        return new


def _keep(seen: dict, name: object):
    def hook(module, args):
        seen[name] = args[0]

    return hook


def _keep_output(seen: dict, name: object):
    def hook(module, args, output):
        seen[name] = output

    return hook
