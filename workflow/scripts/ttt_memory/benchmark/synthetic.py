"""Synthetic dialogues for training: many facts, frames, words and orders that no one wrote down.

They exist so that a model learns to find a fact by the words a question shares with it rather
than by having seen the skeleton. `data/synthetic_<language>.yaml` holds *families*: a family is
a way to state a fact of some value types about bound variables, and to ask for it.

    - id: price
      types: [money]
      bind: {E: thing, N: money_noun}      # variable: rule
      key: [E, N]                          # two facts of one topic with equal keys would clash
      say: ["the {N} for {E} is {V}"]      # a clause; the composer ends or joins it
      ask: ["What is the {N} for {E}?"]
      cue: ["And the {N} for {E}?"]        # asked inside the dialogue, answered by `reply`
      me, you, thee: ...                   # a speaker as P: says it, is asked, is told by another
      np: ["the {N} for {E}"]              # how another question names the value, for bridges

A variable may also be bound to a list of texts, to forms "starts|start" (then W.0, W.1), or to
{verb: rule}, whose entries are inflected (then W, Ws, Wed, Wn, Wing; irregular ones list all five).
"""

from dataclasses import dataclass
from functools import cache

from ..errors import UserError
from .grammar import Grammar, Nodes, all_texts, mentions
from .values import load_yaml, pools

BRIDGED_BY = {"person": "P", "project": "E", "company": "E"}  # value type -> variable it can fill
_VERB = ("W", "Ws", "Wed", "Wn", "Wing")
_TALK = ("opener", "filler", "closer", "stop", "join")
_FRAMES = ("say", "ask", "cue", "me", "you", "thee", "np", "reply")


@dataclass(frozen=True, slots=True)
class Source:
    """A rule, or a list of words; `verbs` are inflected."""

    rule: str
    words: tuple[str, ...]
    verbs: bool

    def forms(self, variable: str, word: str) -> dict[str, str]:
        """The names under which frames use `word`: `W`, or `W.0`, `W.1`, or a verb's forms."""
        parts = word.split("|")
        if self.verbs:
            return dict(zip(_VERB, parts if len(parts) > 1 else _inflect(word), strict=True))
        if len(parts) == 1:
            return {variable: word}
        return {f"{variable}.{i}": form for i, form in enumerate(parts)}


@dataclass(frozen=True, slots=True)
class Family:
    """A compiled family; see the module's docstring."""

    family_id: str
    topic: str
    types: tuple[str, ...]
    bind: tuple[tuple[str, Source], ...]
    key: tuple[str, ...]
    say: tuple[Nodes, ...]
    ask: tuple[Nodes, ...]
    cue: tuple[Nodes, ...]
    me: tuple[Nodes, ...]
    you: tuple[Nodes, ...]
    thee: tuple[Nodes, ...]
    np: tuple[Nodes, ...]
    bridge_ask: tuple[Nodes, ...]
    reply: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Frames:
    """All families of a language and the small talk between facts."""

    grammar: Grammar
    families: tuple[Family, ...]
    bridging: dict[str, tuple[Family, ...]]  # by the variable that a bridge fills
    opener: tuple[Nodes, ...]
    filler: tuple[Nodes, ...]
    closer: tuple[Nodes, ...]
    stop: tuple[Nodes, ...]  # what ends a clause
    join: tuple[Nodes, ...]  # what joins two clauses
    pair: tuple[Nodes, ...]
    at: dict[str, list[str]]  # value type -> what {AT} may be before a value
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
        variable: tuple(family for family in families if _about(family, variable))
        for variable in set(BRIDGED_BY.values())
    }
    talk = {key: tuple(grammar.compile(line) for line in data[key]) for key in _TALK}
    pair = tuple(grammar.compile(line, ("Q1", "Q2")) for line in data["pair"])
    space = " " if language == "en" else ""
    return Frames(
        grammar, families, bridging, **talk, pair=pair, at=data.get("at", {}), space=space
    )


def _about(family: Family, variable: str) -> bool:
    """Whether every statement and question of `family` names `variable`."""
    lines = (*family.say, *family.bridge_ask)
    return bool(family.bridge_ask) and all(mentions(line, variable) for line in lines)


def _family(entry: dict, grammar: Grammar, replies: dict, known: set[str]) -> Family:
    where = f"{grammar.where}: family {entry.get('id')!r}"
    if not set(entry.get("types", [""])) <= known:
        raise UserError(f"{where}: types {entry.get('types')!r} are not all value types")
    bind, names = {}, {"V", "AT"}
    for variable, source in entry["bind"].items():
        bind[variable], forms = _source(source, variable, grammar, where)
        names |= forms
    lists = {
        key: tuple(grammar.compile(line, names) for line in _flat(entry.get(key, [])))
        for key in _FRAMES
    }
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


def _source(source, variable: str, grammar: Grammar, where: str) -> tuple[Source, set[str]]:
    """Where a variable's words come from, and the names of its forms."""
    verbs = isinstance(source, dict)
    if verbs:
        source = source["verb"]
    if isinstance(source, str):
        if source != "person" and source not in grammar:
            raise UserError(f"{where}: unknown rule {source!r}")
        return Source(source, (), verbs), set(_VERB if verbs else [variable])
    words = tuple(source)
    if not all_texts(source) or any("{" in word for word in words):
        raise UserError(f"{where}: {variable} is {source!r}; expected texts without braces")
    return Source("", words, verbs), set(Source("", words, verbs).forms(variable, words[0]))


def _inflect(verb: str) -> tuple[str, ...]:
    """Third person, past, participle and -ing form of a regular English verb."""
    first, _, rest = verb.partition(" ")
    rest = rest and f" {rest}"
    third = "es" if first.endswith(("s", "x", "z", "ch", "sh")) else "s"
    stem, past = first, "ed"
    if first.endswith("e"):
        stem, past = first[:-1], "d"
    third_form = first + third
    if first.endswith("y") and first[-2] not in "aeiou":
        third_form, past_form = first[:-1] + "ies", first[:-1] + "ied"
    else:
        past_form = first + past
    forms = (first, third_form, past_form, past_form, stem + "ing")
    return tuple(form + rest for form in forms)


def _flat(lines: list) -> list[str]:
    return [text for line in lines for text in (_flat(line) if isinstance(line, list) else [line])]
