"""Synthetic dialogues for training: many facts, frames, words and orders that no one wrote down.

They exist so that a model learns to find a fact by the words a question shares with it rather
than by having seen the skeleton. `data/synthetic_<language>.yaml` holds *families*: a family is
a way to state a fact of some value types about bound variables, and to ask for it.

    - id: price
      types: [money]
      bind: {E: thing, N: money_noun}      # a rule, or a list of verb forms "starts|start" -> W.0, W.1
      key: [E, N]                          # two facts of one topic with equal keys would clash
      say: ["The {N} for {E} is {V}."]
      ask: ["What is the {N} for {E}?"]
      me, you:                             # first person and second person, if P can be a speaker
      np: ["the {N} for {E}"]              # how another question names the value, for bridges
"""

import random
from dataclasses import dataclass, field
from functools import cache

from ..errors import UserError
from .grammar import Grammar, Nodes, text
from .sample import Sample
from .scene import Asked, Scene, build
from .values import Pools, load_yaml, pools

BRIDGED_BY = {"person": "P", "project": "E", "company": "E"}  # value type -> variable it can fill


@dataclass(frozen=True, slots=True)
class Family:
    """A compiled family; see the module's docstring."""

    family_id: str
    topic: str
    types: tuple[str, ...]
    bind: tuple[tuple[str, object], ...]
    key: tuple[str, ...]
    say: tuple[Nodes, ...]
    ask: tuple[Nodes, ...]
    cue: tuple[Nodes, ...]
    me: tuple[Nodes, ...]
    you: tuple[Nodes, ...]
    np: tuple[Nodes, ...]
    bridge_ask: tuple[Nodes, ...]
    reply: tuple[Nodes, ...]


@dataclass(slots=True)
class Stated:
    """One fact of the dialogue being made."""

    slot: str
    value_type: str
    value: str
    family: Family
    bound: dict[str, str]
    slots: dict[str, str]
    speaker: int | None = None  # who says it in the first person
    bridge: "Stated | None" = None  # the fact whose value this one is about
    repeat: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frames:
    """All families of a language and the small talk between facts."""

    grammar: Grammar
    families: tuple[Family, ...]
    bridging: dict[str, tuple[Family, ...]]  # by the variable that a bridge fills
    opener: tuple[Nodes, ...]
    filler: tuple[Nodes, ...]
    closer: tuple[Nodes, ...]
    pair: tuple[Nodes, ...]
    space: str


@cache
def frames(language: str) -> Frames:
    """The compiled families of `language`."""
    name = f"synthetic_{language}.yaml"
    data = load_yaml(name)
    base = load_yaml(f"values_{language}.yaml")["rules"]
    clash = set(base) & set(data["rules"])
    if clash:
        raise UserError(f"{name}: rule {min(clash)!r} is already a value rule")
    grammar = Grammar({**base, **data["rules"]}, name)
    known = set(pools(language).category)
    families = tuple(_family(entry, grammar, data["replies"], known) for entry in data["families"])
    bridging = {
        variable: tuple(family for family in families if variable in dict(family.bind))
        for variable in set(BRIDGED_BY.values())
    }
    talk = {key: tuple(grammar.compile(line) for line in data[key]) for key in _TALK}
    pair = tuple(grammar.compile(line, ("Q1", "Q2")) for line in data["pair"])
    space = " " if language == "en" else ""
    return Frames(grammar, families, bridging, **talk, pair=pair, space=space)


_TALK = ("opener", "filler", "closer")


def _family(entry: dict, grammar: Grammar, replies: dict, known: set[str]) -> Family:
    where = f"{grammar.where}: family {entry.get('id')!r}"
    if not set(entry.get("types", [""])) <= known:
        raise UserError(f"{where}: types {entry.get('types')!r} are not all value types")
    bind = {}
    for variable, rule in entry["bind"].items():
        if isinstance(rule, str) and rule != "person" and rule not in grammar:
            raise UserError(f"{where}: unknown rule {rule!r}")
        bind[variable] = rule if isinstance(rule, str) else [form.split("|") for form in rule]
    names = {"V", *bind}
    for variable, rule in bind.items():
        if not isinstance(rule, str):
            names |= {f"{variable}.{i}" for i in range(len(rule[0]))}
    lists = {}
    for key in ("say", "ask", "cue", "me", "you", "np", "reply"):
        lists[key] = tuple(grammar.compile(line, names) for line in _flat(entry.get(key, [])))
    if not lists["say"] + lists["me"] or not lists["ask"]:
        raise UserError(f"{where}: needs at least one `say` or `me` frame and one `ask` frame")
    plain = [line for line in _flat(entry["ask"]) if "}'s" not in line]
    return Family(
        family_id=entry["id"],
        topic=entry.get("topic", entry["id"]),
        types=tuple(entry["types"]),
        bind=tuple(bind.items()),
        key=tuple(entry.get("key", bind)),
        bridge_ask=tuple(grammar.compile(line, names) for line in plain),
        **{
            **lists,
            "cue": lists["cue"] or lists["ask"],
            "reply": lists["reply"] or tuple(grammar.compile(r, ("V",)) for r in replies),
        },
    )


def _flat(lines: list) -> list[str]:
    return [text for line in lines for text in (_flat(line) if isinstance(line, list) else [line])]
