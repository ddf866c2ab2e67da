"""Frames around questions: what goes on in a sentence, what keeps its capitals, what is refused."""

import random

import pytest

from ttt_memory.benchmark.generator import frames as module
from ttt_memory.benchmark.generator.draft import Question
from ttt_memory.benchmark.generator.frames import around, casual, continued, frames, of_whom
from ttt_memory.errors import UserError

LANGUAGES = ("zh", "en")


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("Where is the boat?", "where is the boat"),
        ("What's the price?", "what's the price"),
        ("Nora's desk, where is it?", None),  # a name keeps its capital
        ("Tell me the price.", None),  # no question
        ("Who came? And when?", None),  # two
        ("船在哪里？", "船在哪里"),
        ("请问船在哪里？", None),  # in a frame already
    ],
)
def test_continued(question, rest):
    assert continued(question) == rest


@pytest.mark.parametrize(
    ("language", "question", "written"),
    [
        ("en", "Where is Nora Keller?", "where is Nora Keller"),
        (
            "en",
            "Rustic Orbit: Where is it? Or may I ask?",
            "Rustic Orbit: where is it? or may i ask",
        ),
        ("en", "Tell me the price of the boat.", "tell me the price of the boat"),
        ("zh", "船在哪里？", "船在哪里"),
    ],
)
def test_casual(language, question, written):
    assert casual(language, question, ["Rustic Orbit", "Nora Keller"]) == written


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("new", [False, True])
def test_a_question_that_names_whose_it_is_names_both_and_is_whole(language, new):
    words = {"en": "Where is the boat?", "zh": "船在哪里？"}[language]
    question = Question("spot", words, ("s",))
    rng = random.Random(0)
    made = {of_whom(question, ("Ida", "Otto"), language, new, rng) for _ in range(200)}
    assert len(made) >= 4
    for text in made:
        assert "Ida" in text
        assert "Otto" in text
        assert continued(words).casefold() in text.casefold()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_without_a_noun_has_no_frame_that_needs_one(language):
    rng = random.Random(0)
    plain = Question("spot", "Where is it?", ("s",))
    with_noun = Question("spot", "Where is it?", ("s",), noun="the place of it")
    assert not any("the place" in around(plain, language, rng) for _ in range(200))
    if language == "en":
        assert any("the place of it" in around(with_noun, language, rng) for _ in range(200))


@pytest.mark.parametrize("language", LANGUAGES)
def test_trained_and_new_frames_share_nothing(language):
    trained, new = frames(language), frames(language, new=True)
    for kind in ("change", "session", "whose"):
        assert not set(map(repr, getattr(trained, kind))) & set(map(repr, getattr(new, kind)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"change": {"trained": ["Well."], "new": ["{S}"]}}, "a frame of a change without {S}"),
        ({"whose": {"trained": ["{Q}"]}}, "'whose' has .*expected `trained` and `new`"),
        ({"reply": None}, "key 'reply' is missing"),
    ],
)
def test_a_malformed_file_is_refused(change, message, monkeypatch):
    data = {**module.load_yaml("frames_en.yaml"), **change}
    data = {key: value for key, value in data.items() if value is not None}
    monkeypatch.setattr(module, "load_yaml", lambda name: data)
    with pytest.raises(UserError, match=message):
        frames.__wrapped__("en")
