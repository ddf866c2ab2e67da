"""The configuration as presets and overlays make it."""

from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from ttt_memory.study import config

ROOT = Path(__file__).parents[2]


def merged(*overlays: dict[str, Any], preset: str = "smoke") -> dict[str, Any]:
    """config.yaml under a preset and overlays, as Snakemake merges them."""
    data = yaml.safe_load((ROOT / "config.yaml").read_text())
    update_config(data, yaml.safe_load((ROOT / "config" / f"{preset}.yaml").read_text()))
    for overlay in overlays:
        update_config(data, overlay)
    return data


def preset_config(preset: str) -> config.Config:
    """config.yaml under a preset, checked."""
    return config.load(merged(preset=preset), root=ROOT)
