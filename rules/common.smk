"""The configuration, and the paths of all files."""

import os
import sys
from contextlib import contextmanager
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
    from ttt_memory.conversation.config.base_model import ORIGIN_FILE
    from ttt_memory.conversation.config.training import memory_of
    from ttt_memory.errors import UserError
    from ttt_memory.fast_weights import rules as update_rules
    from ttt_memory.forecast import strategy as strategies
    from ttt_memory.forecast.series.config import TableDataset
    from ttt_memory.io import require_folder, require_past, require_writable
    from ttt_memory.options import found
    from ttt_memory.report.config import FIGURES
    from ttt_memory.study import closure as closures
    from ttt_memory.study import command_line, own_forecasters, slurm_outage
    from ttt_memory.study.disk import require_room
    from ttt_memory.study.config.base_folder import CONVERTED, fetched, model_folder
    from ttt_memory.study.config import load
    from ttt_memory.vocabulary import SWEPT
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


@contextmanager
def mistakes_told():
    """End with one line that says what is wrong, if the block finds a mistake of the user's."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if workflow.is_main_process:
    slurm_outage.outlast()


# The command line and hooks of a workflow that imports this one as a module are its own.
ALONE = workflow.modifier.is_main_snakefile()
with mistakes_told():
    if workflow.is_main_process and ALONE:
        command_line.require_once(sys.argv)
        command_line.require_config(Path(found("config.yaml", ROOT)))


# Of a module, the configuration is what the importing workflow passes, and this file is not read.
configfile: found("config.yaml", ROOT)


config = command_line.with_nulls(config, workflow.config_settings.config)


def sources():
    """What the configuration is merged from, by name, the strongest first.

    These are the command line, its presets from the last to the first, the files that Snakefiles
    name, and at the end the whole, for what a workflow passes to this one as a module.
    """
    presets = workflow.overwrite_configfiles
    named = workflow.configfiles[len(presets) :]
    given = workflow.config_settings.config
    files = dict.fromkeys(str(from_here(file)) for file in [*presets[::-1], *named[::-1]])
    return {"--config": command_line.with_nulls(given, given), **files, "config": config}


with mistakes_told():
    if prefix := workflow.modifier.path_modifier.prefix:
        raise UserError(
            f"module: found prefix {prefix!r}, expected none: the key `results` of the"
            " configuration names the folder of every output"
        )
    CONFIG = load(config, sources(), ROOT)
    if not ALONE:
        require_writable(CONFIG.results)
    if workflow.is_main_process:
        require_folder(CONFIG.results)
        require_past(CONFIG.results)
        own_forecasters.require_sound(CONFIG, sources())

# One environment for all rules. It has CUDA if any of them asks for a GPU.
GPUS = any(means.gpu for means in CONFIG.resources.of_rules.values())
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
GATES = RUN / "gates.parquet"
PREDICTIONS = RUN / "predictions" / "{condition}" / "{shard}.parquet"
METRICS = RESULTS / "metrics" / "{run}" / "metrics.parquet"
SCORED = RESULTS / "metrics" / "{run}" / "scored.parquet"
COMPARISONS = RESULTS / "comparisons.parquet"
IMPORTED_METRICS = RESULTS / "imports" / "{imported}" / "metrics.parquet"
SERIES = RESULTS / "series" / "{dataset}.parquet"
FORECAST = RESULTS / "forecast" / "{dataset}" / "{strategy}" / "{seed}"
FORECASTS = FORECAST / "forecasts.parquet"
FORECAST_CURVE = FORECAST / "curve.parquet"
FORECAST_TRACES = FORECAST / "traces.parquet"
LEADERBOARD = RESULTS / "forecast" / "leaderboard.parquet"
RIVALS = RESULTS / "forecast" / "rivals.parquet"
REPORT = RESULTS / "report"
with mistakes_told():
    if workflow.is_main_process and ALONE:
        command_line.require_report(sys.argv, REPORT, FIGURES)

# The folder of the base model.
BASE = model_folder(CONFIG)
BASE_CURVE = RESULTS / "base" / "curve.parquet"
# What it writes by itself.
BASE_TEXTS = RESULTS / "base" / "texts.parquet"
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
ALL_SWEEPS_KEYS = {"sweep_split"}
STAGE_KEYS = {"conditions", "sweeps", "alternatives", "shards"}
# How the base model is loaded and prompted.
MODEL_KEYS = ["base.dtype", "base.attention", "base.chat_template"]

# The runs whose memory is trained already.
TRAINED = [run for run, entry in CONFIG.runs.items() if entry.trained]


wildcard_constraints:
    run="|".join(CONFIG.runs) or "none",
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
    gpus = f"python {SCRIPTS / 'on_gpus.py'} {means.processes}"
    return f"{gpus} python -m accelerate.commands.launch {options} {threads} {kind}"


os.environ["TTT_TRAIN_LAUNCHER"] = launcher()


envvars:
    "TTT_TRAIN_LAUNCHER",


# Only a run that makes something needs to write: a dry run and `--report` do not. By the folder of
# logs `make recover` knows where results of one study end and those of another begin.
onstart:
    with mistakes_told():
        require_writable(RESULTS)
        LOGS.mkdir(parents=True, exist_ok=True)


# Where there is no room for its log, no job can say why it failed.
onerror:
    with mistakes_told():
        require_room(LOGS)
