"""Metrics of one prediction and one gold answer: plain functions of strings."""

import re
import string
from collections import Counter
from collections.abc import Callable, Iterable

import snowballstemmer

# ASCII punctuation, its full-width forms (U+FF01 ...) and the CJK marks of the published
# scorer. That scorer keeps curly quotation marks, so they are not in the list.
_ASCII = string.punctuation
_FULL_WIDTH = "".join(chr(ord(mark) + 0xFEE0) for mark in _ASCII)
_CJK = "。、｡「」『』《》【】〔〕—–…·‧〜"
_TO_SPACE = str.maketrans(dict.fromkeys(_ASCII + _FULL_WIDTH + _CJK, " "))

_ASCII_AWAY = str.maketrans(dict.fromkeys(_ASCII))
_ARTICLES = {"a", "an", "the", "and"}
_CJK_LETTER = re.compile(r"([\u3400-\u9fff])")
_STEM = snowballstemmer.stemmer("porter").stemWord
LISTED = "multi_hop"  # the kind of question whose gold answer lists parts, with commas between

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
    return _f1(Counter(found), Counter(wanted))


def f1_token(prediction: str, gold: str, listed: bool = False) -> float:
    """Harmonic mean of precision and recall over the stemmed words, as LoCoMo scores.

    Punctuation and the words a, an, the, and do not count; a Chinese character is a word. If the
    gold answer is `listed`, its parts between commas are compared each with the part of the
    prediction that is nearest to it, and the result is their mean.
    """
    if not listed:
        return _f1(_stems(prediction), _stems(gold))
    said = [_stems(part) for part in prediction.split(",")]
    wanted = [_stems(part) for part in gold.split(",")]
    return sum(max(_f1(part, other) for part in said) for other in wanted) / len(wanted)


def _stems(text: str) -> Counter[str]:
    text = text.lower().translate(_ASCII_AWAY).translate(_TO_SPACE)
    words = _CJK_LETTER.sub(r" \1 ", text).split()
    return Counter(_STEM(word) for word in words if word not in _ARTICLES)


def _f1(found: Counter[str], wanted: Counter[str]) -> float:
    overlap = (found & wanted).total()
    return 2 * overlap / (found.total() + wanted.total()) if overlap else 0.0


def best(metric: Callable[..., float], text: str, golds: Iterable[str], *more: bool) -> float:
    """The highest value of `metric` for `text` and one of the right answers `golds`."""
    return max(float(metric(text, gold, *more)) for gold in golds)


def degenerate(prediction: str) -> bool:
    """Whether a prediction is empty after `normalise`, or repeats itself.

    It repeats itself if one character stands six times in a row, or a piece of four or more
    characters three times in a row. White space counts as characters.
    """
    if not normalise(prediction):
        return True
    return bool(_RUN.search(prediction) or _LOOP.search(prediction))
