"""The report names a converted base model, its licence and its source, and no other base."""

from pathlib import Path

import pytest

from ttt_memory import io
from ttt_memory.errors import UserError
from ttt_memory.report import base_model, page
from ttt_memory.report.first_screen import FirstScreen

ORIGIN = {
    "source": "package",
    "model": "Small <Llama>",
    "license": "apache-2.0",
    "dtype": "float32",
    "sha256": "f00d",
    "packages": [
        {"name": "part1", "version": "1.0", "license": "MIT"},
        {"name": "part2", "version": "1.0", "license": None},
    ],
}


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    io.write_json(tmp_path / "origin.json", ORIGIN)
    return tmp_path / "origin.json"


def test_name_licence_source_and_digest_are_told(origin: Path) -> None:
    assert base_model.told(origin) == (
        "Small <Llama> (licence: apache-2.0), dequantised to float32 from package"
        " part1 1.0 (licence: MIT) + part2 1.0 (licence: not stated), SHA-256 f00d"
    )


def test_a_file_of_ones_own_is_named(origin: Path) -> None:
    io.write_json(origin, {**ORIGIN, "packages": [], "file": "a.gguf", "model": None})
    assert base_model.told(origin).startswith(
        "unnamed (licence: apache-2.0), dequantised to float32 from file a.gguf, SHA-256"
    )


def test_a_note_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a readable note of a model's origin"):
        base_model.told(tmp_path / "origin.json")


def test_both_pages_tell_it_and_only_of_a_converted_model(origin: Path) -> None:
    told = base_model.told(origin)
    facts = {"versions": {}, "inputs": [], "verdicts": [], "scoring": {}}
    for base, expected in ((told, True), ("", False)):
        report = page.Report("T", FirstScreen("Yes."), [], {}, {**facts, "base": base})
        markdown, html = page.markdown(report), page.html(report)
        assert (f"\nBase model: {told}.\n\n| input" in markdown) == expected
        assert ("Base model: Small &lt;Llama&gt; (licence" in html) == expected
        assert ("Base model" in markdown + html) == expected
