"""What it means: metrics of each run over its seeds, and of imported predictions."""

METRICS = RESULTS / "metrics" / "{run}" / "metrics.parquet"
IMPORTED_METRICS = IMPORTED.with_name("metrics.parquet")


def answers(wildcards):
    """Every prediction file of a run."""
    return expand(
        PROBES,
        run=wildcards.run,
        seed=CONFIG.runs[wildcards.run].seeds,
        condition=questions(wildcards.run),
        shard=SHARDS,
    )


rule score:
    input:
        benchmark=BENCHMARK,
        predictions=answers,
        code=closure("score.py"),
    output:
        METRICS,
    log:
        LOGS / "score" / "{run}.log",
    benchmark:
        TIMES / "score" / "{run}.tsv"
    threads: CONFIG.resources.score.threads
    resources:
        **resources_of("score"),
    params:
        config=slice_of("scoring"),
        folder=subpath(output[0], parent=True),
    shell:
        "{PYTHON} {SCRIPTS}/score.py --config {params.config:q} --run {wildcards.run:q}"
        " --benchmark {input.benchmark:q} --predictions {input.predictions:q}"
        " --out {params.folder:q} > {log:q} 2>&1"


rule score_imported:
    input:
        benchmark=IMPORTED,
        predictions=lambda wildcards: list(CONFIG.imports[wildcards.imported].predictions.values()),
        code=closure("score.py"),
    output:
        IMPORTED_METRICS,
    log:
        LOGS / "score_imported" / "{imported}.log",
    benchmark:
        TIMES / "score_imported" / "{imported}.tsv"
    threads: CONFIG.resources.score.threads
    resources:
        **resources_of("score"),
    params:
        config=slice_of("scoring"),
        folder=subpath(output[0], parent=True),
        predictions=lambda wildcards: [
            f"{condition}={path}"
            for condition, path in CONFIG.imports[wildcards.imported].predictions.items()
        ],
    shell:
        "{PYTHON} {SCRIPTS}/score.py --config {params.config:q}"
        " --run {wildcards.imported:q} --benchmark {input.benchmark:q}"
        " --predictions {params.predictions:q} --out {params.folder:q} > {log:q} 2>&1"
