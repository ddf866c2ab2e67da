"""Check whether a sample keeps the rules of the benchmark.

The generator should keep them. The check looks at the finished sample only, so it is independent.
"""

import re
from functools import cache
from itertools import combinations

from .files import repeated
from .generator.values import held_out, pools
from .sample import CATEGORIES, PAIR_JOINER, SPLITS, TURN_SEPARATOR, Fact, Probe, Sample


def validate(sample: Sample) -> list[str]:
    """The rules that `sample` breaks, one text for each; empty if it is valid.

    Facts:
    - There are 5 to 10, with unique ids. The value of each stands at its offsets in the dialogue.
    - A value is held out exactly if the split says so. It contains no other value of the sample.
    - It occurs once in the dialogue, unless another fact is about it, and not in the distractor.

    Probes:
    - Ids and questions are unique, and every required fact exists.
    - No question contains a value that it asks for, nor the hidden value of a bridge.
    - The gold follows from the facts. With one fact it is its value; with two it is both values
      (`pair`), or the value of the second, whose text contains the value of the first (`bridge`).
    - At level 2 every probe requires two facts, at level 3 one. Only level 3 has a distractor.
    """
    faults = _check_frame(sample)
    for fact in sample.facts:
        faults += [f"{fact.fact_id}: {fault}" for fault in _check_fact(sample, fact)]
    for one, other in combinations(sample.facts, 2):
        if _inside(one.value, other.value) or _inside(other.value, one.value):
            faults.append(f"{one.fact_id}, {other.fact_id}: one value contains the other")
    for probe in sample.probes:
        faults += [f"{probe.probe_id}: {fault}" for fault in _check_probe(sample, probe)]
    return faults


def _inside(part: str, whole: str) -> bool:
    """Whether `whole` contains `part`, in any case."""
    return part.casefold() in whole.casefold()


def _check_frame(sample: Sample) -> list[str]:
    faults = []
    if not 5 <= len(sample.facts) <= 10:
        faults.append(f"{len(sample.facts)} facts, expected 5 to 10")
    if sample.split not in SPLITS:
        faults.append(f"split {sample.split!r}, expected one of {SPLITS}")
    if (sample.distractor is not None) != (sample.level == 3):
        found = "a" if sample.distractor is not None else "no"
        faults.append(f"level {sample.level} with {found} distractor")
    if not sample.probes:
        faults.append("no probe")
    turns = sample.dialogue.split("\n")
    if len(turns) < 2 or not all(TURN_SEPARATOR[sample.language] in turn for turn in turns):
        faults.append("a line of the dialogue is not a turn 'name: words'")
    for name, ids in (
        ("fact id", [fact.fact_id for fact in sample.facts]),
        ("probe id", [probe.probe_id for probe in sample.probes]),
        ("question", [probe.question for probe in sample.probes]),
    ):
        if twice := repeated(ids):
            faults.append(f"{name} {twice!r} twice")
    return faults


def _check_fact(sample: Sample, fact: Fact) -> list[str]:
    faults = []
    if fact.category not in CATEGORIES:
        faults.append(f"category {fact.category!r}, expected one of {CATEGORIES}")
    if fact.start < 0 or sample.dialogue[fact.start : fact.end] != fact.value:
        faults.append(f"value {fact.value!r} is not at its offsets")
    mentions = sample.dialogue.count(fact.value)
    about = any(other is not fact and fact.value in other.text for other in sample.facts)
    if mentions != 1 and not (mentions and about):
        faults.append(f"value {fact.value!r} occurs {mentions} times")
    if fact.value not in fact.text:
        faults.append("its text does not contain its value")
    if held_out(fact.value) != (sample.split in ("heldout_values", "heldout_both")):
        found = "held out" if held_out(fact.value) else "not held out"
        faults.append(f"value {fact.value!r} is {found}, wrong for split {sample.split!r}")
    if sample.distractor is not None and _inside(fact.value, sample.distractor):
        faults.append("its value occurs in the distractor")
    return faults


def _check_probe(sample: Sample, probe: Probe) -> list[str]:
    known = {fact.fact_id: fact for fact in sample.facts}
    if not set(probe.required_facts) <= set(known):
        return [f"requires facts {probe.required_facts}, sample has {sorted(known)}"]
    required = [known[fact_id] for fact_id in probe.required_facts]
    form, _, answer = probe.kind.rpartition(":")
    if (sample.level == 2 and not form) or (sample.level == 3 and form):
        return [f"kind {probe.kind!r} at level {sample.level}"]
    if form not in ("", "bridge", "pair") or (form == "pair") != (answer == "values"):
        return [f"unknown kind {probe.kind!r}"]
    if len(set(probe.required_facts)) != (2 if form else 1):
        return [f"kind {probe.kind!r} needs facts {probe.required_facts}"]
    faults = []
    values = [fact.value for fact in required]
    gold = PAIR_JOINER[sample.language].join(values) if form == "pair" else values[-1]
    if probe.gold != gold:
        faults.append(f"gold {probe.gold!r}, but the facts say {gold!r}")
    if any(_inside(value, probe.question) for value in values):
        faults.append("the question contains a value that it asks for or hides")
    if form == "bridge" and values[0] not in required[1].text:
        faults.append("the text of the second fact does not contain the value of the first")
    if form != "pair":
        faults += _check_type(sample.language, answer, required[-1])
    return faults


def _check_type(language: str, value_type: str, fact: Fact) -> list[str]:
    """Whether the value of `fact` is of type `value_type`, by its category and its form."""
    category = pools(language).category.get(value_type)
    if category != fact.category:
        return [f"type {value_type} has category {category}, the fact has {fact.category}"]
    if not _form(language, value_type).fullmatch(fact.value):
        return [f"value {fact.value!r} is not of type {value_type}"]
    return []


@cache
def _form(language: str, value_type: str) -> re.Pattern:
    """A pattern that every value of the type matches."""
    return re.compile(pools(language).grammar.pattern(value_type))
