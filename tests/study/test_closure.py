"""The files that a script depends on, found by reading its imports."""

from pathlib import Path
from types import ModuleType

import pytest

from ttt_memory import benchmark, fast_weights
from ttt_memory.study.closure import _offers, closure, fingerprint

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


LATE = """
from typing import TYPE_CHECKING
from .common import shared
if TYPE_CHECKING:
    from .heavy import Model
    from .light import Name as Short
else:
    from .other import used
if not TYPE_CHECKING:
    from .common import later
"""
LATE_FILES = ("common", "heavy", "light", "other", "config")


@pytest.mark.parametrize(
    ("importing", "late"),
    [
        ("from late.config import Config", set()),
        ("from late import Short", {"light"}),
        ("from late import Model", {"heavy"}),
        ("from late import config", {"config"}),
        ("from late import config, Model", {"config", "heavy"}),
        ("import late", {"heavy", "light"}),
        ("import late as other", {"heavy", "light"}),
        ("from late import *", {"heavy", "light"}),
    ],
)
def test_a_name_that_a_package_loads_late_counts_for_those_that_import_it(
    tmp_path: Path, importing: str, late: set[str]
) -> None:
    package = tmp_path / "late"
    package.mkdir()
    (package / "__init__.py").write_text(LATE)
    for name in LATE_FILES:
        (package / f"{name}.py").write_text("")
    (tmp_path / "job.py").write_text(importing)
    found = {path.stem for path in closure(tmp_path / "job.py")}
    config = {"config"} if "config" in importing else set()
    assert found == {"job", "__init__", "common", "other"} | late | config


@pytest.mark.parametrize("package", [benchmark, fast_weights])
def test_the_closure_knows_what_our_packages_load_late(package: ModuleType) -> None:
    folder = Path(package.__file__).parent
    told = _offers(folder, folder.parents[1])
    for name in set(package.__all__) - set(vars(package)):
        value = getattr(package, name)
        home = value.__name__ if isinstance(value, ModuleType) else value.__module__
        assert home in (told[name], told[name].rsplit(".", 1)[0])


def test_missing_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        closure(tmp_path / "absent.py")


def test_fingerprint_depends_on_contents_and_texts(script: Path) -> None:
    files = closure(script)
    before = fingerprint(files, "a", "b")
    assert before == fingerprint(files, "a", "b")
    assert before != fingerprint(files, "ab", "")
    (script.parent / "lib" / "lazy.py").write_text("import json\n")
    assert before != fingerprint(files, "a", "b")
