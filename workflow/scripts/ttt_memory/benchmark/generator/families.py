"""Families of facts: how a synthetic dialogue states a fact, and how it is asked for.

Synthetic dialogues combine many words, sentences and orders that nobody wrote down as a whole.
From them a model learns to find a fact by the words that a question shares with it. With skeletons
alone it could learn their wording instead. A family in `data/families_<language>.yaml` is

    - id: price
      types: [money]                       # types of the value {V}
      bind: {E: thing, N: money_noun}      # variable: the rule that gives its word
      key: [E, N]                          # facts of one topic need different words here
      say: ["the {N} for {E} is {V}"]      # states the fact, as a clause
      ask: ["What is the {N} for {E}?"]    # the question after the dialogue
      cue: ["And the {N} for {E}?"]        # a question in the dialogue; `ask` if left out
      reply: ["{V}"]                       # its answer in the dialogue
      np: ["the {N} for {E}"]              # stands for the value in the question of a bridge

If the variable P is a speaker, `me` states the fact in the first person, `thee` in the second
person, and `you` asks the speaker for it.

Instead of a rule, a variable may have a list of texts. A text "starts|start" gives two forms, {W.0}
and {W.1}. {verb: rule} gives the forms of a verb: {W}, {Ws}, {Wed}, {Wn} and {Wing}. An irregular
verb lists all five.
"""

from dataclasses import dataclass
from functools import cache

from ...errors import UserError
from .grammar import Grammar, Nodes, all_texts, mentions
from .values import load_yaml, pools

# The variable that a value of a type can fill, so that another fact is about this value.
BRIDGED_BY = {"person": "P", "project": "E", "company": "E"}
_VERB = ("W", "Ws", "Wed", "Wn", "Wing")
_TALK = ("opener", "filler", "closer", "stop", "join")
_SENTENCES = ("say", "ask", "cue", "me", "you", "thee", "np", "reply")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a variable's words come from: a rule, or a list of words. They may be verbs."""

    rule: str
    words: tuple[str, ...]
    verbs: bool

    def forms(self, variable: str, word: str) -> dict[str, str]:
        """The forms of `word` by their names: {W}; or {W.0}, {W.1}; or the five of a verb."""
        parts = word.split("|")
        if self.verbs:
            return dict(zip(_VERB, parts if len(parts) > 1 else _inflect(word), strict=True))
        if len(parts) == 1:
            return {variable: word}
        return {f"{variable}.{i}": form for i, form in enumerate(parts)}


@dataclass(frozen=True, slots=True)
class Family:
    """A compiled family; the docstring of this module describes its parts."""

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
    bridge_ask: tuple[Nodes, ...]  # those of `ask` in which a phrase can stand for a word
    reply: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """All families of a language, and the sentences between facts."""

    grammar: Grammar
    families: tuple[Family, ...]
    bridging: dict[str, tuple[Family, ...]]  # by variable: families that can be about its value
    opener: tuple[Nodes, ...]
    filler: tuple[Nodes, ...]
    closer: tuple[Nodes, ...]
    stop: tuple[Nodes, ...]  # ends a clause
    join: tuple[Nodes, ...]  # joins two clauses
    pair: tuple[Nodes, ...]  # a question made of the questions {Q1} and {Q2}
    at: dict[str, list[str]]  # by value type: words that may stand for {AT} before a value
    space: str  # between sentences


@cache
def wording(language: str) -> Wording:
    """The compiled families and sentences of `language`.

    Raises:
        UserError: the file is malformed; the message names the file, the family and the key.
    """
    name = f"families_{language}.yaml"
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
    return Wording(
        grammar, families, bridging, **talk, pair=pair, at=data.get("at", {}), space=space
    )


def _about(family: Family, variable: str) -> bool:
    """Whether every statement and every question of `family` contains `variable`."""
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
        for key in _SENTENCES
    }
    if not lists["say"] + lists["me"] or not lists["ask"]:
        raise UserError(
            f"{where}: needs at least one sentence under `say` or `me` and one under `ask`"
        )
    # A phrase such as "the man who called" cannot take a possessive 's.
    plain = [line for line in _flat(entry["ask"]) if "}'s" not in line]
    return Family(
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


def _source(
    source: str | list | dict, variable: str, grammar: Grammar, where: str
) -> tuple[Source, set[str]]:
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
    """The five forms of a regular English verb: move, moves, moved, moved, moving."""
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
    """All texts of a list that may contain lists."""
    return [text for line in lines for text in (_flat(line) if isinstance(line, list) else [line])]
