"""The whole configuration as one typed tree, and the checks that span its parts.

Only the workflow reads the whole. A script reads its own part with the class of that part, so
that a new key elsewhere does not rerun it.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from .. import options
from ..benchmark import own_texts
from ..benchmark.config import BenchmarkConfig, CorpusConfig
from ..conversation.config.asking import RecallConfig
from ..conversation.config.base_model import BaseConfig
from ..conversation.config.training import RunConfig
from ..errors import UserError
from ..forecast.config import ForecastConfig
from ..forecast.config_checks import problems as forecast_problems
from ..options import InputPath, Options
from ..report.config import ReportConfig
from ..scoring.config import ScoringConfig
from . import renamed_keys
from .config_files import blame, idle_nulls
from .config_files import read as read_sources
from .resources import ResourcesConfig

# The keys under which null drops an entry.
SWITCHES = [("runs",), ("imports",)]
SWITCHES += [("forecast", kind) for kind in ("datasets", "strategies", "baselines")]
# A name becomes a folder and a wildcard.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


def _resolved(entries: Any) -> Any:
    """Runs with `like` written out: the keys of the other run, and their own laid over them."""
    entries = options.without_nulls(entries)
    if not isinstance(entries, Mapping):
        return entries
    written = {name: _inherited(entries, name, ()) for name in entries}
    return {
        name: laid_over({"label": name}, entry) if isinstance(entry, Mapping) else entry
        for name, entry in written.items()
    }


def _inherited(entries: Mapping[str, Any], name: str, seen: tuple[str, ...]) -> Any:
    entry = entries[name]
    if not isinstance(entry, Mapping) or entry.get("like") is None:
        return entry
    other = entry["like"]
    if other not in entries or other in (*seen, name):
        others = sorted(set(entries) - {name, *seen})
        raise ValueError(f"run {name!r}, key like: found {other!r}, expected one of {others}")
    parent = _inherited(entries, other, (*seen, name))
    if not isinstance(parent, Mapping):
        return entry
    # A label describes one run only.
    shared = {key: value for key, value in parent.items() if key not in ("label", "differs")}
    return laid_over(shared, entry)


def laid_over(below: Any, above: Any) -> Any:
    """`above`, and the keys of `below` that it lacks; mappings merge as in Snakemake's presets."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    merged = {key: laid_over(below[key], above[key]) for key in below.keys() & above.keys()}
    return {**below, **above, **merged}


def _switched_off(forecast: Any) -> Any:
    """`forecast: null` written out as a study without datasets."""
    return {"datasets": {}} if forecast is None else forecast


