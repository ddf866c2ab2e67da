"""The page in Chromium, on the real server with the memory that ships. `make test-web` runs it.

The texts are told by the browser, and the right answers after the drop come from the fast weights
of SmolLM2-135M-Instruct. Skipped, with the reason, where something that it needs is missing.
"""

import json
import re
from pathlib import Path

import pytest

from ttt_memory.chat.web.examples import EXAMPLES
from web_visitor import FACT, NEEDS_BASE, QUESTION, Browser, Visitor, expect

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")

pytestmark = NEEDS_BASE
MARKUP = "<b>bold</b> <img src=x onerror='document.title=1'> ${1+1} {{value}}"


def told_and_dropped(visitor: Visitor) -> None:
    visitor.press("Tell", "tokens in the context", FACT)
    visitor.press("Drop the context", "Dropped")


def test_tell_drop_ask_forget_remember(visitor: Visitor) -> None:
    """The right answer comes from the context, then from the fast weights, then from nowhere."""
    visitor.press("Tell", "tokens in the context", FACT)
    told = visitor.answers()
    assert told["From the context"] == "40713"
    assert told["From fast weights"] == "nothing is written"
    assert "40713" not in told["From neither"]
    visitor.press("Drop the context", "Dropped")
    dropped = visitor.answers()
    assert dropped["From the context"] == "no text in the context"
    assert dropped["From fast weights"] == "40713"
    assert "40713" not in dropped["From neither"]
    number = visitor.talk.locator(".line .word", has_text="40713").get_attribute("title")
    other = visitor.talk.locator(".line .word", has_text="and").get_attribute("title")
    assert float(number.split()[1]) > 0.3 > float(other.split()[1])
    rows = visitor.page.locator("#memory tr").all_inner_texts()
    assert re.search(r"\d kB", rows[0])
    assert re.search(r"\d MB", rows[1])
    assert f"{len(FACT) + 1} bytes" in rows[2]
    visitor.press("Forget", "Forgotten")
    assert visitor.answers()["From fast weights"] == "nothing is written"
    visitor.press("Remember", "Remembered")
    assert visitor.remembers()
    visitor.press("Start over", "A new conversation.")
    expect(visitor.talk).to_contain_text("Nothing has been told")


