"""The forecast study: series, forecasters with a memory that is written at test time, comparison.

Imports go one way, from top to bottom:

    comparison -> schemas
    experiment -> trainer, forecaster_checks -> forecaster -> strategy_checks, model -> strategy
    strategies/, baselines/ (loaded by their paths) -> model, published -> network
    series -> config, schemas
"""
