"""What the page offers next, and what it says of a memory: without a browser."""

import re
from pathlib import Path

import pytest

from clone import ROOT
from conversation_models import fast_weights, prompter
from ttt_memory.benchmark.sample import REFUSALS
from ttt_memory.chat.conversation import CONTEXT, FAST_WEIGHTS, NOTHING, Chat
from ttt_memory.chat.session import Asked, ReadLine, Session
from ttt_memory.chat.web import actions, page
from ttt_memory.chat.web.examples import EXAMPLES
from ttt_memory.chat.web.guide import (
    ASK,
    DROP,
    TELL,
    next_step,
    offered,
    suggestion,
    suggestions,
    untold,
)
from ttt_memory.chat.web.scores import PROBES, SCORES, how_often
from ttt_memory.errors import UserError

BADGE, TRIP, LIBRARY = EXAMPLES
REFUSED = [(text, "do not know", "looked") for text in REFUSALS.values()]


def session() -> Session:
    return Session(Chat(fast_weights(), prompter()))


def do(action: actions.Action, talk: Session, *given: str) -> str:
    """Carry out an action; the last that it says."""
    *_, last = action(talk, *given)
    return last


def test_the_next_step_follows_the_memory():
    talk = session()
    assert (next_step(None), next_step(talk)) == (TELL, TELL)
    do(actions.tell, talk, "A line.")
    assert next_step(talk) == DROP
    do(actions.drop, talk)
    assert next_step(talk) == ASK
    do(actions.forget, talk)
    assert next_step(talk) == ASK
    do(actions.new, talk)
    assert next_step(talk) == TELL


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_box_offers_the_question_about_an_example_that_was_dropped(example):
    talk = session()
    assert suggestion(talk) == suggestion(None) == BADGE.lines[0]
    do(actions.tell, talk, "\n".join(example.lines))
    assert suggestion(talk) == ""
    do(actions.drop, talk)
    assert suggestion(talk) == example.question
    assert example.question in suggestions()
    assert offered(talk, " ") == offered(talk, suggestion(None)) == example.question
    assert offered(talk, "Bob: I am") == "Bob: I am"
    do(actions.ask, talk, example.question)
    assert suggestion(talk) == ""
    do(actions.tell, talk, "A line.")
    do(actions.drop, talk)
    assert suggestion(talk) == ""


def test_another_conversation_is_written_behind_the_first():
    talk = session()
    for example in EXAMPLES:
        assert untold(talk) is example
        assert "into the same memory" in do(actions.write_another, talk, " ")
    assert untold(talk) is None
    with pytest.raises(UserError, match="found no text, expected another conversation"):
        do(actions.write_another, talk, "")
    before = int(talk.chat.state.written)
    do(actions.write_another, talk, "One more.\nAnd another.")
    assert int(talk.chat.state.written) > before
    assert [e.text for e in talk.events if hasattr(e, "written")][-1] == "And another."


def test_an_example_says_whether_its_answer_was_right():
    """The model has learned nothing, so it is wrong."""
    talk = session()
    assert "another answer than 40713" in do(actions.show(BADGE), talk)
    assert actions._outcome(BADGE, "40713.").endswith("That is right.")


@pytest.mark.parametrize(
    ("answer", "said", "heading"),
    [("40713", "only the fast weights can have known", "found it"), *REFUSED],
)
def test_what_is_said_of_an_answer_tells_a_refusal(answer, said, heading):
    read = (ReadLine((("badge", 0.5), (" ", 0.0), ("40713", 0.25)), 0.75),)
    asked = Asked("Which badge?", {CONTEXT: None, FAST_WEIGHTS: answer, NOTHING: None}, read)
    assert said in actions._came_from(asked)
    shown = page.conversation([asked])
    assert f"Where the fast weights {heading}" in shown
    assert "25% lies elsewhere" in shown


def test_an_empty_box_is_said_to_be_empty():
    for action in (actions.tell, actions.ask):
        with pytest.raises(UserError, match=r"^the box is empty: write a line into it first$"):
            do(action, session(), " \n")


def test_capacity_is_the_keys_that_a_layer_holds():
    talk = session()
    assert talk.sizes().held == 0
    room = talk.sizes().room
    assert room == talk.chat.fw.model.config.intermediate_size
    do(actions.tell, talk, "One line.")
    do(actions.drop, talk)
    layers = talk.chat.state.layers.values()
    held = max(int(layer.written.used().sum()) for layer in layers)
    assert 0 < held < room
    assert talk.sizes().held == held
    talk.chat.state = talk.chat.state.fold(always=True)
    assert talk.sizes().held == room
    shown = page.memory(talk.sizes(), 4)
    assert f"Capacity used: {room:,} of {room:,} keys" in shown
    assert "<td>100%</td>" in shown


@pytest.mark.parametrize("name", SCORES)
def test_what_is_said_of_a_memory_that_ships_is_what_its_page_says(name):
    readme = (ROOT / "data" / "models" / name / "README.md").read_text()
    own = readme.split("Scores and limits")[-1]
    found = re.search(r"ll new:? ?[^|\n]*\|(?:[^|\n]*\|)* (0\.\d+), (0\.\d+) \|\n", own)
    numbers = found.groups() if found else re.findall(r"0\.\d{3}", own)[:2]
    assert tuple(map(float, numbers)) == (SCORES[name].fast_weights, SCORES[name].context)
    last = (ROOT / "data/models/smollm2-memory-lasting/README.md").read_text()
    row = re.search(r"never told, from fast weights \|(.*)\|", last)[1].split("|")
    assert float(row[list(SCORES).index(name)]) == SCORES[name].invented
    said = how_often(Path("data/models") / name / "0")
    assert f"{PROBES} questions" in said
    assert f"{SCORES[name].fast_weights:.0%} right from fast weights" in said
    assert "report of the run" in how_often("results/runs/write-drop-read/0/model")
