"""Ten thousand samples keep every rule, and a sample that breaks a rule is reported."""

from collections import Counter
from dataclasses import replace

import pytest

from ttt_memory.benchmark import BenchmarkConfig, Fact, Probe, Sample, generate, validate
from ttt_memory.benchmark.sample import SPLITS as SPLIT_NAMES

SPLITS = dict.fromkeys(SPLIT_NAMES, 1)


@pytest.mark.parametrize(
    ("levels", "count", "tokens"),
    [
        ((1,), 3000, (2000, 4000)),
        ((2,), 2500, (2000, 4000)),
        ((3,), 500, (60, 90)),
        ((4,), 1000, (2000, 4000)),
        ((5,), 1500, (2000, 4000)),
        ((6,), 1500, (2000, 4000)),
    ],
)
def test_ten_thousand_samples_are_valid(levels, count, tokens):
    config = BenchmarkConfig(
        seed=11, levels=levels, samples_per_level=count, splits=SPLITS, distractor_tokens=tokens
    )
    samples = generate.benchmark(config)
    faults = {sample.sample_id: validate(sample) for sample in samples}
    assert len(faults) == count
    assert not {name: fault for name, fault in faults.items() if fault}


def sample(**changes) -> Sample:
    """A small valid sample of level 2, which tests change."""
    values = ("Nora Keller", "Vance Hall", "14 April", "$835", "lead wool analyst")
    dialogue = (
        "Ida: Nora Keller chairs the vote in Vance Hall on 14 April.\n"
        "Otto: For $835? Nora Keller is the lead wool analyst."
    )
    categories = ("person", "spatial", "temporal", "numeric", "relational")
    texts = ("{} chairs", "the vote is in {}", "it is on {}", "it costs {}", "Nora Keller is {}")
    facts = tuple(
        Fact(f"F{i}", text.format(value), category, f"s{i}", value, at, at + len(value))
        for i, (value, category, text, at) in enumerate(
            zip(values, categories, texts, map(dialogue.index, values), strict=True), 1
        )
    )
    probes = (
        Probe("P1", "What is the chair?", values[4], "bridge:role", ("F1", "F5"), "none"),
        Probe("P2", "Where and when?", "Vance Hall; 14 April", "pair:values", ("F2", "F3"), "none"),
    )
    whole = Sample("S", 2, "en", "train", "k", (dialogue,), None, facts, probes)
    return replace(whole, **changes)


def with_fact(index: int, **changes) -> Sample:
    facts = list(sample().facts)
    facts[index] = replace(facts[index], **changes)
    return sample(facts=tuple(facts))


def with_probe(index: int, **changes) -> Sample:
    probes = list(sample().probes)
    probes[index] = replace(probes[index], **changes)
    return sample(probes=tuple(probes))


def changed(**changes) -> Sample:
    """The small sample with a later session that moves the date, as level 4 asks for it."""
    moved = "Otto: Something came up.\nIda: The vote is on 2 May now."
    start = moved.index("2 May")
    new = Fact("F6", "it is on 2 May", "temporal", "s3*1", "2 May", start, start + 5, session=1)
    probe = Probe("P1", "When is the vote?", "2 May", "date", ("F6",), "none", rival="14 April")
    whole = sample(
        level=4,
        sessions=(*sample().sessions, moved),
        facts=(*sample().facts, new),
        probes=(probe,),
        variant="next session",
    )
    return replace(whole, **changes)


def asked(**changes) -> Sample:
    """The changed sample with another probe."""
    return changed(probes=(replace(changed().probes[0], **changes),))


REFUSED = {"kind": "unanswerable", "gold": "I don't know.", "required_facts": (), "rival": None}
# At level 5 the rival is told about something else of the same type.
OF_WHOM = {
    "facts": (*changed().facts[:5], replace(changed().facts[5], slot="other")),
    "level": 5,
    "variant": "two speakers",
}


def test_the_small_samples_are_valid():
    assert validate(sample()) == []
    assert validate(changed()) == []
    assert validate(replace(asked(**REFUSED), level=6, variant="near miss")) == []
    assert validate(replace(asked(**REFUSED), level=1, variant="")) == []  # training mixes them


