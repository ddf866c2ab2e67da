"""Benchmark files: Parquet in and out, and the integrity that every reader can rely on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import io
from ..errors import UserError
from . import schemas
from .sample import Sample


def write_benchmark(path: str | Path, samples: Sequence[Sample], metadata: dict) -> None:
    """Write `samples` as Parquet under `schemas.BENCHMARK`, atomically."""
    io.write_table(path, [sample.row() for sample in samples], schemas.BENCHMARK, metadata)


def read_benchmark(path: str | Path, at_least: int = 1) -> list[Sample]:
    """Read what `write_benchmark` or `make_corpus.py` wrote.

    Raises:
        UserError: no such file, another schema, or a fault that `check_integrity` names; no sample
            at all is one unless `at_least` is 0.
    """
    rows = io.read_arrow(path, schemas.BENCHMARK).to_pylist()
    nameless = [number for number, row in enumerate(rows) if None in _needed(row)]
    if nameless:
        raise UserError(f"{path}: row {nameless[0]}: a column other than distractor is null")
    samples = [Sample.from_row(row) for row in rows]
    if samples or at_least:
        check_integrity(samples, path)
    return samples


def _needed(row: dict) -> list:
    parts = [row, *(row["facts"] or []), *(row["probes"] or [])]
    return [value for part in parts for key, value in part.items() if key != "distractor"]


def check_integrity(samples: Iterable[Sample], path: str | Path) -> None:
    """Check what scores depend on, whoever made the file.

    Raises:
        UserError: no sample; a sample id twice; in one sample a fact id or probe id twice; a probe
            that requires no fact or one the sample lacks; a span that is not the fact's value.
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
            if fact.start >= 0 and sample.dialogue[fact.start : fact.end] != fact.value:
                raise UserError(f"{where}: fact {fact.fact_id!r}: its span is not its value")
        for probe in sample.probes:
            if not probe.required_facts:
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
