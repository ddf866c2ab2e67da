"""Which files a script depends on: found by reading imports, not by running them."""

from pathlib import Path

import pytest

from ttt_memory.closure import closure, fingerprint

FILES = {
    "job.py": "from lib import wanted\nfrom lib.deep import part\n",
    "lib/__init__.py": "",
    "lib/wanted.py": "def later():\n    from .lazy import thing\n",
    "lib/lazy.py": "import json, torch\n",
    "lib/unwanted.py": "",
    "lib/data/words.json": "[]",
    "lib/deep/__init__.py": "from ..upward import value\n",
    "lib/deep/part.py": "",
    "lib/deep/page.html": "",
    "lib/upward.py": "",
    "lib/other/__init__.py": "",
    "lib/other/own.json": "{}",
}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "job.py"


def test_imports_are_followed_and_nothing_else(script: Path) -> None:
    found = {str(path.relative_to(script.parent)) for path in closure(script)}
    assert found == {
        "job.py",
        "lib/__init__.py",
        "lib/wanted.py",
        "lib/lazy.py",
        "lib/data/words.json",
        "lib/deep/__init__.py",
        "lib/deep/part.py",
        "lib/deep/page.html",
        "lib/upward.py",
    }


def test_a_script_from_elsewhere_is_followed_into_the_root(script: Path, tmp_path: Path) -> None:
    mine = tmp_path / "elsewhere" / "mine.py"
    mine.parent.mkdir()
    mine.write_text("from lib.deep import part\nimport torch\n")
    assert script.parent / "lib" / "deep" / "part.py" in closure(mine, script.parent)
    assert closure(mine) == (mine,)


def test_missing_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        closure(tmp_path / "absent.py")


def test_fingerprint_tells_contents_and_texts_apart(script: Path) -> None:
    files = closure(script)
    before = fingerprint(files, "a", "b")
    assert before == fingerprint(files, "a", "b")
    assert before != fingerprint(files, "ab", "")
    (script.parent / "lib" / "lazy.py").write_text("import json\n")
    assert before != fingerprint(files, "a", "b")
