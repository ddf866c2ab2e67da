"""Where the base model lies, or will lie once it is made or fetched."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ...conversation.config.base_model import BaseConfig
from .tree import Config

# The sources of a base model that is read from a GGUF file, and where such models are kept.
CONVERTED = ("package", "gguf")
CONVERTED_MODELS = Path("data", "models", "converted")


def model_folder(config: Config) -> Path:
    """The folder of the base model, which may still have to be pretrained or fetched."""
    base = config.base
    if base.source == "pretrain":
        return Path(config.results) / "base" / "model"
    if base.source == "hub":
        return fetched(base.hub_id, base.revision)
    if base.source in CONVERTED:
        return CONVERTED_MODELS / _converted_name(base)
    return Path(base.path)


def _converted_name(base: BaseConfig) -> str:
    """The name of the folder of a converted model: other weights give another name.

    The weights in a GGUF file of the user's are not known here. A file that changes is converted
    again.
    """
    if base.source == "gguf":
        return f"{Path(base.path).stem}-{base.dtype}"
    first = base.packages[0]
    digest = hashlib.sha256("".join(part.sha256 for part in base.packages).encode()).hexdigest()
    return f"{first.name}-{first.version}-{digest[:12]}-{base.dtype}"


def fetched(hub_id: str, revision: str, kind: str = ".") -> Path:
    """The folder that a repository of the hub is fetched to; `kind` keeps data sets apart."""
    return Path("data", "hub", kind, hub_id.replace("/", "--"), revision)


def architecture(config: Config) -> dict[str, Any]:
    """The base model's configuration as far as it is known; empty if it is not fetched yet."""
    if config.base.source == "pretrain":
        return config.base.architecture.model_dump()
    try:
        text = (model_folder(config) / "config.json").read_text(encoding="utf-8")
        shape = json.loads(text)
    except (OSError, json.JSONDecodeError):
        return {}
    # In a multimodal model, the language model has a configuration of its own.
    return shape.get("text_config", shape)
