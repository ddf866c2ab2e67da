"""Normalisation and the metrics of one prediction against one gold answer."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttt_memory.scoring import string_metrics

words = st.text(alphabet="ab1 ，。:;甲乙\n\t「", max_size=30)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("", ""),
        (" ，。!? \n", ""),
        ("Room B-12", "room b 12"),
        ("总部大楼；偏好清淡。", "总部大楼 偏好清淡"),
        ("３月！１３号", "３月 １３号"),
        ("a\u3000b", "a b"),
        ("“甲”", "“甲”"),  # curly quotation marks stay, as in the published scorer
        ("A…B—C～D", "a b c d"),
    ],
)
def test_normalise(raw, normal):
    assert string_metrics.normalise(raw) == normal


@given(words)
def test_normalising_twice_changes_nothing(raw):
    once = string_metrics.normalise(raw)
    assert string_metrics.normalise(once) == once
    assert "  " not in once
    assert once == once.strip()
    assert not set(once) & set(string.punctuation)


def test_exact_is_stricter_than_contains():
    assert string_metrics.contains("1500", "15")
    assert not string_metrics.exact("1500", "15")
    assert string_metrics.exact(" 3月13号。", "3月13号")
    assert not string_metrics.exact("3月13号 吧", "3月13号")


def test_an_empty_gold_is_never_right():
    assert not string_metrics.exact("", "")
    assert not string_metrics.contains("anything", "。")
    assert string_metrics.f1_char("anything", "。") == 0


@given(words, words)
def test_exact_implies_contains_and_full_f1(prediction, gold):
    if string_metrics.exact(prediction, gold):
        assert string_metrics.contains(prediction, gold)
        assert string_metrics.f1_char(prediction, gold) == 1


@given(words, words)
def test_f1_is_symmetric_and_within_bounds(one, other):
    assert 0 <= string_metrics.f1_char(one, other) <= 1
    assert string_metrics.f1_char(one, other) == pytest.approx(string_metrics.f1_char(other, one))


def test_f1_counts_characters_with_multiplicity_and_spaces():
    # "a a" and "a b" share one "a" and the space: precision = recall = 2/3.
    assert string_metrics.f1_char("a a", "a b") == pytest.approx(2 / 3)
    assert string_metrics.f1_char("aab", "ab") == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))


@pytest.mark.parametrize(
    ("prediction", "is_degenerate"),
    [
        ("", True),
        (" \n", True),
        ("，，，", True),
        ("aaaaa", False),
        ("aaaaaa", True),
        ("no 000000 end", True),
        ("abcabcabc", False),  # a piece of three characters
        ("abcdabcdabc", False),  # twice and a half
        ("abcdabcdabcd", True),
        ("UNSUNSUNSUNSUNSUNS", True),  # "UNSUNS" three times
        ("ok\nok\nok\nok\nok\nok\n", True),
        ("何鑫是数据分析主管", False),
    ],
)
def test_degenerate(prediction, is_degenerate):
    assert string_metrics.degenerate(prediction) is is_degenerate


@given(
    st.text(max_size=8), st.text(alphabet="abcdefgh", min_size=4, max_size=7), st.text(max_size=8)
)
def test_any_threefold_piece_is_degenerate(before, piece, after):
    assert string_metrics.degenerate("x" + before + piece * 3 + after)
