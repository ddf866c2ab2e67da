"""Every edit reruns what it should and nothing else; docs/invalidation.md shows examples."""

import pytest

from expectations import OWN, pattern_of
from invalidation import DOCUMENT, Finished, Row, code_files, matrix, table, with_examples


@pytest.fixture(scope="module")
def rows(finished: Finished) -> list[Row]:
    """The matrix of this working tree."""
    return matrix(finished)


def test_every_edit_reruns_exactly_what_is_expected_of_it(rows: list[Row]) -> None:
    wrong = [row for row in rows if row.expected != row.planned]
    assert not wrong, table(wrong)
    assert {row.edit for row in rows} >= set(code_files())


def test_examples_of_the_document_are_current(rows: list[Row]) -> None:
    written = DOCUMENT.read_text(encoding="utf-8")
    assert written == with_examples(written, rows), "run: python tests/helpers/invalidation.py"


def test_every_expectation_is_of_some_file() -> None:
    assert {pattern_of(file) for file in code_files()} == set(OWN)
