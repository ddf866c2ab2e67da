"""What is learned: one job trains one run with one seed; sanity checks gate its use."""

RUN = RESULTS / "runs" / "{run}" / "{seed}"
MODEL = RUN / "model"


def train_slice(wildcards):
    """The configuration of one run's training; its label and number of seeds are not in it."""
    run = f"runs.{wildcards.run}"
    return slice_of(f"{run}.fast_weights", f"{run}.train", "base.dtype")


def train_checkpoints(wildcards):
    """Where training resumes from, keyed by the run, its base, its corpus and their code."""
    config = train_slice(wildcards) + slice_of("corpus", "base") + base_identity()
    key = checkpoint_key(config, "make_corpus.py", "train_base.py", "train.py")
    return str(CHECKPOINTS / wildcards.run / wildcards.seed / key)


rule train:
    input:
        corpus=DIALOGUES,
        passages=PASSAGES,
        base=base_files(),
        code=closure("train.py"),
    output:
        model=directory(MODEL),
        curve=RUN / "curve.parquet",
    log:
        LOGS / "train" / "{run}" / "{seed}.log",
    benchmark:
        TIMES / "train" / "{run}" / "{seed}.tsv"
    threads: CONFIG.resources.train.threads
    resources:
        **resources_of("train"),
    params:
        config=train_slice,
        base=str(BASE),
        checkpoints=train_checkpoints,
    shell:
        "{PYTHON} {SCRIPTS}/train.py --config {params.config:q}"
        " --run {wildcards.run:q} --seed {wildcards.seed} --base {params.base:q}"
        " --corpus {input.corpus:q} --passages {input.passages:q}"
        " --out {output.model:q} --curve {output.curve:q}"
        " --checkpoints {params.checkpoints:q} 2>&1 | tee {log:q}"


rule sanity:
    input:
        benchmark=BENCHMARK,
        base=base_files(),
        model=MODEL,
        code=closure("sanity.py"),
    output:
        RUN / "sanity.json",
    log:
        LOGS / "sanity" / "{run}" / "{seed}.log",
    benchmark:
        TIMES / "sanity" / "{run}" / "{seed}.tsv"
    threads: CONFIG.resources.sanity.threads
    resources:
        **resources_of("sanity"),
    params:
        config=slice_of("base.dtype", "recall.device", "recall.segment_tokens"),
        base=str(BASE),
    shell:
        "{PYTHON} {SCRIPTS}/sanity.py --config {params.config:q} --model {input.model:q}"
        " --base {params.base:q} --benchmark {input.benchmark:q}"
        " --out {output:q} > {log:q} 2>&1"
