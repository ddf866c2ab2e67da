"""What the page shows of a conversation, without a browser: places, bytes, shades, given texts."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from clone import ROOT
from conversation_models import fast_weights, prompter
from ttt_memory.chat import page
from ttt_memory.chat.conversation import Chat, is_question
from ttt_memory.chat.given_texts import LONGEST, told_lines
from ttt_memory.chat.session import AWAY, CONTEXT, FAST_WEIGHTS, GONE, NOTHING, Session, Told
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import save_state

FACT, OTHER = "My badge number is 40713.", "He lives in Lisbon, 里斯本。"
QUESTION = "What is the badge number?"
MARKUP = "<img src=x onerror=alert(1)> & ${1+1} {{value}} `x`"


def session() -> Session:
    return Session(Chat(fast_weights(), prompter()))


def places(talk: Session) -> list[str]:
    return [event.place for event in talk.events if isinstance(event, Told)]


def test_each_source_answers_by_itself_and_only_while_it_is_there():
    talk = session()
    assert [s for s, said in talk.ask(QUESTION).answers.items() if said is not None] == [NOTHING]
    talk.tell([FACT])
    told = talk.ask(QUESTION).answers
    assert told[FAST_WEIGHTS] is None
    assert told[CONTEXT] == talk.chat.ask(QUESTION, CONTEXT) != told[NOTHING]
    talk.drop()
    dropped = talk.ask(QUESTION).answers
    assert dropped[CONTEXT] is None
    assert dropped[FAST_WEIGHTS] == talk.chat.ask(QUESTION, FAST_WEIGHTS)
    assert dropped[NOTHING] == told[NOTHING]


def test_the_places_of_texts_follow_the_fast_weights(tmp_path):
    talk = session()
    talk.tell([FACT])
    talk.drop()
    talk.chat.save(tmp_path / "state")
    talk.forget()
    talk.tell([OTHER])
    talk.drop()
    assert places(talk) == [AWAY, FAST_WEIGHTS]
    talk.remember()
    assert places(talk) == [FAST_WEIGHTS, AWAY]
    talk.load(tmp_path / "state")
    assert places(talk) == [GONE, AWAY]
    assert talk.sizes().text is None
    talk.new()
    assert (talk.events, talk.chat.state, talk.chat.away) == ([], None, None)


def test_what_is_refused_changes_nothing():
    talk = session()
    talk.tell([FACT])
    before = list(talk.events)
    for action in (talk.forget, talk.remember):
        with pytest.raises(UserError):
            action()
    assert talk.events == before


def test_a_saved_state_is_refused_by_its_name_alone(tmp_path):
    (tmp_path / "hidden").mkdir()
    path = tmp_path / "hidden" / "notes.txt"
    path.write_text("no state")
    with pytest.raises(UserError, match=r"^notes\.txt: not a saved fast-weight state"):
        session().load(path)


def test_the_state_of_several_conversations_is_refused(tmp_path):
    talk = session()
    state = talk.chat.fw.write(torch.ones(2, 3, dtype=torch.long)).state.detach()
    save_state(talk.chat.fw, state, tmp_path / "two")
    with pytest.raises(UserError, match="holds 2 rows, expected those of one"):
        talk.load(tmp_path / "two")


@torch.no_grad()
def test_bytes_are_those_of_the_state_of_a_real_cache_and_of_the_text():
    talk = session()
    talk.tell([FACT, OTHER])
    ids = talk.chat._text()
    assert talk.sizes().in_context == len(ids)
    talk.drop()
    sizes, fw = talk.sizes(), talk.chat.fw
    cache = fw.model(torch.tensor([ids]), use_cache=True).past_key_values
    real = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert sizes.cache == real
    assert sizes.fast_weights == talk.chat.state.nbytes
    assert sizes.text == len(f"{FACT}\n{OTHER}\n".encode())
    assert (sizes.written, sizes.in_context, sizes.layers) == (len(ids), 0, (0, 1))
    talk.forget()
    assert (talk.sizes().fast_weights, talk.sizes().cache, talk.sizes().text) == (0, 0, 0)


def test_a_word_is_as_dark_as_its_widest_gate():
    """Against the gates of the pass that writes; the words of a line make up the line."""
    talk = Session(Chat(fast_weights(gate="top"), prompter()))
    # A new gate lets every token in alike; with random weights each token has another.
    for parameter in talk.chat.fw.fast_parameters():
        torch.nn.init.normal_(parameter)
    talk.tell([FACT, OTHER])
    chat = talk.chat
    gates = chat.fw.write(torch.tensor([chat._text()])).gates
    opened = torch.stack(list(gates.values()))[:, 0].amax(0)
    words = [word for line in chat.gates() for word in line]
    assert len({round(gate, 4) for _, gate in words}) > 5
    number = next(gate for word, gate in words if word == "40713.")
    digits = chat.prompter.ids([FACT[: FACT.index("40713")], "40713."])
    begin = len(digits[0]) - 1  # the space before the number is a part of its first token
    widest = float(opened[begin : begin + 1 + len(digits[1])].detach().max())
    assert number == pytest.approx(widest, abs=1e-4)
    talk.drop()
    assert ["".join(w for w, _ in event.words) for event in talk.events] == [FACT, OTHER]


def test_without_a_gate_every_word_is_written_whole():
    talk = Session(Chat(fast_weights(gate="none"), prompter()))
    talk.tell(["One two"])
    assert talk.chat.gates() == [[("One", 1.0), (" ", 0.0), ("two", 1.0)]]


def test_markup_is_shown_as_text():
    talk = session()
    talk.tell([MARKUP])
    told = page.conversation(talk.events)
    talk.drop()
    shown = [told, page.conversation(talk.events), page.status(MARKUP), page.text(MARKUP)]
    for html in shown:
        assert "<img" not in html
        assert not set("${}`") & set(html.replace("style='--gate:", ""))


@pytest.mark.parametrize(
    ("size", "shown"), [(None, "unknown"), (148, "148 bytes"), (49_400, "49 kB"), (2.3e6, "2.3 MB")]
)
def test_bytes_for_a_reader(size, shown):
    assert page.amount(size) == shown


@pytest.mark.parametrize(("line", "asked"), [("Who?", True), ("Who.", False), ('"Who?!"', True)])
def test_a_question_by_its_mark(line, asked):
    assert is_question(line) is asked


MESSAGES = [{"role": "Ann", "content": "Hi."}, {"role": "Bob", "content": "Hello."}]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Ann: Hi.\n\n  Bob: Hello. \n", "pasted text"),
        (b"\xef\xbb\xbfAnn: Hi.\r\nBob: Hello.", "talk.txt"),
        (json.dumps({"messages": MESSAGES}), "pasted text"),
        (json.dumps({"text": "Ann: Hi.\nBob: Hello."}).encode(), "talk.JSONL"),
    ],
)
def test_a_conversation_that_is_given(content, name):
    assert told_lines(content, name) == ["Ann: Hi.", "Bob: Hello."]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("  \n", r"talk\.jsonl: found no text"),
        (b"\xff\xfe", r"talk\.jsonl: not readable as UTF-8"),
        (b"a\0b", r"talk\.jsonl: found a zero byte"),
        ("x" * (LONGEST + 1), rf"talk\.jsonl: found {LONGEST + 1} characters"),
        ("x" * (4 * LONGEST + 1), rf"talk\.jsonl: found more than {LONGEST} characters"),
        ('{"text": 3}', r"^talk\.jsonl: line 1: text: found 3"),
        ("{", r"^talk\.jsonl: line 1: not readable as JSON"),
    ],
)
def test_a_text_that_is_refused(content, message):
    with pytest.raises(UserError, match=message):
        told_lines(content, "talk.jsonl")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "--host and --port go with --web"),
        (["--web"], r"--web needs Gradio 6; install it with: pip install '.[web]'"),
    ],
)
def test_the_command_refuses_in_one_line(arguments, message):
    if "--web" in arguments and find_spec("gradio"):
        pytest.skip("Gradio is there")
    command = [sys.executable, "-m", "ttt_memory.chat.terminal", *arguments]
    result = subprocess.run(
        command, cwd=ROOT / "workflow" / "scripts", capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")
