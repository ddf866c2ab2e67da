"""What a table is, and how its cells read."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Table:
    """`shown` is what the page prints, all text; `rows` the numbers it was made of."""

    name: str
    shown: pd.DataFrame
    rows: pd.DataFrame

    @classmethod
    def of(cls, name: str, shown: list[dict], found: list) -> "Table | None":
        """A table from its lines and the rows behind them; None if there is no line.

        The first column, the run, is shown once for the lines of one run.
        """
        if not shown:
            return None
        text = pd.DataFrame(shown).fillna("–")
        first = text.columns[0]
        text[first] = text[first].mask(text[first] == text[first].shift(), "")
        rows = pd.DataFrame([row for row in found if row is not None])
        return cls(name, text, rows.drop_duplicates())


def estimate(row: pd.Series | dict | None, digits: int = 3) -> str:
    """Value and interval as 0.956 [0.941, 0.969]; no brackets where there is no interval."""
    if row is None or pd.isna(row["value"]):
        return "–"
    text = f"{row['value']:.{digits}f}"
    if pd.notna(row["low"]):
        text += f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
    return text


def sample(row: pd.Series | dict | None) -> str:
    """Probes, dialogues and seeds as 1,200 / 100 / 3."""
    return "–" if row is None else f"{row['n']:,} / {row['dialogues']:,} / {row['seeds']}"


def records(rows: pd.DataFrame) -> list[dict]:
    """The rows as dictionaries."""
    return rows.to_dict("records")


def keyed(rows: pd.DataFrame, columns: list[str]) -> dict[tuple, dict]:
    """Each row as a dictionary, by its values in `columns`."""
    return {tuple(row[name] for name in columns): row for row in rows.to_dict("records")}
