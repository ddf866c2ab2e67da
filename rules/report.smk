"""The report (tables, figures, text and verdict) and the record of how it was made."""


rule report:
    input:
        **closure("report.py"),
        benchmark=[BENCHMARK] if CONFIG.runs else [],
        metrics=[
            *expand(METRICS, run=CONFIG.runs),
            *expand(IMPORTED_METRICS, imported=CONFIG.imports),
        ],
        curves=of_each_model(CURVE),
        diagnostics=of_each_memory(DIAGNOSTICS),
        gates=of_each_memory(GATES),
        scored=expand(SCORED, run=CONFIG.runs),
        comparisons=[COMPARISONS] if CONFIG.runs else [],
        leaderboard=[LEADERBOARD] if of_each_forecast(FORECASTS) else [],
        rivals=[RIVALS] if of_each_forecast(FORECASTS) else [],
        series=expand(SERIES, dataset=CONFIG.forecast.datasets) if of_each_forecast(SERIES) else [],
        forecasts=of_each_forecast(FORECASTS),
        forecast_curves=of_each_forecast(FORECAST_CURVE),
        traces=of_each_forecast(FORECAST_TRACES),
        origin=base_origin(),
    output:
        **{
            name: report(
                REPORT / "figures" / f"{name}.svg",
                caption=f"../workflow/report/{name}.rst",
                category="Figures",
                labels={"figure": title},
            )
            for name, title in FIGURES.items()
        },
        text=REPORT / "RESULTS.md",
        # What Snakemake's own report begins with: workflow/report/workflow.rst reads it.
        landing=REPORT / "landing.html",
        html=report(
            REPORT / "index.html",
            caption="../workflow/report/results.rst",
            category="Results",
            labels={"page": "Verdict, tables and figures"},
        ),
    log:
        LOGS / "report.log",
    benchmark:
        TIMES / "report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.report.threads
    resources:
        **resources_of("report"),
    params:
        config=report_slice,
        folder=subpath(output.html, parent=True),
    message:
        "Writing the report"
    shell:
        "python {input.script:q} --config {params.config:q}"
        " --benchmark {input.benchmark:q} --metrics {input.metrics:q}"
        " --curves {input.curves:q} --diagnostics {input.diagnostics:q}"
        " --gates {input.gates:q} --scored {input.scored:q} --comparisons {input.comparisons:q}"
        " --leaderboard {input.leaderboard:q} --rivals {input.rivals:q} --series {input.series:q}"
        " --forecasts {input.forecasts:q}"
        " --forecast-curves {input.forecast_curves:q} --traces {input.traces:q}"
        " --origin {input.origin:q} --out {params.folder:q} > {log:q} 2>&1"


rule provenance:
    input:
        **closure("record.py"),
        report=REPORT / "index.html",
        origin=base_origin(),
    output:
        RESULTS / "provenance.json",
    log:
        LOGS / "provenance.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        config=CONFIG.model_dump_json(),
        times=TIMES,
    message:
        "Recording where and at what cost"
    shell:
        "python {input.script:q} --config {params.config:q} --times {params.times:q}"
        " --origin {input.origin:q} --out {output:q} > {log:q} 2>&1"
