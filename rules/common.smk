"""The configuration, the paths of all files, and what rules take from them."""

import json
import os
import sys
from functools import cache
from pathlib import Path


def from_here(path):
    """`path` from the working directory if it lies below it, else absolute."""
    path, here = Path(os.path.abspath(path)), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


# Where the workflow lies, which may be another place than where it runs.
ROOT = from_here(Path(workflow.current_basedir).resolve().parent)
SCRIPTS = ROOT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS.resolve()))

try:
    from ttt_memory.errors import UserError
    from ttt_memory.fast_weights import rules as update_rules
    from ttt_memory.forecast import strategy as strategies
    from ttt_memory.forecast.series.config import TableDataset
    from ttt_memory.io import require_past, require_writable
    from ttt_memory.options import found
    from ttt_memory.report.config import FIGURES
    from ttt_memory.study import closure as closures
    from ttt_memory.study.config import fetched, load, model_folder
    from ttt_memory.vocabulary import SWEEPS
except ModuleNotFoundError as missing:
    lock = ROOT / "requirements.lock"
    print(
        f"error: Python package {missing.name!r} is not installed where Snakemake is:"
        f" {sys.executable} -m pip install --requirement {lock}",
        file=sys.stderr,
    )
    raise SystemExit(2) from None

os.environ.update(
    # `python` is the interpreter that runs Snakemake, even if its environment is not active.
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    # Compute nodes have no network. Only the rules that fetch switch access to the hub on again.
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
)


# Of a module, the configuration is what the importing workflow passes, and this file is not read.
configfile: found("config.yaml", ROOT)


def sources():
    """What the configuration is merged from, by name, the strongest first.

    These are the command line, its presets from the last to the first, the files that Snakefiles
    name, and at the end the whole, for what a workflow passes to this one as a module.
    """
    presets = workflow.overwrite_configfiles
    named = workflow.configfiles[len(presets) :]
    files = dict.fromkeys(str(from_here(file)) for file in [*presets[::-1], *named[::-1]])
    return {"--config": workflow.config_settings.config, **files, "config": config}


try:
    if prefix := workflow.modifier.path_modifier.prefix:
        raise UserError(
            f"module: found prefix {prefix!r}, expected none: the key `results` of the"
            " configuration names the folder of every output"
        )
    CONFIG = load(config, sources(), ROOT)
    require_writable(CONFIG.results)
    if workflow.is_main_process:
        require_past(CONFIG.results)
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(2) from None

# One environment for all rules. It has CUDA if any of them asks for a GPU.
GPUS = any(getattr(CONFIG.resources, rule).gpu for rule in type(CONFIG.resources).model_fields)
ENVIRONMENT = f"../envs/{'cuda' if GPUS else 'cpu'}.yaml"
RESULTS = Path(CONFIG.results)
LOGS = RESULTS / "logs"
TIMES = RESULTS / "benchmarks"
# Snakemake deletes the outputs of a rule before it reruns; checkpoints have to outlive that.
CHECKPOINTS = RESULTS / "checkpoints"

BENCHMARK = RESULTS / "benchmark" / "benchmark.parquet"
IMPORTED = RESULTS / "imports" / "{imported}" / "benchmark.parquet"
DIALOGUES = RESULTS / "corpus" / "dialogues.parquet"
PASSAGES = RESULTS / "corpus" / "passages.parquet"
RUN = RESULTS / "runs" / "{run}" / "{seed}"
MODEL = RUN / "model"
SANITY = RUN / "sanity.json"
CURVE = RUN / "curve.parquet"
DIAGNOSTICS = RUN / "diagnostics.parquet"
PREDICTIONS = RUN / "predictions" / "{condition}" / "{shard}.parquet"
METRICS = RESULTS / "metrics" / "{run}" / "metrics.parquet"
IMPORTED_METRICS = RESULTS / "imports" / "{imported}" / "metrics.parquet"
SERIES = RESULTS / "series" / "{dataset}.parquet"
FORECAST = RESULTS / "forecast" / "{dataset}" / "{strategy}" / "{seed}"
FORECASTS = FORECAST / "forecasts.parquet"
FORECAST_CURVE = FORECAST / "curve.parquet"
FORECAST_TRACES = FORECAST / "traces.parquet"
LEADERBOARD = RESULTS / "forecast" / "leaderboard.parquet"
REPORT = RESULTS / "report"

# The folder of the base model.
BASE = model_folder(CONFIG)
BASE_CURVE = RESULTS / "base" / "curve.parquet"
MODEL_SUFFIXES = {".json", ".safetensors", ".txt", ".model", ".jinja"}
# The files that saving a model and its tokenizer writes.
MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]
# Keys of `recall` that all sweeps read, and that no single job reads.
ALL_SWEEPS_KEYS = {"sweep_samples", "sweep_split"}
STAGE_KEYS = {"conditions", "sweeps", "shards"}
# How the base model is loaded and prompted.
MODEL_KEYS = ["base.dtype", "base.attention", "base.chat_template"]


