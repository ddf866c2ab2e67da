"""What a file's metadata says of its making: configuration, seed, model and versions."""

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path

from pydantic import BaseModel

LIBRARIES = ("torch", "transformers", "accelerate", "numpy", "pandas", "pyarrow")


def provenance(config: BaseModel | dict, **more: object) -> dict:
    """Metadata for `io.write_table`: the configuration slice, its hash, versions and `more`."""
    values = config.model_dump(mode="json") if isinstance(config, BaseModel) else config
    canonical = json.dumps(values, sort_keys=True, ensure_ascii=False)
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "config": values,
        "config_hash": hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest(),
        "versions": {"python": platform.python_version(), **versions},
        **more,
    }


def code_hash(root: str | Path) -> str:
    """Hash of every Python file under `root`, names and contents."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(Path(root).rglob("*.py")):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
