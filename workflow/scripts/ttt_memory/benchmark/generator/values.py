"""Pools of values by type. Values are composed from parts, so a pool has thousands of them.

The type says what a value is (money, clock, role ...). Each type belongs to one of the six
categories of the benchmark. The parts are in `data/values_<language>.yaml`.
"""

import hashlib
import random
from functools import cache
from pathlib import Path

import yaml

from ...errors import UserError
from ..sample import CATEGORIES
from .grammar import Grammar

DATA = Path(__file__).parent / "data"
HELD_OUT_SHARE = 5  # one value in this many is held out


class _Loader(yaml.CSafeLoader):
    """YAML in which it is an error to give a key twice."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"key {twice!r} given twice")
        return super().construct_mapping(node, deep)


def load_yaml(name: str) -> object:
    """Parse a data file of this package.

    Raises:
        UserError: the file cannot be read or is not YAML.
    """
    path = DATA / name
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not readable as YAML ({error})") from error


def held_out(value: str) -> bool:
    """Whether `value` is held out, which a hash of its text decides, regardless of case and spaces.

    One value in five is. Training never shows a held-out value. The splits with held-out values
    show no other.
    """
    key = " ".join(value.casefold().split()).encode()
    return hashlib.blake2b(key, digest_size=8).digest()[0] % HELD_OUT_SHARE == 0


class Pools:
    """The values of one language by type, and the grammar that makes them."""

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

    def draw(self, value_type: str, heldout: bool, rng: random.Random, taken: list[str]) -> str:
        """A value of `value_type` that is held out or not, and overlaps with none in `taken`.

        Two values overlap if one contains the other. People also overlap if they share a name.
        """
        while True:
            value = self.grammar.draw(value_type, rng)
            if held_out(value) != heldout or _overlaps(value, taken):
                continue
            if self.category[value_type] == "person" and _shares_name(value, taken):
                continue
            return value

    def size(self, value_type: str) -> int:
        """The number of values of a type, too high where the grammar makes one in two ways."""
        return self.grammar.size(value_type)


def _overlaps(value: str, taken: list[str]) -> bool:
    return any(value in other or other in value for other in taken)


def _shares_name(person: str, taken: list[str]) -> bool:
    return any(name in other for name in person.split() for other in taken)


@cache
def pools(language: str) -> Pools:
    """The pools of `language`, loaded once per process."""
    return Pools(language)
