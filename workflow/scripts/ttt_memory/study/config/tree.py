"""The whole configuration as one typed tree.

Only the workflow reads the whole. A script reads its own part with the class of that part, so
that a new key elsewhere does not rerun it.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo

from ... import options
from ...benchmark.config import BenchmarkConfig, CorpusConfig
from ...conversation.config.asking import RecallConfig
from ...conversation.config.base_model import BaseConfig
from ...forecast.config import ForecastConfig
from ...options import InputPath, Options
from ...report.config import ReportConfig
from ...scoring.config import ScoringConfig
from .resources import ResourcesConfig
from .runs import Name, RunEntry, resolved


def _switched_off(forecast: Any) -> Any:
    """`forecast: null` written out as a study without datasets."""
    return {"datasets": {}} if forecast is None else forecast


def _runs(entries: Any, info: ValidationInfo) -> Any:
    """Runs with `like` written out; `runs: null` is a study without any."""
    return {} if entries is None else resolved(entries, info)


class ImportConfig(Options):
    """A published benchmark and predictions made on it, which are scored beside our own."""

    benchmark: InputPath = Field(
        description="Path of the benchmark: JSON in the published layout, or Parquet in ours."
    )
    predictions: dict[Name, InputPath] = Field(
        min_length=1,
        description="Path of the predictions of each condition (A, B, ...), JSON or Parquet.",
    )


class Config(Options):
    """config.yaml under its presets: both studies, and the resources of their jobs."""

    results: str = Field(
        "results", min_length=1, description="Folder of every output, in the working directory."
    )
    benchmark: BenchmarkConfig = Field(BenchmarkConfig(), description="The generated benchmark.")
    corpus: CorpusConfig = Field(CorpusConfig(), description="The text that models train on.")
    imports: Annotated[
        dict[Name, ImportConfig],
        BeforeValidator(
            options.without_nulls, json_schema_input_type=dict[Name, ImportConfig | None]
        ),
    ] = Field({}, description="Published benchmarks with predictions, by name; null drops one.")
    base: BaseConfig = Field(BaseConfig(), description="The base model.")
    runs: Annotated[
        dict[Name, RunEntry],
        BeforeValidator(_runs, json_schema_input_type=dict[Name, RunEntry | None] | None),
    ] = Field(
        description="Training regimes by name; each goes through every condition; null drops one."
        " With null in place of all, the first study is left out."
    )
    recall: RecallConfig = Field(RecallConfig(), description="Conditions and sweeps.")
    scoring: ScoringConfig = Field(ScoringConfig(), description="Metrics, intervals and verdict.")
    forecast: Annotated[
        ForecastConfig,
        BeforeValidator(_switched_off, json_schema_input_type=ForecastConfig | None),
    ] = Field(ForecastConfig(), description="The forecast study; null switches it off.")
    report: ReportConfig = Field(ReportConfig(), description="Tables and figures.")
    resources: ResourcesConfig = Field(
        ResourcesConfig(), description="Resources of each rule's jobs."
    )
