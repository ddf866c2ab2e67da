"""The training of one seed: its forecaster, its progress, and the file it is resumed from."""

import math
import pickle
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import io
from ...errors import UserError

UNREADABLE = (OSError, EOFError, pickle.UnpicklingError)
MALFORMED = (RuntimeError, KeyError, ValueError, TypeError)


@dataclass
class Progress:
    """What a resumed training needs besides the forecaster and the moments of Adam."""

    epoch: int = 0  # epochs done
    step: int = 0  # steps done
    best: float = math.inf  # the smallest validation MSE so far
    best_state: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)  # one per epoch


class Run:
    """One seed's training.

    Args:
        seed: decides the order of the series.
        model: built with this seed; maps inputs [B, T, channels] to forecasts [B, T, H].
        checkpoints: folder for the state after the newest epoch, one file for each seed; None
            saves nothing.
    """

    def __init__(self, seed: int, model: nn.Module, checkpoints: Path | None = None):
        self.seed, self.model = seed, model
        self.file = checkpoints / f"seed-{seed}.pt" if checkpoints else None
        self.progress = Progress()
        self.moments: dict[str, Tensor] = {}  # of Adam
        self.random = torch.get_rng_state()  # for a forecaster that draws random numbers
        self.failure: UserError | None = None

    def resume(self, origin: str) -> bool:
        """Go on from the file, if there is one.

        Args:
            origin: what is trained, on what and how; a file of another origin is refused.

        Raises:
            UserError: the file is unreadable or of another training.
        """
        if self.file is None or not self.file.is_file():
            return False
        device = next(self.model.parameters()).device
        try:
            saved = torch.load(self.file, weights_only=True, map_location=device)
            if saved["origin"] != origin:
                raise ValueError(f"it is of {saved['origin']}")
            self.model.load_state_dict(saved["model"])
            # Torch keeps the number of steps on the CPU, on whatever device the moments are.
            self.moments = saved["moments"] | {"step": saved["moments"]["step"].cpu()}
            self.random = saved["random"].cpu()
            self.progress = Progress(**saved["progress"])
        except (*UNREADABLE, *MALFORMED) as error:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise UserError(
                f"{self.file}: expected a checkpoint of {origin}, found another ({reason});"
                " remove the file to train from the start"
            ) from error
        return True

    def finish_epoch(self, row: dict, steps: int, origin: str) -> None:
        """Count an epoch of `steps` steps, add its row to the curve, keep the best, and save."""
        progress = self.progress
        progress.epoch, progress.step = progress.epoch + 1, progress.step + steps
        progress.rows.append({"epoch": progress.epoch, **row})
        if row["valid_mse"] < progress.best:
            state = self.model.state_dict()
            progress.best_state = {name: part.clone() for name, part in state.items()}
            progress.best = row["valid_mse"]
        if self.file is None:
            return
        state = {
            "model": self.model.state_dict(),
            "moments": self.moments,
            "progress": vars(progress),
            "origin": origin,
            "random": self.random,
        }
        with io.beside(self.file) as temporary:
            torch.save(state, temporary)

    def best_rows(self) -> list[dict]:
        """Take the weights of the best epoch; one row per epoch, with the column `best`.

        Raises:
            UserError: the run could not be trained.
        """
        if self.failure:
            raise self.failure
        self.model.load_state_dict(self.progress.best_state)
        best = min(self.progress.rows, key=lambda row: row["valid_mse"])["epoch"]
        return [{**row, "best": row["epoch"] == best} for row in self.progress.rows]