wildcard_constraints:
    run="|".join(CONFIG.runs),
    seed=r"\d+",
    condition=r"\w+",
    shard=r"\d+-of-\d+",
    imported="|".join(CONFIG.imports) or "none",
    dataset="|".join(CONFIG.forecast.datasets) or "none",
    strategy="|".join([*CONFIG.forecast.strategies, *CONFIG.forecast.baselines]) or "none",


def witness():
    """A file that is an input of every rule: its content never changes, and its time is now.

    Snakemake reruns a job if an input is newer than its output and the input's content is not the
    one on record. This input is always newer. So an output whose record is lost is made again;
    without this file Snakemake would compare times and trust the output.
    """
    file = Path(".snakemake", "witness")
    # While jobs run the file stays as it is: Snakemake fails a job whose input becomes newer.
    running = any(Path(".snakemake", "locks").glob("*"))
    if workflow.is_main_process and not (running and file.is_file()):
        file.parent.mkdir(exist_ok=True)
        file.write_text("What has no record of this file is made again.\n")
    return str(file)


WITNESS = witness()


def launcher():
    """The command that starts train.py: Python, or Accelerate if several processes train."""
    means = CONFIG.resources.train
    if means.processes == 1 and not means.accelerate:
        return "python"
    # With port 0 Accelerate takes a free port, so that several trainings can share a machine.
    options = f"--num_processes {means.processes} --num_machines 1 --main_process_port 0"
    threads = f"--num_cpu_threads_per_process {max(1, means.threads // means.processes)}"
    kind = f"--config_file {means.accelerate}" if means.accelerate else "--multi_gpu"
    return f"python -m accelerate.commands.launch {options} {threads} {kind}"


os.environ["TTT_TRAIN_LAUNCHER"] = launcher()


envvars:
    "TTT_TRAIN_LAUNCHER",


def closure(script):
    """Code as inputs: a script, and the files of this project that it imports."""
    script = SCRIPTS / script
    return {
        "script": str(script),
        "witness": WITNESS,
        "code": [str(file) for file in closures.closure(script) if file != script],
    }


def resources_of(rule):
    """The resources that the configuration gives `rule`. RAM and time grow with each attempt."""
    means = getattr(CONFIG.resources, rule)
    found = {
        "mem_mb": lambda wildcards, attempt: means.mem_mb * attempt,
        "runtime": lambda wildcards, attempt: means.runtime * attempt,
    }
    if means.gpu:
        found["gpu"] = means.gpu
        if means.gpu_model:
            found["gpu_model"] = means.gpu_model
    return found


def group_of(rule):
    """The group whose jobs share a submission to a cluster; none for jobs that ask for a GPU."""
    return None if getattr(CONFIG.resources, rule).gpu else rule


def slice_of(*keys):
    """The configuration under the dotted `keys`, and nothing else, as canonical JSON.

    As a parameter of a rule it reruns the rule if one of these keys changes, and only then. A
    default that changes counts as well.
    """
    whole, part = CONFIG.model_dump(mode="json"), {}
    for key in keys:
        *path, last = key.split(".")
        source, target = whole, part
        for name in path:
            source, target = source[name], target.setdefault(name, {})
        target[last] = source[last]
    return json.dumps(part, sort_keys=True, ensure_ascii=False)


def train_slice(wildcards):
    """The configuration that one run's training reads, so without its label and seeds."""
    run = f"runs.{wildcards.run}"
    return slice_of(f"{run}.fast_weights", f"{run}.train", *MODEL_KEYS)


def update_rule_files(wildcards):
    """The file of a run's update rule, and the files of this project that it imports."""
    path = update_rules.path_of(CONFIG.runs[wildcards.run].fast_weights.update)
    return [str(file) for file in closures.closure(from_here(path), SCRIPTS)]


def recall_slice(wildcards):
    """The configuration of one condition or sweep, so that adding another does not rerun it."""
    unused = {sweep.settings for sweep in SWEEPS.values()}
    if sweep := SWEEPS.get(wildcards.get("condition")):
        unused.remove(sweep.settings)
    else:
        unused |= ALL_SWEEPS_KEYS
    keys = [key for key in type(CONFIG.recall).model_fields if key not in unused | STAGE_KEYS]
    return slice_of(*MODEL_KEYS, *(f"recall.{key}" for key in keys))


def report_slice(wildcards):
    """The configuration of the report, of the verdict, and of how each run is named."""
    texts = [f"runs.{run}.{key}" for run in CONFIG.runs for key in ("label", "differs")]
    return slice_of("report", "scoring", *texts)


def own_texts():
    """The user's own texts to train on: files, or the folder that a data set is fetched to."""
    corpus = CONFIG.corpus
    if corpus.source == "hub":
        return [fetched(corpus.hub_id, corpus.revision, "datasets")]
    return list(corpus.files)


def base_files():
    """The files of the base model that are inputs of rules and compared by content."""
    if CONFIG.base.source == "pretrain":
        return [BASE / name for name in MODEL_FILES]
    if CONFIG.base.source == "hub":
        # The revision determines the other files, and the folder is moved into place as a whole.
        return [BASE / "config.json"]
    return sorted(file for file in BASE.iterdir() if file.suffix in MODEL_SUFFIXES)


