"""The card of a generated benchmark: a description of its content, in Markdown."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import mean

from . import distractors
from .config import BenchmarkConfig
from .generator.grounding import RULE
from .generator.skeletons import skeletons
from .generator.values import HELD_OUT_SHARE, pools
from .sample import Probe, Sample

LEVELS = {1: "direct recall", 2: "two facts composed", 3: "distractor after the dialogue"}


def text(config: BenchmarkConfig, samples: Sequence[Sample]) -> str:
    """The card of `samples`, which were generated from `config`."""
    probes = [(sample, probe) for sample in samples for probe in sample.probes]
    parts = [
        "# Benchmark card",
        f"{len(samples)} dialogues with {sum(len(s.facts) for s in samples)} facts and "
        f"{len(probes)} probes. Each dialogue is a hand-written skeleton, filled with values drawn "
        "for it. All people, places, firms and codes are invented.",
        "## How to make it again",
        "The same configuration gives a file with the same bytes:",
        f"```\npython workflow/scripts/make_benchmark.py --config '{_slice(config)}' "
        "--out benchmark.parquet --card CARD.md\n```",
        "## Counts",
        _table(("level", "language", "split", "dialogues", "facts", "probes"), _counts(samples)),
        "Probes by category of the facts that they require. A probe that requires facts of two "
        "categories counts in both:",
        _cross(probes, _categories),
        "Probes by grounding:",
        _cross(probes, lambda _, probe: [probe.grounding]),
        RULE,
        "## Lengths",
        "In proxy tokens: a Chinese character, a word, a number or a punctuation mark is one.",
        _table(("level", "language", "text", "shortest", "mean", "longest"), _lengths(samples)),
        "## Question kinds and the floor of guessing",
        "Floor: the share of probes that are right if one always gives the most frequent gold of "
        "the kind.",
        _table(("language", "kind", "probes", "distinct golds", "floor"), _kinds(probes)),
        "## Values",
        f"A hash of its text decides whether a value is held out; one in {HELD_OUT_SHARE} is. "
        "Training uses no held-out value, and the splits with held-out values use no other. Number "
        "of values of each type, both parts together:",
        _table(("type", "category", *config.languages), _pools(config)),
        "## Skeletons",
        _table(("language", "training", "held out"), _skeleton_counts(config)),
        "## Examples",
        *_examples(samples),
    ]
    return "\n\n".join(parts) + "\n"


def _slice(config: BenchmarkConfig) -> str:
    return json.dumps({"benchmark": config.model_dump(mode="json")})


def _table(head: Sequence[str], rows: Iterable[Sequence]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _counts(samples: Sequence[Sample]) -> list[tuple]:
    groups: dict[tuple, list[Sample]] = {}
    for sample in samples:
        key = f"{sample.level} {LEVELS[sample.level]}", sample.language, sample.split
        groups.setdefault(key, []).append(sample)
    return [
        (*key, len(group), sum(len(s.facts) for s in group), sum(len(s.probes) for s in group))
        for key, group in sorted(groups.items())
    ]


def _categories(sample: Sample, probe: Probe) -> list[str]:
    return [fact.category for fact in sample.facts if fact.fact_id in probe.required_facts]


def _cross(probes: list, columns: Callable[[Sample, Probe], list[str]]) -> str:
    """Probes by level and language (rows), and by the names that `columns` gives (columns)."""
    counts: dict[tuple, Counter] = {}
    for sample, probe in probes:
        row = counts.setdefault((sample.level, sample.language), Counter())
        row.update(set(columns(sample, probe)))
    names = sorted(set().union(*counts.values()))
    rows = [(*key, *(row[name] for name in names)) for key, row in sorted(counts.items())]
    return _table(("level", "language", *names), rows)


def _lengths(samples: Sequence[Sample]) -> list[tuple]:
    lengths: dict[tuple, list[int]] = {}
    for sample in samples:
        for name in ("dialogue", "distractor"):
            words = getattr(sample, name)
            if words is not None:
                key = sample.level, sample.language, name
                lengths.setdefault(key, []).append(distractors.count(words))
    return [
        (*key, min(counts), round(mean(counts)), max(counts))
        for key, counts in sorted(lengths.items())
    ]


def _kinds(probes: list) -> list[tuple]:
    golds: dict[tuple, Counter] = {}
    for sample, probe in probes:
        golds.setdefault((sample.language, probe.kind), Counter())[probe.gold] += 1
    return [
        (*key, count.total(), len(count), f"{max(count.values()) / count.total():.3f}")
        for key, count in sorted(golds.items())
    ]


def _pools(config: BenchmarkConfig) -> list[tuple]:
    known = [pools(language) for language in config.languages]
    return [
        (name, category, *(f"{pool.size(name):,}" for pool in known))
        for name, category in known[0].category.items()
    ]


def _skeleton_counts(config: BenchmarkConfig) -> list[tuple]:
    return [
        (language, len(skeletons(language)), len(skeletons(language, held_out=True)))
        for language in config.languages
    ]


def _examples(samples: Sequence[Sample]) -> list[str]:
    """The first sample of each level and language, with the beginning of its distractor."""
    first: dict[tuple, Sample] = {}
    for sample in samples:
        first.setdefault((sample.level, sample.language), sample)
    parts = []
    for sample in first.values():
        shown = [sample.dialogue]
        if sample.distractor is not None:
            shown.append(f"[distractor] {' '.join(sample.distractor.split())[:120]} ...")
        shown += [
            f"{probe.probe_id} ({probe.kind}, {probe.grounding}) {probe.question} -> {probe.gold}"
            for probe in sample.probes
        ]
        title = f"### {sample.sample_id}: {sample.split}, {sample.skeleton_id}"
        parts += [title, "```\n" + "\n\n".join((shown[0], "\n".join(shown[1:]))) + "\n```"]
    return parts
