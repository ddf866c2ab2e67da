"""The chat: what each answer may come from, and that dropped text is really gone."""

import copy
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conversation_models import fast_weights, learned_fast_weights, model, prompter
from pseudo_terminal import Terminal, plain
from ttt_memory.chat import conversation, prompt
from ttt_memory.chat.conversation import ANSWER_TOKENS, Chat, open_run
from ttt_memory.chat.line_chat import BY_ITSELF, EMPTY, FORGOTTEN, UNTRAINED, LineChat
from ttt_memory.chat.session import Session
from ttt_memory.chat.web import page
from ttt_memory.conversation.models.trained_run import save_run
from ttt_memory.conversation.recall.naive import answer_naive, write_naive
from ttt_memory.conversation.recall.write_dialogues import write_texts
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeightsConfig, inject, save

ROOT = Path(__file__).resolve().parents[2]
FACT, QUESTION = "My badge number is 40713.", "What is the badge number?"


def chat() -> LineChat:
    return LineChat(Session(Chat(learned_fast_weights(), prompter())))


def said(source: str, talk: Chat, state) -> str:
    """The oracle's answer, one token at a time."""
    (question,) = prompter().ids([prompter().question(QUESTION, "en")])
    text = answer_naive(talk.chat.fw, prompter(), question, state, ANSWER_TOKENS).text
    return f"[from {source}] {text}"


def test_forgotten_and_remembered():
    """Context, then fast weights, then nothing, then fast weights again."""
    talk = chat()
    (ids,) = prompter().ids([FACT])
    empty, written = talk.chat.fw.empty_state(1), write_naive(talk.chat.fw, [ids])
    by_itself = said("nothing", talk, empty)
    assert talk.say(QUESTION) == f"{by_itself}\n{BY_ITSELF}"
    assert talk.say(FACT) == f"[told, {len(ids)} tokens in context]"
    assert talk.say(QUESTION).startswith("[from context]")
    assert talk.say("/drop").startswith(f"[dropped; {len(ids)} tokens")
    assert talk.chat.told == []
    with_memory = said("fast weights", talk, written)
    assert talk.say(QUESTION) == with_memory
    talk.say("/forget")
    assert talk.say(QUESTION) == f"{by_itself}\n{FORGOTTEN}"
    talk.say("/remember")
    assert talk.say(QUESTION) == with_memory
    talk.say("/new")
    assert talk.say(QUESTION) == f"{by_itself}\n{BY_ITSELF}"


def test_a_text_of_which_nothing_is_written_is_not_dropped():
    """As in the run b-mini, which leaves out a part of less than a chunk."""
    fw = inject(model(), FastWeightsConfig(layers=(0,), chunk=512, flush=False))
    talk = LineChat(Session(Chat(fw, prompter())))
    talk.say(FACT)
    with pytest.raises(UserError, match=r"nothing was written.* less than 512 tokens"):
        talk.say("/drop")
    assert talk.chat.told == [FACT]
    assert talk.say(QUESTION).startswith("[from context]")


def test_an_answer_that_is_interrupted_loses_nothing(monkeypatch, capsys):
    talk, say = chat(), LineChat.say

    def interrupted(self, line):
        if line == QUESTION:
            raise KeyboardInterrupt
        return say(self, line)

    monkeypatch.setattr(LineChat, "say", interrupted)
    prompt.talk(talk, [FACT, QUESTION, "/drop"], echo=False)
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "[interrupted]"
    assert said[2].startswith("[dropped; ")
    with pytest.raises(KeyboardInterrupt):
        prompt.talk(talk, [QUESTION], echo=True)


def test_what_is_put_away_outlives_another_text():
    """A text dropped meanwhile begins fast weights of its own; `/remember` changes the two."""
    talk = chat()
    for line in (FACT, "/drop"):
        talk.say(line)
    first = talk.say(QUESTION)
    for line in ("/forget", "He lives in Lisbon.", "/drop"):
        talk.say(line)
    second = talk.say(QUESTION)
    with pytest.raises(UserError, match="others are put away already"):
        talk.say("/forget")
    talk.say("/remember")
    assert talk.say(QUESTION) == first
    talk.say("/remember")
    assert talk.say(QUESTION) == second != first


