"""Checkpoints of a training, from which it resumes."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path

from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import DistributedType, broadcast_object_list
from torch import nn
from torch.optim import Optimizer

from ...io import beside
from .sharding import holds_shards, load_shards, save_shards


class Checkpoints:
    """The checkpoints of one training in a folder; the last two are kept.

    Without a folder, nothing is saved. `model` and `optimisers` are those that Accelerate prepared.
    """

    def __init__(
        self,
        folder: str | Path | None,
        accelerator: Accelerator,
        model: nn.Module,
        optimisers: list[AcceleratedOptimizer],
    ):
        self.folder = Path(folder) if folder else None
        self.accelerator, self.model, self.optimisers = accelerator, model, optimisers
        self.sharded = accelerator.distributed_type == DistributedType.FSDP

    def latest(self) -> Path | None:
        """The last usable checkpoint.

        A checkpoint is not usable if it is incomplete, or if either it or the model is sharded and
        the other is not.
        """
        if self.folder is None or not self.folder.is_dir():
            return None
        usable = [
            path
            for path in self.folder.glob("step-*")
            if (path / "curve.json").is_file() and holds_shards(path) == self.sharded
        ]
        return max(usable, default=None, key=_step_of)

    def save(self, step: int, rows: list[dict]) -> None:
        """Save the training after `step` steps, with the rows of its curve.

        Every process must call this.
        """
        if self.folder is None:
            return
        main = self.accelerator.is_main_process
        target = self.folder / f"step-{step:06d}"
        with beside(target) if main else nullcontext() as temporary:
            (shared,) = broadcast_object_list([temporary])
            # The checkpoint that Accelerate writes of a sharded model has only one optimiser.
            if self.sharded:
                save_shards(self.model, self._unwrapped, shared)
            else:
                self.accelerator.save_state(str(shared))
            self.accelerator.wait_for_everyone()
            if main:
                (temporary / "curve.json").write_text(json.dumps(rows))
        if main:
            for old in sorted(self.folder.glob("step-*"))[:-2]:
                shutil.rmtree(old)

    def resume(self) -> tuple[int, list[dict]]:
        """Load the last usable checkpoint.

        Returns:
            The number of steps done and the rows of the curve; 0 and no rows without a checkpoint.
        """
        latest = self.latest()
        if latest is None:
            return 0, []
        if self.sharded:
            load_shards(self.model, self._unwrapped, latest)
        else:
            self.accelerator.load_state(str(latest))
        return _step_of(latest), json.loads((latest / "curve.json").read_text())

    @property
    def _unwrapped(self) -> list[Optimizer]:
        return [optimiser.optimizer for optimiser in self.optimisers]


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])
