"""The report in Chromium: on a desk, on a phone, on paper. `make test-web` runs it.

Skipped, with the reason, where Playwright, axe or Chromium is missing.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ttt_memory.report.config import FIGURES

pytest.importorskip("playwright.sync_api", reason="Playwright is missing")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")

DESK, PHONE = {"width": 1200, "height": 900}, {"width": 400, "height": 800}
PAPER = {"width": 690, "height": 1000}  # A4 between its margins
both = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])

# Text that is left, right or outside of where it can be seen: in the window, or by scrolling the
# table or figure that it stands in; and text that does not fit its cell.
CUT = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility()) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect(), scroll = element.closest(".scroll");
    const around = scroll ? scroll.getBoundingClientRect() : {left: 0};
    const left = box.left - around.left + (scroll?.scrollLeft ?? 0);
    const most = scroll ? scroll.scrollWidth : document.documentElement.clientWidth;
    const cell = element.closest("td, th")?.getBoundingClientRect() ?? box;
    const outside = left < -1 || left + box.width > most + 1;
    const overflows = box.right > cell.right + 1 || box.left < cell.left - 1 ||
      box.top < cell.top - 1 || box.bottom > cell.bottom + 1;
    if (outside || overflows) found.push(node.textContent.trim());
  }
  return found;
}"""

# Of each table that is wider than the page, scrolled to its end: what of its header is not in view.
HEADERS = """() => [...document.querySelectorAll(".scroll:has(table)")].map((scroll) => {
  scroll.scrollTo(scroll.scrollWidth, scroll.scrollHeight);
  const box = scroll.getBoundingClientRect();
  const heads = [...scroll.querySelectorAll("thead th")].map((th) => th.getBoundingClientRect());
  return {
    name: scroll.ariaLabel,
    wider: scroll.scrollWidth > scroll.clientWidth + 1,
    last: heads.at(-1).right <= box.right + 1,
    first: Math.abs(heads[0].left - box.left) <= 1 || !scroll.closest("main"),
    top: heads.every((head) => head.top >= box.top - 1) || !scroll.closest("main"),
    room: heads[0].width > 40 && heads[0].width < 0.6 * box.width,
  };
})"""


class Reader:
    """A browser with a page open, and what it complained about or fetched."""

    def __init__(self, browser, file: Path, size: dict) -> None:
        self.page = browser.new_context(viewport=size).new_page()
        self.complaints: list[str] = []
        self.fetched: set[str] = set()
        self.page.on("console", lambda line: self.complaints.append(line.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.fetched.add(request.url))
        self.page.goto(file.as_uri())

    def open_all(self) -> None:
        """Open everything that a click opens."""
        self.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

    def bottom(self, what: str) -> float:
        """How far down the first such element ends, in pixels."""
        box = self.page.locator(what).first.bounding_box()
        return box["y"] + box["height"]


@pytest.fixture
def reader(browser, full: Path, size: dict) -> Iterator[Reader]:
    found = Reader(browser, full / "index.html", size)
    yield found
    found.page.context.close()


@both
def test_it_opens_without_an_error_and_every_figure_loads(reader: Reader) -> None:
    reader.open_all()
    shown = reader.page.evaluate(
        "Promise.all([...document.images].map(async image => {"
        " await image.decode(); return [image.naturalWidth, image.width, image.alt.length] }))"
    )
    assert len(shown) == len(FIGURES)
    assert all(width > 100 and drawn > 100 and words > 60 for width, drawn, words in shown)
    assert reader.complaints == []
    fetched = {url for url in reader.fetched if not url.startswith("data:")}
    assert fetched == {reader.page.url}


@both
def test_no_text_is_cut(reader: Reader, size: dict) -> None:
    reader.open_all()
    assert reader.page.evaluate(CUT) == []
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= size["width"]


@both
def test_a_wide_table_scrolls_with_its_header(reader: Reader, size: dict) -> None:
    reader.open_all()
    tables = reader.page.evaluate(HEADERS)
    assert any(table["wider"] for table in tables) or size is DESK
    kept = ("first", "last", "top", "room")
    assert [table for table in tables if not all(table[name] for name in kept)] == []


@both
def test_the_first_screen_answers(reader: Reader, size: dict) -> None:
    """On a desk it holds the figure and the answers, too."""
    assert (
        reader.page.locator(".first .answer").inner_text().startswith("Yes. From its fast weights")
    )
    assert reader.bottom(".first .answer") < size["height"]
    rows = reader.page.locator(".first .answers tbody tr").all_inner_texts()
    assert [row.split(":")[0] for row in rows] == ["A", "B", "C", "W", "N"]
    if size is DESK:
        assert reader.bottom(".first figure img") < size["height"]
        assert reader.bottom(".first .answers") < size["height"]


@both
def test_axe_finds_nothing_serious(reader: Reader) -> None:
    reader.open_all()
    found = axe.Axe().run(reader.page).response["violations"]
    grave = [rule for rule in found if rule["impact"] in ("serious", "critical")]
    assert [(rule["id"], [n["html"] for n in rule["nodes"]][:3]) for rule in grave] == []


@pytest.mark.parametrize("size", [PAPER], ids=["paper"])
def test_it_prints_on_paper(reader: Reader) -> None:
    """Nothing is wider than the sheet, and nothing scrolls."""
    reader.open_all()
    reader.page.emulate_media(media="print")
    assert reader.page.evaluate(CUT) == []
    assert reader.page.evaluate(f"({HEADERS})().filter(one => one.wider)") == []
    assert not reader.page.locator("nav").is_visible()
    assert reader.page.pdf(format="A4").startswith(b"%PDF")


@both
def test_the_landing_page_of_snakemake_is_the_first_screen(browser, full: Path, size: dict) -> None:
    landing = Reader(browser, full / "landing.html", size)
    whole = Reader(browser, full / "index.html", size)
    said = [one.page.locator(".first").text_content() for one in (landing, whole)]
    assert said[0] == said[1]
    landing.open_all()
    landing.page.evaluate("document.images[0].decode()")
    assert landing.complaints == []
    assert landing.page.evaluate(CUT) == []
    landing.page.context.close()
    whole.page.context.close()
