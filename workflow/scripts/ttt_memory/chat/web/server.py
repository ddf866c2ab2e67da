"""The chat as a page in the browser, by Gradio. Every browser has a conversation of its own.

The page takes nothing from other hosts and tells them nothing. What its buttons do is in `actions`;
whatever happens, the whole page is drawn again.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import gradio as gr

from ...conversation.prompts.prompter import Prompter
from ...errors import UserError
from ...fast_weights import FastWeights
from ..conversation import Chat
from ..given_texts import LONGEST
from ..session import Session
from . import guide, page
from .actions import (
    Action,
    ask,
    drop,
    forget,
    load,
    new,
    remember,
    say,
    show,
    tell,
    upload,
    write_another,
)
from .examples import EXAMPLES
from .scores import how_often

LARGEST_FILE = "64mb"  # of an upload; the state of a large model takes tens of MB
HOUR = 3600
STATE_FILE = "memory.safetensors"
SAVED = "Saved: download the file. What was told can be read out of it: keep it safe."
STOPPED = "A browser left: what it asked for was stopped."
HERE = Path(__file__).parent
OF_THE_BOX = (tell, ask, write_another)  # take what is in the box
INTRO = (
    "<h1>A memory in fast weights</h1><p>A model reads a text and changes some of its own weights."
    " Then the text is thrown away. Can it still answer? Three presses show it, on a line that is"
    " in the box already or on one of yours.</p>"
)
TO_THE_END = """() => {
  const talk = document.getElementById('conversation');
  talk.querySelector('.talk > li:last-child')?.scrollIntoView({block: 'nearest'});
  talk.scrollTop = talk.scrollHeight;
}"""


class Left(Exception):
    """The browser that asked for something is gone."""


class Page:
    """The page of one model, which lies in the folder `model`."""

    def __init__(self, fw: FastWeights, prompter: Prompter, model: str | Path) -> None:
        self.fw, self.prompter = fw, prompter
        self.layers = fw.model.config.num_hidden_layers
        self.at_work: dict[str, threading.Event] = {}  # browsers, and whether they have left
        with gr.Blocks(
            title="ttt-memory", analytics_enabled=False, delete_cache=(HOUR, HOUR)
        ) as self.blocks:
            self.session = gr.State(None)
            _html(INTRO, "intro")
            self.steps = _html(page.steps(guide.TELL), "steps")
            with gr.Row():
                with gr.Column(scale=3, min_width=320, elem_classes="panel"):
                    buttons = self._left()
                    examples = self._examples(how_often(model))
                with gr.Column(scale=2, min_width=320, elem_classes="panel"):
                    buttons |= self._right()
            self._connect(buttons)
            for button, example in zip(examples, EXAMPLES, strict=True):
                self._on(button.click, show(example))
            self.blocks.load(None, js=_script())
            self.blocks.unload(self._leave)

    def _left(self) -> dict[Action, gr.Button]:
        self.talk = _html(page.conversation([]), "conversation")
        self.status = _html(page.status("Ready."), "status")
        self.said = gr.Textbox(
            label="Tell something, paste a conversation (text or JSONL), or ask",
            placeholder="Tell more, or ask.",
            value=guide.suggestion(None),
            lines=1,
            max_lines=8,
            max_length=LONGEST,
            elem_id="said",
        )
        with gr.Row():
            self.next = {
                guide.TELL: gr.Button("Tell", variant="primary", min_width=70),
                guide.DROP: gr.Button("Drop the context", min_width=150),
                guide.ASK: gr.Button("Ask", min_width=70),
            }
        with gr.Row(elem_classes="more"):
            uploading = gr.UploadButton(
                "Upload a conversation", size="sm", min_width=150, elem_id="upload"
            )
            beginning = gr.Button("Start over", size="sm", min_width=90)
        telling, dropping, asking = self.next.values()
        steps = {tell: telling, drop: dropping, ask: asking}
        return {**steps, upload: uploading, new: beginning}

    def _examples(self, scores: str) -> list[gr.Button]:
        with gr.Row(elem_classes="more"):
            buttons = [gr.Button(f"Play: {e.name}", size="sm", min_width=150) for e in EXAMPLES]
        _html(page.scores(scores), "scores")
        return buttons

    def _right(self) -> dict[Action, gr.Button]:
        empty = Session(Chat(self.fw, self.prompter))
        self.memory = _html(page.memory(empty.sizes(), self.layers), "memory")
        with gr.Row():
            forgetting = gr.Button("Forget", min_width=110)
            remembering = gr.Button("Remember", min_width=110)
        with gr.Row():
            self.save = gr.Button("Save", min_width=110)
            loading = gr.UploadButton("Load", min_width=110, elem_id="load")
        self.download = gr.DownloadButton("Download", visible=False, elem_id="download")
        another = gr.Button("Write another conversation into the same memory", elem_id="another")
        _html(page.legend(), "legend")
        kept = {forget: forgetting, remember: remembering, load: loading}
        return {**kept, write_another: another}

    def _connect(self, buttons: dict[Action, gr.Button]) -> None:
        for action, button in buttons.items():
            if isinstance(button, gr.UploadButton):
                self._on(button.upload, action, button)
            else:
                self._on(button.click, action, self.said if action in OF_THE_BOX else None)
        self._on(self.said.submit, say, self.said)
        self._event(self.save.click, self._save, [self.session], [self.download, self.status])

    def _on(self, listen: Callable, action: Action, given: gr.Component | None = None) -> None:
        """Carry out `action` on an event, and draw the page after each line that it yields."""
        taken = given is self.said
        inputs = [self.session, self.said, *([] if given in (None, self.said) else [given])]
        drawn = [self.session, self.talk, self.memory, self.status, self.steps, self.download]
        outputs = [*drawn, *self.next.values(), self.said]

        def carry_out(
            session: Session | None, said: str, request: gr.Request, *values: str
        ) -> Iterator[list]:
            session = session or Session(Chat(self.fw, self.prompter))
            box = said
            try:
                for line in self._lines(action(session, *([said] if taken else values)), request):
                    offered = "" if taken else guide.offered(session, box)
                    # What is typed meanwhile stays.
                    change = gr.skip() if offered == box else offered
                    yield [*self._drawn(session, page.status(line), busy=True), change]
                    box = offered
                yield [*self._drawn(session, page.status(line)), gr.skip()]
            except UserError as error:
                yield [*self._drawn(session, page.status(str(error), refused=True)), gr.skip()]
            except Left:
                print(STOPPED, flush=True)

        self._event(listen, carry_out, inputs, outputs).then(None, js=TO_THE_END)

    def _lines(self, lines: Iterator[str], request: gr.Request) -> Iterator[str]:
        """The lines of an action, as long as the browser is there."""
        left = self.at_work[request.session_hash] = threading.Event()
        try:
            while True:
                with self._stopped_by(left):
                    line = next(lines, None)
                if line is None:
                    return
                yield line
        finally:
            self.at_work.pop(request.session_hash, None)

    @contextmanager
    def _stopped_by(self, left: threading.Event) -> Iterator[None]:
        """Look whether to go on before each pass of the model, so before each part of a word."""

        def look(*_: object) -> None:
            if left.is_set():
                raise Left

        hook = self.fw.model.register_forward_pre_hook(look)
        try:
            yield
        finally:
            hook.remove()

    def _leave(self, request: gr.Request) -> None:
        if left := self.at_work.get(request.session_hash):
            left.set()

    def _drawn(self, session: Session, status: str, busy: bool = False) -> list:
        """All of the page; the steps wait while an action is at work."""
        step = guide.next_step(session)
        return [
            session,
            page.conversation(session.events),
            page.memory(session.sizes(), self.layers),
            status,
            page.steps(step),
            gr.DownloadButton(visible=False),  # of fast weights as they were
            *(
                gr.Button(variant="primary" if at == step else "secondary", interactive=not busy)
                for at in self.next
            ),
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
        return [button, page.status(SAVED)]

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


def _script() -> str:
    """What the page does by itself in the browser, with the lines that the box may offer."""
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return script.replace("SUGGESTIONS", json.dumps(guide.suggestions()))


def serve(fw: FastWeights, prompter: Prompter, model: str | Path, host: str, port: int) -> None:
    """Serve the page of the model in the folder `model` until the process is interrupted.

    Raises:
        UserError: the address cannot be used.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with TemporaryDirectory(prefix="ttt-chat-") as folder:
        # Files of all sessions go with the server.
        os.environ["GRADIO_TEMP_DIR"] = folder
        blocks = Page(fw, prompter, model).blocks
        css = (HERE / "page.css").read_text(encoding="utf-8")
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
