"""What the page shows of a conversation, without a browser: places, bytes, shades, given texts."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

from clone import ROOT
from conversation_models import fast_weights, prompter
from ttt_memory.chat.conversation import ANSWER_TOKENS, Chat, is_question
from ttt_memory.chat.given_texts import LONGEST, told_lines
from ttt_memory.chat.session import (
    AWAY,
    BROUGHT_BACK,
    CONTEXT,
    DROPPED,
    FAST_WEIGHTS,
    GONE,
    NOTHING,
    PUT_AWAY,
    Happened,
    Session,
    Told,
    named,
)
from ttt_memory.chat.web import page
from ttt_memory.chat.words import WORDS
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import save_state
from ttt_memory.fast_weights.contributions import shares

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
    assert told[CONTEXT] == talk.chat.ask(QUESTION, CONTEXT).text != told[NOTHING]
    talk.drop()
    dropped = talk.ask(QUESTION).answers
    assert dropped[CONTEXT] is None
    assert dropped[FAST_WEIGHTS] == talk.chat.ask(QUESTION, FAST_WEIGHTS).text
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
    happened = [event.what for event in talk.events if isinstance(event, Happened)]
    assert happened == [DROPPED, PUT_AWAY, DROPPED, BROUGHT_BACK]
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


def scattered(**config) -> Session:
    """A session whose own parameters are random: a new gate lets every token in alike."""
    talk = Session(Chat(fast_weights(**config), prompter()))
    torch.manual_seed(0)
    for parameter in talk.chat.fw.fast_parameters():
        torch.nn.init.normal_(parameter)
    return talk


def test_a_word_is_as_dark_as_its_widest_gate():
    """Against the gates of the pass that writes; the words of a line make up the line."""
    talk = scattered(gate="top")
    talk.tell([FACT, OTHER])
    chat = talk.chat
    gates = chat.fw.write(torch.tensor([chat._text()])).gates
    opened = torch.stack(list(gates.values()))[:, 0].amax(0)
    talk.drop()
    told = [event for event in talk.events if isinstance(event, Told)]
    words = [word for event in told for word in event.written.words]
    assert len({round(gate, 4) for _, gate in words}) > 5
    number = next(gate for word, gate in words if word == "40713.")
    digits = chat.prompter.ids([FACT[: FACT.index("40713")], "40713."])
    begin = len(digits[0]) - 1  # the space before the number is a part of its first token
    widest = float(opened[begin : begin + 1 + len(digits[1])].detach().max())
    assert number == pytest.approx(widest, abs=1e-4)
    assert ["".join(word for word, _ in event.written.words) for event in told] == [FACT, OTHER]


def test_without_a_gate_every_word_is_written_whole():
    talk = Session(Chat(fast_weights(gate="none"), prompter()))
    talk.tell(["One two"])
    talk.drop()
    assert talk.events[0].written.words == (("One", 1.0), (" ", 0.0), ("two", 1.0))


def test_what_a_last_chunk_leaves_out_is_not_shaded():
    talk = Session(Chat(fast_weights(gate="none", flush=False), prompter()))
    talk.tell([FACT])
    ids = talk.chat._text()
    assert 8 < len(ids) < 16  # a whole chunk and a part of one
    talk.drop()
    gates = [gate for _, gate in talk.events[0].written.words]
    assert (gates[0], gates[-1]) == (1, 0)
    assert len(talk.events[0].written.tokens[0]) == 8


def test_a_dropped_text_is_processed_once():
    talk, passes = session(), []
    talk.chat.fw.model.get_decoder().register_forward_hook(lambda *_: passes.append(1))
    talk.tell([FACT])
    talk.drop()
    assert len(passes) == 1


@torch.no_grad()
def shares_of_words(talk: Session, lines: list[str]) -> list[list[float]]:
    """The oracle: the answer token by token, then one pass over it, then each token to its words.

    `lines` are all that was written, as one text.
    """
    fw, prompts, state = talk.chat.fw, talk.chat.prompter, talk.chat.state
    (ids,) = prompts.ids([prompts.question(QUESTION, "en")])
    asked, said = len(ids), []
    while prompts.end not in said and len(said) < ANSWER_TOKENS:
        logits = fw.read(state, torch.tensor([[*ids, *said]])).logits
        said.append(int(logits[0, -1].argmax()))
    said = [token for token in said if token != prompts.end]
    kept = {}
    hooks = [
        down.register_forward_pre_hook(lambda _, args, i=i: kept.update({i: args[0]}))
        for i, down in fw.down_projs.items()
    ]
    fw.read(state, torch.tensor([[*ids, *said]]))
    for hook in hooks:
        hook.remove()
    found = shares(state, {i: z[:, asked - 1 : -1] for i, z in kept.items()})
    text = "\n".join(lines)
    spans = prompts.tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    given, start = [], 0
    for line in lines:
        given.append([])
        for word in WORDS.finditer(line):
            begin, end = start + word.start(), start + word.end()
            given[-1].append(0.0)
            for layer in found.values():
                for (a, b), share in zip(spans, layer.tolist(), strict=True):
                    own = [c for c in range(a, b) if begin <= c < end and not text[c].isspace()]
                    others = {m.span() for m in WORDS.finditer(text) if not m[0].isspace()}
                    touched = [s for s in others if s[0] < b and s[1] > a]
                    given[-1][-1] += share / len(touched) if own else 0
        start += len(line) + 1
    return given


@pytest.mark.parametrize(("update", "other"), [("mesa", OTHER), ("hebbian", "No.")])
def test_an_answer_names_the_words_that_it_was_read_from(update, other):
    """Against the oracle; what the lines lack to 1 comes from tokens between the words.

    Of a longer text the Hebbian rule keeps the sum alone.
    """
    talk = scattered(update=update, gate="none")
    talk.tell([FACT, other])
    talk.drop()
    read = talk.ask(QUESTION).read
    expected = shares_of_words(talk, [FACT, other])
    assert sorted("".join(word for word, _ in line.words) for line in read) == sorted([FACT, other])
    assert read[0].share >= read[1].share
    for line in read:
        wanted = expected[[FACT, other].index("".join(word for word, _ in line.words))]
        assert [share for _, share in line.words] == pytest.approx(wanted, abs=2e-3)
        assert line.share == pytest.approx(sum(wanted), abs=2e-3)
    assert max(share for line in read for _, share in line.words) > 0.05


def test_words_are_named_only_while_the_fast_weights_hold_them_one_by_one(tmp_path):
    """Not those of another state, of a file, or of a text that was summed up."""
    talk = scattered(gate="none")
    talk.tell([FACT])
    assert talk.ask(QUESTION).read == ()  # from the context
    talk.drop()
    talk.chat.save(tmp_path / "state")
    first = talk.ask(QUESTION).read
    talk.forget()
    talk.tell([OTHER])
    talk.drop()
    assert ["".join(w for w, _ in line.words) for line in talk.ask(QUESTION).read] == [OTHER]
    talk.remember()
    assert talk.ask(QUESTION).read == first
    talk.load(tmp_path / "state")
    assert named(talk.ask(QUESTION)) == []
    talk.tell(["The key is green."])
    talk.drop()
    (line,) = talk.ask(QUESTION).read
    assert sum(share for _, share in line.words) == pytest.approx(line.share)
    talk.tell([f"Number {number} is {number}." for number in range(40)])
    talk.drop()
    assert talk.chat.state.layers[0].written.token_count == 0
    assert named(talk.ask(QUESTION)) == []


def test_markup_is_shown_as_text():
    talk = session()
    talk.tell([MARKUP])
    told = page.conversation(talk.events)
    talk.drop()
    talk.ask(f"{MARKUP}?")
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
        ("\n".join(map(json.dumps, MESSAGES)), "pasted text"),
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
