"""The whole configuration as one typed tree, and the checks that span its parts.

Only the workflow reads it as a whole. A script reads the part it is given, by the class of
that part, so that a new key elsewhere never touches it.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from . import options
from .benchmark.config import BenchmarkConfig, CorpusConfig
from .conversation.config import BaseConfig, RecallConfig, RunConfig
from .errors import UserError
from .options import Options
from .report.config import ReportConfig
from .scoring.config import ScoringConfig

# A name becomes a folder and a wildcard.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


def _without_nulls(entries: Any) -> Any:
    """Drop the entries that a preset switched off with `name: null`."""
    if not isinstance(entries, Mapping):
        return entries
    return {name: entry for name, entry in entries.items() if entry is not None}


class ImportConfig(Options):
    """A published benchmark and the predictions made on it, scored beside our own."""

    benchmark: str = Field(
        description="Path of the benchmark: JSON in the published layout, or Parquet in ours."
    )
    predictions: dict[Name, str] = Field(
        min_length=1,
        description="Path of the predictions of each condition (A, B, ...), JSON or Parquet.",
    )


class RuleResources(Options):
    """What one job of a rule may use."""

    threads: int = Field(1, ge=1, description="CPU threads.")
    mem_mb: int = Field(4000, ge=1, description="Memory, MB; grows with each attempt.")
    runtime: int = Field(60, ge=1, description="Time limit, minutes (cluster only).")
    gpu: int = Field(0, ge=0, description="GPUs.")
    gpu_model: str | None = Field(None, description="GPU model, for example a100; null for any.")


class ResourcesConfig(Options):
    """Threads, memory, time and GPUs of every rule's jobs."""

    benchmark: RuleResources = Field(RuleResources(), description="Benchmark generation.")
    corpus: RuleResources = Field(RuleResources(), description="Training corpus generation.")
    base: RuleResources = Field(RuleResources(threads=2), description="Base model pretraining.")
    train: RuleResources = Field(RuleResources(threads=2), description="One run, one seed.")
    sanity: RuleResources = Field(RuleResources(), description="Sanity checks of a trained run.")
    recall: RuleResources = Field(RuleResources(), description="One condition or sweep, one shard.")
    diagnose: RuleResources = Field(RuleResources(), description="Gate and norm statistics.")
    score: RuleResources = Field(RuleResources(), description="Scoring of one run.")
    report: RuleResources = Field(RuleResources(), description="Tables, figures and text.")


class Config(Options):
    """config.yaml and its presets: what is studied, on what, and with which means."""

    results: str = Field("results", description="Folder of every output, from the repository root.")
    benchmark: BenchmarkConfig = Field(BenchmarkConfig(), description="The generated benchmark.")
    corpus: CorpusConfig = Field(CorpusConfig(), description="The text that models train on.")
    imports: Annotated[
        dict[Name, ImportConfig],
        BeforeValidator(_without_nulls, json_schema_input_type=dict[Name, ImportConfig | None]),
    ] = Field({}, description="Published benchmarks with predictions, by name; null drops one.")
    base: BaseConfig = Field(BaseConfig(), description="The base model.")
    runs: Annotated[
        dict[Name, RunConfig],
        BeforeValidator(_without_nulls, json_schema_input_type=dict[Name, RunConfig | None]),
    ] = Field(
        description="Training regimes by name; each goes through every condition; null drops one."
    )
    recall: RecallConfig = Field(RecallConfig(), description="Conditions and sweeps.")
    scoring: ScoringConfig = Field(ScoringConfig(), description="Metrics, intervals and verdict.")
    report: ReportConfig = Field(ReportConfig(), description="Tables and figures.")
    resources: ResourcesConfig = Field(ResourcesConfig(), description="Means of each rule's jobs.")


def load(data: Mapping[str, Any], files: Iterable[Path] = (), root: Path = Path()) -> Config:
    """The merged mapping `data` as a checked `Config`.

    `files` are those that `data` was merged from, the strongest first: the one that sets a
    wrong key is named. Relative paths of models and imports start at `root`.

    Raises:
        UserError: one line with file, key, what was found and what was expected.
    """
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        where = blame(error.errors()[0]["loc"], files)
        raise UserError(options.describe(error, where)) from error
    for key, problem in problems(config, root):
        raise UserError(f"{blame(key.split('.'), files)}: {key}: {problem}")
    return config


def blame(key: Iterable[Any], files: Iterable[Path]) -> str:
    """The first of `files` that sets `key`, else its nearest ancestor; 'config' for none."""
    key, best, depth = list(key), "config", 0
    for path in files:
        node: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        reached = 0
        for part in key:
            if not isinstance(node, Mapping) or part not in node:
                break
            node, reached = node[part], reached + 1
        if reached > depth:
            best, depth = str(path), reached
    return best


def problems(config: Config, root: Path) -> Iterable[tuple[str, str]]:
    """Mistakes that no single value shows: pairs of a key and what is wrong with it."""
    yield from _base_problems(config.base, root)
    yield from _run_problems(config, architecture(config.base, root))
    yield from _recall_problems(config)
    for name, entry in config.imports.items():
        paths = {"benchmark": entry.benchmark} | {
            f"predictions.{condition}": path for condition, path in entry.predictions.items()
        }
        for key, path in paths.items():
            if not (root / path).is_file():
                yield f"imports.{name}.{key}", f"found {path!r}, expected an existing file"


def architecture(base: BaseConfig, root: Path) -> dict[str, Any]:
    """What is known of the base model's shape before any work: empty for an unfetched model."""
    if base.source == "pretrain":
        return base.architecture.model_dump()
    if base.source == "hub":
        return {}
    try:
        shape = json.loads((root / base.path / "config.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return {}
    # A multimodal model keeps its language part one level down.
    return shape.get("text_config", shape)


def _base_problems(base: BaseConfig, root: Path) -> Iterable[tuple[str, str]]:
    if base.source != "local":
        return
    folder = root / base.path
    if not folder.is_dir():
        yield "base.path", f"found {base.path!r}, expected an existing model folder"
    elif not (folder / "config.json").is_file():
        yield "base.path", f"{base.path!r} holds no config.json, expected a hub-format folder"


def _run_problems(config: Config, shape: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    depth = shape.get("num_hidden_layers")
    longest = shape.get("max_position_embeddings")
    if not config.runs:
        yield "runs", "found none, expected at least one run"
    for name, run in config.runs.items():
        weights, key = run.fast_weights, f"runs.{name}.fast_weights"
        if depth is not None and max(weights.layers) >= depth:
            yield (
                f"{key}.layers",
                f"found layer {max(weights.layers)}, expected 0 to {depth - 1}:"
                f" the base has {depth} layers",
            )
        if longest is not None and weights.chunk > longest:
            yield (
                f"{key}.chunk",
                f"found {weights.chunk}, expected at most the base's {longest} positions",
            )
        if len(set(run.seeds)) < len(run.seeds):
            yield f"runs.{name}.seeds", f"found {list(run.seeds)}, expected each seed once"


def _recall_problems(config: Config) -> Iterable[tuple[str, str]]:
    samples = config.benchmark.samples
    if config.recall.shards > samples:
        yield (
            "recall.shards",
            f"found {config.recall.shards}, expected at most the {samples} samples of a level",
        )
