"""What the page does for somebody who sees it for the first time, and for one who leaves."""

import re
import time
from pathlib import Path

from ttt_memory.chat.web.examples import EXAMPLES
from web_visitor import FACT, NEEDS_BASE, QUESTION, WAIT, Browser, Visitor, expect

pytestmark = NEEDS_BASE

ANOTHER = "Write another conversation into the same memory"


def test_three_presses_lead_through_the_page(visitor: Visitor) -> None:
    """The box holds a line, then the question about it; the button that comes next stands out."""
    step = visitor.page.locator("[aria-current=step] strong")
    first = visitor.page.locator("button.primary")
    for name, offered, said in (
        ("Tell", FACT, "tokens in the context"),
        ("Drop the context", "", "the text and its KV cache are gone"),
        ("Ask", QUESTION, "The text is gone: only the fast weights can have known."),
    ):
        expect(step).to_have_text(name)
        expect(first).to_have_text(name)
        expect(visitor.box).to_have_value(offered)
        visitor.press(name, said)
    expect(visitor.talk.locator(".answer.fast-weights dd")).to_have_text("40713")
    expect(visitor.box).to_have_value("")
    expect(visitor.page.locator("#scores")).to_contain_text(
        "answered 20% right from fast weights, and 37%"
    )


def test_what_is_in_the_box_is_not_lost(visitor: Visitor) -> None:
    visitor.press("Tell", "tokens in the context", FACT)
    visitor.box.fill("Bob: I am")
    visitor.press("Drop the context", "Dropped")
    expect(visitor.box).to_have_value("Bob: I am")


def test_another_conversation_goes_into_the_same_memory(visitor: Visitor) -> None:
    visitor.press("Tell", "tokens in the context", FACT)
    visitor.press("Drop the context", "Dropped")
    rows = visitor.page.locator("#memory tr")
    before = [int(re.search(r"\d+", text)[0]) for text in rows.all_inner_texts()[3:5]]
    visitor.press(ANOTHER, "dropped into the same memory", "")
    expect(visitor.talk.locator(".told.fast-weights .line")).to_have_count(
        1 + len(EXAMPLES[1].lines)
    )
    after = [int(re.search(r"\d+", text)[0]) for text in rows.all_inner_texts()[3:5]]
    assert all(more > few > 0 for few, more in zip(before, after, strict=True))
    assert visitor.remembers()
    expect(visitor.page.locator("#memory")).to_contain_text("of 1,536 keys")
    visitor.press(ANOTHER, "dropped into the same memory", "Bob: Hello.")
    expect(visitor.talk.locator(".told .line").last).to_have_text("Bob: Hello.")


def test_a_file_is_dropped_onto_the_page(visitor: Visitor) -> None:
    file = visitor.page.evaluate_handle(
        """text => {
          const carried = new DataTransfer();
          carried.items.add(new File([text], "talk.txt", {type: "text/plain"}));
          return carried;
        }""",
        f"{FACT}\nBob: Hello.\n",
    )
    visitor.page.dispatch_event("#conversation", "drop", {"dataTransfer": file})
    expect(visitor.status).to_contain_text("Told 2 lines of talk.txt")
    expect(visitor.talk.locator(".line")).to_have_count(2)


def test_what_a_browser_asked_for_ends_when_it_leaves(
    browser: Browser, address: str, server_log: Path
) -> None:
    """An answer of many passes over a long text; who comes next does not wait for it."""
    somebody = Visitor(browser, address)
    somebody.press("Tell", "tokens in the context", "\n".join(f"Line {n}." for n in range(200)))
    somebody.box.fill(QUESTION)
    somebody.page.get_by_role("button", name="Ask", exact=True).click()
    expect(somebody.status).to_contain_text(f"Asking: {QUESTION}")
    for step in ("Tell", "Drop the context", "Ask"):
        expect(somebody.page.get_by_role("button", name=step, exact=True)).to_be_disabled()
    assert "A browser left" not in server_log.read_text()
    somebody.page.context.close()
    end = time.monotonic() + WAIT / 1000
    while "A browser left" not in server_log.read_text() and time.monotonic() < end:
        time.sleep(0.2)
    assert server_log.read_text().count("A browser left: what it asked for was stopped.") == 1
