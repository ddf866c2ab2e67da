"""The page's real server, with the memory that ships, and somebody who visits it."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from clone import ROOT

START = 600  # seconds to load the model


@pytest.fixture(scope="session")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server prints."""
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="session")
def address(server_log: Path) -> Iterator[str]:
    """The page's address on a server of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ttt_memory.chat.terminal", "--web", "--device", "cpu"]
    paths = [str(ROOT / "workflow" / "scripts"), os.environ.get("PYTHONPATH", "")]
    with open(server_log, "w") as out:
        server = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(f"http://127.0.0.1:{port}", server, server_log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
    assert "Traceback" not in server_log.read_text()


def _wait(address: str, server: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address).close()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(1)
    raise AssertionError(log.read_text())


@pytest.fixture
def visitor(browser: "Browser", address: str) -> Iterator["Visitor"]:  # noqa: F821
    """Somebody whose browser asks no other host."""
    from web_visitor import Visitor  # where Playwright is missing, no test comes here

    somebody = Visitor(browser, address)
    yield somebody
    assert {url.split("/")[2] for url in somebody.hosts if "//" in url} == {address.split("/")[2]}
    somebody.page.context.close()