class RunEntry(RunConfig):
    """A run of the configuration, written out or as changes to another run."""

    like: Name | None = Field(
        None,
        description="Another run whose keys this one starts from; not its label and differs.",
    )


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
        BeforeValidator(_resolved, json_schema_input_type=dict[Name, RunEntry | None]),
    ] = Field(
        description="Training regimes by name; each goes through every condition; null drops one."
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


def load(
    data: Mapping[str, Any],
    sources: Mapping[str, Mapping[str, Any] | None] | None = None,
    root: Path = Path(),
) -> Config:
    """The merged mapping `data` as a checked `Config`.

    `sources` are what `data` was merged from, the strongest first, by name: a mapping, or None
    for a YAML file of that name. The one that sets a wrong key is named. A file or folder to
    read is looked for in the working directory and then below `root`; where it is found is what
    the configuration then holds.

    Raises:
        UserError: one line with file, key, what was found and what was expected.
    """
    files = read_sources(sources or {})
    for key, problem in renamed_keys.old_runs(data, files.values()):
        raise UserError(f"{blame(key, files)}: {'.'.join(key)}: {problem}")
    for key, problem in idle_nulls(data, SWITCHES, files) if files else ():
        raise UserError(f"{blame(key, files)}: {'.'.join(key)}: {problem}")
    try:
        # Named, so that the default path of a model is looked for like any other.
        named = {"base": {}, **data}
        config = Config.model_validate(named, context={"root": root})
    except ValidationError as error:
        if renamed := renamed_keys.explain(error):
            key, problem = renamed
            raise UserError(f"{blame(key, files)}: {'.'.join(key)}: {problem}") from error
        key = options.key_of(options.first_of(error)["loc"], data)
        told = options.describe(error, Config, data=data) + _run_meant(key, data)
        raise UserError(f"{blame(key, files)}: {told}") from error
    for key, problem in problems(config):
        raise UserError(f"{blame(key.split('.'), files)}: {key}: {problem}")
    return config


def _run_meant(key: list[Any], data: Mapping[str, Any]) -> str:
    """If a run lacks what every run needs: the run whose name it may misspell."""
    if key[:1] != ["runs"] or key[-1] != "fast_weights":
        return ""
    others = [str(name) for name in data["runs"] if name != key[1]]
    near = difflib.get_close_matches(str(key[1]), others, n=1, cutoff=0.8)
    return "".join(f"; is run {name!r} meant?" for name in near)


def problems(config: Config) -> Iterable[tuple[str, str]]:
    """Mistakes that show only in several values or on disk: pairs of a key and what is wrong."""
    yield from _base_problems(config.base)
    yield from _corpus_problems(config)
    yield from _run_problems(config, architecture(config))
    yield from _recall_problems(config)
    yield from _process_problems(config)
    for key, problem in forecast_problems(config.forecast):
        yield f"forecast.{key}", problem
    for name, entry in config.imports.items():
        paths = {"benchmark": entry.benchmark} | {
            f"predictions.{condition}": path for condition, path in entry.predictions.items()
        }
        for key, path in paths.items():
            if not Path(path).is_file():
                yield f"imports.{name}.{key}", f"found {path!r}, expected an existing file"


def model_folder(config: Config) -> Path:
    """The folder of the base model, which may still have to be pretrained or fetched."""
    base = config.base
    if base.source == "pretrain":
        return Path(config.results) / "base" / "model"
    if base.source == "hub":
        return fetched(base.hub_id, base.revision)
    return Path(base.path)


def fetched(hub_id: str, revision: str, kind: str = ".") -> Path:
    """The folder that a repository of the hub is fetched to; `kind` keeps data sets apart."""
    return Path("data", "hub", kind, hub_id.replace("/", "--"), revision)


def architecture(config: Config) -> dict[str, Any]:
    """The base model's configuration as far as it is known; empty if it is not fetched yet."""
    if config.base.source == "pretrain":
        return config.base.architecture.model_dump()
    try:
        text = (model_folder(config) / "config.json").read_text(encoding="utf-8")
        shape = json.loads(text)
    except (OSError, json.JSONDecodeError):
        return {}
    # In a multimodal model, the language model has a configuration of its own.
    return shape.get("text_config", shape)


def _base_problems(base: BaseConfig) -> Iterable[tuple[str, str]]:
    if base.source != "local":
        return
    folder = Path(base.path)
    if not folder.is_dir():
        yield "base.path", f"found {base.path!r}, expected an existing model folder"
    elif not (folder / "config.json").is_file():
        yield "base.path", f"{base.path!r} holds no config.json, expected a hub-format folder"


def _corpus_problems(config: Config) -> Iterable[tuple[str, str]]:
    corpus = config.corpus
    for place, name in enumerate(corpus.files):
        try:
            next(own_texts.read_texts(Path(name)), None)
        except UserError as error:
            yield f"corpus.files.{place}", str(error)
    if corpus.dialogues:
        return
    # The user's own texts have no probes.
    for name, run in config.runs.items():
        if run.train.objective != "lm":
            yield (
                "corpus.dialogues",
                f"found 0, expected at least 1: run {name!r} has objective"
                f" {run.train.objective!r}, which asks the probes of generated dialogues",
            )
    if config.base.source == "pretrain":
        yield "corpus.dialogues", "found 0, expected at least 1: the base is pretrained on them"


def _run_problems(config: Config, shape: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    depth = shape.get("num_hidden_layers")
    longest = shape.get("max_position_embeddings")
    if longest is not None and config.recall.segment_tokens > longest:
        yield (
            "recall.segment_tokens",
            f"found {config.recall.segment_tokens}, expected at most the base's {longest}"
            " positions",
        )
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


def _process_problems(config: Config) -> Iterable[tuple[str, str]]:
    means = config.resources.train
    if means.gpu not in (0, means.processes):
        yield (
            "resources.train.gpu",
            f"found {means.gpu}, expected one for each of the {means.processes} processes, or 0",
        )
    if means.accelerate and (" " in means.accelerate or not Path(means.accelerate).is_file()):
        yield (
            "resources.train.accelerate",
            f"found {means.accelerate!r}, expected an existing file, and no spaces in its path",
        )
    for name, run in config.runs.items():
        if run.train.accumulation % means.processes:
            yield (
                f"runs.{name}.train.accumulation",
                f"found {run.train.accumulation}, expected a multiple of resources.train.processes"
                f" ({means.processes})",
            )


def _recall_problems(config: Config) -> Iterable[tuple[str, str]]:
    recall, benchmark = config.recall, config.benchmark
    if recall.shards > benchmark.samples_per_level:
        yield (
            "recall.shards",
            f"found {recall.shards}, expected at most the {benchmark.samples_per_level}"
            " samples of a level",
        )
    if len(set(recall.conditions)) < len(recall.conditions):
        yield "recall.conditions", f"found {list(recall.conditions)}, expected each once"
    levels = list(benchmark.levels)
    if "D" in recall.conditions and 3 not in levels:
        yield "benchmark.levels", f"found {levels}, expected 3 too: condition D needs distractors"
    if recall.sweeps and 1 not in levels:
        yield "benchmark.levels", f"found {levels}, expected 1 too: sweeps ask level-1 samples"
    for key, split in (
        ("recall.sweep_split", recall.sweep_split),
        ("report.split", config.report.split),
    ):
        if split not in benchmark.splits:
            yield key, f"found {split!r}, expected one of {sorted(benchmark.splits)}"
    if config.report.baseline not in config.runs:
        yield (
            "report.baseline",
            f"found {config.report.baseline!r}, expected one of the runs {sorted(config.runs)}",
        )
