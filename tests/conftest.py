"""Fixtures that run the real workflow in a copy of the repository."""

import pytest

from clone import Clone, copy_repository


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


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in its own hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share the executed run go to one worker, so that it runs once."""
    for item in items:
        if "executed" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("executed"))
