"""A good strategy file, and the errors of files made from it."""

from pathlib import Path

import pytest
import torch

from forecast_models import SMALL, TASK
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import EntryConfig
from ttt_memory.forecast.forecaster import build

GOOD = """
import torch
from torch import nn

OPTIONS = {"rate": 0.5, "steps": 2}


def init_memory_state(memory, emb_dim):
    memory.key = nn.Linear(emb_dim, emb_dim)
    return {"m": torch.zeros(1, emb_dim, emb_dim)}


def compute_keys_values(memory, x):
    return memory.key(x), x


def compute_surprise(memory, state, keys, values, gates):
    return {"m": values.transpose(1, 2) @ keys / keys.shape[1]}


def apply_update(memory, state, surprise, gates):
    return {"m": memory.options["rate"] * state["m"] + surprise["m"]}


def retrieve(memory, state, queries):
    return queries @ state["m"].transpose(1, 2)
"""


def forecaster(folder: Path, text: str, **settings: object) -> torch.nn.Module:
    """The forecaster of a strategy file with this text and these options."""
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    entry = EntryConfig(file=str(path), options=settings)
    return build("mine", entry, "strategy", TASK, SMALL)


def refused(folder: Path, text: str, *words: str, **settings: object) -> None:
    """Check that a file with this text is refused in one line that contains all `words`."""
    with pytest.raises(UserError) as error:
        forecaster(folder, text, **settings)
    assert "\n" not in str(error.value).strip()
    for word in ("'mine'", *words):
        assert word in str(error.value), str(error.value)
