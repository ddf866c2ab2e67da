"""The card of a benchmark: a description of its content, in Markdown."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean

from . import distractors
from .config import BenchmarkConfig
from .generator.frames import CASUAL
from .generator.grounding import RULE
from .generator.skeletons import skeletons
from .generator.values import HELD_OUT_SHARE, pools
from .sample import NEW_SKELETONS, NEW_VALUES, NEW_WORDING, Probe, Sample

LEVELS = {
    1: "direct recall",
    2: "two facts composed",
    3: "distractor after the dialogue",
    4: "a value is changed later",
    5: "who said what",
    6: "unanswerable",
}
WHAT_IS_ASKED = (
    "Level 1 asks for one fact, level 2 for two facts put together. Level 3 is level 1 with a "
    "distractor after the dialogue. At level 4 up to two values are changed, in the same dialogue "
    "or in a later session with up to four other dialogues in between; the questions are about "
    "them, and the old value is the rival. Samples 2n and 2n + 1 of a language have the same text, "
    "with old and new values exchanged. At level 5 two speakers, or two or four dialogues of one "
    "skeleton, have facts of the same kind; each question names whose it asks, and the value of "
    "another one is the rival. At level 6 nothing answers the questions: they are about the "
    "matter of the dialogue (near miss) or of another one (other topic). The right answer is a "
    "refusal."
)
SKELETON_COLUMNS = (
    "language",
    "part",
    "skeletons",
    "facts",
    "wordings",
    "new wordings",
    "changes",
    "unanswerable questions",
    "two speakers alike",
)
# What a split may have that no training has shown.
NEW = {"values": NEW_VALUES, "question wording": NEW_WORDING, "skeletons": NEW_SKELETONS}


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
        _table(
            ("level", "form", "language", "split", "dialogues", "facts", "probes"),
            _counts(samples),
        ),
        WHAT_IS_ASKED,
        "What no training has shown, by split:",
        _table(("split", "what is new"), ((split, _new(split)) for split in config.splits)),
        f"A share of {CASUAL:.0%} of all questions, in training too, is written without capitals "
        "and without the last mark.",
        "Probes by category of the facts that they require. A probe that requires facts of two "
        "categories counts in both:",
        _cross(probes, _categories),
        "Probes by grounding:",
        _cross(probes, lambda _, probe: [probe.grounding]),
        RULE,
        *_measured(samples, probes),
        "## Values",
        f"Hashes decide whether a value is held out: one in {HELD_OUT_SHARE} is by itself, and so "
        "is each value that contains one. No text for training contains a held-out value, and the "
        "splits with new values use no other. Number of values of each type, both parts together:",
        _table(("type", "category", *config.languages), _pools(config)),
        "## Skeletons",
        "Wordings are those of a question for one fact, on average: trained ones, and new ones "
        "that only the splits with new wording use. Changes are facts that a sentence can change.",
        _table(
            SKELETON_COLUMNS,
            _skeletons(config),
        ),
        "## Examples",
        *_examples(samples),
    ]
    return "\n\n".join(parts) + "\n"


def of_files(config: BenchmarkConfig, samples: Sequence[Sample], counts: Mapping[str, int]) -> str:
    """The card of `samples` from the files of `config`; `counts` is what their reader counted."""
    probes = [(sample, probe) for sample in samples for probe in sample.probes]
    placed = sum(fact.start >= 0 for sample in samples for fact in sample.facts)
    parts = [
        "# Benchmark card",
        f"{len(samples)} samples with {len(probes)} probes, from files of the layout "
        f"`{config.source}`: {', '.join(config.files)}. The questions are those of the files. "
        f"{placed} of their answers stand in the sessions at a place that is known.",
        "## Counts",
        _table(("level", "language", "split", "samples", "answers", "probes"), _counts(samples)),
        "What was found in the files, mended or left out"
        + (f", before at most {config.at_most} samples were taken:" if config.at_most else ":"),
        _table(("what", "number"), counts.items()),
        *_measured(samples, probes),
        "## Examples",
        *_examples(samples),
    ]
    return "\n\n".join(parts) + "\n"


def _measured(samples: Sequence[Sample], probes: list) -> list[str]:
    """Lengths of texts, and kinds of questions with the floor of guessing."""
    return [
        "## Lengths",
        "In proxy tokens: a Chinese character, a word, a number or a punctuation mark is one.",
        _table(("level", "language", "text", "shortest", "mean", "longest"), _lengths(samples)),
        "## Question kinds and the floor of guessing",
        "Floor: the share of probes that are right if one always gives the most frequent gold of "
        "the kind.",
        _table(("language", "kind", "probes", "distinct golds", "floor"), _kinds(probes)),
    ]


def _new(split: str) -> str:
    """What of a split no training has shown."""
    return ", ".join(name for name, splits in NEW.items() if split in splits) or "nothing"


def _slice(config: BenchmarkConfig) -> str:
    return json.dumps({"benchmark": config.model_dump(mode="json")})


def _table(head: Sequence[str], rows: Iterable[Sequence]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _counts(samples: Sequence[Sample]) -> list[tuple]:
    groups: dict[tuple, list[Sample]] = {}
    for sample in samples:
        level = f"{sample.level} {LEVELS[sample.level]}"
        key = level, sample.variant, sample.language, sample.split
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
        for name, texts in (("dialogue", sample.sessions), ("distractor", [sample.distractor])):
            if texts != [None]:
                key = sample.level, sample.language, name
                lengths.setdefault(key, []).append(sum(map(distractors.count, texts)))
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


def _skeletons(config: BenchmarkConfig) -> list[tuple]:
    """Counts of each language's training skeletons and held-out ones."""
    rows = []
    for language in config.languages:
        for part, held_out in (("training", False), ("held out", True)):
            known = skeletons(language, held_out)
            single = [item for skeleton in known for item in skeleton.single]
            rows.append(
                (
                    language,
                    part,
                    len(known),
                    len(single),
                    f"{mean(len(item.ask) for item in single):.1f}",
                    f"{mean(len(item.new) for item in single):.1f}",
                    sum(bool(fact.change) for skeleton in known for fact in skeleton.facts),
                    sum(len(skeleton.missing) for skeleton in known),
                    sum(skeleton.same_kind for skeleton in known),
                )
            )
    return rows


def _examples(samples: Sequence[Sample]) -> list[str]:
    """The first sample of each form and language, with the beginning of its distractor."""
    first: dict[tuple, Sample] = {}
    for sample in samples:
        first.setdefault((sample.level, sample.variant, sample.language), sample)
    parts = []
    for sample in first.values():
        shown = ["\n\n".join(sample.sessions)]
        if sample.distractor is not None:
            shown.append(f"[distractor] {' '.join(sample.distractor.split())[:120]} ...")
        shown += [
            f"{probe.probe_id} ({probe.kind}, {probe.grounding}) {probe.question} -> {probe.gold}"
            + (f" (rival: {probe.rival})" if probe.rival is not None else "")
            for probe in sample.probes
        ]
        named = filter(None, (sample.split, sample.skeleton_id, sample.variant))
        title = f"### {sample.sample_id}: {', '.join(named)}"
        parts += [title, "```\n" + "\n\n".join((shown[0], "\n".join(shown[1:]))) + "\n```"]
    return parts
