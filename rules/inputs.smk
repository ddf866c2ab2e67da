"""What rules take from the configuration, the code and the files that exist: functions only."""

import json
from functools import cache


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
    asked, means = CONFIG.resources.asked, getattr(CONFIG.resources, rule)
    found = {
        "mem_mb": lambda wildcards, attempt: asked(rule, "mem_mb", attempt),
        "runtime": lambda wildcards, attempt: asked(rule, "runtime", attempt),
    }
    if means.gpu:
        found["gpu"] = means.gpu
        if means.gpu_model:
            found["gpu_model"] = means.gpu_model
    return found


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


def trained_folder(wildcards):
    """The folder of a memory that is trained already."""
    return CONFIG.runs[wildcards.run].memory(int(wildcards.seed))


def trained_files(wildcards):
    """The files of a memory that is trained already."""
    return files_in(trained_folder(wildcards))


def begun_files(wildcards):
    """The files of the memory that a run trains further, if it does."""
    start = CONFIG.runs[wildcards.run].train.start
    return files_in(memory_of(start, int(wildcards.seed))) if start else []


def base_texts_of(wildcards):
    """The texts of the untouched base, for a run that keeps its predictions on them."""
    return [BASE_TEXTS] if CONFIG.runs[wildcards.run].train.keep_weight else []


def base_texts_option(wildcards, input):
    """The option of train.py that names those texts."""
    return f"--base-texts '{input.base_texts}'" if input.base_texts else ""


def files_in(folder):
    """Every file in a folder and below it."""
    return sorted(str(from_here(file)) for file in folder.rglob("*") if file.is_file())


def recall_slice(wildcards):
    """The configuration of one condition or sweep, so that adding another does not rerun it."""
    unused = {key for sweep in SWEPT.values() for key in sweep.keys}
    if sweep := SWEPT.get(wildcards.get("condition")):
        unused -= set(sweep.keys)
    else:
        unused |= ALL_SWEEPS_KEYS
    keys = [key for key in type(CONFIG.recall).model_fields if key not in unused | STAGE_KEYS]
    return slice_of(*MODEL_KEYS, *(f"recall.{key}" for key in keys))


def diagnose_slice(wildcards):
    """The configuration of the statistics of one memory, on the dialogues of the sweeps."""
    keys = ("device", "seed", "segment_tokens", "sweep_samples", "sweep_split")
    return slice_of(*MODEL_KEYS, *(f"recall.{key}" for key in keys))


def report_slice(wildcards):
    """The configuration of the report, of the verdict, and of what each run is."""
    keys = ("label", "differs", "fast_weights", "train")
    return slice_of(
        "report", "scoring", *(f"runs.{run}.{key}" for run in CONFIG.runs for key in keys)
    )


def own_texts():
    """The user's own texts to train on: files, or the folder that a data set is fetched to."""
    corpus = CONFIG.corpus
    if corpus.source == "hub":
        return [fetched(corpus.hub_id, corpus.revision, "datasets")]
    return list(corpus.files)


def own_conversations():
    """The files of conversations with questions that models train on."""
    conversations = CONFIG.corpus.conversations
    return list(conversations.files) if conversations else []


def base_files():
    """The files of the base model that are inputs of rules and compared by content."""
    if CONFIG.base.source == "pretrain":
        return [BASE / name for name in MODEL_FILES]
    if CONFIG.base.source == "hub":
        # The revision determines the other files, and the folder is moved into place as a whole.
        return [BASE / "config.json"]
    if CONFIG.base.source in CONVERTED:
        # The origin holds the digest of the file that the model was converted from.
        return [BASE / "config.json", BASE / ORIGIN_FILE]
    return sorted(file for file in BASE.iterdir() if file.suffix in MODEL_SUFFIXES)


def base_gguf():
    """The GGUF file of the user's that the base model is converted from, if there is one."""
    return [CONFIG.base.path] if CONFIG.base.source == "gguf" else []


def base_origin():
    """The file that says where a converted base model comes from; none for other models."""
    return [BASE / ORIGIN_FILE] if CONFIG.base.source in CONVERTED else []


def start_files():
    """The files of the model that pretraining starts from; none if it starts from random weights."""
    start = CONFIG.base.pretrain.start
    return [Path(start, name) for name in MODEL_FILES] if start else []


def base_folder(wildcards):
    """The folder of the base model, as a parameter of a rule."""
    return str(BASE)


def base_checkpoints(wildcards):
    """The folder of pretraining's checkpoints, another one for other configuration, data or code."""
    config = slice_of("corpus", "base") + _contents(
        *CONFIG.corpus.files, *own_conversations(), *start_files()
    )
    key = _checkpoint_key(config, "make_corpus.py", "train_base.py")
    return str(CHECKPOINTS / "base" / key)


def train_checkpoints(wildcards):
    """The folder of a training's checkpoints, another one for other configuration, data or code."""
    config = train_slice(wildcards) + slice_of("corpus", "base") + _own_base()
    config += _contents(
        *CONFIG.corpus.files, *own_conversations(), *start_files(), *begun_files(wildcards)
    )
    files = [Path(file) for file in update_rule_files(wildcards)]
    key = _checkpoint_key(config, "make_corpus.py", "train_base.py", "train.py", files=files)
    return str(CHECKPOINTS / wildcards.run / wildcards.seed / key)


