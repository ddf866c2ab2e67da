"""Configuration of the report, and the names of its figures."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..options import Options

# Every report has all of these files. A figure that has no data says so.
FIGURES = {
    "em_by_split": "Right answers by what is new to the model",
    "em_by_bytes": "EM against the bytes that are kept",
    "em_by_flops": "EM against the FLOPs of an answer",
    "em_by_condition": "EM by condition and level",
    "em_by_category": "EM by category of fact and condition",
    "em_by_position": "EM by position of the fact",
    "distractor": "Effect of a distractor",
    "splits": "What of a dialogue is new",
    "retention": "Retention over distractor text",
    "capacity": "Capacity of one state",
    "scale": "Scale of the written state",
    "gates": "Write gates and surprise",
    "norms": "Size of the fast weights by layer",
    "training_loss": "Training loss",
    "inner_norm": "Size of the write during training",
    "attribution": "Memory efficiency, one change at a time",
    "forecast_leaderboard": "Forecast error by strategy",
    "forecast_horizons": "Forecast error by horizon",
    "forecast_series": "Forecasts against truth",
    "forecast_position": "Forecast error by position in the series",
    "forecast_traces": "Surprise and gates over one series",
    "forecast_cost": "Cost and error of forecasters",
    "forecast_training": "Training of the forecasters",
}


class ReportConfig(Options):
    """Configuration of the report. None of its keys changes a number."""

    title: str = Field(
        "Can test-time-training fast weights serve as memory?", description="Title of the page."
    )
    baseline: str = Field(
        "write-drop-read", description="Run that the attribution table starts from."
    )
    dpi: int = Field(150, ge=50, le=600, description="Resolution of PNG figures, dots per inch.")


class RunText(BaseModel):
    """What the report says of a run. It ignores the other keys of the run."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    label: str = Field(description="Name in tables and figures.")
    differs: str = Field("", description="The one change from the baseline run; '' for none.")
    fast_weights: dict[str, Any] = Field({}, description="How its fast weights learn.")
    train: dict[str, Any] = Field({}, description="How it is trained.")

    def changes(self, other: "RunText") -> dict[str, tuple[Any, Any]]:
        """The keys whose values differ from those of another run: its value, then this one's."""
        theirs, ours = (
            dict(_leaves({"fast_weights": text.fast_weights, "train": text.train}))
            for text in (other, self)
        )
        keys = dict.fromkeys([*theirs, *ours])
        return {
            key: (theirs.get(key), ours.get(key))
            for key in keys
            if theirs.get(key) != ours.get(key)
        }


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a nested mapping, and their values."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield above + key, value
