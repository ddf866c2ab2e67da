"""Somebody who uses the page of a memory in Chromium, and what they tell and ask it."""

from pathlib import Path

import pytest

from clone import ROOT
from ttt_memory.chat.terminal import SHIPPED
from ttt_memory.conversation.config.training import ADAPTER
from ttt_memory.conversation.models import lora

pytest.importorskip("gradio", reason="Gradio is missing: pip install '.[web]'")
pytest.importorskip("playwright.sync_api", reason="Playwright is missing")
from playwright.sync_api import Browser, expect

BASE = ROOT / lora.base_name(ROOT / SHIPPED / ADAPTER)
NEEDS_BASE = pytest.mark.skipif(
    not BASE.is_dir(), reason=f"{BASE} is missing: make test-web fetches it"
)
FACT, QUESTION = (
    "Alice: My badge number is 40713 and I live in Lisbon.",
    "What is the badge number of Alice?",
)
WAIT = 240_000  # milliseconds for an answer


class Visitor:
    """A browser of somebody: their own context, and the hosts that it asked."""

    def __init__(self, browser: Browser, address: str, **options: object) -> None:
        self.page = browser.new_context(**options).new_page()
        self.hosts: set[str] = set()
        self.page.on("request", lambda request: self.hosts.add(request.url))
        self.page.set_default_timeout(WAIT)
        expect.set_options(timeout=WAIT)
        self.page.goto(address)
        self.box = self.page.get_by_label("Tell something")
        self.talk = self.page.get_by_role("region", name="Conversation")
        self.status = self.page.locator("#status[role=status]")  # Gradio has another
        expect(self.status).to_have_text("Ready.")

    def press(self, name: str, said: str, line: str | None = None) -> None:
        """Press a button, with `line` in the text box, and wait for the status `said`."""
        if line is not None:
            self.box.fill(line)
        self.page.get_by_role("button", name=name, exact=True).click()
        expect(self.status).to_contain_text(said)

    def answers(self, question: str = QUESTION) -> dict[str, str]:
        """Ask; the answer under each heading."""
        asked = self.talk.locator(".asked")
        before = asked.count()
        self.box.fill(question)
        self.page.get_by_role("button", name="Ask", exact=True).click()
        expect(asked).to_have_count(before + 1)
        answers = asked.last.locator(".answer")
        return dict(text.split("\n", 1) for text in answers.all_inner_texts())

    def remembers(self) -> bool:
        """Whether the fast weights answer the question right."""
        return self.answers()["From fast weights"] == "40713"

    def give(self, name: str, path: Path, said: str) -> None:
        """Upload a file, and wait for the status `said`."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=name, exact=True).click()
        chooser.value.set_files(path)
        expect(self.status).to_contain_text(said)
