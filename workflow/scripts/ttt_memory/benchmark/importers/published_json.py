"""The JSON layout of the published conversation benchmark.

    {"samples": [{"sample_id", "level", "skeleton_id", "conversation", "distractor",
                  "facts": [{"fact_id", "fact_text", "category", "slot"}],
                  "probes": [{"probe_id", "question", "gold_answer", "required_facts"}]}]}

Its facts have no value. The value of a fact is the gold answer of a probe that requires only this
fact. The probe may belong to another sample with the same conversation, since the levels of this
benchmark share conversations.
"""

import re
from pathlib import Path

from ...errors import UserError
from ..files import check_integrity
from ..json_files import load
from ..sample import Fact, Probe, Sample
from .layouts import layout_of

_CJK = re.compile(r"[\u3400-\u9fff]")
_PAIR = re.compile(r"[；;]")


def read_published(path: str | Path) -> list[Sample]:
    """The samples of the JSON file `path`; every split is "published", every grounding "unknown".

    The language is zh if the conversation has a Chinese character, else en. The kind of a probe
    that requires one fact is the slot of this fact. A probe that requires several facts is a `pair`
    if its gold lists as many values, else a `bridge`.

    Raises:
        UserError: there is no such file, or it is not JSON; a field is missing or has another type
            (sample and field are named); or `files.check_integrity` finds a fault.
    """
    path = Path(path)
    data = load(path)
    if not isinstance(data, dict):
        told = f"{path}: found a {type(data).__name__}, expected an object with 'samples'"
        if (layout := layout_of(path)) and layout != "published":
            told += f"; it looks like {layout!r}, which benchmark.source: {layout} reads"
        raise UserError(told)
    entries = _field(data, "samples", list, f"{path}")
    values: dict[tuple[str, str], str] = {}
    for number, entry in enumerate(entries):
        _check_sample(entry, path, number)
        for probe in entry["probes"]:
            if len(probe["required_facts"]) == 1:
                key = entry["conversation"], probe["required_facts"][0]
                values.setdefault(key, probe["gold_answer"])
    samples = [_sample(entry, values) for entry in entries]
    check_integrity(samples, path)
    return samples


def _field(entry: object, name: str, kind: type | tuple, where: str):
    if not isinstance(entry, dict):
        raise UserError(f"{where}: found {type(entry).__name__}, expected an object")
    if name not in entry:
        raise UserError(f"{where}: field {name!r} is missing")
    value = entry[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        found = value if isinstance(value, float) else type(value).__name__
        expected = "text" if kind is str else "a whole number" if kind is int else "a list"
        raise UserError(f"{where}: field {name!r}: found {found}, expected {expected}")
    return value


def _check_sample(entry: dict, path: Path, number: int) -> None:
    where = f"{path}: sample {number + 1}"
    where = f"{path}: sample {_field(entry, 'sample_id', str, where)!r}"
    if _field(entry, "level", int, where) not in (1, 2, 3):
        raise UserError(f"{where}: field 'level': found {entry['level']}, expected 1, 2 or 3")
    for name in ("skeleton_id", "conversation"):
        _field(entry, name, str, where)
    if entry["level"] == 3 or entry.get("distractor") is not None:
        _field(entry, "distractor", str, where)
    for i, fact in enumerate(_field(entry, "facts", list, where)):
        place = f"{where}: fact {i + 1}"
        for name in ("fact_id", "fact_text", "category", "slot"):
            _field(fact, name, str, place)
    for i, probe in enumerate(_field(entry, "probes", list, where)):
        place = f"{where}: probe {i + 1}"
        for name in ("probe_id", "question", "gold_answer"):
            _field(probe, name, str, place)
        for required in _field(probe, "required_facts", list, place):
            if not isinstance(required, str):
                raise UserError(f"{place}: field 'required_facts': expected a list of fact ids")


def _sample(entry: dict, values: dict[tuple[str, str], str]) -> Sample:
    dialogue = entry["conversation"]
    slots = {fact["fact_id"]: fact["slot"] for fact in entry["facts"]}
    return Sample(
        sample_id=entry["sample_id"],
        level=entry["level"],
        language="zh" if _CJK.search(dialogue) else "en",
        split="published",
        skeleton_id=entry["skeleton_id"],
        sessions=(dialogue,),
        distractor=entry.get("distractor"),
        facts=tuple(_fact(fact, dialogue, values) for fact in entry["facts"]),
        probes=tuple(_probe(probe, slots) for probe in entry["probes"]),
    )


def _fact(entry: dict, dialogue: str, values: dict[tuple[str, str], str]) -> Fact:
    value = values.get((dialogue, entry["fact_id"]), "")
    start = dialogue.find(value) if value else -1
    return Fact(
        fact_id=entry["fact_id"],
        text=entry["fact_text"],
        category=entry["category"],
        slot=entry["slot"],
        value=value,
        start=start,
        end=start + len(value) if start >= 0 else -1,
    )


def _probe(entry: dict, slots: dict[str, str]) -> Probe:
    required = tuple(entry["required_facts"])
    kind = "-".join(slots.get(fact_id, "unknown") for fact_id in required)
    if len(required) > 1:
        listed = len(_PAIR.split(entry["gold_answer"])) == len(required)
        kind = f"{'pair' if listed else 'bridge'}:{kind}"
    return Probe(
        probe_id=entry["probe_id"],
        question=entry["question"],
        gold=entry["gold_answer"],
        kind=kind,
        required_facts=required,
        grounding="unknown",
    )
