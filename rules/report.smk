"""The end of it: tables, figures, text and the verdict."""

REPORT_METRICS = [
    *expand(METRICS, run=CONFIG.runs),
    *expand(IMPORTED_METRICS, imported=CONFIG.imports),
]
TRAINED = [(run, seed) for run, entry in CONFIG.runs.items() for seed in entry.seeds]


def of_each_model(pattern):
    """`pattern` filled in for every run and seed."""
    return [str(pattern).format(run=run, seed=seed) for run, seed in TRAINED]


rule report:
    input:
        benchmark=BENCHMARK,
        metrics=REPORT_METRICS,
        curves=of_each_model(RUN / "curve.parquet"),
        diagnostics=of_each_model(DIAGNOSTICS),
        code=closure("report.py"),
    output:
        html=REPORT / "index.html",
        text=REPORT / "RESULTS.md",
    log:
        LOGS / "report.log",
    benchmark:
        TIMES / "report.tsv"
    threads: CONFIG.resources.report.threads
    resources:
        **resources_of("report"),
    params:
        config=slice_of("report", "scoring", "runs"),
        folder=str(REPORT),
    shell:
        "{PYTHON} {SCRIPTS}/report.py --config {params.config:q}"
        " --benchmark {input.benchmark:q} --metrics {input.metrics:q}"
        " --curves {input.curves:q} --diagnostics {input.diagnostics:q}"
        " --out {params.folder:q} > {log:q} 2>&1"
