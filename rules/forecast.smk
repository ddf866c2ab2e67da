"""The forecast study: series, one job for each dataset and forecaster, and a leaderboard."""


rule make_series:
    input:
        **closure("make_series.py"),
        data=series_files,
    output:
        SERIES,
    log:
        LOGS / "make_series" / "{dataset}.log",
    benchmark:
        TIMES / "make_series" / "{dataset}.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.make_series.threads
    resources:
        **resources_of("make_series"),
    params:
        config=series_slice,
    message:
        "Making series {wildcards.dataset}"
    shell:
        "python {input.script:q} --config {params.config:q} --dataset {wildcards.dataset:q}"
        " --out {output:q} > {log:q} 2>&1"


rule forecast:
    input:
        **closure("forecast.py"),
        # Each strategy is loaded by its path, so that it is an input of its own jobs alone.
        strategy=strategy_files,
        series=SERIES,
    # All seeds, because several are trained in less time than one after another. A seed that is
    # trained already is taken from its checkpoint.
    output:
        forecasts=of_each_forecast_seed(FORECASTS),
        curve=of_each_forecast_seed(FORECAST_CURVE),
        traces=of_each_forecast_seed(FORECAST_TRACES),
    log:
        LOGS / "forecast" / "{dataset}" / "{strategy}.log",
    benchmark:
        TIMES / "forecast" / "{dataset}" / "{strategy}.tsv"
    # Long jobs that few others wait for. They should run beside the trainings, not after them.
    priority: 1
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.forecast.threads
    resources:
        **resources_of("forecast"),
    params:
        config=forecast_slice,
        checkpoints=forecast_checkpoints,
        seeds=list(CONFIG.forecast.seeds),
    message:
        "Forecasting {wildcards.dataset} with {wildcards.strategy}"
    shell:
        "python {input.script:q} --config {params.config:q} --dataset {wildcards.dataset:q}"
        " --strategy {wildcards.strategy:q} --seed {params.seeds} --series {input.series:q}"
        " --checkpoints {params.checkpoints:q} --curve {output.curve:q}"
        " --traces {output.traces:q} --out {output.forecasts:q} 2>&1 | tee {log:q}"


rule leaderboard:
    input:
        **closure("leaderboard.py"),
        forecasts=of_each_forecast(FORECASTS),
        curves=of_each_forecast(FORECAST_CURVE),
    output:
        leaderboard=LEADERBOARD,
        rivals=RIVALS,
    log:
        LOGS / "leaderboard.log",
    benchmark:
        TIMES / "leaderboard.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.leaderboard.threads
    resources:
        **resources_of("leaderboard"),
    params:
        config=slice_of("forecast.comparison"),
    message:
        "Comparing all forecasts"
    shell:
        "python {input.script:q} --config {params.config:q} --forecasts {input.forecasts:q}"
        " --curves {input.curves:q} --out {output.leaderboard:q}"
        " --rivals {output.rivals:q} > {log:q} 2>&1"
