"""Cost of one training step: strict engine, every strategy, and the published protocol.

    python benchmarks/forecast.py [--steps 3] [--repeats 3] [--check]

One step is forward, backward and Adam on 4 series of 500 samples, window 16, width 16, on one
thread of one process. Counted are user CPU seconds, the smallest of several repeats, so that
other processes disturb little. The published protocol runs with its own feed-forward width of
2,048 and with the strict engine's. --check exits 1 when `titans_default` takes more than 0.12 s.
"""

import argparse
import resource
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory.errors import run
from ttt_memory.forecast.config import EntryConfig, ModelConfig, TrainingConfig
from ttt_memory.forecast.forecaster import Task, build, parameters
from ttt_memory.forecast.series.dataset import Split
from ttt_memory.forecast.strategy import BASELINES, STRATEGIES
from ttt_memory.forecast.trainer import mse

TARGET = 0.12  # user CPU seconds
SERIES, LENGTH, WINDOW = 4, 500, 16
REFERENCE, PUBLISHED = "titans_default", "titans_published"


def batch(length: int = LENGTH) -> Split:
    """Noisy waves: the numbers do not matter, their finiteness does."""
    generator = torch.Generator().manual_seed(0)
    angle = torch.arange(length) / torch.tensor([[1.5], [3.0], [5.0], [7.0]])
    x = torch.sin(angle) + 0.1 * torch.randn(SERIES, length, generator=generator)
    return Split(x.unsqueeze(-1), x, torch.ones_like(x, dtype=torch.bool), ("",) * SERIES)


def seconds_per_step(model: nn.Module, data: Split, task: Task, steps: int, repeats: int) -> float:
    """User CPU seconds of one training step: the smallest mean of `steps`, of `repeats`."""
    optimiser = torch.optim.Adam(model.parameters(), lr=TrainingConfig().learning_rate)

    def step() -> None:
        optimiser.zero_grad()
        mse(model(data.inputs), data, task).backward()
        optimiser.step()

    step()
    found = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        for _ in range(steps):
            step()
        found.append((resource.getrusage(resource.RUSAGE_SELF).ru_utime - before) / steps)
    return min(found)


def contenders(config: ModelConfig) -> list[tuple[str, str, EntryConfig]]:
    """Title, kind and entry of everything that is timed."""
    strategies = sorted(file.stem for file in STRATEGIES.glob("*.py"))
    neural = [file.stem for file in BASELINES.glob("*.py") if file.stem in ("lstm", "attention")]
    published = {"published protocol, its FFN": {}, "published, FFN as here": {"ffn": config.ffn}}
    return [
        *((name, "strategy", EntryConfig(file=name)) for name in strategies),
        *((name, "baseline", EntryConfig(file=name)) for name in sorted(neural)),
        *(
            (title, "baseline", EntryConfig(file=PUBLISHED, options=options))
            for title, options in published.items()
        ),
    ]


def main() -> None:
    """Time every contender, print the table, check the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3, help="steps of a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="repeats; the fastest counts")
    parser.add_argument("--check", action="store_true", help=f"fail above {TARGET:g} s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    config, data = ModelConfig(), batch()
    task = Task(context_window=WINDOW, channels=1, observed=True)
    found = {}
    print(f"{'forecaster':<30}{'parameters':>12}{'CPU s/step':>12}{'x ' + REFERENCE:>20}")
    for title, kind, entry in contenders(config):
        torch.manual_seed(0)
        model = build(title, entry, kind, task, config)
        steps = 1 if entry.file == PUBLISHED else args.steps
        repeats = 1 if entry.file == PUBLISHED else args.repeats
        found[title] = (parameters(model), seconds_per_step(model, data, task, steps, repeats))
    reference = found[REFERENCE][1]
    for title, (size, seconds) in sorted(found.items(), key=lambda item: item[1][1]):
        print(f"{title:<30}{size:>12,}{seconds:>12.3f}{seconds / reference:>20.2f}")
    share = 1 - found["no_memory"][1] / reference
    print(f"{REFERENCE} {reference:.3f} CPU s a step (target {TARGET:g}); memory {share:.0%} of it")
    if args.check and reference > TARGET:
        sys.exit(f"benchmarks/forecast.py: target missed: {REFERENCE} {reference:.3f} > {TARGET:g}")


if __name__ == "__main__":
    run(main)
