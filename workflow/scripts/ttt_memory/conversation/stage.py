"""What the conversation scripts share: reading a corpus, a trained run, picking a device."""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from .. import io, schemas
from ..benchmark import read_benchmark
from ..errors import UserError
from ..fast_weights import FastWeights
from ..fast_weights import load as load_fast_weights
from ..fast_weights import save as save_fast_weights
from .attention import FLASH
from .base import load_model
from .config import Attention, BaseConfig, Dtype
from .data import Sampler
from .prompts import Prompter

FAST, BASE = "fast_weights", "base"


def pick_device(name: str) -> torch.device:
    """The device of a config key: auto takes a GPU where there is one.

    Raises:
        UserError: cuda is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: found 'cuda', but this machine has no usable GPU")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def check_device(device: torch.device, base: BaseConfig, mixed_precision: str = "no") -> None:
    """Refuse what `device` cannot compute.

    Raises:
        UserError: bfloat16 or flash attention is asked for and the device has none.
    """
    cuda = device.type == "cuda"
    keys = {"base.dtype": base.dtype, "train.mixed_precision": mixed_precision}
    for key, found in keys.items():
        wanted = found in ("bfloat16", "bf16")
        if wanted and cuda and not torch.cuda.is_bf16_supported(including_emulation=False):
            name = torch.cuda.get_device_name(device)
            raise UserError(f"{key}: found {found!r}, but {name} has no bfloat16")
    if base.attention == FLASH and not cuda:
        raise UserError(f"base.attention: found {FLASH!r}, expected another on a {device.type}")


def corpus_sampler(
    corpus: str | Path,
    passages: str | Path,
    prompter: Prompter,
    seed: int,
    probes_per_dialogue: int,
) -> Sampler:
    """A sampler over the training corpus and its distractor passages."""
    texts = io.read_table(passages, schemas.PASSAGES)
    by_language = {name: list(group["text"]) for name, group in texts.groupby("language")}
    samples = read_benchmark(corpus)
    return Sampler(samples, by_language, prompter, seed, probes_per_dialogue)


def save_run(
    fw: FastWeights, folder: str | Path, joint: bool, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Write a trained run beside `folder` and rename: fast weights, and the base if it trained."""
    with io.beside(folder) as temporary:
        save_fast_weights(fw, temporary / FAST)
        if joint:
            fw.model.save_pretrained(temporary / BASE)
            tokenizer.save_pretrained(temporary / BASE)


def load_run(
    folder: str | Path,
    base: str | Path,
    device: torch.device,
    dtype: Dtype = "float32",
    attention: Attention = "auto",
) -> FastWeights:
    """A trained run: its own base if it trained one, else the shared base, and its fast weights.

    Raises:
        UserError: a folder is missing, or the fast weights do not fit the model.
    """
    own = Path(folder) / BASE
    model = load_model(own if own.is_dir() else base, dtype, attention)
    return load_fast_weights(Path(folder) / FAST, model).to(device).eval()