def start_files():
    """The files of the model that pretraining starts from; none if it starts from random weights."""
    start = CONFIG.base.pretrain.start
    return [Path(start, name) for name in MODEL_FILES] if start else []


def base_folder(wildcards):
    """The folder of the base model, as a parameter of a rule."""
    return str(BASE)


def base_checkpoints(wildcards):
    """The folder of pretraining's checkpoints, another one for other configuration, data or code."""
    config = slice_of("corpus", "base") + _contents(*CONFIG.corpus.files)
    key = _checkpoint_key(config, "make_corpus.py", "train_base.py")
    return str(CHECKPOINTS / "base" / key)


def train_checkpoints(wildcards):
    """The folder of a training's checkpoints, another one for other configuration, data or code."""
    config = train_slice(wildcards) + slice_of("corpus", "base") + _local_base()
    config += _contents(*CONFIG.corpus.files)
    files = [Path(file) for file in update_rule_files(wildcards)]
    key = _checkpoint_key(config, "make_corpus.py", "train_base.py", "train.py", files=files)
    return str(CHECKPOINTS / wildcards.run / wildcards.seed / key)


def _checkpoint_key(config, *scripts, files=()):
    code = {file for script in scripts for file in closures.closure(SCRIPTS / script)}
    return closures.fingerprint(sorted(code.union(files)), config)


def _local_base():
    """A fingerprint of a local base model: sizes and first MiB of its files, which may be large."""
    if CONFIG.base.source != "local":
        return ""
    parts = []
    for path in base_files():
        with open(path, "rb") as file:
            parts.append(f"{path.name} {path.stat().st_size} {file.read(2**20).hex()}")
    return closures.fingerprint([], *parts)


def answers(wildcards):
    """The prediction files of a run: all seeds, conditions, sweeps and shards."""
    run, shards = CONFIG.runs[wildcards.run], CONFIG.recall.shards
    return expand(
        PREDICTIONS,
        run=wildcards.run,
        seed=run.seeds,
        condition=[*CONFIG.recall.conditions, *(CONFIG.recall.sweeps if run.sweeps else ())],
        shard=[f"{index}-of-{shards}" for index in range(shards)],
    )


def of_each_model(pattern):
    """`pattern` filled in for every run and training seed."""
    models = [(run, seed) for run, entry in CONFIG.runs.items() for seed in entry.seeds]
    return [str(pattern).format(run=run, seed=seed) for run, seed in models]


def series_files(wildcards):
    """The files that a dataset is read from. The data of a package is fixed by its version."""
    dataset = CONFIG.forecast.datasets[wildcards.dataset]
    names = ("path",) if isinstance(dataset, TableDataset) else ("train", "valid", "test")
    paths = [getattr(dataset, name, None) for name in names]
    return [path for path in paths if path and not path.startswith("package:")]


def series_slice(wildcards):
    """The configuration that a dataset is made from, so without its number of epochs."""
    dataset = CONFIG.forecast.datasets[wildcards.dataset]
    keys = [key for key in type(dataset).model_fields if key != "epochs"]
    return slice_of(*(f"forecast.datasets.{wildcards.dataset}.{key}" for key in keys))


def strategy_files(wildcards):
    """The file of a strategy or baseline, and the files of this project that it imports."""
    kind, folder = _strategy_kind(wildcards)
    path = strategies.path_of(getattr(CONFIG.forecast, kind)[wildcards.strategy], folder)
    return [str(file) for file in closures.closure(from_here(path), SCRIPTS)]


def forecast_slice(wildcards):
    """The configuration of one forecaster on one dataset, without any other of both."""
    kind, _ = _strategy_kind(wildcards)
    names = (f"datasets.{wildcards.dataset}", f"{kind}.{wildcards.strategy}")
    return slice_of(*(f"forecast.{key}" for key in (*names, "device", "model", "training")))


def forecast_checkpoints(wildcards):
    """The folder of a forecaster's checkpoints, another one for other configuration, data or code."""
    files = [Path(file) for file in strategy_files(wildcards)]
    config = forecast_slice(wildcards) + _contents(*series_files(wildcards))
    key = _checkpoint_key(config, "make_series.py", "forecast.py", files=files)
    folder = CHECKPOINTS / "forecast" / wildcards.dataset / wildcards.strategy
    return str(folder / wildcards.seed / key)


def of_each_forecast(pattern):
    """`pattern` filled in for every dataset, strategy or baseline, and seed."""
    study = CONFIG.forecast
    return expand(
        pattern,
        dataset=study.datasets,
        strategy=[*study.strategies, *study.baselines],
        seed=study.seeds,
    )


@cache
def _contents(*files):
    """A fingerprint of the contents of `files`. It is kept, since many jobs ask for the same one."""
    return closures.fingerprint([Path(file) for file in files])


def _strategy_kind(wildcards):
    """The key of `forecast` that a name stands under, and the folder of built-in files for it."""
    if wildcards.strategy in CONFIG.forecast.strategies:
        return "strategies", strategies.STRATEGIES
    return "baselines", strategies.BASELINES