def test_what_cannot_be_read_does_not_take_the_place_of_what_could(monkeypatch):
    talk = chat()
    for line in (FACT, "/drop"):
        talk.say(line)
    before = talk.say(QUESTION)
    talk.say("He lives in Lisbon.")

    def broken(*args):
        return write_texts(*args).scale(math.nan)

    monkeypatch.setattr(conversation, "write_texts", broken)
    with pytest.raises(UserError, match="the fast weights are not finite"):
        talk.say("/drop")
    assert talk.chat.told == ["He lives in Lisbon."]
    talk.chat.told.clear()
    assert talk.say(QUESTION) == before


@pytest.mark.parametrize("mark", ["?", "？", "؟", "⁇", "?!", '?"', "?)"])
def test_a_question_may_end_in_other_marks(mark):
    assert chat().say(f"Where is the key{mark}").startswith("[from nothing]")


def test_a_second_text_goes_on_top_of_the_first():
    """Two drops are two texts, read in order into one state."""
    talk = chat()
    first, second = prompter().ids([FACT, "He lives in Lisbon."])
    for line in (FACT, "/drop", "He lives in Lisbon.", "/drop"):
        talk.say(line)
    with torch.no_grad():
        state = talk.chat.fw.write(torch.tensor([first])).state
        state = talk.chat.fw.write(torch.tensor([second]), state=state).state
    for i, layer in state.layers.items():
        torch.testing.assert_close(
            talk.chat.state.layers[i].written.to_dense(), layer.written.to_dense()
        )


def test_lines_of_a_text_are_one_text():
    """Told line by line, dropped at once."""
    talk = chat()
    for line in (FACT, "He lives in Lisbon.", "/drop"):
        talk.say(line)
    (ids,) = prompter().ids([FACT + "\nHe lives in Lisbon."])
    expected = write_naive(talk.chat.fw, [ids])
    for i, layer in expected.layers.items():
        torch.testing.assert_close(
            talk.chat.state.layers[i].written.to_dense(), layer.written.to_dense()
        )


def test_a_state_is_kept_in_a_file(tmp_path, monkeypatch):
    """Saved by one chat, asked in another; a state of other fast weights is refused."""
    first, second = chat(), chat()
    monkeypatch.setenv("HOME", str(tmp_path))
    for line in (FACT, "/drop", "/save ~/state"):
        first.say(line)
    assert (tmp_path / "state").is_file()
    second.say("/load ~/state")
    assert second.say(QUESTION) == first.say(QUESTION)
    other = chat()
    other.chat.fw.config = other.chat.fw.config.model_copy(update={"layers": (0,)})
    with pytest.raises(UserError, match="written by other fast weights"):
        other.say(f"/load {tmp_path / 'state'}")
    assert other.chat.state is None


