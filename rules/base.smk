"""Who is asked: the base model, wherever it comes from, as files in the hub's format."""

HUB_MODELS = Path("data") / "hub"
PRETRAINED = RESULTS / "base" / "model"
# What saving a model and its tokenizer leaves in a folder.
MODEL_FILES = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
]


def base_folder():
    """The base model's folder."""
    base = CONFIG.base
    if base.source == "pretrain":
        return PRETRAINED
    if base.source == "hub":
        return HUB_MODELS / base.hub_id.replace("/", "--") / base.revision
    return Path(base.path)


def base_files():
    """The files by which a rule depends on the base model, so that they compare by content."""
    if CONFIG.base.source == "pretrain":
        return [PRETRAINED / name for name in MODEL_FILES]
    if CONFIG.base.source == "hub":
        # The revision pins the rest; the fetched folder appears as a whole.
        return [base_folder() / "config.json"]
    return sorted(file for file in base_folder().iterdir() if file.is_file())


def base_identity():
    """What tells a local base from another: sizes and beginnings, since models may be large."""
    if CONFIG.base.source != "local":
        return ""
    parts = []
    for path in base_files():
        with open(path, "rb") as file:
            parts.append(f"{path.name} {path.stat().st_size} {file.read(2**20).hex()}")
    return closures.fingerprint([], *parts)


def base_checkpoints(wildcards):
    """Where pretraining resumes from, keyed by its configuration, its corpus and their code."""
    config = slice_of("corpus", "base")
    return str(CHECKPOINTS / "base" / checkpoint_key(config, "make_corpus.py", "train_base.py"))


BASE = base_folder()


rule train_base:
    input:
        corpus=DIALOGUES,
        passages=PASSAGES,
        code=closure("train_base.py"),
    output:
        model=[PRETRAINED / name for name in MODEL_FILES],
        curve=RESULTS / "base" / "curve.parquet",
    log:
        LOGS / "train_base.log",
    benchmark:
        TIMES / "train_base.tsv"
    threads: CONFIG.resources.base.threads
    resources:
        **resources_of("base"),
    params:
        config=slice_of("base.architecture", "base.pretrain", "base.dtype"),
        folder=str(PRETRAINED),
    shell:
        "{PYTHON} {SCRIPTS}/train_base.py --config {params.config:q}"
        " --corpus {input.corpus:q} --passages {input.passages:q}"
        " --out {params.folder:q} --curve {output.curve:q}"
        " --checkpoints {params.checkpoints:q} 2>&1 | tee {log:q}"


rule fetch_model:
    input:
        code=closure("fetch_model.py"),
    output:
        HUB_MODELS / "{name}" / "{revision}" / "config.json",
    log:
        LOGS / "fetch_model" / "{name}" / "{revision}.log",
    localrule: True
    params:
        config=slice_of("base.hub_id", "base.revision", "base.source"),
        folder=subpath(output[0], parent=True),
    shell:
        "env -u HF_HUB_OFFLINE -u TRANSFORMERS_OFFLINE"
        " {PYTHON} {SCRIPTS}/fetch_model.py --config {params.config:q}"
        " --out {params.folder:q} 2>&1 | tee {log:q}"
