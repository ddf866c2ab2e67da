"""A trained run as a folder: saving it, loading it, and preparing a device for it."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ... import io
from ...errors import UserError
from ...fast_weights import FastWeights, inject
from ...fast_weights import load as load_fast_weights
from ...fast_weights import save as save_fast_weights
from ...fast_weights.checkpoint import fill
from ..config.base_model import Attention, BaseConfig, Dtype
from ..config.training import ADAPTER, BASE, FAST, RunConfig, TrainConfig, memory_of
from . import lora
from .attention_masks import FLASH
from .loading import load_model

if TYPE_CHECKING:
    from peft import PeftModel


def prepare_device(device: torch.device, base: BaseConfig, mixed_precision: str = "no") -> None:
    """Check that `device` can compute what is configured, and set the precision of products.

    On a GPU with a bfloat16 base, the float32 products of the fast weights use TF32. TF32 keeps ten
    bits of each factor, and the keys and targets from the base have only seven; sums are float32.
    Nothing changes on a CPU.

    Raises:
        UserError: the configuration needs bfloat16 or flash attention, and the device has none.
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
    torch.set_float32_matmul_precision("high" if cuda and base.dtype == "bfloat16" else "highest")


def save_run(
    fw: FastWeights,
    folder: str | Path,
    trained: "PreTrainedModel | PeftModel | None",
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Save a run: its fast weights, and `trained`, the part of the base that was trained.

    `trained` is the base itself, an adapter, or None. The files are written beside `folder`, which
    is then renamed, so a half-written folder never has its name.
    """
    with io.beside(folder) as temporary:
        save_fast_weights(fw, temporary / FAST)
        if isinstance(trained, PreTrainedModel):
            trained.save_pretrained(temporary / BASE)
            tokenizer.save_pretrained(temporary / BASE)
        elif trained is not None:
            lora.save(trained, temporary / ADAPTER)


def trained_part(
    model: PreTrainedModel, config: TrainConfig
) -> "PreTrainedModel | PeftModel | None":
    """The part of the base that `config` trains beside the fast weights.

    It is None, the whole model, or adapters, which are put on `model` here.
    """
    if config.regime == "lora":
        return lora.adapt(model, config.lora)
    return model if config.regime == "joint" else None


def to_train(
    run: RunConfig, seed: int, base: str | Path, dtype: Dtype, attention: Attention
) -> "tuple[FastWeights, PreTrainedModel | PeftModel | None]":
    """The model of a run as its training begins, and the part of the base that it trains.

    It is new, drawn by `seed`, which seeds torch; or it is a trained memory (`train.start`).

    Raises:
        UserError: a folder is missing, or the memory is of another base, shape or regime.
    """
    start = memory_of(run.train.start, seed) if run.train.start else None
    if start:
        _check_start(start, run.train)
    joint = start is not None and run.train.regime == "joint"
    model = load_model(start / BASE if joint else base, dtype, attention)
    torch.manual_seed(seed)
    trained = trained_part(model, run.train)
    if start and run.train.regime == "lora":
        lora.fill(trained, start / ADAPTER)
    fw = inject(model, run.fast_weights)
    if start:
        fill(fw, start / FAST)
    return fw, trained


def _check_start(start: Path, config: TrainConfig) -> None:
    """Refuse a memory of another regime than the run's."""
    needed = {"joint": BASE, "lora": ADAPTER}.get(config.regime)
    for part in (BASE, ADAPTER):
        if (start / part).is_dir() != (part == needed):
            has = "a" if (start / part).is_dir() else "no"
            raise UserError(
                f"train.start: {start} holds {has} folder {part!r}, expected a memory of regime"
                f" {config.regime}"
            )


def load_base(
    folder: str | Path, base: str | Path, dtype: Dtype = "float32", attention: Attention = "auto"
) -> PreTrainedModel:
    """The model of a trained run without its fast weights.

    It is the base in the run's `folder` if there is one, else the one in `base`, with the run's
    adapter if it has one.

    Raises:
        UserError: a folder is missing, or the adapter belongs to another base.
    """
    own, adapters = Path(folder) / BASE, Path(folder) / ADAPTER
    model = load_model(own if own.is_dir() else base, dtype, attention)
    return lora.load(adapters, model).eval() if adapters.is_dir() else model


def load_run(
    folder: str | Path,
    base: str | Path,
    device: torch.device,
    dtype: Dtype = "float32",
    attention: Attention = "auto",
) -> FastWeights:
    """Load a trained run on `device`: its base (see `load_base`) and its fast weights.

    Raises:
        UserError: a folder is missing, or the adapter or the fast weights do not fit the model.
    """
    model = load_base(folder, base, dtype, attention)
    return load_fast_weights(Path(folder) / FAST, model).to(device).eval()
