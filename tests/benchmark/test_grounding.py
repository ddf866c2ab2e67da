"""Grounding: whether a question shares a word with the turn that answers it."""

import pytest

from ttt_memory.benchmark.generator.grounding import grounding
from ttt_memory.benchmark.sample import Fact


def of(language: str, dialogue: str, value: str, question: str) -> str:
    start = dialogue.index(value)
    fact = Fact("F1", "", "numeric", "s", value, start, start + len(value))
    return grounding(language, question, (dialogue,), [fact])


EN = (
    "Ida: Rain again. Any news?\nOtto: The planners stopped at 4417, on the old pier.\n"
    "Ida: Lovely vans."
)
ZH = "小雨：下雨了。\n老陈：仓库的门禁码是4417，别忘。\n小雨：好，访客证呢？\n老陈：子3616。"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Where did the planner stop?", "shared"),  # planners, stopped
        ("Which pier is it?", "shared"),
        ("What is the news?", "shared"),  # in the question that the utterance answers
        ("How many vans are there?", "none"),  # another turn
        ("What did he do at the end?", "none"),  # only stop words
        ("Is Otto there?", "none"),  # the speaker's name does not count
        ("Is it 4417?", "none"),  # the value itself does not count
        ("What is the price?", "none"),
    ],
)
def test_english(question, expected):
    assert of("en", EN, "4417", question) == expected


@pytest.mark.parametrize(
    ("value", "question", "expected"),
    [
        ("4417", "门禁码是多少？", "shared"),
        ("4417", "仓库怎么进？", "shared"),
        ("4417", "下雨了吗？", "none"),
        ("4417", "什么是什么？", "none"),
        ("4417", "小区钥匙在哪里？", "none"),
        ("子3616", "访客证的编号是多少？", "shared"),  # in the turn before, which asks
        ("子3616", "老陈住哪家？", "none"),
    ],
)
def test_chinese(value, question, expected):
    assert of("zh", ZH, value, question) == expected


def test_the_utterance_is_looked_for_in_the_session_of_the_fact():
    sessions = ("Ida: Lovely vans, number 4417.", "Otto: The old pier. Number 3616.")
    fact = Fact("F1", "", "numeric", "s", "3616", 27, 31, session=1)
    assert sessions[1][27:31] == "3616"
    assert grounding("en", "Which pier?", sessions, [fact]) == "shared"
    assert grounding("en", "Which vans?", sessions, [fact]) == "none"


def test_one_of_two_required_facts_is_enough():
    facts = []
    for value in ("4417", "Ida"):
        start = EN.rindex(value)
        facts.append(Fact("F", "", "person", "s", value, start, start + len(value)))
    assert grounding("en", "How lovely?", (EN,), facts[:1]) == "none"
    assert grounding("en", "How lovely?", (EN,), facts) == "shared"