def test_a_memory_is_saved_and_loaded_by_another(
    visitor: Visitor, browser: Browser, address: str, tmp_path: Path
) -> None:
    told_and_dropped(visitor)
    visitor.press("Save", "Saved")
    with visitor.page.expect_download() as download:
        visitor.page.locator("#download").click()
    download.value.save_as(tmp_path / "memory.safetensors")
    other = Visitor(browser, address)
    assert other.answers()["From fast weights"] == "nothing is written"
    other.give("Load", tmp_path / "memory.safetensors", "Loaded from memory.safetensors")
    assert other.remembers()
    (tmp_path / "bad.safetensors").write_bytes(b"no state")
    other.give("Load", tmp_path / "bad.safetensors", "bad.safetensors: not a saved")
    damaged = bytearray((tmp_path / "memory.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged.safetensors").write_bytes(damaged)
    other.give("Load", tmp_path / "damaged.safetensors", "not those that were saved")
    assert other.remembers()
    other.page.context.close()


def test_two_browsers_have_two_memories(visitor: Visitor, browser: Browser, address: str) -> None:
    told_and_dropped(visitor)
    other = Visitor(browser, address)
    assert other.answers()["From fast weights"] == "nothing is written"
    other.press("Tell", "tokens in the context", "Alice: My badge number is 88251.")
    other.press("Drop the context", "Dropped")
    assert other.answers()["From fast weights"] == "88251"
    other.press("Forget", "Forgotten")
    assert visitor.remembers()
    other.page.context.close()


def test_a_conversation_is_pasted_and_uploaded(visitor: Visitor, tmp_path: Path) -> None:
    visitor.press("Tell", "tokens in the context", f"Hello.\n{FACT}\n")
    expect(visitor.talk.locator(".line")).to_have_count(2)
    visitor.press("Start over", "A new conversation.")
    message = {"role": "Alice", "content": FACT.removeprefix("Alice: ")}
    file = tmp_path / "talk.jsonl"
    file.write_text(json.dumps({"messages": [message]}))
    visitor.give("Upload a conversation", file, "Told 1 lines of talk.jsonl")
    visitor.press("Drop the context", "Dropped")
    assert visitor.remembers()
    file.write_text('{"messages": []}')
    visitor.give("Upload a conversation", file, "talk.jsonl: line 1: messages: found []")
    file.write_bytes(b"\xff\xfe\x00")
    visitor.give("Upload a conversation", file, "talk.jsonl: not readable as UTF-8")
    file.write_text("x" * 100_000)
    visitor.give("Upload a conversation", file, "expected at most so many")


def test_what_is_refused_is_one_line(visitor: Visitor) -> None:
    visitor.press("Drop the context", "there is no text to drop")
    visitor.press("Forget", "there are no fast weights")
    visitor.press("Remember", "nothing has been forgotten")
    visitor.press("Save", "there are no fast weights")
    visitor.press("Ask", "the box is empty", "")
    visitor.press("Ask", "expected one question", "Who?\nWhat?")
    assert visitor.status.locator(".refused").count() == 1
    assert "Traceback" not in visitor.page.content()


def test_a_long_conversation_scrolls_in_a_box_of_its_own(visitor: Visitor) -> None:
    """Nothing of it lies over the controls; the last answer is in sight."""
    visitor.press("Tell", "tokens in the context", "\n".join(f"Line {n}." for n in range(40)))
    shown = "e => [e.scrollHeight, e.clientHeight, e.scrollTop, e.getBoundingClientRect().bottom]"
    visitor.page.wait_for_timeout(500)  # it scrolls to the end after it is drawn
    height, visible, top, bottom = visitor.talk.evaluate(shown)
    assert height > visible + 100
    assert top + visible == pytest.approx(height, abs=2)
    assert visitor.status.bounding_box()["y"] >= bottom
    lasts = visitor.talk.locator(".line").last.bounding_box()
    assert lasts["y"] + lasts["height"] <= bottom
    style = "getComputedStyle(document.querySelector('button.primary')).whiteSpace"
    assert visitor.page.evaluate(style) == "nowrap"


def test_an_answer_shows_the_words_that_it_was_read_from(visitor: Visitor) -> None:
    told_and_dropped(visitor)
    assert visitor.remembers()
    read = visitor.talk.locator(".read")
    expect(read).to_have_count(1)
    words = read.locator(".word").all_inner_texts()
    shares = {w.split()[0]: int(w.split()[1].rstrip("%")) for w in words}
    assert max(shares, key=shares.get) == "40713"
    assert shares["40713"] > 40
    assert 60 < sum(shares.values()) <= 101
    visitor.press("Forget", "Forgotten")
    visitor.answers()
    expect(read).to_have_count(1)  # nothing was read for the second answer
    expect(visitor.talk.locator(".happened")).to_have_count(2)


def test_markup_is_shown_as_text(visitor: Visitor) -> None:
    visitor.press("Tell", "tokens in the context", MARKUP)
    expect(visitor.talk.locator(".line")).to_have_text(MARKUP)
    visitor.press("Drop the context", "Dropped")
    expect(visitor.talk.locator(".line")).to_have_text(MARKUP)
    visitor.answers(f"{MARKUP}?")
    expect(visitor.talk.locator(".question")).to_have_text(f"{MARKUP}?")
    assert visitor.talk.locator("img, b").count() == 0
    assert visitor.page.title() == "ttt-memory"


def test_an_example_in_one_click(visitor: Visitor) -> None:
    for example in EXAMPLES[1:]:
        visitor.press(f"Play: {example.name}", f"alone: {example.answer}. That is right.")
        answers = visitor.talk.locator(".asked").last.locator(".answer.fast-weights dd")
        expect(answers).to_have_text(example.answer)


def test_by_keyboard_alone(visitor: Visitor) -> None:
    """Enter in the box tells, or asks after a question mark; Tab reaches every button."""
    keys = visitor.page.keyboard

    def go_to(name: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            focus = "document.activeElement.innerText || document.activeElement.tagName"
            if visitor.page.evaluate(focus).strip() == name:
                return
        raise AssertionError(f"Tab does not reach {name}")

    go_to("TEXTAREA")
    keys.type(FACT)
    keys.press("Enter")
    expect(visitor.status).to_contain_text("tokens in the context")
    go_to("Drop the context")
    keys.press("Enter")
    expect(visitor.status).to_contain_text("Dropped")
    go_to("TEXTAREA")
    keys.type(QUESTION)
    keys.press("Enter")
    expect(visitor.talk.locator(".answer.fast-weights dd")).to_have_text("40713")
    for name in ("Forget", "Remember"):
        go_to(name)
        keys.press("Space")
        expect(visitor.status).to_contain_text(name[:4])  # Forgotten, Remembered
    for name in ("Save", "Load", "Upload a conversation", "Start over", "Play: A badge number"):
        go_to(name)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 400])
def test_axe_finds_nothing_serious(browser: Browser, address: str, scheme: str, width: int) -> None:
    size = {"width": width, "height": 900}
    visitor = Visitor(browser, address, color_scheme=scheme, viewport=size)
    visitor.press("Play: A badge number", "That is right.")
    visitor.press("Tell", "tokens in the context", "Bob: Hello.")
    visitor.press("Save", "Saved")
    found = axe.Axe().run(visitor.page).response["violations"]
    grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert [(rule["id"], [n["html"] for n in rule["nodes"]]) for rule in grave] == []
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width
    visitor.page.context.close()
