"""The table of the benchmark."""

from ..results import Results
from .table import Table, records


def benchmark(results: Results) -> Table | None:
    """Numbers of samples, facts and probes by level, language and split."""
    samples = results.benchmark
    samples = samples.assign(probes=samples["probes"].map(len), facts=samples["facts"].map(len))
    rows = samples.groupby(["level", "language", "split"], sort=False).agg(
        samples=("sample_id", "size"), facts=("facts", "sum"), probes=("probes", "sum")
    )
    return Table.of(
        "benchmark", records(rows.reset_index().astype(str)), records(rows.reset_index())
    )
