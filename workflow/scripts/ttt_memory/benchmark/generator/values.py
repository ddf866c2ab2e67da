"""Pools of values by type. Values are composed from parts, so a pool has thousands of them.

The type says what a value is (money, clock, role ...). Each type belongs to one of the six
categories of the benchmark. The parts are in `data/values_<language>.yaml`.
"""

import random
import re
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path

import yaml

from ...errors import UserError
from ..sample import CATEGORIES
from .grammar import Grammar

DATA = Path(__file__).parent / "data"
SPEAKER = "given"  # the type of the names of speakers
HELD_OUT_SHARE = 5  # one hash in this many says that a value is held out
LONGEST = 48  # characters of a value
NARROWEST = 6  # width of a held-out value; a Latin character is 1 wide, a Chinese one 2


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
        # Names of speakers are no facts.
        named = [name for name in self.category if name != SPEAKER]
        self._values = re.compile("|".join(f"(?:{self.grammar.pattern(n)})" for n in named))

    def held_out(self, text: str) -> bool:
        """Whether `text` is or contains a value that is held out, which hashes decide.

        One in five hashes says that a value is held out. It then is so as a part of another one as
        well, such as "12 July" in "Friday 12 July". So a value that is not held out contains none
        that is. Values narrower than six Latin or three Chinese characters never are: they occur by
        chance. Values are looked for where a word, a digit or a Chinese character begins.
        """
        encoded = [character.casefold().encode() for character in text]
        return any(
            self._values.match(text, start) and self._held_out_from(text, start, encoded)
            for start in _starts(text)
        )

    def _held_out_from(self, text: str, start: int, encoded: list[bytes]) -> bool:
        """Whether a held-out value begins at `start`."""
        hashed, width = blake2b(digest_size=8), 0
        for end, piece in enumerate(encoded[start : start + LONGEST], start + 1):
            hashed.update(piece)
            width += 1 if len(piece) == 1 else 2
            said = width >= NARROWEST and hashed.digest()[0] % HELD_OUT_SHARE == 0
            if said and self._values.fullmatch(text, start, end):
                return True
        return False

    def _fits(self, value: str, value_type: str, heldout: bool) -> bool:
        said = _hash_holds_out(value)
        if value_type == SPEAKER:
            return said == heldout
        if self.held_out(value) != heldout:
            return False
        return not heldout or (said and not _occurs_in_training(value, self.language))

    def draw(self, value_type: str, heldout: bool, rng: random.Random, taken: list[str]) -> str:
        """A value of `value_type` that is held out or not, and overlaps with none in `taken`.

        Two values overlap if one contains the other. People also overlap if they share a name. A
        held-out value is so as a whole, not by a part alone, and does not occur in the texts for
        training either.
        """
        while True:
            value = self.grammar.draw(value_type, rng)
            if _overlaps(value, taken):
                continue
            if self.category[value_type] == "person" and _shares_name(value, taken):
                continue
            if self._fits(value, value_type, heldout):
                return value

    def size(self, value_type: str) -> int:
        """The number of values of a type, too high where the grammar makes one in two ways."""
        return self.grammar.size(value_type)


def _hash_holds_out(value: str) -> bool:
    """Whether the hash of a value says that it is held out."""
    digest = blake2b(value.casefold().encode(), digest_size=8).digest()
    return digest[0] % HELD_OUT_SHARE == 0


def _starts(text: str) -> Iterator[int]:
    """Where a word, a digit or a Chinese character begins."""
    letters = [character.isascii() and character.isalpha() for character in text]
    for start, character in enumerate(text):
        if character != " " and not (start and letters[start] and letters[start - 1]):
            yield start


def _occurs_in_training(value: str, language: str) -> bool:
    """Whether a file for training contains `value`, or a longer word that ends as it begins.

    For example, "iced tea" occurs in "spiced tea".
    """
    return value in _texts(language) or (value[0].islower() and _ends_word(value.split()[0]))


@cache
def _texts(language: str) -> str:
    """All that the files with texts for training say."""
    names = ("families", "fragments", "frames", "training_skeletons")
    files = [DATA / f"{name}_{language}.yaml" for name in names]
    files.append(DATA.parents[1] / "distractors" / f"{language}_train.yaml")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@cache
def _ends_word(ending: str) -> bool:
    """Whether a longer English word for training or in a value ends so."""
    words = _texts("en") + (DATA / "values_en.yaml").read_text(encoding="utf-8")
    return re.search(f"[A-Za-z]{re.escape(ending)}(?![A-Za-z])", words) is not None


def _overlaps(value: str, taken: list[str]) -> bool:
    return any(value in other or other in value for other in taken)


def _shares_name(person: str, taken: list[str]) -> bool:
    return any(name in other for name in person.split() for other in taken)


@cache
def pools(language: str) -> Pools:
    """The pools of `language`, loaded once per process."""
    return Pools(language)
