"""What a benchmark and a training step cost on a device, by the formulas of `cost`."""

from dataclasses import dataclass, replace
from typing import Self

from ..benchmark import Sample
from ..conversation.config.asking import RecallConfig
from ..conversation.config.training import TrainConfig
from ..conversation.prompts.prompter import Prompter
from ..errors import UserError
from ..fast_weights.rules.base import NOTHING, NUMBER_BYTES, Held
from ..vocabulary import COSTED
from .model import FastWeightsCost, Work
from .roofline import Ceilings

GIB = 2**30


@dataclass(frozen=True)
class Benchmark:
    """Mean sizes of a benchmark, tokens; and how it is asked, see `RecallConfig`."""

    samples: int = 300
    dialogue: int = 140
    distractor: int = 3000  # of the samples that have one
    distracted: int = 100  # samples with a distractor
    probes: int = 9  # of a sample
    question: int = 16
    answer: int = 12
    rows: int = 16
    probe_rows: int = 128
    segment: int = 512

    def asked(self, config: RecallConfig) -> Self:
        """The same benchmark, asked in batches of this configuration's sizes."""
        sizes = {"rows": config.rows, "probe_rows": config.probe_rows}
        return replace(self, **sizes, segment=config.segment_tokens)

    @property
    def batch(self) -> int:
        """Dialogues read and asked at once."""
        return max(1, min(self.rows, self.probe_rows // self.probes))


@dataclass(frozen=True)
class Cost:
    """Of one condition."""

    work: Work
    seconds: float  # at the ceilings; passes cannot overlap
    held: int  # most bytes of weights, KV cache and states at once


class Estimate:
    """Costs of a benchmark on a device."""

    def __init__(self, fast: FastWeightsCost, benchmark: Benchmark, best: Ceilings) -> None:
        self.fast, self.decoder = fast, fast.decoder
        self.benchmark, self.best = benchmark, best

    def condition(self, name: str) -> Cost:
        """A, B, C or D, over all its samples."""
        bench = self.benchmark
        samples = bench.distracted if name == "D" else bench.samples
        rows, context = bench.batch, 0
        passes: list[Work] = []
        if name == "A":
            context = bench.dialogue + bench.distractor * bench.distracted // bench.samples
            passes.append(self.decoder.forward(rows, context, logits=1))
        texts = {"B": [bench.dialogue], "D": [bench.dialogue, bench.distractor]}.get(name, [])
        written, held = self.fast.write_texts(rows, texts, bench.segment)
        solving, solved = self.fast.make_readable(rows, held)
        passes += [*written, solving, *self._answers(rows, context, solved)]
        batches = -(-samples // rows)
        total = sum(passes, Work()).times(batches)
        seconds = batches * sum(w.seconds(self.best, self.decoder.dtype) for w in passes)
        lanes = bench.probes * (bench.question + bench.answer)
        cache = self.decoder.cache_bytes(rows * (context + lanes))
        read, both = self.fast.sizes.state_bytes(solved), self.fast.sizes.readable_peak_bytes(held)
        most = max(cache + rows * read, rows * both)
        return Cost(total, seconds, self.decoder.weight_bytes + most)

    def step(self, rows: int, tokens: int, joint: bool) -> Cost:
        """One training step: `rows` dialogues of `tokens` are written, then their probes asked.

        Activations are not in `held`.
        """
        bench, lanes = self.benchmark, self.benchmark.probes * self.benchmark.question
        held = self.fast.sizes.held(tokens)
        solving, solved = self.fast.make_readable(rows, held)
        passes = [
            self.decoder.forward(rows, tokens) + self.fast.write(rows, tokens) + solving,
            self.decoder.forward(rows, lanes, logits=bench.probes * bench.answer)
            + self.fast.read(rows, lanes, solved),
        ]
        forwards = 3 if joint else 2
        work = sum(passes, Work()).times(forwards)
        seconds = forwards * sum(w.seconds(self.best, self.decoder.dtype) for w in passes)
        trained = self.fast.parameters() * NUMBER_BYTES
        trained += self.decoder.weight_bytes * joint
        held_bytes = self.decoder.weight_bytes + 3 * trained
        return Cost(work, seconds, held_bytes + rows * self.fast.sizes.readable_peak_bytes(held))

    def _answers(self, rows: int, context: int, held: Held) -> list[Work]:
        """Questions at once, lanes side by side in a row; then a token of each lane at a time."""
        bench, passes, past = self.benchmark, [], context
        for step in range(bench.answer):
            tokens = bench.probes * (bench.question if step == 0 else 1)
            work = self.decoder.forward(rows, tokens, past, logits=bench.probes)
            passes.append(work + self.fast.read(rows, tokens, held) if held != NOTHING else work)
            past += tokens
        return passes


def of_samples(samples: list[Sample], prompter: Prompter, config: RecallConfig) -> Benchmark:
    """Mean sizes of the given samples.

    Raises:
        UserError: there is no sample.
    """
    if not samples:
        raise UserError("the benchmark has no sample to take sizes from")
    encoded = prompter.encode(samples)
    distractors = prompter.ids([s.distractor for s in samples if s.distractor])
    questions = [ids for e in encoded for ids in e.questions]
    return Benchmark(
        samples=len(samples),
        dialogue=_mean([e.context for e in encoded]),
        distractor=_mean(distractors),
        distracted=len(distractors),
        probes=max(1, round(len(questions) / len(samples))),
        question=_mean(questions),
        answer=_mean([ids for e in encoded for ids in e.answers]),
    ).asked(config)


def _mean(rows: list[list[int]]) -> int:
    return round(sum(map(len, rows)) / max(1, len(rows)))


def table(estimate: Estimate, train: TrainConfig, gib: int | None) -> str:
    """Everything as text; `gib` is the device's memory."""
    fast, bench, decoder = estimate.fast, estimate.benchmark, estimate.decoder
    lines = [
        f"weights {decoder.weight_bytes / GIB:.2f} GiB, "
        f"parameters of the fast weights {fast.parameters() / 1e6:.1f} M, "
        f"KV cache {decoder.cache_bytes(1) / 2**10:.0f} KiB a token",
        "",
        f"{'written':>8}{'state, MB':>11}{'plain, TFLOP':>14}{'write adds':>12}{'of the time':>13}",
    ]
    for tokens in sorted({bench.dialogue, 512, 2048, 8192}):
        plain, write = decoder.forward(1, tokens), fast.write(1, tokens)
        write += fast.make_readable(1, fast.sizes.held(tokens))[0]
        times = [w.seconds(estimate.best, decoder.dtype) for w in (plain, plain + write)]
        lines.append(
            f"{tokens:>8}{fast.sizes.state_bytes(fast.sizes.held(tokens)) / 1e6:>11.1f}"
            f"{plain.flops / 1e12:>14.3f}{write.flops / plain.flops:>12.1%}"
            f"{times[1] / times[0] - 1:>13.1%}"
        )
    lines += ["", f"{'':<28}{'TFLOP':>12}{'GB moved':>12}{'seconds':>12}{'GiB held':>10}"]
    costs = {f"condition {name}": estimate.condition(name) for name in COSTED}
    regime = f"training step, {train.regime}"
    steps = estimate.step(train.dialogues_per_step, bench.dialogue, train.regime == "joint")
    for name, cost in (costs | {regime: steps}).items():
        lines.append(
            f"{name:<28}{cost.work.flops / 1e12:>12.3f}{cost.work.bytes / 1e9:>12.1f}"
            f"{cost.seconds:>12.3f}{cost.held / GIB:>10.2f}"
        )
    minutes = sum(cost.seconds for cost in costs.values()) / 60
    most = max(cost.held for cost in costs.values()) / GIB
    room = "" if gib is None else f" of {gib}"
    return "\n".join(
        [*lines, "", f"A to D: {minutes:.2f} minutes at the ceilings; {most:.1f}{room} GiB"]
    )
