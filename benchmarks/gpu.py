"""Speed and GPU memory of writing, recall and training, with a Qwen3-8B of random weights.

    python benchmarks/gpu.py [--precision high|highest] [--check]

Three tables are printed: writing compared with the plain forward pass; every condition of recall,
with the total projected to 300 samples; and a training step of each run. The last two tables also
show what the cost model expects of a device at its measured ceilings. A model of random weights
rarely ends an answer, so in recall every answer has the largest length. --check exits with status 1
and names the target that is missed. `--shape tiny --samples 3 --steps 2 --lengths 64` runs on any
machine; on a CPU the memory column is a lower bound.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from transformers import Qwen3Config, Qwen3ForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory import options
from ttt_memory.benchmark import Sample, corpus, distractors
from ttt_memory.benchmark.config import BenchmarkConfig
from ttt_memory.benchmark.generate import benchmark
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.config.training import RunConfig
from ttt_memory.conversation.models.trained_run import trained_part
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.ask import Recall
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.train_run import train
from ttt_memory.cost import flop_counter, stopwatch
from ttt_memory.cost.data_sheets import SHAPES
from ttt_memory.cost.estimate import GIB, Benchmark, Cost, Estimate, of_samples
from ttt_memory.cost.model import Decoder, FastWeightsCost
from ttt_memory.errors import UserError, run
from ttt_memory.fast_weights import FastWeights, inject
from ttt_memory.study import devices
from ttt_memory.study.config.runs import laid_over
from ttt_memory.study.config.tree import Config

# The runs for Qwen3-8B have fast weights up to layer 30.
TINY = Decoder(32, 48, 31, 4, 2, 8, 4096, True)
MOST_OVERHEAD, MOST_GIB = 0.05, 38.0
TEXT, STUDY = 2048, 300
ROOT = Path(__file__).resolve().parents[1]
TOKENIZER = ROOT / "data" / "models" / "embedded"


def random_model(shape: Decoder, device: torch.device) -> Qwen3ForCausalLM:
    """A Qwen3 of this shape with random weights, created on `device`."""
    config = Qwen3Config(
        hidden_size=shape.d,
        intermediate_size=shape.ff,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=shape.tied,
        max_position_embeddings=40960,
    )
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, shape.dtype))
    try:
        with device:
            return Qwen3ForCausalLM(config).eval().requires_grad_(False)
    finally:
        torch.set_default_dtype(default)


class Bench:
    """Measures one model on one device, prints the tables and collects the missed targets."""

    def __init__(self, shape: Decoder, device: torch.device, recall: RecallConfig) -> None:
        self.shape, self.device, self.recall_config = shape, device, recall
        self.model = random_model(shape, device)
        self.prompter = Prompter.load(TOKENIZER)
        # What a GPU does at its best needs large matrices; on a CPU they would take minutes.
        size = 4096 if device.type == "cuda" else 1024
        self.best = stopwatch.ceilings(device, tuple(sorted({"float32", shape.dtype})), size)
        self.missed: list[str] = []

    def memory(self, config: RunConfig) -> FastWeights:
        """The model with the fast weights of a run."""
        return inject(self.model, config.fast_weights)

    def estimate(self, config: RunConfig, sizes: Benchmark) -> Estimate:
        """What the cost model expects."""
        return Estimate(FastWeightsCost(self.shape, config.fast_weights), sizes, self.best)

    def held(self, fw: FastWeights, growth: int, what: str) -> float:
        """GiB of all parameters and `growth` bytes. It is a missed target if they do not fit."""
        gib = (sum(p.nbytes for p in fw.parameters()) + growth) / GIB
        if gib > MOST_GIB:
            self.missed.append(f"{what}: {gib:.1f} GiB > {MOST_GIB:g} GiB")
        return gib

    def observe(self, function: Callable[[], list[dict]]) -> tuple[list[dict], float, int]:
        """The result of `function`, its seconds, and its peak bytes beside the weights."""
        found: list[dict] = []
        started = time.perf_counter()
        growth = stopwatch.peak_bytes(lambda: found.extend(function()), self.device)
        return found, time.perf_counter() - started, growth

    @torch.no_grad()
    def write(self, fw: FastWeights, length: int, rounds: int) -> None:
        """Tokens/s of the plain forward pass and of a write with its solved state.

        The last column is the share of the speed that the ceilings of the device allow.
        """
        ids = torch.randint(0, self.shape.vocabulary, (1, length), device=self.device)
        decoder = self.model.get_decoder()
        forms = {
            "plain": partial(decoder, input_ids=ids, use_cache=False),
            "write": lambda: fw.write(ids).state.readable(),
        }
        times = stopwatch.seconds(forms, rounds, self.device)
        over = stopwatch.ratio(times["write"], times["plain"]) - 1
        for name, form in forms.items():
            took = statistics.median(times[name])
            bound = self.best.bound(flop_counter.count(form), self.shape.dtype) / took
            gib = self.held(fw, stopwatch.peak_bytes(form, self.device), f"{name}, T = {length}")
            ratio = f"{over:>10.1%}" if name == "write" else f"{'':>10}"
            label = f"{name}, T = {length}"
            print(f"{label:<28}{length / took:>12.0f}{ratio}{gib:>10.2f}{bound:>8.0%}", flush=True)
        if length == TEXT and over > MOST_OVERHEAD:
            self.missed.append(f"write overhead {over:.1%} > {MOST_OVERHEAD:.0%} at T = {length}")

    def recall(self, fw: FastWeights, config: RunConfig, samples: list[Sample]) -> None:
        """Probes/s of each condition, and minutes for the samples of the whole study."""
        engine, minutes = Recall(fw, self.prompter, samples, self.recall_config), 0.0
        sizes = of_samples(samples, self.prompter, self.recall_config)
        expected = self.estimate(config, sizes)
        for condition in "ABCD":
            rows, took, growth = self.observe(partial(engine.run, condition))
            minutes += took / 60 * STUDY / len(samples)
            gib, cost = self.held(fw, growth, f"recall {condition}"), expected.condition(condition)
            line(f"recall {condition}", len(rows) / took, took, gib, cost, cost.seconds)
        print(f"{STUDY} samples, A to D: {minutes:.1f} minutes")

    def training(self, name: str, config: RunConfig, steps: int) -> None:
        """Seconds and GPU memory of the training steps of a run; the first step is not timed."""
        # Most steps of a real training have dialogues of full length, so these steps do too.
        sizes = {"steps": steps, "checkpoint_every": steps, "growing_steps": 0}
        chosen = config.train.model_copy(update=sizes)
        accelerator = Accelerator(
            mixed_precision=chosen.mixed_precision, cpu=self.device.type == "cpu"
        )
        sampler = training_texts(self.prompter, chosen.probes_per_dialogue)
        adapted = trained_part(self.model, chosen)
        fw, job = self.memory(config), config.model_copy(update={"train": chosen})
        rows, _, growth = self.observe(partial(train, fw, sampler, job, accelerator))
        took = (rows[-1]["seconds"] - rows[0]["seconds"]) / (steps - 1)
        speed = (rows[-1]["tokens"] - rows[0]["tokens"]) / (steps - 1) / took
        gib, cost = self.held(fw, growth, f"training {name}"), self.expected_step(config, sampler)
        seconds = cost.seconds * chosen.accumulation
        line(f"training {name}, {chosen.regime}", speed, took, gib, cost, seconds)
        fw.eject()
        if chosen.regime == "lora":
            adapted.unload()
        self.model.requires_grad_(False)
        self.model.activation_checkpointing_disable()

    def expected_step(self, config: RunConfig, sampler: CorpusSampler) -> Cost:
        """The estimated cost of one micro-batch of the write_drop_read objective."""
        sizes = of_samples(sampler.samples, self.prompter, self.recall_config)
        rows, joint = config.train.dialogues_per_step, config.train.regime == "joint"
        return self.estimate(config, sizes).step(rows, sizes.dialogue, joint)


def line(what: str, speed: float, took: float, gib: float, cost: Cost, seconds: float) -> None:
    """Print one row: what was measured, and what the cost model expects."""
    expected = f"{seconds:>12.2f}{cost.held / GIB:>10.2f}"
    print(f"{what:<28}{speed:>12.1f}{took:>10.2f}{gib:>10.2f}{expected}", flush=True)


def training_texts(prompter: Prompter, probes: int) -> CorpusSampler:
    """A sampler of a small corpus in both languages."""
    rng = random.Random(0)
    samples = [s for name in ("zh", "en") for s in islice(corpus.dialogues(name, 0), 100)]
    passages = {
        name: [distractors.passage(rng, name, "train")[1] for _ in range(50)]
        for name in ("zh", "en")
    }
    return CorpusSampler(samples, passages, prompter, 0, probes)


def configuration(preset: str) -> Config:
    """The configuration of config.yaml with a preset laid over it."""
    data = laid_over(options.read(ROOT / "config.yaml"), options.read(preset))
    return options.validate(Config, data, preset)


def main() -> None:
    """Measure, print the tables and check the targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", default="qwen3-8b", choices=["tiny", *SHAPES])
    parser.add_argument("--config", default=str(ROOT / "config" / "qwen3-8b.yaml"))
    runs = ["write-drop-read", "write-drop-read-lora", "b-mini"]
    parser.add_argument(
        "--runs", nargs="+", default=runs, help="runs to train; the first is also written and asked"
    )
    parser.add_argument("--lengths", type=int, nargs="*", default=[512, TEXT])
    parser.add_argument(
        "--samples", type=int, default=STUDY, help="number of samples to ask, a multiple of 3"
    )
    parser.add_argument("--steps", type=int, default=5, help="number of training steps of each run")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="high", choices=["high", "highest"])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    args = parser.parse_args()
    if args.steps < 2:
        raise UserError(
            f"--steps: found {args.steps}, expected 2 or more, since the first step is not timed"
        )
    torch.set_float32_matmul_precision(args.precision)
    device = devices.pick(args.device)
    study = configuration(args.config)
    recall = study.recall.model_copy(update={"device": device.type})
    if unknown := set(args.runs) - set(study.runs):
        raise UserError(f"--runs: found {min(unknown)!r}, expected of {sorted(study.runs)}")
    runs = {name: study.runs[name] for name in args.runs}
    bench = Bench(TINY if args.shape == "tiny" else SHAPES[args.shape], device, recall)
    print(f"{stopwatch.machine(device)}; {args.shape}, float32 products: {args.precision}")
    found = ", ".join(f"{k} {v / 1e12:.2f} TFLOP/s" for k, v in bench.best.matmul.items())
    print(f"ceilings: {found}, copy {bench.best.copy / 1e9:.0f} GB/s")

    first = runs[args.runs[0]]
    fw = bench.memory(first)
    print(f"\n{'':<28}{'tokens/s':>12}{'overhead':>10}{'GiB':>10}{'bound':>8}")
    for length in args.lengths:
        bench.write(fw, length, args.rounds)
    columns = f"{'seconds':>10}{'GiB':>10}{'expected s':>12}{'and GiB':>10}"
    print(f"\n{'':<28}{'probes/s':>12}{columns}")
    count = max(1, args.samples // 3)
    bench.recall(fw, first, benchmark(BenchmarkConfig(samples_per_level=count)))
    fw.eject()
    del fw  # else its parameters would take GPU memory during training
    print(f"\n{'':<28}{'tokens/s':>12}{columns}")
    for name, config in runs.items():
        bench.training(name, config, args.steps)
    if args.check and bench.missed:
        sys.exit(f"benchmarks/gpu.py: target missed: {'; '.join(bench.missed)}")


if __name__ == "__main__":
    run(main)
