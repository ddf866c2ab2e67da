"""A table of the report, and the text of its cells."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Table:
    """A table: `shown` is the text on the page, `rows` are the numbers behind it."""

    name: str
    shown: pd.DataFrame
    rows: pd.DataFrame

    @classmethod
    def of(cls, name: str, shown: list[dict], found: list) -> "Table | None":
        """A table of the lines `shown` and the rows `found` behind them; None without lines.

        A value of the first column, the run, is left out where the line above has the same.
        """
        if not shown:
            return None
        text = pd.DataFrame(shown).fillna("–")
        first = text.columns[0]
        text[first] = text[first].mask(text[first] == text[first].shift(), "")
        rows = pd.DataFrame([row for row in found if row is not None])
        return cls(name, text, rows.drop_duplicates())


def estimate(row: pd.Series | dict | None, digits: int = 3) -> str:
    """Value and interval as 0.956 [0.941, 0.969], or the value alone if it has no interval."""
    if row is None or pd.isna(row["value"]):
        return "–"
    text = f"{row['value']:.{digits}f}"
    if pd.notna(row["low"]):
        text += f" [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"
    return text


def sample(row: pd.Series | dict | None) -> str:
    """Numbers of probes, dialogues, skeletons and seeds, as 1,200 / 100 / 40 / 3."""
    if row is None:
        return "–"
    return f"{row['n']:,} / {row['dialogues']:,} / {row['skeletons']:,} / {row['seeds']}"


def records(rows: pd.DataFrame) -> list[dict]:
    """Each row as a dictionary."""
    return rows.to_dict("records")


def keyed(rows: pd.DataFrame, columns: list[str]) -> dict[tuple, dict]:
    """Each row as a dictionary, under the key of its values in `columns`."""
    return {tuple(row[name] for name in columns): row for row in rows.to_dict("records")}
