"""What the alternatives of a run reach with the bytes that they keep."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..scoring.metrics import TOO_LONG
from ..scoring.predictions import COSTS
from ..vocabulary import ALTERNATIVES, CONDITIONS, MEMORY_EFFICIENCY, WHOLE, WHOLE_CACHE
from .results import Results

MEMORY, CONTEXT = MEMORY_EFFICIENCY
TEXT = "T"
COMPACTED = "B_bytes"
CACHES = ("K", "K_gate", "Q")  # keep a KV cache in fewer bytes
LABELS = {
    **{name: entry.label for name, entry in ALTERNATIVES.items()},
    MEMORY: f"{CONDITIONS[MEMORY].label}, whole",
    CONTEXT: "whole KV cache",
    TEXT: "text kept and read again",
}
# In the order of tables and legends.
ORDER = (MEMORY, *ALTERNATIVES, CONTEXT, TEXT)


def shown_run(results: Results) -> str | None:
    """The run whose alternatives are shown: the baseline, else the first that has any."""
    asked = set(results.metrics.loc[results.metrics["condition"].isin(ALTERNATIVES), "run"])
    runs = [run for run in (results.report.baseline, *results.runs) if run in asked]
    return runs[0] if runs else None


def points(results: Results, run: str) -> pd.DataFrame:
    """A row for each method, distance and setting, with its EM, interval and costs.

    The whole KV cache of alternative K is condition A after each distance. It gives T as well: the
    same answers, but the text is what is kept, and each answer reads it again.
    """
    ems = results.rows("em", by=["setting"], run=run)
    ems = ems[ems["condition"].isin(ALTERNATIVES)]
    key = ["condition", "setting", "distance"]
    for name in COSTS:
        costs = results.rows(name, by=["setting"], run=run)
        ems = ems.merge(costs[[*key, "value"]].rename(columns={"value": name}), on=key)
    ems = ems.rename(columns={"condition": "method"})
    whole = ems["setting"] == WHOLE
    ems.loc[whole & (ems["method"] == COMPACTED), "method"] = MEMORY
    ems.loc[whole & (ems["method"] == WHOLE_CACHE), "method"] = CONTEXT
    text = ems[ems["method"] == CONTEXT]
    text = text.assign(
        method=TEXT,
        state_bytes=text["text_bytes"],
        answer_flops=text["write_flops"] + text["answer_flops"],
        answer_seconds=text["write_seconds"] + text["answer_seconds"],
        write_flops=0.0,
        write_seconds=0.0,
    )
    ems = pd.concat([ems, text], ignore_index=True)
    place = ems["method"].map(ORDER.index)
    return ems.assign(place=place).sort_values(["distance", "place", "setting"], kind="stable")


def unasked(results: Results, run: str) -> pd.DataFrame:
    """The methods that could not be asked at a distance: a row each, whose value is the tokens."""
    rows = results.rows(TOO_LONG, run=run)
    rows = rows[rows["condition"].isin(ALTERNATIVES)]
    return rows.rename(columns={"condition": "method"})


@dataclass(frozen=True)
class Comparison:
    """Fast weights and the best cut or quantised KV cache that takes no more bytes."""

    memory: pd.Series
    cache: pd.Series | None

    @property
    def outcome(self) -> str:
        """Of "win", "lose" and "tie": a tie where either interval holds the other's value."""
        if self.cache is None:
            return "win"
        apart = self.memory["value"] - self.cache["value"]
        low, high = sorted((self.memory, self.cache), key=lambda row: row["value"])
        if apart == 0 or low["high"] >= high["value"] or high["low"] <= low["value"]:
            return "tie"
        return "win" if apart > 0 else "lose"


def comparisons(found: pd.DataFrame, distance: int) -> list[Comparison]:
    """At one distance, every size of fast weights, the smallest first."""
    here = found[found["distance"] == distance]
    caches = here[here["method"].isin((*CACHES, CONTEXT))]
    made = []
    for _, memory in (
        here[here["method"].isin((MEMORY, COMPACTED))].sort_values("state_bytes").iterrows()
    ):
        least = caches[caches["state_bytes"] <= memory["state_bytes"]]
        best = None if least.empty else least.loc[least["value"].idxmax()]
        made.append(Comparison(memory, best))
    return made


def one(found: pd.DataFrame, distance: int, method: str) -> pd.Series | None:
    """The best point of a method at a distance."""
    rows = found[(found["distance"] == distance) & (found["method"] == method)]
    return None if rows.empty else rows.loc[rows["value"].idxmax()]


def size(count: float) -> str:
    """Bytes as text: 586 B, 14.3 kB, 2.05 MB."""
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return "–" if np.isnan(count) else f"{count:.0f} B"
