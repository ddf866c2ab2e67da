"""Mistakes in a configuration that show only in several values together, or on disk."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...benchmark import own_texts
from ...conversation.config.base_model import BaseConfig
from ...conversation.config.training import MEMORY, memory_of
from ...errors import UserError
from ...forecast.config_checks import problems as forecast_problems
from . import conversation_files
from .base_folder import architecture
from .resources import ResourcesConfig
from .runs import RunEntry
from .tree import Config


def problems(config: Config) -> Iterable[tuple[str, str]]:
    """Mistakes that show only in several values or on disk: pairs of a key and what is wrong."""
    forecast = config.forecast
    if config.runs:
        yield from _conversation_problems(config)
    elif not (forecast.datasets and (forecast.strategies or forecast.baselines)):
        yield "runs", "found none, expected at least one run, or a forecast study"
    yield from _limit_problems(config.resources)
    for key, problem in forecast_problems(config.forecast):
        yield f"forecast.{key}", problem
    for name, entry in config.imports.items():
        paths = {"benchmark": entry.benchmark} | {
            f"predictions.{condition}": path for condition, path in entry.predictions.items()
        }
        for key, path in paths.items():
            if not Path(path).is_file():
                yield f"imports.{name}.{key}", f"found {path!r}, expected an existing file"


def _conversation_problems(config: Config) -> Iterable[tuple[str, str]]:
    yield from _base_problems(config.base)
    yield from _corpus_problems(config)
    yield from conversation_files.problems(config.benchmark, config.corpus)
    yield from _run_problems(config, architecture(config))
    yield from _recall_problems(config)
    yield from _process_problems(config)


def _base_problems(base: BaseConfig) -> Iterable[tuple[str, str]]:
    folder = Path(base.path)
    if base.source == "gguf" and not (folder.is_file() and folder.suffix == ".gguf"):
        yield "base.path", f"found {base.path!r}, expected an existing file that ends in .gguf"
    if base.source != "local":
        return
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
    if corpus.dialogues or corpus.conversations:
        return
    # The user's own texts have no probes.
    for name, run in config.runs.items():
        if run.train.steps and run.train.objective != "lm" and not run.trained:
            yield (
                "corpus.dialogues",
                f"found 0, expected at least 1: run {name!r} has objective"
                f" {run.train.objective!r}, which asks the probes of dialogues",
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
        asked = list(config.recall.conditions)
        if not any(map(run.asked_under, asked)):
            yield (
                f"runs.{name}.conditions",
                f"found {list(run.conditions)}, expected some of recall.conditions {asked}",
            )
        yield from _memory_problems(name, run)
        if len(set(run.seeds)) < len(run.seeds):
            yield f"runs.{name}.seeds", f"found {list(run.seeds)}, expected each seed once"


def _memory_problems(name: str, run: RunEntry) -> Iterable[tuple[str, str]]:
    """Every seed of a run with `trained` has a memory of its own; `train.start` has one."""
    if not run.trained:
        for folder in [memory_of(run.train.start, seed) for seed in run.seeds if run.train.start]:
            if not (folder / MEMORY).is_file():
                yield f"runs.{name}.train.start", f"found no {folder / MEMORY}, expected a memory"
        return
    folders = [run.memory(seed) for seed in run.seeds]
    for seed, folder in zip(run.seeds, folders, strict=True):
        if not (folder / MEMORY).is_file():
            yield f"runs.{name}.trained", f"found no {folder / MEMORY}, expected it for seed {seed}"
    if len(set(folders)) < len(folders):
        yield (
            f"runs.{name}.seeds",
            f"found {list(run.seeds)}, expected one: {run.trained!r} is a single memory",
        )


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


def _limit_problems(resources: ResourcesConfig) -> Iterable[tuple[str, str]]:
    for limited in ("mem_mb", "runtime"):
        most = getattr(resources, f"most_{limited}")
        for rule, means in resources.of_rules.items():
            asked = getattr(means, limited)
            if most is not None and asked > most:
                yield (
                    f"resources.{rule}.{limited}",
                    f"found {asked}, expected at most resources.most_{limited} ({most})",
                )


def _recall_problems(config: Config) -> Iterable[tuple[str, str]]:
    recall, benchmark = config.recall, config.benchmark
    if benchmark.source == "generator" and recall.shards > benchmark.samples_per_level:
        yield (
            "recall.shards",
            f"found {recall.shards}, expected at most the {benchmark.samples_per_level}"
            " samples of a level",
        )
    if len(set(recall.conditions)) < len(recall.conditions):
        yield "recall.conditions", f"found {list(recall.conditions)}, expected each once"
    levels, splits = conversation_files.levels(benchmark), conversation_files.splits(benchmark)
    if "D" in recall.conditions and 3 not in levels:
        if benchmark.source != "generator":
            yield (
                "recall.conditions",
                f"found {list(recall.conditions)}, expected no D: conversations of source"
                f" {benchmark.source!r} have no distractors",
            )
        yield "benchmark.levels", f"found {levels}, expected 3 too: condition D needs distractors"
    if 1 not in levels:
        yield (
            "benchmark.levels",
            f"found {levels}, expected 1 too: sanity checks, sweeps and alternatives ask level-1"
            " samples",
        )
    if splits is not None and recall.sweep_split not in splits:
        yield "recall.sweep_split", f"found {recall.sweep_split!r}, expected one of {splits}"
    if config.report.baseline not in config.runs:
        yield (
            "report.baseline",
            f"found {config.report.baseline!r}, expected one of the runs {sorted(config.runs)}",
        )
