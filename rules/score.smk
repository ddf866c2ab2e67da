"""Metrics of each run over its seeds and of imported predictions, and comparisons of runs."""


rule score:
    input:
        **closure("score.py"),
        benchmark=BENCHMARK,
        predictions=answers,
    output:
        metrics=METRICS,
        scored=SCORED,
    log:
        LOGS / "score" / "{run}.log",
    benchmark:
        TIMES / "score" / "{run}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.score.threads
    resources:
        **resources_of("score"),
    params:
        config=slice_of("scoring"),
        folder=subpath(output[0], parent=True),
    message:
        "Scoring {wildcards.run}"
    shell:
        "python {input.script:q} --config {params.config:q} --run {wildcards.run:q}"
        " --benchmark {input.benchmark:q} --predictions {input.predictions:q}"
        " --out {params.folder:q} > {log:q} 2>&1"


rule compare:
    input:
        **closure("compare.py"),
        scored=expand(SCORED, run=CONFIG.runs),
    output:
        COMPARISONS,
    log:
        LOGS / "compare.log",
    benchmark:
        TIMES / "compare.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.score.threads
    resources:
        **resources_of("score"),
    params:
        config=slice_of("scoring"),
        baseline=CONFIG.report.baseline,
    message:
        "Comparing runs"
    shell:
        "python {input.script:q} --config {params.config:q} --baseline {params.baseline:q}"
        " --scored {input.scored:q} --out {output:q} > {log:q} 2>&1"


rule score_imported:
    input:
        **closure("score.py"),
        benchmark=IMPORTED,
        predictions=lambda wildcards: list(CONFIG.imports[wildcards.imported].predictions.values()),
    output:
        IMPORTED_METRICS,
    log:
        LOGS / "score_imported" / "{imported}.log",
    benchmark:
        TIMES / "score_imported" / "{imported}.tsv"
    conda:
        ENVIRONMENT
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
    message:
        "Scoring {wildcards.imported}"
    shell:
        "python {input.script:q} --config {params.config:q}"
        " --run {wildcards.imported:q} --benchmark {input.benchmark:q}"
        " --predictions {params.predictions:q} --out {params.folder:q} > {log:q} 2>&1"
