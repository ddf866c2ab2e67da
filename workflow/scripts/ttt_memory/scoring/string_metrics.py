"""Metrics of one prediction and one gold answer: plain functions of strings."""

import re
import string
from collections import Counter

# ASCII punctuation, its full-width forms (U+FF01 ...) and the CJK marks of the published
# scorer. That scorer keeps curly quotation marks, so they are not in the list.
_ASCII = string.punctuation
_FULL_WIDTH = "".join(chr(ord(mark) + 0xFEE0) for mark in _ASCII)
_CJK = "。、｡「」『』《》【】〔〕—–…·‧〜"
_TO_SPACE = str.maketrans(dict.fromkeys(_ASCII + _FULL_WIDTH + _CJK, " "))

_RUN = re.compile(r"(.)\1{5,}", re.DOTALL)
_LOOP = re.compile(r"(.{4,}?)\1\1", re.DOTALL)


def normalise(text: str) -> str:
    """`text` in lower case, words separated by one space, without ASCII and CJK punctuation."""
    return " ".join(text.lower().translate(_TO_SPACE).split())


def exact(answer: str, gold: str) -> bool:
    """`em`: both are the same string after `normalise`, and it is not empty."""
    return normalise(gold) != "" and normalise(answer) == normalise(gold)


def contains(prediction: str, gold: str) -> bool:
    """`em_contains`, as published: the normalised prediction contains the normalised gold answer.

    It accepts "1500" for "15" and rewards long answers. It is here to compare with published runs.
    """
    return normalise(gold) != "" and normalise(gold) in normalise(prediction)


def f1_char(prediction: str, gold: str) -> float:
    """Harmonic mean of precision and recall over the characters of the normalised strings.

    Repeated characters and spaces count. The result is 0 if either string is empty.
    """
    found, wanted = normalise(prediction), normalise(gold)
    overlap = sum((Counter(found) & Counter(wanted)).values())
    if overlap == 0:
        return 0.0
    precision, recall = overlap / len(found), overlap / len(wanted)
    return 2 * precision * recall / (precision + recall)


def degenerate(prediction: str) -> bool:
    """Whether a prediction is empty after `normalise`, or repeats itself.

    It repeats itself if one character stands six times in a row, or a piece of four or more
    characters three times in a row. White space counts as characters.
    """
    if not normalise(prediction):
        return True
    return bool(_RUN.search(prediction) or _LOOP.search(prediction))
