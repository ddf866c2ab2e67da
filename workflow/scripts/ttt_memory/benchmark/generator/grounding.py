"""Whether a question shares a content word with an utterance that states one of its facts.

An utterance is what is said in one turn, without the speaker's name. If the turn before it asks
something, that turn counts as well: in "Which bay?" "Bay 14." the answer has no word for its topic.

English: the words of at least two letters that are not stop words, in lower case, without the
endings -ing, -ed, -es, -s, -e. Chinese: the pairs of neighbouring characters, except pairs of two
function characters and some question words such as 哪家. Names are words. The words of the fact's
value do not count.
"""

import re
from collections.abc import Sequence
from functools import cache

from ..sample import TURN_SEPARATOR, Fact
from .values import load_yaml

RULE = (
    "`shared`: a content word of the question occurs in an utterance that states a required fact, "
    "or in the question that this utterance answers. `none`: there is no such word. Content words "
    "are, in English, all words but stop words, without their endings; in Chinese, all pairs of "
    "neighbouring characters but those of function characters and of question words. The value of "
    "the fact and the speaker's name do not count. Questions that nothing answers have `none`."
)
_WORD = re.compile(r"[a-z0-9]+")
_CJK = re.compile(r"[\u3400-\u9fff]+")
_STOP = {key: frozenset(words.split()) for key, words in load_yaml("stopwords.yaml").items()}
_STOP_CHARACTERS = frozenset("".join(_STOP["zh"]))


def grounding(
    language: str, question: str, sessions: Sequence[str], required: Sequence[Fact]
) -> str:
    """Whether the question shares a content word with an utterance of a required fact.

    Returns:
        "shared" or "none".
    """
    asked = content_words(language, question)
    for fact in required:
        stated = utterance(sessions[fact.session], fact, TURN_SEPARATOR[language])
        if asked & content_words(language, stated):
            return "shared"
    return "none"


def utterance(dialogue: str, fact: Fact, separator: str) -> str:
    """The utterance with the fact's value, without that value, after the question it answers."""
    begin = dialogue.rfind("\n", 0, fact.start) + 1
    end = dialogue.find("\n", fact.end)
    said = dialogue[begin : fact.start] + "\n" + dialogue[fact.end : end if end >= 0 else None]
    said = said.partition(separator)[2]
    previous = dialogue[:begin].rstrip("\n").rpartition("\n")[2].partition(separator)[2]
    if "?" in previous or "？" in previous:
        return previous + "\n" + said
    return said


def content_words(language: str, text: str) -> set[str]:
    """The content words of `text`."""
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
    # "stopped" and "stops" must give the same: drop the second of two equal consonants.
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word
