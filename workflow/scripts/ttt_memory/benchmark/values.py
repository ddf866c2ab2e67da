"""Typed value pools: every value is composed from parts, so that a pool has thousands or more.

A type names what a value is (money, clock, role ...); its category is one of the six of the
benchmark. The parts live in `data/values_<language>.yaml`.
"""

import hashlib
import random
from functools import cache
from pathlib import Path

import yaml

from ..errors import UserError
from .grammar import Grammar
from .sample import CATEGORIES

DATA = Path(__file__).parent / "data"
HELD_OUT_SHARE = 5  # one value in this many is held out


class _Loader(yaml.CSafeLoader):
    """YAML in which a key given twice is an error instead of the last one winning."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"key {twice!r} given twice")
        return super().construct_mapping(node, deep)


def load_yaml(name: str) -> object:
    """Parse a data file of this package.

    Raises:
        UserError: the file is missing or no YAML.
    """
    path = DATA / name
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not readable as YAML ({error})") from error


def held_out(value: str) -> bool:
    """Whether `value` belongs to the held-out fifth: fixed for ever by a hash of its text.

    Case and white space do not matter. Training never emits a held-out value, held-out splits
    never emit another.
    """
    key = " ".join(value.casefold().split()).encode()
    return hashlib.blake2b(key, digest_size=8).digest()[0] % HELD_OUT_SHARE == 0


class Pools:
    """The value pools of one language, and the grammar their parts are written in."""

    def __init__(self, language: str):
        self.language = language
        name = f"values_{language}.yaml"
        data = load_yaml(name)
        self.grammar = Grammar(data["rules"], name)
        self.category: dict[str, str] = {}
        for value_type, category in data["types"].items():
            if value_type not in self.grammar:
                raise UserError(f"{name}: type {value_type!r} has no rule of that name")
            if category not in CATEGORIES:
                raise UserError(f"{name}: {value_type!r} is {category!r}; expected {CATEGORIES}")
            self.category[value_type] = category

    def draw(self, value_type: str, part: bool, rng: random.Random, taken: list[str]) -> str:
        """A value of `value_type`, held out if `part`, that no value in `taken` overlaps.

        Two values overlap if one contains the other, or, for people, if they share a name.
        """
        while True:
            value = self.grammar.draw(value_type, rng)
            if held_out(value) != part or _overlaps(value, taken):
                continue
            if self.category[value_type] == "person" and _shares_name(value, taken):
                continue
            return value

    def size(self, value_type: str) -> int:
        """An upper bound on the number of values of a type (exact where parts never collide)."""
        return self.grammar.size(value_type)


def _overlaps(value: str, taken: list[str]) -> bool:
    return any(value in other or other in value for other in taken)


def _shares_name(person: str, taken: list[str]) -> bool:
    return any(name in other for name in person.split() for other in taken)


@cache
def pools(language: str) -> Pools:
    """The pools of `language`, loaded once."""
    return Pools(language)