def test_a_text_longer_than_the_models_positions():
    """Not asked of from the context; dropped piece by piece, and asked of from the fast weights."""
    talk = chat()
    (ids,) = prompter().ids([FACT])
    talk.chat.prompter = copy.copy(talk.chat.prompter)
    talk.chat.prompter.opening = [talk.chat.prompter.end] * 3
    (question,) = talk.chat.prompter.ids([talk.chat.prompter.question(QUESTION, "en")])
    needed = 3 + len(question) + ANSWER_TOKENS
    talk.chat.fw.model.config.max_position_embeddings = needed - 1
    with pytest.raises(UserError, match=f"take {needed} tokens; .*: ask less at once"):
        talk.say(QUESTION)
    talk.say(FACT)
    with pytest.raises(UserError, match=f"take {needed + len(ids)} .*: drop the text first"):
        talk.say(QUESTION)
    talk.chat.fw.model.config.max_position_embeddings = 2 * ANSWER_TOKENS
    talk.say(" ".join([FACT] * 40))
    assert len(talk.chat._text()) > 4 * ANSWER_TOKENS
    talk.say("/drop")
    assert int(talk.chat.state.written) > 4 * ANSWER_TOKENS
    assert talk.say(QUESTION).startswith("[from fast weights]")
    with pytest.raises(UserError, match="write it in pieces"):
        talk.chat.fw.write(torch.ones(1, 2 * ANSWER_TOKENS + 1, dtype=torch.long))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/drop", "no text to drop"),
        ("/forget", "no fast weights"),
        ("/remember", "nothing has been forgotten"),
        ("/save x", "there are no fast weights"),
        ("/load", "expected the name"),
        ("/load nowhere", "no such file"),
        ("/lose", "no such command; .*'/quit'"),
    ],
)
def test_what_cannot_be_done(line, message):
    """One line that says what was expected."""
    with pytest.raises(UserError, match=message):
        chat().say(line)


def test_pasted_lines_are_one_text():
    """With a question among them, too; JSONL is taken as on the page."""
    talk = chat()
    said = talk.say("Alice: Where is it?\nBob: In Lisbon.\n")
    assert re.fullmatch(r"\[2 lines told, \d+ tokens in context\]", said)
    assert talk.chat.told == ["Alice: Where is it?", "Bob: In Lisbon."]
    talk.say('{"messages": [{"role": "Ann", "content": "Hi."}]}')
    assert talk.chat.told[-1] == "Ann: Hi."


def test_why_names_the_words_that_an_answer_was_read_from():
    talk = LineChat(Session(Chat(fast_weights(gate="none"), prompter())))
    torch.manual_seed(0)
    for parameter in talk.chat.fw.fast_parameters():
        torch.nn.init.normal_(parameter)
    talk.say(FACT)
    talk.say(QUESTION)
    with pytest.raises(UserError, match="/why: the last answer is not from fast weights"):
        talk.say("/why")
    talk.say("/drop")
    talk.say(QUESTION)
    first, line = talk.say("/why").splitlines()
    assert first.startswith("[read from")
    share, words = line.split(maxsplit=1)
    assert re.sub(r"\(-?\d+%\)", "", words) == FACT
    (read,) = talk.session.events[-1].read
    assert share == f"{read.share:.0%}"
    shown = dict(re.findall(r"(\S+?)\((\d+)%\)", words))
    wanted = {word: f"{100 * share:.0f}" for word, share in read.words if share >= 0.03}
    assert shown == wanted != {}


def test_fast_weights_of_which_nothing_is_written_say_so():
    """A saved state may be empty."""
    talk = chat()
    talk.chat.state = talk.chat.fw.empty_state(1)
    assert talk.say(QUESTION).startswith("[from fast weights]")
    assert talk.say(QUESTION).endswith(EMPTY)


def test_a_memory_that_has_learned_nothing_says_so():
    """Not of the answers that come from elsewhere, and not once a part of it has changed."""
    talk = LineChat(Session(Chat(fast_weights(), prompter())))
    talk.say(FACT)
    assert talk.say(QUESTION).startswith("[from context]")
    talk.say("/drop")
    answer = talk.say(QUESTION)
    assert answer.startswith("[from untrained fast weights]")
    assert answer.endswith(UNTRAINED)
    assert page.UNTRAINED in page.conversation(talk.session.events)
    trained = chat()
    for line in (FACT, "/drop"):
        trained.say(line)
    assert UNTRAINED not in trained.say(QUESTION)
    assert page.UNTRAINED not in page.conversation(trained.session.events)


