"""Tables of the alternatives: sizes of a dialogue, and every method with its costs."""

import pandas as pd

from ...vocabulary import ALTERNATIVES, WHOLE
from ..equal_bytes import COMPACTED, LABELS, MEMORY, one, points, shown_run, size, unasked
from ..results import Results
from .table import Table, estimate, records, sample


def sizes(results: Results) -> Table | None:
    """Bytes of the text, of its KV cache and of its fast weights, at every distance."""
    run = shown_run(results)
    if run is None:
        return None
    found, shown = points(results, run), []
    for distance, rows in found.groupby("distance"):
        memory, first = one(found, distance, MEMORY), rows.iloc[0]
        shown.append(
            {
                "distractor tokens": f"{distance:,}",
                "text, UTF-8": size(first["text_bytes"]),
                "KV cache": size(first["kv_bytes"]),
                "KV cache of the layers with fast weights": size(first["kv_bytes_of_layers"]),
                "fast weights as they are read": "–"
                if memory is None
                else size(memory["state_bytes"]),
            }
        )
    return Table.of("sizes", shown, records(found.drop_duplicates("distance")))


def methods(results: Results) -> Table | None:
    """Every method at every distance and setting."""
    run = shown_run(results)
    if run is None:
        return None
    found = points(results, run)
    shown = [
        {
            "distractor tokens": f"{row['distance']:,}",
            "method": _name(row),
            "bytes": size(row["state_bytes"]),
            "EM": estimate(row),
            "FLOPs to write": f"{row['write_flops']:.3g}",
            "FLOPs of an answer": f"{row['answer_flops']:.3g}",
            "seconds to write": f"{row['write_seconds']:.3g}",
            "seconds of an answer": f"{row['answer_seconds']:.3g}",
            "probes / dialogues / seeds": sample(row),
        }
        for row in records(found)
    ]
    shown += [
        {
            "distractor tokens": f"{row['distance']:,}",
            "method": f"{row['method']}: {LABELS[row['method']]}",
            "EM": f"not asked: {row['value']:,.0f} tokens do not fit the model's positions",
        }
        for row in records(unasked(results, run))
    ]
    return Table.of("equal_bytes", shown, records(found.drop(columns="place")))


def _name(row: dict | pd.Series) -> str:
    method, setting = row["method"], row["setting"]
    letter = MEMORY if method == COMPACTED else method
    name = f"{letter}: {LABELS[method]}"
    if method not in ALTERNATIVES or setting == WHOLE:
        return name
    words = {"budgets": "of the KV cache", "bits": "bits", "turns": "turns", "lora_ranks": "rank"}
    unit = words[ALTERNATIVES[method].settings]
    return f"{name} ({setting:.3g} {unit})" if unit != "rank" else f"{name} (rank {setting:g})"
