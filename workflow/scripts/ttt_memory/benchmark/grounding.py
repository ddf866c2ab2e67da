"""Does a question share a content word with the utterances that state its facts?

An utterance is what one turn says, without the speaker's label; the turn before it counts too
if it asks something ("Which bay?" "Bay 14."), since the answer alone may be elliptic.
English: words of two letters or more, lower-cased, stop words removed, stripped of the endings
-ing, -ed, -es, -s, -e. Chinese: pairs of neighbouring CJK characters, save those of two function
characters and a few question words such as 哪家. Names count as words. The words of the value
itself do not count.
"""

import re
from collections.abc import Sequence
from functools import cache

from .sample import TURN_SEPARATOR, Fact
from .values import load_yaml

RULE = (
    "shared: a content word of the question stands in an utterance that states a required fact, or "
    "in the question that this utterance answers (English: words without stop words, endings cut "
    "off; Chinese: pairs of neighbouring characters, function characters and question words "
    "aside). The value itself and the speaker's label do not count. none: no such word."
)
_WORD = re.compile(r"[a-z0-9]+")
_CJK = re.compile(r"[\u3400-\u9fff]+")
_STOP = {key: frozenset(words.split()) for key, words in load_yaml("stopwords.yaml").items()}
_STOP_CHARACTERS = frozenset("".join(_STOP["zh"]))


def grounding(language: str, question: str, dialogue: str, required: Sequence[Fact]) -> str:
    """Tell whether the question shares a content word with what states its facts.

    Returns:
        "shared" or "none", by the rule of this module.
    """
    asked = _words(language, question)
    for fact in required:
        stated = utterance(dialogue, fact, TURN_SEPARATOR[language])
        if asked & _words(language, stated):
            return "shared"
    return "none"


def utterance(dialogue: str, fact: Fact, separator: str) -> str:
    """The utterance that holds the fact's value, value blanked, after the question it answers."""
    begin = dialogue.rfind("\n", 0, fact.start) + 1
    end = dialogue.find("\n", fact.end)
    said = dialogue[begin : fact.start] + "\n" + dialogue[fact.end : end if end >= 0 else None]
    said = said.partition(separator)[2]
    previous = dialogue[:begin].rstrip("\n").rpartition("\n")[2].partition(separator)[2]
    if "?" in previous or "？" in previous:
        return previous + "\n" + said
    return said


def _words(language: str, text: str) -> set[str]:
    if language == "zh":
        return {
            run[i : i + 2]
            for run in _CJK.findall(text)
            for i in range(len(run) - 1)
            if not _STOP_CHARACTERS.issuperset(run[i : i + 2])
            and run[i : i + 2] not in _STOP["zh_pairs"]
        }
    words = (word for word in _WORD.findall(text.lower()) if len(word) > 1)
    return {_stem(word) for word in words if word not in _STOP["en"]}


@cache
def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    # stopped and stops, planned and plan: one consonant less.
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word
