"""Check whether a sample keeps the rules of the benchmark.

The generator should keep them. The check looks at the finished sample only, so it is independent.
"""

import re
from collections import Counter
from functools import cache
from itertools import combinations

from .files import repeated
from .generator.values import pools
from .sample import (
    CATEGORIES,
    NEW_VALUES,
    PAIR_JOINER,
    REFUSALS,
    SPLITS,
    TURN_SEPARATOR,
    Fact,
    Probe,
    Sample,
)


def validate(sample: Sample) -> list[str]:
    """The rules that `sample` breaks, one text for each; empty if it is valid.

    Facts:
    - A session that tells facts tells 5 to 10, new values for earlier ones not counted. Ids are
      unique. The value of each fact stands at its offsets in its session.
    - A value is held out exactly if the split says so. It contains no other value of the sample.
    - It occurs once, unless another fact is about it or replaces it, and not in the distractor.
    - A value that replaces another stands behind it.

    Probes:
    - Ids and questions are unique, and every required fact exists and has not been replaced.
    - No question contains a value that it asks for, nor the hidden value of a bridge.
    - The gold follows from the facts. With one fact it is its value; with two it is both values
      (`pair`), or the value of the second, whose text contains the value of the first (`bridge`);
      with none (`unanswerable`) it is the refusal.
    - A rival is another value of the type. At level 4 it is the value that was replaced.
    - At level 2 every probe requires two facts, at levels 3 to 5 one, at level 6 none; only
      training mixes them. Levels 4 and 5 have rivals, but for questions about one of more than
      two dialogues. At level 5 the question names a speaker.
    - Only level 3 has a distractor, only levels 4 to 6 have variants.
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
    told = Counter(fact.session for fact in sample.facts if not fact.replaces)
    for session, count in told.items():
        if not 5 <= count <= 10:
            faults.append(f"{count} facts in session {session}, expected 5 to 10")
    if not told:
        faults.append("no facts")
    if sample.split not in SPLITS:
        faults.append(f"split {sample.split!r}, expected one of {SPLITS}")
    if (sample.distractor is not None) != (sample.level == 3):
        found = "a" if sample.distractor is not None else "no"
        faults.append(f"level {sample.level} with {found} distractor")
    if bool(sample.variant) != (sample.level > 3):
        faults.append(f"level {sample.level} with variant {sample.variant!r}")
    if not sample.probes:
        faults.append("no probe")
    for turns in (session.split("\n") for session in sample.sessions):
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
    if fact.start < 0 or sample.sessions[fact.session][fact.start : fact.end] != fact.value:
        faults.append(f"value {fact.value!r} is not at its offsets")
    mentions = sum(session.count(fact.value) for session in sample.sessions)
    about = any(other is not fact and fact.value in other.text for other in sample.facts)
    same = [f for f in sample.facts if f.matter == fact.matter]
    replaced = any(_place(other) > _place(fact) for other in same)
    if mentions != 1 and not (mentions and (about or replaced)):
        faults.append(f"value {fact.value!r} occurs {mentions} times")
    if fact.replaces == (_place(fact) == min(map(_place, same))):
        faults.append(f"slot {fact.slot!r} is not in the order of its values")
    if fact.value not in fact.text:
        faults.append("its text does not contain its value")
    new = pools(sample.language).held_out(fact.value)
    if new != (sample.split in NEW_VALUES):
        found = "held out" if new else "not held out"
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
    if form not in ("", "bridge", "pair") or (form == "pair") != (answer == "values"):
        return [f"unknown kind {probe.kind!r}"]
    wanted = 0 if not probe.answerable else 2 if form else 1
    if len(set(probe.required_facts)) != wanted:
        return [f"kind {probe.kind!r} needs facts {probe.required_facts}"]
    if wanted not in _required(sample):
        return [f"kind {probe.kind!r} at level {sample.level}"]
    if not probe.answerable:
        return _check_refusal(sample, probe)
    faults = []
    values = [fact.value for fact in required]
    gold = PAIR_JOINER[sample.language].join(values) if form == "pair" else values[-1]
    if probe.gold != gold:
        faults.append(f"gold {probe.gold!r}, but the facts say {gold!r}")
    if any(_inside(value, probe.question) for value in values):
        faults.append("the question contains a value that it asks for or hides")
    for fact in required:
        if any(f.matter == fact.matter and _place(f) > _place(fact) for f in sample.facts):
            faults.append(f"the value of {fact.fact_id} was replaced")
    if form == "bridge" and values[0] not in required[1].text:
        faults.append("the text of the second fact does not contain the value of the first")
    if form != "pair":
        faults += _check_type(sample.language, answer, required[-1])
    return faults + _check_rival(sample, probe, answer, required[-1])


def _required(sample: Sample) -> tuple[int, ...]:
    """How many facts a probe of the sample may require."""
    if sample.split == "train" and sample.level == 1:
        return 0, 1, 2
    return {1: (1,), 2: (2,), 6: (0,)}.get(sample.level, (1,))


def _check_refusal(sample: Sample, probe: Probe) -> list[str]:
    faults = []
    if probe.gold != REFUSALS[sample.language]:
        faults.append(f"gold {probe.gold!r}, expected {REFUSALS[sample.language]!r}")
    if probe.rival is not None:
        faults.append(f"rival {probe.rival!r} of a question that nothing answers")
    return faults


def _check_rival(sample: Sample, probe: Probe, value_type: str, fact: Fact) -> list[str]:
    """Whether the rival is a value of the same type, and told where the level says."""
    if probe.rival is None:
        # Of more than two dialogues, several values would be another's.
        needed = sample.level == 4 or (sample.level == 5 and len(sample.sessions) <= 2)
        return [f"no rival at level {sample.level}"] if needed else []
    others = [other for other in sample.facts if other.value == probe.rival]
    if not others or others[0] is fact:
        return [f"rival {probe.rival!r} is no other value of the sample"]
    faults = _check_type(sample.language, value_type, others[0])
    if (others[0].matter == fact.matter) != (sample.level != 5):
        faults.append(f"rival {probe.rival!r} is told about {others[0].matter}")
    turns = sample.sessions[fact.session].split("\n")
    names = {turn.partition(TURN_SEPARATOR[sample.language])[0] for turn in turns}
    if sample.level == 5 and not any(_inside(name, probe.question) for name in names):
        faults.append("the question names no speaker of its dialogue")
    return faults


def _place(fact: Fact) -> tuple[int, int]:
    return fact.session, fact.start


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
