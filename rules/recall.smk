"""What is remembered: every condition and sweep of every run, in shards of samples."""

PROBES = RUN / "probes" / "{condition}" / "{shard}.parquet"
DIAGNOSTICS = RUN / "diagnostics.parquet"
SHARDS = [f"{i}-of-{CONFIG.recall.shards}" for i in range(CONFIG.recall.shards)]
# Keys of `recall` that only one sweep reads, and those that no single job reads.
SWEEP_KEYS = {"scale": "scales", "retention": "distances", "capacity": "dialogues"}
SHARED_SWEEP_KEYS = {"sweep_samples", "sweep_split"}
STAGE_KEYS = {"conditions", "sweeps", "shards"}


def recall_slice(condition):
    """The configuration of one condition or sweep, so that adding another reruns none."""
    unused = STAGE_KEYS | {key for name, key in SWEEP_KEYS.items() if name != condition}
    if condition not in SWEEP_KEYS:
        unused |= SHARED_SWEEP_KEYS
    keys = [key for key in type(CONFIG.recall).model_fields if key not in unused]
    return slice_of("base.dtype", *(f"recall.{key}" for key in keys))


def questions(run):
    """The conditions and sweeps that `run` goes through."""
    sweeps = CONFIG.recall.sweeps if CONFIG.runs[run].sweeps else ()
    return [*CONFIG.recall.conditions, *sweeps]


rule recall:
    input:
        benchmark=BENCHMARK,
        base=base_files(),
        model=MODEL,
        sanity=RUN / "sanity.json",
        code=closure("recall.py"),
    output:
        PROBES,
    log:
        LOGS / "recall" / "{run}" / "{seed}" / "{condition}" / "{shard}.log",
    benchmark:
        TIMES / "recall" / "{run}" / "{seed}" / "{condition}" / "{shard}.tsv"
    threads: CONFIG.resources.recall.threads
    resources:
        **resources_of("recall"),
    params:
        config=lambda wildcards: recall_slice(wildcards.condition),
        base=str(BASE),
        shard=lambda wildcards: wildcards.shard.replace("-of-", "/"),
    shell:
        "{PYTHON} {SCRIPTS}/recall.py --config {params.config:q}"
        " --run {wildcards.run:q} --seed {wildcards.seed} --model {input.model:q}"
        " --base {params.base:q} --benchmark {input.benchmark:q}"
        " --condition {wildcards.condition} --shard {params.shard}"
        " --out {output:q} > {log:q} 2>&1"


rule diagnose:
    input:
        benchmark=BENCHMARK,
        base=base_files(),
        model=MODEL,
        sanity=RUN / "sanity.json",
        code=closure("diagnose.py"),
    output:
        DIAGNOSTICS,
    log:
        LOGS / "diagnose" / "{run}" / "{seed}.log",
    benchmark:
        TIMES / "diagnose" / "{run}" / "{seed}.tsv"
    threads: CONFIG.resources.diagnose.threads
    resources:
        **resources_of("diagnose"),
    params:
        config=recall_slice("diagnose"),
        base=str(BASE),
    shell:
        "{PYTHON} {SCRIPTS}/diagnose.py --config {params.config:q}"
        " --run {wildcards.run:q} --seed {wildcards.seed} --model {input.model:q}"
        " --base {params.base:q} --benchmark {input.benchmark:q}"
        " --out {output:q} > {log:q} 2>&1"
