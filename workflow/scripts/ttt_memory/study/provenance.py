"""Metadata that says how a file was made: configuration, seed, model and versions."""

import hashlib
import importlib.metadata
import json
import platform

from pydantic import BaseModel

LIBRARIES = ("torch", "transformers", "accelerate", "numpy", "pandas", "pyarrow")


def provenance(config: BaseModel | dict, **more: object) -> dict:
    """Metadata for `io.write_table`: configuration, its hash, versions of libraries, and `more`."""
    values = config.model_dump(mode="json") if isinstance(config, BaseModel) else config
    canonical = json.dumps(values, sort_keys=True, ensure_ascii=False)
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {
        "config": values,
        "config_hash": hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest(),
        "versions": {"python": platform.python_version(), **versions},
        **more,
    }