def test_the_command_on_a_run_and_on_an_adapter(tmp_path):
    """A trained run's folder by its own base, saved fast weights by --base; from standard input."""
    fw = learned_fast_weights()
    save_run(fw, tmp_path / "run", fw.model, prompter().tokenizer)
    save(fw, tmp_path / "adapter")
    with pytest.raises(UserError, match="name one with --base"):
        open_run(tmp_path / "adapter", None, torch.device("cpu"))
    with pytest.raises(UserError, match="holds its own base model"):
        open_run(tmp_path / "run", tmp_path / "other", torch.device("cpu"))
    lines = [FACT, "/drop", QUESTION, "/lose", "/forget", QUESTION, "/quit now", FACT]
    script = "\ufeff" + "\n".join(lines)
    outputs = []
    for arguments in (
        ["--model", tmp_path / "run"],
        ["--model", tmp_path / "adapter", "--base", tmp_path / "run" / "base"],
    ):
        result = subprocess.run(
            [sys.executable, "-m", "ttt_memory.chat.terminal", "--device", "cpu", *arguments],
            input=script,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "workflow" / "scripts")},
        )
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    talk = chat()
    expected = [talk.say(line) for line in (FACT, "/drop", QUESTION)]
    assert [line for line in outputs[0].splitlines() if line in expected] == expected
    assert "error: /lose: no such command" in outputs[0]
    assert outputs[0].splitlines()[0] == f"> {FACT}"  # without the byte-order mark
    assert outputs[0].splitlines()[-1] == "> /quit now"
    assert "\x1b" not in outputs[0]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory) -> Path:
    """A trained run that the command can open."""
    folder, fw = tmp_path_factory.mktemp("run"), learned_fast_weights()
    save_run(fw, folder, fw.model, prompter().tokenizer)
    return folder


@pytest.fixture
def window(run_folder):
    """The command in a terminal."""
    command = [sys.executable, "-m", "ttt_memory.chat.terminal", "--device", "cpu"]
    opened = Terminal([*command, "--model", run_folder], ROOT / "workflow" / "scripts")
    yield opened
    opened.close()


def test_in_a_terminal(window):
    """Typed, pasted, repeated from the history; an answer has the colour of its source."""
    assert "/why" in plain(window.until(r"\?2004h"))  # the prompt takes pastes
    window.type(f"{FACT}\r")
    window.until(r"\[told, \d+ tokens in context\]")
    window.type(f"{QUESTION}\r")
    window.until(r"\x1b\[36m\[from context\]")
    window.type("/drop\r")
    window.until(r"\[dropped; \d+ tokens")
    window.type(f"{QUESTION}\r")
    window.until(r"\x1b\[32m\[from fast weights\]")
    window.type("/lose\r")
    window.until(r"\x1b\[31merror: /lose: no such command")
    window.type("\x1b[A\x1b[A\r")  # the line before the last one, again
    window.until(r"\x1b\[32m\[from fast weights\]")
    window.type("\x1b[200~Ann: Hello.\r\nBob: Who is it?\r\nAnn: I am.\x1b[201~")
    window.type("\r")
    window.until(r"\[3 lines told, \d+ tokens in context\]")
    window.type("/new\r")
    window.until(r"\[anew\]")
    window.type(f"{QUESTION}\r")
    window.until(r"\x1b\[33m\[from nothing\]")
    window.until(re.escape(BY_ITSELF))
    window.until(r"\?2004h")  # before the prompt is there, Ctrl+C is the terminal's own
    window.type("half a line\x03")
    window.until(re.escape(prompt.LEAVING))
    window.until(r"\?2004h")  # nor is Ctrl+D the prompt's before it is there
    window.type("\x04")
    window.rest()
    assert window.process.returncode == 0


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_only_where_they_are_wanted(environment, coloured):
    code = "from ttt_memory.chat.prompt import show; show('[from context] Lisbon')"
    paths = {"PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    window = Terminal([sys.executable, "-c", code], ROOT, **paths, **environment)
    said = window.rest()
    window.close()
    assert plain(said).strip() == "[from context] Lisbon"
    assert ("\x1b" in said) is coloured