PLAIN = {"kind": "role", "required_facts": ("F5",)}
BROKEN = {
    "4 facts in session 0, expected 5 to 10": sample(
        facts=sample().facts[1:], probes=sample().probes[1:]
    ),
    "expected one of": sample(split="test"),
    "level 2 with a distractor": sample(distractor="Rain fell."),
    "level 3 with no distractor": sample(level=3),
    "no probe": sample(probes=()),
    "is not a turn": sample(sessions=(sample().sessions[0] + "\nwell",)),
    "fact id 'F1' twice": with_fact(1, fact_id="F1"),
    "probe id 'P1' twice": with_probe(1, probe_id="P1"),
    "question 'What is the chair?' twice": with_probe(1, question="What is the chair?"),
    "category 'food'": with_fact(1, category="food"),
    "is not at its offsets": with_fact(3, start=0, end=4),
    "occurs 2 times": sample(sessions=(sample().sessions[0] + " On 14 April.",)),
    "its text does not contain its value": with_fact(2, text="it is soon"),
    "wrong for split 'all_new'": sample(split="all_new"),
    "occurs in the distractor": sample(level=3, distractor="A vance hall burned."),
    "one value contains the other": with_fact(2, value="Vance", start=46, end=51),
    "requires facts ('F9',)": with_probe(0, required_facts=("F9",)),
    "kind 'role' at level 2": with_probe(0, **PLAIN),
    "kind 'bridge:role' at level 3": sample(level=3, distractor="Rain fell."),
    "unknown kind 'sum:role'": with_probe(0, kind="sum:role"),
    "unknown kind 'pair:role'": with_probe(0, kind="pair:role"),
    "needs facts ('F5', 'F5')": with_probe(0, required_facts=("F5", "F5")),
    "but the facts say 'Vance Hall; 14 April'": with_probe(1, gold="14 April; Vance Hall"),
    "but the facts say 'lead wool analyst'": with_probe(0, gold="Nora Keller"),
    "contains a value": with_probe(0, question="Is the lead Wool Analyst the chair?"),
    "contains a value that it asks for or hides": with_probe(0, question="And Nora Keller?"),
    "does not contain the value of the first": with_probe(0, required_facts=("F2", "F5")),
    "type money has category numeric, the fact has relational": with_probe(0, kind="bridge:money"),
    "value 'lead wool analyst' is not of type team": with_probe(0, kind="bridge:team"),
    "level 4 with variant ''": changed(variant=""),
    "level 2 with variant 'near miss'": sample(variant="near miss"),
    "no rival at level 4": asked(rival=None),
    "rival '3 May' is no other value": asked(rival="3 May"),
    "rival '2 May' is no other value": asked(rival="2 May"),
    "rival '14 April' is told about s3": changed(**{**OF_WHOM, "facts": changed().facts}),
    "type date has category temporal, the fact has numeric": asked(rival="$835"),
    "the question names no speaker": changed(**OF_WHOM),
    "the value of F3 was replaced": asked(required_facts=("F3",), gold="14 April", rival="2 May"),
    "slot 's3' is not in the order": changed(
        facts=(
            *changed().facts[:2],
            replace(changed().facts[2], slot="s3*1"),
            *changed().facts[3:5],
            replace(changed().facts[5], slot="s3"),
        )
    ),
    "kind 'unanswerable' at level 4": asked(**REFUSED),
    "kind 'date' at level 6": changed(level=6, variant="near miss"),
    'expected "I don\'t know."': replace(
        asked(**{**REFUSED, "gold": "No."}), level=6, variant="near miss"
    ),
    "of a question that nothing answers": replace(
        asked(**{**REFUSED, "rival": "2 May"}), level=6, variant="near miss"
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_every_broken_rule_is_reported(fault):
    assert any(fault in found for found in validate(BROKEN[fault]))


def test_every_category_and_kind_occurs_often():
    config = BenchmarkConfig(levels=(1, 2), samples_per_level=400, splits=SPLITS)
    samples = generate.benchmark(config)
    for language in config.languages:
        mine = [sample for sample in samples if sample.language == language]
        categories = Counter(fact.category for sample in mine for fact in sample.facts)
        assert len(categories) == 6
        assert min(categories.values()) > 0.05 * categories.total()
        forms = Counter(
            probe.kind.split(":")[0] for s in mine if s.level == 2 for probe in s.probes
        )
        assert set(forms) == {"bridge", "pair"}
        assert min(forms.values()) > 0.2 * forms.total()