def recall_checkpoint(wildcards):
    """The file of what a job has asked so far, another one for other configuration or code.

    The job itself looks whether it is about the same model and benchmark.
    """
    files = [Path(file) for file in update_rule_files(wildcards)]
    key = _checkpoint_key(recall_slice(wildcards) + slice_of("base"), "recall.py", files=files)
    folder = CHECKPOINTS / "recall" / wildcards.run / wildcards.seed / wildcards.condition
    return str(folder / f"{wildcards.shard}.{key}.jsonl")


def _checkpoint_key(config, *scripts, files=()):
    code = {file for script in scripts for file in closures.closure(SCRIPTS / script)}
    return closures.fingerprint(sorted(code.union(files)), config)


def _own_base():
    """A fingerprint of a base model of the user's: sizes and ends of its files, which may be large."""
    if CONFIG.base.source not in ("local", "gguf"):
        return ""
    parts = []
    for path in map(Path, base_gguf() or base_files()):
        with open(path, "rb") as file:
            size, begins = path.stat().st_size, file.read(2**20)
            # A GGUF file begins with its tokenizer, which many models share.
            file.seek(max(0, size - 2**20))
            parts.append(f"{path.name} {size} {begins.hex()} {file.read().hex()}")
    return closures.fingerprint([], *parts)


def answers(wildcards):
    """The prediction files of a run: all seeds, conditions, sweeps and shards."""
    run, shards = CONFIG.runs[wildcards.run], CONFIG.recall.shards
    conditions = [name for name in CONFIG.recall.conditions if run.asked_under(name)]
    sweeps = (*CONFIG.recall.sweeps, *CONFIG.recall.alternatives) if run.sweeps else ()
    return expand(
        PREDICTIONS,
        run=wildcards.run,
        seed=run.seeds,
        condition=[*conditions, *sweeps],
        shard=[f"{index}-of-{shards}" for index in range(shards)],
    )


def of_each_memory(pattern):
    """`pattern` filled in for every training seed of the runs that are asked from fast weights."""
    memories = [(run, entry) for run, entry in CONFIG.runs.items() if entry.asked_under("B")]
    return [
        str(pattern).format(run=run, seed=seed) for run, entry in memories for seed in entry.seeds
    ]


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
    """The files of a forecaster and of the strategy it is matched to, with what they import."""
    kind, folder = _strategy_kind(wildcards)
    entry = getattr(CONFIG.forecast, kind)[wildcards.strategy]
    paths = [strategies.path_of(entry, folder)]
    if entry.match:
        matched = CONFIG.forecast.strategies[entry.match]
        paths.append(strategies.path_of(matched, strategies.STRATEGIES))
    files = {file for path in paths for file in closures.closure(from_here(path), SCRIPTS)}
    return sorted(map(str, files))


def forecast_slice(wildcards):
    """The configuration of one forecaster on one dataset, and of the strategy that it is matched to."""
    kind, _ = _strategy_kind(wildcards)
    names = [f"datasets.{wildcards.dataset}", f"{kind}.{wildcards.strategy}"]
    if matched := getattr(CONFIG.forecast, kind)[wildcards.strategy].match:
        names.append(f"strategies.{matched}")
    return slice_of(
        *(f"forecast.{key}" for key in (*names, "device", "model", "training", "search"))
    )


def forecast_checkpoints(wildcards):
    """The folder of a forecaster's checkpoints, another one for other configuration, data or code.

    It holds a file for each seed, so that a seed that is added does not train the others again.
    """
    files = [Path(file) for file in strategy_files(wildcards)]
    config = forecast_slice(wildcards) + _contents(*series_files(wildcards))
    key = _checkpoint_key(config, "make_series.py", "forecast.py", files=files)
    return str(CHECKPOINTS / "forecast" / wildcards.dataset / wildcards.strategy / key)


def of_each_forecast_seed(pattern):
    """`pattern` with every seed filled in, and dataset and forecaster left open."""
    return [str(pattern).replace("{seed}", str(seed)) for seed in CONFIG.forecast.seeds]


def of_each_forecast(pattern):
    """`pattern` filled in for every dataset, strategy or baseline, and seed."""
    study = CONFIG.forecast
    return [
        path
        for dataset in study.datasets
        for path in expand(
            pattern, dataset=dataset, strategy=study.of_dataset(dataset), seed=study.seeds
        )
    ]


@cache
def _contents(*files):
    """A fingerprint of the contents of `files`. It is kept, since many jobs ask for the same one."""
    return closures.fingerprint([Path(file) for file in files])


def _strategy_kind(wildcards):
    """The key of `forecast` that a name stands under, and the folder of built-in files for it."""
    if wildcards.strategy in CONFIG.forecast.strategies:
        return "strategies", strategies.STRATEGIES
    return "baselines", strategies.BASELINES
