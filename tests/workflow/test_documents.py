"""Every link and every repository path in a document leads somewhere; every document is listed."""

import ast
import re
from pathlib import Path

import pytest

from clone import ROOT

FOLDERS = ("config", "data/models", "docs", "envs")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.md"))]
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# A path from the root of the repository, or of the library, named anywhere in the text.
TOP = "benchmarks|config|docs|envs|examples|profiles|rules|tests|ttt_memory|workflow"
PATH = re.compile(rf"(?<![\w./-])(?:{TOP})/[\w./-]*[\w/]")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def prose(document: Path) -> str:
    """The text without its code blocks."""
    return FENCE.sub("", document.read_text(encoding="utf-8"))


def anchors(document: Path) -> set[str]:
    """What `#...` may name in a document, by the rule of GitHub: small letters, hyphens."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(document: Path, link: str) -> bool:
    """Whether a relative link names no file, or no heading of it."""
    name, _, anchor = link.partition("#")
    target = document.parent / name if name else document
    if not target.exists():
        return True
    return bool(anchor) and anchor not in anchors(target)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(document: Path) -> None:
    links = [link for link in LINK.findall(prose(document)) if "://" not in link]
    assert [link for link in links if broken(document, link)] == []
    places = (ROOT, ROOT / "workflow" / "scripts")
    paths = set(PATH.findall(document.read_text(encoding="utf-8")))
    assert [path for path in paths if not any((place / path).exists() for place in places)] == []


@pytest.mark.parametrize("folder", ["docs", "docs/experiments"])
def test_every_document_is_in_the_index_of_its_folder(folder: str) -> None:
    index = ROOT / folder / "README.md"
    listed = set(LINK.findall(prose(index)))
    assert {file.name for file in index.parent.glob("*.md") if file != index} <= listed


def test_every_preset_is_in_the_table() -> None:
    lines = (ROOT / "config" / "README.md").read_text(encoding="utf-8").splitlines()
    table = [line.split(" | ")[0] for line in lines if line.startswith("| `")]
    # `embedded-1.yaml` to `embedded-7.yaml` are in one row.
    listed = set(re.findall(r"`([\w.-]+?)(?:-\d)?\.yaml`", "".join(table)))
    presets = {re.sub(r"-\d$", "", file.stem) for file in (ROOT / "config").glob("*.yaml")}
    assert presets - listed - {"config"} == set()


def sources() -> dict[str, str]:
    """The text of every test, by its name."""
    found = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        text = file.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = ast.get_source_segment(text, node)
    return found


def test_faults_name_tests_that_exist_and_tell_the_public_threads() -> None:
    document = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    tests = sources()
    known = document.partition("## Known faults")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(test_\w+)`", document)) <= set(tests)
    rows = [line.split(" | ") for line in known.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for symptom, threads, *_, named in rows:
        texts = " ".join(tests[name] for name in re.findall(r"`(test_\w+)`", named))
        missing = [n for n in re.findall(r"#\d+", threads) if not re.search(rf"{n}\b", texts)]
        assert missing == [], symptom
