"""Rows of a finished study, and how a cell and a table read in Markdown."""

import pandas as pd

from ...vocabulary import COMPARED
from ..results import Results
from ..tables import table as tables

RATIO = "EM(B)/EM(A)"
SIZE = "probes × seeds"  # header of the column of `size`


def compared(results: Results, run: str, **fixed: str) -> tuple:
    """EM(A), EM(B) and their ratio, on the probes where A and B have read the same text."""
    ems = (results.one("em_compared", condition=name, run=run, **fixed) for name in COMPARED)
    return *ems, results.one("memory_efficiency", run=run, **fixed)


def sweep(results: Results, metric: str, run: str, condition: str) -> dict[float, pd.Series]:
    """The row of each setting of a sweep, in their order."""
    rows = results.rows(metric, by=["setting"], run=run, condition=condition)
    return {row["setting"]: row for _, row in rows.sort_values("setting").iterrows()}


def estimate(row: pd.Series | None) -> str:
    """Value and interval as 0.956 [0.941, 0.969]; the value alone if all draws were the same.

    No line of a narrow cell ends within the brackets.
    """
    same = row is not None and row["low"] == row["high"] == row["value"]
    return value(row) if same else tables.estimate(row).replace(", ", ",\N{NO-BREAK SPACE}")


def value(row: pd.Series | None) -> str:
    """The value alone, as 0.956."""
    return "–" if row is None else f"{row['value']:.3f}"


def size(row: pd.Series | None) -> str:
    """Probes of one seed, and training seeds, as 634 × 3."""
    return "–" if row is None else f"{row['n']:,} × {row['seeds']}"


def markdown(lines: list[dict[str, str]]) -> str:
    """A Markdown table; "–" where a line has no such column."""
    table = pd.DataFrame(lines).fillna("–")
    rows = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
