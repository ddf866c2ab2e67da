"""Time of three and of five seeds trained as one, divided by the time of one seed.

    python benchmarks/forecast_seeds.py [--steps 2] [--repeats 3] [--only mesa delta] [--check]
        [--length 500] [--window 16]

One step is forward, backward and Adam on 4 series for each seed, width 16, on one thread of one
process. Counted are user CPU seconds, the smallest of several repeats, so that other processes
disturb little. Numbers of seeds take turns. `one, alone` is the plain forecaster, without what
trains several as one; trained one after another, S seeds take S times as long. --check exits 1
when five seeds of a strategy take more than 3.5 times as long as one.
"""

import argparse
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from forecast import LENGTH, SERIES, WINDOW, batch, contenders
from ttt_memory.errors import run
from ttt_memory.forecast.config import EntryConfig, ModelConfig, TrainingConfig
from ttt_memory.forecast.forecaster import Task, build
from ttt_memory.forecast.seeds.forward import Alone
from ttt_memory.forecast.seeds.probe import together
from ttt_memory.forecast.seeds.run import Run
from ttt_memory.forecast.seeds.stack import Stack
from ttt_memory.forecast.series.dataset import Split

TARGET = 3.5  # times the time of one seed, for five
SEEDS = (1, 3, 5)
SETTINGS = TrainingConfig()


def step_of(stack: Stack, length: int, window: int) -> Callable[[], object]:
    """One training step of a stack, each seed on its own copy of the series."""
    data, count = batch(length), len(stack.runs)
    inputs, target, scored = (
        part.expand(count, *part.shape).contiguous()
        for part in (data.inputs, data.target, data.scored)
    )
    data = Split(inputs, target, scored, ())
    task = Task(context_window=window, channels=1, observed=True)
    return lambda: stack.step(data, task, SETTINGS.learning_rate, SETTINGS.clip)


def stacks(title: str, kind: str, entry: EntryConfig, window: int) -> tuple[str, dict[str, Stack]]:
    """How a forecaster is run, and a stack for each column of the table."""
    task = Task(context_window=window, channels=1, observed=True)
    runs = []
    for seed in range(max(SEEDS)):
        torch.manual_seed(seed)
        runs.append(Run(seed, build(title, entry, kind, task, ModelConfig())))
    alone = {"alone": Stack(runs[:1], Alone(runs[0].model))}
    forward, reason = together([part.model for part in runs], window, 1)
    if forward is None:
        return f"one after another: {reason}", alone
    found = {str(count): Stack(runs[:count], forward) for count in SEEDS}
    return type(forward).__name__.lower(), alone | found


def seconds(steps: dict[str, Callable[[], object]], count: int, repeats: int) -> dict[str, float]:
    """User CPU seconds of each kind of step: the smallest mean of `count`, of `repeats`."""
    for step in steps.values():
        step()
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            for _ in range(count):
                step()
            after = resource.getrusage(resource.RUSAGE_SELF).ru_utime
            found[name].append((after - before) / count)
    return {name: min(times) for name, times in found.items()}


def main() -> None:
    """Time every contender, print the table, check the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2, help="steps of a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="repeats; the fastest counts")
    parser.add_argument("--only", nargs="+", help="names of strategies and baselines")
    parser.add_argument("--length", type=int, default=LENGTH, help="samples of a series")
    parser.add_argument("--window", type=int, default=WINDOW, help="samples seen directly")
    parser.add_argument("--check", action="store_true", help=f"fail above {TARGET:g} times")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sizes = f"{SERIES} series of {args.length} samples a seed, window {args.window}"
    print(f"{sizes}, PyTorch {torch.__version__}")
    columns = ("one, alone", "one", "three", "five", "three/one", "five/one")
    print(f"{'forecaster':<18}" + "".join(f"{name:>12}" for name in columns) + "  run")
    missed = []
    for title, kind, entry in contenders(ModelConfig()):
        if "published" in title or (args.only and title not in args.only):
            continue
        way, found = stacks(title, kind, entry, args.window)
        steps = {name: step_of(stack, args.length, args.window) for name, stack in found.items()}
        times = seconds(steps, args.steps, args.repeats)
        cells = [times[name] for name in found]
        ratios = [times[name] / times["1"] for name in ("3", "5") if name in times]
        missed += [title] if kind == "strategy" and (not ratios or ratios[-1] > TARGET) else []
        numbers = [f"{cell:>12.4f}" for cell in cells] + [f"{ratio:>12.2f}" for ratio in ratios]
        print(f"{title:<18}{''.join(numbers):<72}  {way}", flush=True)
    if args.check and missed:
        sys.exit(f"benchmarks/forecast_seeds.py: target missed: {', '.join(missed)}")


if __name__ == "__main__":
    run(main)
