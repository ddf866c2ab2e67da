"""What the report says of a base model that was converted from a GGUF file."""

import json
from pathlib import Path

from ..errors import UserError


def told(origin: Path) -> str:
    """One sentence of name, licence, source and digest, from the file beside the model.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        facts = json.loads(origin.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{origin}: not a readable note of a model's origin ({error})") from error
    parts = [
        _named(f"{part['name']} {part['version']}", part["license"])
        for part in facts.get("packages", ())
    ]
    source = f"package {' + '.join(parts)}" if parts else f"file {facts['file']}"
    model = _named(facts["model"] or "unnamed", facts["license"])
    return f"{model}, dequantised to {facts['dtype']} from {source}, SHA-256 {facts['sha256']}"


def _named(name: str, licence: str | None) -> str:
    return f"{name} (licence: {licence or 'not stated'})"
