"""Fixtures that run the real workflow in a copy of the repository."""

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


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[invalidation.Finished]:
    """A copy in which Snakemake has recorded made-up outputs: for dry runs of finished studies."""
    with invalidation.finished(tmp_path_factory.mktemp("finished") / "clone") as made:
        yield made


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share an executed or finished run go to one worker, so that it runs once."""
    for item in items:
        for name in ("executed", "finished"):
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(name))
