"""Fixtures that run the real workflow in a copy of the repository, and a real browser."""

import shutil
from collections.abc import Iterator

import pytest
import torch

import invalidation
from clone import Clone, copy_repository


@pytest.fixture(autouse=True)
def whole_products() -> None:
    """Each test begins with products that round nothing: a script run before it may have chosen."""
    torch.set_float32_matmul_precision("highest")


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which nothing has run: for dry runs and refusals."""
    return copy_repository(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy in which the smoke preset has run to its report."""
    made = copy_repository(tmp_path_factory.mktemp("executed"))
    result = made.snakemake("--profile", "local", "--configfile", "config/smoke.yaml")
    assert result.returncode == 0, result.stdout[-8000:]
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.sync_api.Browser"]:  # noqa: F821
    """Chromium; the test is skipped, with the reason, where something is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is missing")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[invalidation.Finished]:
    """A copy in which Snakemake has recorded made-up outputs: for dry runs of finished studies."""
    with invalidation.finished(tmp_path_factory.mktemp("finished") / "clone") as made:
        yield made


# Made once for tests of several files.
SHARED = ("executed", "finished", "inputs", "address")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What tests share is made once: those of a run, and those of a file, go to one worker."""
    for item in items:
        file = item.nodeid.partition("::")[0]
        found = (name for name in SHARED if name in getattr(item, "fixturenames", ()))
        item.add_marker(pytest.mark.xdist_group(next(found, file)))
