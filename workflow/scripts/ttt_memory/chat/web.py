"""The chat as a page in the browser, by Gradio. Every browser has a conversation of its own.

The page takes nothing from other hosts and tells them nothing. Every action is a generator: it
changes the session and yields lines for the reader; the page is drawn again after each of them.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import gradio as gr

from ..conversation.prompts.prompter import Prompter
from ..errors import UserError
from ..fast_weights import FastWeights
from . import page
from .conversation import Chat, is_question
from .examples import EXAMPLES, Example
from .given_texts import LONGEST, told_lines
from .session import Session

Action = Callable[..., Iterator[str]]
LARGEST_FILE = "64mb"  # of an upload; the state of a large model takes tens of MB
HOUR = 3600
STATE_FILE = "memory.safetensors"
INTRO = (
    "<h1>A memory in fast weights</h1><p>Tell the model something. Drop it: the text and its KV"
    " cache are thrown away, and the fast weights of a layer are all that is left. Then ask. The"
    " examples are chosen: of new questions, most are not answered right.</p>"
)
# Gradio gives its own containers no role: what changes is read out, and what scrolls has a name.
ON_LOAD = """() => {
  const set = (id, names) => Object.entries(names).forEach(
    ([name, value]) => document.getElementById(id)?.setAttribute(name, value));
  set('status', {role: 'status', 'aria-live': 'polite'});
  set('conversation', {role: 'region', 'aria-label': 'Conversation', tabindex: '0'});
}"""
TO_THE_END = """() => {
  const talk = document.getElementById('conversation');
  talk.scrollTop = talk.scrollHeight;
}"""


def tell(session: Session, said: str) -> Iterator[str]:
    """Take a line, or the lines of a conversation that was pasted."""
    lines = told_lines(said)
    session.tell(lines)
    yield f"Told: {session.chat.context_tokens():,} tokens in the context."


def ask(session: Session, question: str) -> Iterator[str]:
    """Answer a question from every source."""
    if len(lines := told_lines(question)) > 1:
        raise UserError(f"found {len(lines)} lines, expected one question")
    session.ask(lines[0])
    yield "Answered."


def say(session: Session, said: str) -> Iterator[str]:
    """A line as the terminal takes it: a question if it ends in a question mark."""
    question = is_question(said.strip()) and "\n" not in said.strip()
    yield from (ask if question else tell)(session, said)


def drop(session: Session) -> Iterator[str]:
    """Write the text and drop it."""
    session.drop()
    yield "Dropped: the text and its KV cache are gone."


def forget(session: Session) -> Iterator[str]:
    """Put the fast weights away."""
    session.forget()
    yield "Forgotten: the fast weights are put away."


def remember(session: Session) -> Iterator[str]:
    """Bring them back."""
    session.remember()
    yield "Remembered: the fast weights are back."


def new(session: Session) -> Iterator[str]:
    """Begin anew."""
    session.new()
    yield "A new conversation."


def load(session: Session, path: str) -> Iterator[str]:
    """Take the fast weights of an uploaded file."""
    session.load(path)
    yield f"Loaded from {Path(path).name}."


def upload(session: Session, path: str) -> Iterator[str]:
    """Tell the lines of an uploaded file."""
    with open(path, "rb") as file:
        content = file.read(4 * LONGEST + 1)
    lines = told_lines(content, Path(path).name)
    session.tell(lines)
    yield f"Told {len(lines):,} lines of {Path(path).name}."


def show(example: Example) -> Action:
    """An action that goes through the whole of `example`."""

    def whole(session: Session) -> Iterator[str]:
        session.new()
        session.tell(example.lines)
        yield "Told. Asking with the text in the context ..."
        session.ask(example.question)
        yield "Dropping the text ..."
        session.drop()
        yield "Dropped. Asking again ..."
        session.ask(example.question)
        yield "Asked twice: before the text was dropped, and after."

    return whole


class Page:
    """The page of one model."""

    def __init__(self, fw: FastWeights, prompter: Prompter) -> None:
        self.fw, self.prompter = fw, prompter
        self.layers = fw.model.config.num_hidden_layers
        with gr.Blocks(
            title="ttt-memory", analytics_enabled=False, delete_cache=(HOUR, HOUR)
        ) as self.blocks:
            self.session = gr.State(None)
            _html(INTRO, "intro")
            with gr.Row(elem_id="examples"):
                examples = [gr.Button(f"Example: {e.name}", size="sm") for e in EXAMPLES]
            with gr.Row():
                with gr.Column(scale=3, min_width=320, elem_classes="panel"):
                    said, buttons = self._left()
                with gr.Column(scale=2, min_width=320, elem_classes="panel"):
                    more = self._right()
            self._connect(said, {**buttons, **more})
            for button, example in zip(examples, EXAMPLES, strict=True):
                self._on(button.click, show(example))
            self.blocks.load(None, js=ON_LOAD)

    def _left(self) -> tuple[gr.Textbox, dict[Action, gr.Button]]:
        self.talk = _html(page.conversation([]), "conversation")
        self.status = _html(page.status("Ready."), "status")
        said = gr.Textbox(
            label="Tell something, paste a conversation (text or JSONL), or ask",
            placeholder="Alice: My badge number is 40713.",
            lines=1,
            max_lines=8,
            max_length=LONGEST,
            elem_id="said",
        )
        with gr.Row():
            buttons = {
                tell: gr.Button("Tell", min_width=70),
                drop: gr.Button("Drop the context", variant="primary", min_width=140),
                ask: gr.Button("Ask", min_width=70),
            }
        return said, buttons

    def _right(self) -> dict[Action, gr.Button]:
        empty = Session(Chat(self.fw, self.prompter))
        self.memory = _html(page.memory(empty.sizes(), self.layers), "memory")
        _html(page.legend(), "legend")
        with gr.Row():
            forgetting = gr.Button("Forget", min_width=110)
            remembering = gr.Button("Remember", min_width=110)
        with gr.Row():
            self.save = gr.Button("Save", min_width=110)
            loading = gr.UploadButton("Load", min_width=110, elem_id="load")
        self.download = gr.DownloadButton("Download", visible=False, elem_id="download")
        with gr.Row():
            uploading = gr.UploadButton("Upload a conversation", min_width=200, elem_id="upload")
            beginning = gr.Button("New", min_width=80)
        return {
            forget: forgetting,
            remember: remembering,
            load: loading,
            upload: uploading,
            new: beginning,
        }

    def _connect(self, said: gr.Textbox, buttons: dict[Action, gr.Button]) -> None:
        for action, button in buttons.items():
            if action in (tell, ask):
                self._on(button.click, action, said)
            elif isinstance(button, gr.UploadButton):
                self._on(button.upload, action, button)
            else:
                self._on(button.click, action)
        self._on(said.submit, say, said)
        self._event(self.save.click, self._save, [self.session], [self.download, self.status])

    def _on(self, listen: Callable, action: Action, given: gr.Component | None = None) -> None:
        """Carry out `action` on an event, and draw the page after each line that it yields."""
        clears = isinstance(given, gr.Textbox)
        drawn = [self.session, self.talk, self.memory, self.status, self.download]
        inputs = [self.session, *([given] if given else [])]
        outputs = [*drawn, *([given] if clears else [])]

        def carry_out(session: Session | None, *values: str) -> Iterator[list]:
            session = session or Session(Chat(self.fw, self.prompter))
            try:
                for line in action(session, *values):
                    yield [*self._drawn(session, page.status(line)), *([""] if clears else [])]
            except UserError as error:
                kept = [gr.skip()] if clears else []
                yield [*self._drawn(session, page.status(str(error), refused=True)), *kept]

        self._event(listen, carry_out, inputs, outputs).then(None, js=TO_THE_END)

    def _drawn(self, session: Session, status: str) -> list:
        return [
            session,
            page.conversation(session.events),
            page.memory(session.sizes(), self.layers),
            status,
            gr.DownloadButton(visible=False),  # of fast weights as they were
        ]

    def _save(self, session: Session | None) -> list:
        """Write the fast weights into a file that only this page is told of."""
        path = Path(mkdtemp(dir=os.environ["GRADIO_TEMP_DIR"])) / STATE_FILE
        try:
            (session or Session(Chat(self.fw, self.prompter))).chat.save(path)
        except UserError as error:
            return [gr.DownloadButton(visible=False), page.status(str(error), refused=True)]
        label = f"Download {STATE_FILE} ({page.amount(path.stat().st_size)})"
        button = gr.DownloadButton(label, value=str(path), visible=True)
        return [button, page.status("Saved: download the file. It holds its text: keep it safe.")]

    def _event(self, listen: Callable, function: Callable, inputs: list, outputs: list):
        """One event at a time uses the model, whoever asks."""
        return listen(
            function,
            inputs,
            outputs,
            concurrency_limit=1,
            concurrency_id="model",
            show_progress="minimal",
            show_progress_on=[self.status],
            api_visibility="private",
        )


def _html(content: str, name: str) -> gr.HTML:
    """HTML with no look of Gradio's, in an element of that name."""
    return gr.HTML(content, elem_id=name, apply_default_css=False)


def serve(fw: FastWeights, prompter: Prompter, host: str, port: int) -> None:
    """Serve the page until the process is interrupted.

    Raises:
        UserError: the address cannot be used.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with TemporaryDirectory(prefix="ttt-chat-") as folder:
        # Files of all sessions go with the server.
        os.environ["GRADIO_TEMP_DIR"] = folder
        blocks = Page(fw, prompter).blocks
        css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
        fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                share=False,
                ssr_mode=False,
                footer_links=[],
                max_file_size=LARGEST_FILE,
                theme=gr.themes.Base(**fonts),
                css=css,
                enable_monitoring=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise UserError(f"--host {host} --port {port}: {error}") from error
        print(f"The page is at {address} (Ctrl+C ends it)", flush=True)
        blocks.block_thread()
