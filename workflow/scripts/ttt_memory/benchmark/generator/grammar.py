"""Templates for texts: rules are named lists of templates, compiled once and expanded often.

A template is plain text that may contain

    {rule}          one template of the rule, all equally likely
    {VARIABLE}      a value that the caller gives; any declared name, also {W.1}
    {10..99}        an integer; {100..900/50}: in steps of 50; {05..59}: with a leading zero
    {A..Z}          a letter
    <one|two|>      one of the alternatives; they may contain braces, but no alternatives
"""

import math
import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from ...errors import UserError

LITERAL, VARIABLE, CHOICE, RULE, INTEGER, LETTER = range(6)
Nodes = tuple[tuple[int, object], ...]  # a compiled template: kinds of nodes and their content
T = TypeVar("T")

_PIECE = re.compile(r"\{([^{}]*)\}|<([^<>]*)>|([^{}<>]+)|(.)", re.DOTALL)
_INTEGER = re.compile(r"(\d+)\.\.(\d+)(?:/(\d+))?")
_LETTER = re.compile(r"([A-Za-z])\.\.([A-Za-z])")


class Grammar:
    """Compiled rules. `where` is the file's name for errors.

    Raises:
        UserError: a rule is not a list of texts, or a template is malformed or names a rule that
            does not exist.
    """

    def __init__(self, rules: Mapping[str, list[str]], where: str):
        self.where = where
        self._rules: dict[str, list[Nodes]] = {name: [] for name in rules}
        for name, entries in rules.items():
            if not (isinstance(entries, list) and entries and all_texts(entries)):
                raise UserError(f"{where}: rule {name!r} is {entries!r}; expected a list of texts")
            self._rules[name].extend(self.compile(entry) for entry in entries)

    def __contains__(self, name: str) -> bool:
        return name in self._rules

    def compile(self, template: str, variables: Collection[str] = ()) -> Nodes:
        """Compile `template`. The names in `variables` get their values at expansion."""
        nodes: list[tuple[int, object]] = []
        for brace, choice, literal, stray in _PIECE.findall(template):
            if stray:
                raise UserError(f"{self.where}: stray {stray!r} in template {template!r}")
            if literal:
                nodes.append((LITERAL, literal))
            elif brace:
                nodes.append(self._compile_brace(brace, template, variables))
            else:
                options = [self.compile(text, variables) for text in choice.split("|")]
                nodes.append((CHOICE, options))
        return tuple(nodes)

    def _compile_brace(self, name: str, template: str, variables: Collection[str]) -> tuple:
        if name in variables:
            return VARIABLE, name
        if name in self._rules:
            return RULE, self._rules[name]
        if match := _INTEGER.fullmatch(name):
            low, high, step = match.groups()
            width = len(low) if low.startswith("0") else 0
            return INTEGER, (range(int(low), int(high) + 1, int(step or 1)), width)
        if match := _LETTER.fullmatch(name):
            return LETTER, range(ord(match[1]), ord(match[2]) + 1)
        raise UserError(f"{self.where}: unknown name {{{name}}} in template {template!r}")

    def draw(self, name: str, rng: random.Random) -> str:
        """One text of rule `name`."""
        return text(pick(self._rules[name], rng), rng, {})

    def pattern(self, name: str) -> str:
        """A regular expression that every text of rule `name` matches in full."""
        return _pattern([(RULE, self._rules[name])])

    def size(self, name: str) -> int:
        """The number of expansions of rule `name`. A text made in two ways counts twice."""
        return sum(_size(nodes) for nodes in self._rules[name])


def pick(options: Sequence[T], rng: random.Random) -> T:
    """One of `options`, all equally likely. It is faster than `rng.choice`."""
    return options[int(rng.random() * len(options))]


def all_texts(entries: list) -> bool:
    """Whether all entries are text. In YAML, `on` without quotes is true and `12` is a number."""
    return all(isinstance(entry, str) for entry in entries)


def expand(
    nodes: Nodes,
    rng: random.Random,
    bound: Mapping[str, str],
    out: list[str],
    marks: dict[str, list[int]],
) -> None:
    """Expand `nodes` and append the pieces to `out`.

    `bound` gives the values of the variables. `marks[name]` collects the indices in `out` of the
    pieces that are the variable `name`.
    """
    for kind, payload in nodes:
        if kind == LITERAL:
            out.append(payload)
        elif kind == VARIABLE:
            marks.setdefault(payload, []).append(len(out))
            out.append(bound[payload])
        elif kind in (CHOICE, RULE):
            expand(pick(payload, rng), rng, bound, out, marks)
        elif kind == INTEGER:
            numbers, width = payload
            out.append(str(pick(numbers, rng)).zfill(width))
        else:
            out.append(chr(pick(payload, rng)))


def text(nodes: Nodes, rng: random.Random, bound: Mapping[str, str]) -> str:
    """One expansion of `nodes` as text."""
    out: list[str] = []
    expand(nodes, rng, bound, out, {})
    return "".join(out)


def mentions(nodes: Nodes, variable: str) -> bool:
    """Whether every expansion of `nodes` contains the variable."""
    return any(
        payload == variable
        if kind == VARIABLE
        else kind == CHOICE and all(mentions(option, variable) for option in payload)
        for kind, payload in nodes
    )


def named(nodes: Nodes) -> set[str]:
    """The variables of `nodes`, those within alternatives included."""
    inside = [named(option) for kind, options in nodes if kind == CHOICE for option in options]
    return {name for kind, name in nodes if kind == VARIABLE}.union(*inside)


def _size(nodes: Nodes) -> int:
    sizes = []
    for kind, payload in nodes:
        if kind in (CHOICE, RULE):
            sizes.append(sum(_size(option) for option in payload))
        elif kind == INTEGER:
            sizes.append(len(payload[0]))
        elif kind == LETTER:
            sizes.append(len(payload))
    return math.prod(sizes)


def _pattern(nodes: Iterable[tuple[int, object]]) -> str:
    """A regular expression for the expansions of `nodes`, which contain no variable."""
    parts = []
    for kind, payload in nodes:
        if kind == LITERAL:
            parts.append(re.escape(payload))
        elif kind in (CHOICE, RULE):
            parts.append(f"(?:{'|'.join(_pattern(option) for option in payload)})")
        elif kind == INTEGER:
            numbers, width = payload
            parts.append(f"[0-9]{{1,{max(width, len(str(numbers[-1])))}}}")
        else:
            parts.append(f"[{chr(payload[0])}-{chr(payload[-1])}]")
    return "".join(parts)
