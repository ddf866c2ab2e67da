"""Pools of values: they are large, their values are short, and a hash holds some of them out."""

import random
import re
from hashlib import blake2b

import pytest

from ttt_memory.benchmark.generator.grammar import Grammar
from ttt_memory.benchmark.generator.values import SPEAKER, pools
from ttt_memory.errors import UserError

LANGUAGES = ("zh", "en")
TYPES = [(language, name) for language in LANGUAGES for name in pools(language).category]
CJK = re.compile(r"[\u3400-\u9fff]")


@pytest.mark.parametrize(("language", "value_type"), TYPES)
def test_pool_is_large_and_its_values_are_short(language, value_type):
    pool, rng = pools(language), random.Random(1)
    drawn = [pool.draw(value_type, False, rng, []) for _ in range(3000)]
    assert pool.size(value_type) >= 2500
    # Drawing 3,000 from a pool of 1,250 equally likely values gives 1,137 distinct ones.
    assert len(set(drawn)) > 1137
    longest = max(drawn, key=len)
    if language == "zh":
        assert len(CJK.findall(longest)) <= 12, longest
    else:
        assert max(len(value.split()) for value in drawn) <= 5


@pytest.mark.parametrize(("language", "value_type"), TYPES)
def test_training_and_held_out_values_differ(language, value_type):
    pool, rng = pools(language), random.Random(2)
    drawn = [{pool.draw(value_type, part, rng, []) for _ in range(300)} for part in (False, True)]
    assert not drawn[0] & drawn[1]
    assert min(map(len, drawn)) > 120
    if value_type != SPEAKER:
        for part, values in zip((False, True), drawn, strict=True):
            assert {pool.held_out(value) for value in values} == {part}


def test_values_stay_held_out_or_not():
    known = {
        "en": {
            "Nora Keller": False,
            "17 March": False,
            "27 November": True,
            "Thursday 27 November": True,
            "we met on 27 November, early": True,
            "735": False,  # too short
        },
        "zh": {"清蒸鲈鱼": False, "3月19号": True, "他下周3月19号到": True, "马鸿": False},
    }
    for language, values in known.items():
        assert {value: pools(language).held_out(value) for value in values} == values


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_value_is_held_out_exactly_if_a_part_of_it_is(language):
    """Compare with a slow search of all parts that begin where a word begins."""
    pool, rng = pools(language), random.Random(4)
    types = [name for name in pool.category if name != SPEAKER]
    forms = [re.compile(pool.grammar.pattern(name)) for name in types]

    def marked(text: str) -> bool:
        width = sum(1 if character.isascii() else 2 for character in text)
        digest = blake2b(text.casefold().encode(), digest_size=8).digest()
        return width >= 6 and digest[0] % 5 == 0

    def naive(text: str) -> bool:
        parts = (
            text[start:end]
            for start in range(len(text))
            for end in range(start + 1, len(text) + 1)
            if not (start and re.fullmatch("[A-Za-z]{2}", text[start - 1 : start + 1]))
        )
        return any(marked(part) and any(f.fullmatch(part) for f in forms) for part in parts)

    for value_type in types:
        for _ in range(12):
            value = pool.grammar.draw(value_type, rng)
            assert pool.held_out(value) == naive(value), value


def test_no_value_contains_another_that_is_taken():
    pool, rng = pools("en"), random.Random(3)
    taken = ["14 March", "Nora Keller", "Vance Hall"]
    for _ in range(2000):
        assert "14 March" not in pool.draw("date", False, rng, taken)
        assert "Nora" not in pool.draw("person", False, rng, taken)
        assert "Vance" not in pool.draw("person", False, rng, taken)


def test_every_category_has_types():
    for language in LANGUAGES:
        assert len(set(pools(language).category.values())) == 6


def test_pattern_matches_what_is_drawn_and_little_else():
    grammar = Grammar(
        {"a": ["<x|{b}> {05..59}", "{A..C}{100..300/100}!"], "b": ["tea", "soy {b2}"], "b2": ["."]},
        "f",
    )
    rng, pattern = random.Random(0), re.compile(grammar.pattern("a"))
    drawn = {grammar.draw("a", rng) for _ in range(3000)}
    assert len(drawn) == grammar.size("a") == 3 * 55 + 3 * 3
    assert all(pattern.fullmatch(text) for text in drawn)
    assert "soy . 07" in drawn
    for other in ("y 05", "x 105", "soy a 05", "D100!", "tea"):
        assert not pattern.fullmatch(other)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"a": ["{b}"]}, r"f\.yaml: unknown name \{b\}"),
        ({"a": []}, r"f\.yaml: rule 'a' is \[\]; expected a list of texts"),
        ({"a": [True]}, r"f\.yaml: rule 'a' is \[True\]; expected a list of texts"),
        ({"a": ["<x|y"]}, r"f\.yaml: stray '<' in template '<x\|y'"),
    ],
)
def test_a_faulty_grammar_is_refused(rules, message):
    with pytest.raises(UserError, match=message):
        Grammar(rules, "f.yaml")
