"""What the conversation scripts share: reading a corpus, a trained run, picking a device."""

from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .. import io, schemas
from ..benchmark import read_benchmark
from ..errors import UserError
from ..fast_weights import FastWeights
from ..fast_weights import load as load_fast_weights
from ..fast_weights import save as save_fast_weights
from . import adapter
from .base import load_model
from .config import TrainConfig
from .data import Sampler
from .prompts import Prompter

FAST, BASE, ADAPTER = "fast_weights", "base", "adapter"


def pick_device(name: str) -> torch.device:
    """The device of a config key: auto takes a GPU where there is one.

    Raises:
        UserError: cuda is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: found 'cuda', but this machine has no usable GPU")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def corpus_sampler(
    corpus: str | Path,
    passages: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    probes_per_dialogue: int,
) -> Sampler:
    """A sampler over the training corpus, which may have no dialogues, and its passages."""
    texts = io.read_table(passages, schemas.PASSAGES)
    by_language = {name: list(group["text"]) for name, group in texts.groupby("language")}
    samples = read_benchmark(corpus, at_least=0)
    return Sampler(samples, by_language, Prompter(tokenizer), seed, probes_per_dialogue)


def save_run(
    fw: FastWeights,
    folder: str | Path,
    trained: PreTrainedModel | PeftModel | None,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write a run beside `folder` and rename: its fast weights and what `trained` of the base."""
    with io.beside(folder) as temporary:
        save_fast_weights(fw, temporary / FAST)
        if isinstance(trained, PeftModel):
            adapter.save(trained, temporary / ADAPTER)
        elif trained is not None:
            trained.save_pretrained(temporary / BASE)
            tokenizer.save_pretrained(temporary / BASE)


def trained_part(model: PreTrainedModel, config: TrainConfig) -> PreTrainedModel | PeftModel | None:
    """What of the base trains beside the fast weights: nothing, all of it, or adapters made now."""
    if config.regime == "lora":
        return adapter.adapt(model, config.lora)
    return model if config.regime == "joint" else None


def load_base(folder: str | Path, base: str | Path, dtype: str = "float32") -> PreTrainedModel:
    """What a trained run is with its memory off: its own base, or the shared one, adapted or not.

    Raises:
        UserError: a folder is missing, or the adapter is one of another base.
    """
    own, adapters = Path(folder) / BASE, Path(folder) / ADAPTER
    model = load_model(own if own.is_dir() else base, dtype)
    return adapter.load(adapters, model).eval() if adapters.is_dir() else model


def load_run(
    folder: str | Path, base: str | Path, device: torch.device, dtype: str = "float32"
) -> FastWeights:
    """A trained run: its base (see `load_base`) and its fast weights.

    Raises:
        UserError: a folder is missing, or the adapter or the fast weights do not fit the model.
    """
    model = load_base(folder, base, dtype)
    return load_fast_weights(Path(folder) / FAST, model).to(device).eval()
