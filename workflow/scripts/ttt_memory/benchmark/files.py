"""Read and write benchmark files (Parquet), and check what every reader relies on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import io
from ..errors import UserError
from . import schemas
from .sample import Sample

NULLABLE = ("distractor", "rival")


def write_benchmark(path: str | Path, samples: Sequence[Sample], metadata: dict) -> None:
    """Write `samples` as Parquet with the columns of `schemas.BENCHMARK`."""
    io.write_table(path, [sample.row() for sample in samples], schemas.BENCHMARK, metadata)


def read_benchmark(path: str | Path, at_least: int = 1) -> list[Sample]:
    """Read the samples of a benchmark or of a training corpus.

    `at_least` is the smallest number of samples that is accepted, 0 or 1.

    Raises:
        UserError: there is no such file, it has other columns, or `check_integrity` finds a fault.
    """
    rows = io.read_arrow(path, schemas.BENCHMARK).to_pylist()
    incomplete = [number for number, row in enumerate(rows) if None in _required(row)]
    if incomplete:
        raise UserError(
            f"{path}: row {incomplete[0]}: a column other than {' and '.join(NULLABLE)} is null"
        )
    samples = [Sample.from_row(row) for row in rows]
    if samples or at_least:
        check_integrity(samples, path)
    return samples


def _required(row: dict) -> list:
    """All values of a row that must not be null."""
    parts = [row, *(row["facts"] or []), *(row["probes"] or [])]
    return [value for part in parts for key, value in part.items() if key not in NULLABLE]


def check_integrity(samples: Iterable[Sample], path: str | Path) -> None:
    """Check what scoring relies on. Files from elsewhere are checked too.

    Raises:
        UserError: there is no sample; two samples have the same id; within one sample, two facts or
            two probes have the same id, a probe requires no fact although it is answerable, or a
            fact that is not there, there is no such session, or the characters from `start` to
            `end` are not the fact's value.
    """
    samples = list(samples)
    if not samples:
        raise UserError(f"{path}: no samples")
    if twice := repeated(sample.sample_id for sample in samples):
        raise UserError(f"{path}: sample id {twice!r} occurs twice; expected unique ids")
    for sample in samples:
        where = f"{path}: sample {sample.sample_id!r}"
        facts = {fact.fact_id for fact in sample.facts}
        if twice := repeated(fact.fact_id for fact in sample.facts):
            raise UserError(f"{where}: fact id {twice!r} occurs twice; expected unique ids")
        if twice := repeated(probe.probe_id for probe in sample.probes):
            raise UserError(f"{where}: probe id {twice!r} occurs twice; expected unique ids")
        for fact in sample.facts:
            if not 0 <= fact.session < len(sample.sessions):
                raise UserError(
                    f"{where}: fact {fact.fact_id!r}: session {fact.session}, expected one below "
                    f"{len(sample.sessions)}"
                )
            said = sample.sessions[fact.session]
            if fact.start >= 0 and said[fact.start : fact.end] != fact.value:
                raise UserError(f"{where}: fact {fact.fact_id!r}: its span is not its value")
        for probe in sample.probes:
            if not probe.required_facts and probe.answerable:
                raise UserError(f"{where}: probe {probe.probe_id!r} requires no fact")
            for fact_id in probe.required_facts:
                if fact_id not in facts:
                    raise UserError(
                        f"{where}: probe {probe.probe_id!r} requires fact {fact_id!r}, which the "
                        f"sample lacks; it has {sorted(facts)}"
                    )


def repeated(ids: Iterable[str]) -> str | None:
    """An id that occurs more than once, or None."""
    return next((name for name, count in Counter(ids).items() if count > 1), None)
