"""The memory's learned parameters as a folder: fast_weights.safetensors and fast_weights.json."""

import json
from hashlib import blake2b
from pathlib import Path

from pydantic import ValidationError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from transformers import PreTrainedModel

from ..errors import UserError
from ..io import beside, write_json
from .config import FastWeightsConfig
from .injection import FastWeights, inject

TENSORS, CONFIG = "fast_weights.safetensors", "fast_weights.json"


def save(fw: FastWeights, folder: str | Path) -> None:
    """Write the parameters and configuration of `fw` into `folder`; other files there stay.

    The JSON comes last and holds the digest of the tensors: `load` refuses a folder cut short.
    """
    tensors = {k: v.detach().contiguous().cpu() for k, v in fw.fast.state_dict().items()}
    content = save_tensors(tensors)
    with beside(Path(folder) / TENSORS) as temporary:
        temporary.write_bytes(content)
    config = fw.config.model_dump(mode="json")
    write_json(Path(folder) / CONFIG, {"config": config, "tensors": _digest(content)})


def load(folder: str | Path, model: PreTrainedModel) -> FastWeights:
    """`inject` into `model` the memory that `save` wrote.

    Raises:
        UserError: the folder or a file is missing, damaged, or does not fit the model.
    """
    folder = Path(folder)
    for path in (folder, folder / CONFIG, folder / TENSORS):
        if not path.exists():
            raise UserError(f"{path}: not found; expected a folder with {CONFIG} and {TENSORS}")
    content = (folder / TENSORS).read_bytes()
    config = _config(folder / CONFIG, content)
    try:
        fw = inject(model, config)
    except UserError as error:
        raise UserError(f"{folder}: does not fit the model: {error}") from error
    tensors, own = load_tensors(content), fw.fast.state_dict()
    found = {k: tuple(v.shape) for k, v in tensors.items()}
    expected = {k: tuple(v.shape) for k, v in own.items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            fw.eject()
            raise UserError(
                f"{folder / TENSORS}: does not fit the model: {name} is {found.get(name)}, "
                f"expected {expected.get(name)}"
            )
    fw.fast.load_state_dict(tensors)
    return fw


def _config(path: Path, content: bytes) -> FastWeightsConfig:
    """The configuration in `path`, once the digest of the tensors is checked."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        config, digest = FastWeightsConfig(**stored["config"]), stored["tensors"]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise UserError(f"{path}: not a fast-weight configuration ({error})") from error
    if digest != _digest(content):
        raise UserError(f"{path}: {TENSORS} is not the file it was saved with; half-written?")
    return config


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
