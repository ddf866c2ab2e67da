"""Rows of a finished study, and how a cell and a table read in Markdown."""

import pandas as pd

from ..results import Results


def compared(results: Results, run: str, **fixed: str) -> tuple:
    """EM(A), EM(B) and their ratio, on the probes where A and B have read the same text."""
    ems = (results.one("em_compared", condition=name, run=run, **fixed) for name in "AB")
    return *ems, results.one("memory_efficiency", run=run, **fixed)


def sweep(results: Results, metric: str, run: str, condition: str) -> dict[float, pd.Series]:
    """The row of each setting of a sweep, in their order."""
    rows = results.rows(metric, by=["setting"], run=run, condition=condition)
    return {row["setting"]: row for _, row in rows.sort_values("setting").iterrows()}


def value(row: pd.Series | None) -> str:
    """The value alone, as 0.956."""
    return "–" if row is None else f"{row['value']:.3f}"


def size(row: pd.Series | None) -> str:
    """Probes of one seed, and training seeds, as 634 × 3."""
    return "–" if row is None else f"{row['n']:,} × {row['seeds']}"


def markdown(lines: list[dict[str, str]]) -> str:
    """A Markdown table; a cell of the first column that repeats the one above is left empty."""
    table = pd.DataFrame(lines).fillna("–")
    first = table.columns[0]
    table[first] = table[first].mask(table[first] == table[first].shift(), "")
    rows = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
