"""Configuration of the report, and the names of its figures."""

from pydantic import BaseModel, ConfigDict, Field

from ..options import Options

# Every report has all of these files. A figure that has no data says so.
FIGURES = {
    "em_by_condition": "EM by condition and level",
    "em_by_category": "EM by category of fact and condition",
    "em_by_position": "EM by position of the fact",
    "distractor": "Effect of a distractor",
    "splits": "Held-out values and skeletons",
    "retention": "Retention over distractor text",
    "capacity": "Capacity of one state",
    "scale": "Scale of the written state",
    "gates": "Write gates and surprise",
    "norms": "Size of the fast weights by layer",
    "training_loss": "Training loss",
    "inner_norm": "Size of the write during training",
    "attribution": "Memory efficiency, one change at a time",
    "forecast_leaderboard": "Forecast error by strategy",
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
    split: str = Field(
        "heldout_values",
        description="Benchmark split whose numbers are shown beside those of all probes.",
    )
    dpi: int = Field(150, ge=50, le=600, description="Resolution of PNG figures, dots per inch.")


class RunText(BaseModel):
    """What the report says of a run. It ignores the other keys of the run."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    label: str = Field(description="Name in tables and figures.")
    differs: str = Field("", description="The one change from the baseline run; '' for none.")
