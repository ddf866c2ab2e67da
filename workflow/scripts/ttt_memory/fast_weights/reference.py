"""Compare with numbers that the published In-Place TTT code produced.

A folder of them holds config.json (`config`: the model's, `ttt`: layers, chunk, lr,
conv_kernel), weights.{proj,noproj}.safetensors under the published names, and
expected.safetensors, tensors named {hidden_states,input_embed}.{proj,noproj}.{what}.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from ..errors import UserError
from .config import FastWeightsConfig
from .injection import FastWeights, WriteResult, inject
from .state import FastState

NAME = re.compile(r"(hidden_states|input_embed)\.(proj|noproj)\.(.+)")
OWN = re.compile(r"model\.layers\.(\d+)\.mlp\.ttt_(conv|proj)\.weight")
WRITTEN = re.compile(r"(?:streamed_([\d_]+\d)_|conversation_)?(logits|fast_weight\.layer(\d+))")


@torch.no_grad()
def compare(folder: str | Path) -> Iterator[tuple[str, float]]:
    """Yield (name, largest absolute difference) for each expected tensor.

    Raises:
        UserError: a file, key or tensor is missing or has another form than expected.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one with config.json")
    path = folder / "expected.safetensors"
    settings, expected = _settings(folder / "config.json"), _tensors(path)
    for name in ("conversation_ids", "probe_ids"):
        if name not in expected:
            raise UserError(f"{path}: tensor {name!r} is missing")
    ids, probe = expected.pop("conversation_ids")[None], expected.pop("probe_ids")[None]

    @cache
    def run(target: str, variant: str) -> Run:
        weights = folder / f"weights.{variant}.safetensors"
        return Run(_memory(settings, weights, target, variant == "proj"), ids, probe)

    for name in sorted(expected):
        match = NAME.fullmatch(name)
        found = match and run(*match.groups()[:2]).candidates(match[3])
        if not found or found[0].shape != expected[name].shape:
            shape = tuple(expected[name].shape)
            raise UserError(f"{path}: tensor {name!r} of shape {shape} is not one of this layout")
        yield name, min((f - expected[name]).abs().max().item() for f in found)


class Run:
    """One memory, the conversation `ids` `[1, T]` and the `probe` `[1, P]` it is given."""

    def __init__(self, fw: FastWeights, ids: Tensor, probe: Tensor) -> None:
        self.fw, self.ids, self.probe = fw, ids, probe
        self.stream = cache(self._stream)

    def candidates(self, what: str) -> list[Tensor]:
        """The tensor called `what`; two readings where the layout leaves them open; or none.

        A published probe of a chunk or more writes while it is read, ours never does.
        """
        if what == "probe_logits_kv_stripped":
            state = self.stream("").state
            logits = [self.fw.read(state, input_ids=self.probe).logits[0]]
            return logits + self._writing_probe(state)
        if what == "probe_logits_no_memory":
            logits = [self.fw.plain(input_ids=self.probe).logits[0]]
            return logits + self._writing_probe(None)
        match = WRITTEN.fullmatch(what)
        if match is None:
            return []
        result = self.stream(match[1] or "")
        if match[2] == "logits":
            return [result.logits[0]]
        layer = int(match[3])
        if layer not in self.fw.config.layers:
            return []
        return [self.fw.base_weight(layer) + result.state.layers[layer].written.to_dense()[0]]

    def _writing_probe(self, state: FastState | None) -> list[Tensor]:
        if self.probe.shape[1] < self.fw.config.chunk:
            return []
        return [self.fw.write(self.probe, state=state, logits=True).logits[0]]

    def _stream(self, lengths: str) -> WriteResult:
        """Write the conversation in parts, "20_17", or at once, ""; the logits of all of it."""
        parts = [int(n) for n in lengths.split("_")] if lengths else [self.ids.shape[1]]
        if sum(parts) != self.ids.shape[1]:
            raise UserError(f"streamed_{lengths}: the conversation has {self.ids.shape[1]} tokens")
        state = cache = None
        logits = []
        for part in self.ids.split(parts, dim=1):
            result = self.fw.write(
                part,
                state=state,
                past_key_values=cache,
                use_cache=True,
                flush=len(logits) == len(parts) - 1,
                logits=True,
            )
            state, cache = result.state, result.past_key_values
            logits.append(result.logits)
        return replace(result, logits=torch.cat(logits, 1))


def _memory(settings: dict, path: Path, target: str, projection: bool) -> FastWeights:
    """The model and the memory that `path` holds the weights of."""
    weights = _tensors(path)
    own = {name: weights.pop(name) for name in list(weights) if OWN.fullmatch(name)}
    model = AutoModelForCausalLM.from_config(settings["model"]).eval()
    missing, unknown = model.load_state_dict(weights, strict=False)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    fw = inject(model, FastWeightsConfig(**settings["ttt"], target=target, projection=projection))
    parts = {"conv": "ttt_conv", "proj": "ttt_proj"}
    names = {
        f"model.layers.{layer}.mlp.{parts[part]}.weight": parameter
        for layer, fast in fw.fast.items()
        for part, parameter in fast.named_parameters()
    }
    wrong = {*missing, *unknown, *(own.keys() ^ names.keys())} - tied
    if wrong:
        raise UserError(f"{path}: tensor {min(wrong)!r} is missing or does not belong here")
    for name, parameter in names.items():
        parameter.copy_(own[name].reshape(parameter.shape))
    return fw


def _settings(path: Path) -> dict:
    """The model's configuration and the memory's, from config.json."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        ttt = {
            "layers": stored["ttt"]["layers"],
            "chunk": stored["ttt"]["chunk"],
            "lr": stored["ttt"]["lr"],
            "conv_width": stored["ttt"]["conv_kernel"],
        }
        fixed = {"init": "published", "key_norm": "none", "flush": False, "learn_lr": False}
        ttt |= fixed | {"read_while_writing": True}
        FastWeightsConfig(**ttt)
        return {"ttt": ttt, "model": AutoConfig.for_model("qwen3", **stored["config"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a configuration of this layout ({error!r})") from error


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not a readable safetensors file ({error})") from error
