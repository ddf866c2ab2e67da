"""Metrics of one prediction against one gold answer: plain functions of two strings."""

import re
import string
from collections import Counter

# ASCII punctuation, its full-width forms (U+FF01 ...) and the CJK marks of the published
# scorer. Curly quotation marks are not among them: exact agreement needs them kept.
_ASCII = string.punctuation
_FULL_WIDTH = "".join(chr(ord(mark) + 0xFEE0) for mark in _ASCII)
_CJK = "。、｡「」『』《》【】〔〕—–…·‧〜"
_TO_SPACE = str.maketrans(dict.fromkeys(_ASCII + _FULL_WIDTH + _CJK, " "))

_RUN = re.compile(r"(.)\1{5,}", re.DOTALL)
_LOOP = re.compile(r"(.{4,}?)\1\1", re.DOTALL)


def normalise(text: str) -> str:
    """Lower case, ASCII and CJK punctuation to spaces, white space collapsed and stripped."""
    return " ".join(text.lower().translate(_TO_SPACE).split())


def exact(answer: str, gold: str) -> bool:
    """`em`: both normalise to the same, non-empty string."""
    return normalise(gold) != "" and normalise(answer) == normalise(gold)


def contains(prediction: str, gold: str) -> bool:
    """`em_contains`, as published: the normalised prediction contains the normalised gold.

    It takes "1500" for "15" and rewards rambling; kept for comparison with published runs.
    """
    return normalise(gold) != "" and normalise(gold) in normalise(prediction)


def f1_char(prediction: str, gold: str) -> float:
    """Harmonic mean of precision and recall over the characters of the normalised strings.

    Characters are counted with multiplicity, spaces included; 0 if either string is empty.
    """
    found, wanted = normalise(prediction), normalise(gold)
    overlap = sum((Counter(found) & Counter(wanted)).values())
    if overlap == 0:
        return 0.0
    precision, recall = overlap / len(found), overlap / len(wanted)
    return 2 * precision * recall / (precision + recall)


def degenerate(prediction: str) -> bool:
    """Empty once normalised, a character six times in a row, or a piece looping.

    A loop is a piece of four or more characters three times in a row. White space counts as
    characters.
    """
    if not normalise(prediction):
        return True
    return bool(_RUN.search(prediction) or _LOOP.search(prediction))
