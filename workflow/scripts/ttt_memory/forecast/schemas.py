"""The columns of the forecast study's Parquet files."""

import pyarrow as pa

# One row per series (a window of a longer record is a series of its own).
SERIES = pa.schema(
    [
        ("split", pa.string()),  # train, valid, test
        ("series", pa.int32()),  # from 0 within its split
        ("origin", pa.string()),  # where it comes from: group, first time or first row
        ("inputs", pa.list_(pa.float32())),  # samples x channels, row by row; target last if seen
        ("target", pa.list_(pa.float32())),  # one per sample, standardised like the inputs
        ("scored", pa.list_(pa.bool_())),  # false where the target was missing
    ]
)

# One row per test series of one job.
FORECASTS = pa.schema(
    [
        ("dataset", pa.string()),
        ("strategy", pa.string()),
        ("kind", pa.string()),  # strategy, baseline
        ("protocol", pa.string()),  # strict, published
        ("seed", pa.int32()),
        ("series", pa.int32()),
        ("first", pa.int32()),  # position in the series of the first forecast
        ("forecast", pa.list_(pa.float32())),
        ("truth", pa.list_(pa.float32())),
        ("scored", pa.list_(pa.bool_())),
        ("mse", pa.float64()),  # over the scored positions
        ("mae", pa.float64()),
        ("unit", pa.float64()),  # the target's standard deviation: one standardised unit
        ("parameters", pa.int32()),  # trained values
        ("separate", pa.bool_()),  # the test series are no windows of longer records
    ]
)

# One row per epoch of one job; a fitted baseline has one row.
EPOCHS = pa.schema(
    [
        ("dataset", pa.string()),
        ("strategy", pa.string()),
        ("seed", pa.int32()),
        ("epoch", pa.int32()),
        ("train_mse", pa.float64()),
        ("valid_mse", pa.float64()),
        ("learning_rate", pa.float64()),
        ("gradient_norm", pa.float64()),  # mean over steps, before clipping
        ("seconds", pa.float64()),  # training time of the epoch, validation left out
        ("best", pa.bool_()),  # the epoch whose weights forecast
    ]
)

# What the memory did while it read the first test series.
TRACES = pa.schema(
    [
        ("dataset", pa.string()),
        ("strategy", pa.string()),
        ("seed", pa.int32()),
        ("series", pa.int32()),
        ("layer", pa.int32()),
        ("position", pa.int32()),  # last sample of the chunk, or of the token for a gate
        ("quantity", pa.string()),  # "recall_error" (MSE), or the name of a gate
        ("value", pa.float64()),
    ]
)

# One row per dataset and strategy.
LEADERBOARD = pa.schema(
    [
        ("dataset", pa.string()),
        ("strategy", pa.string()),
        ("kind", pa.string()),
        ("protocol", pa.string()),
        ("seeds", pa.int32()),
        ("series", pa.int32()),
        ("mse", pa.float64()),  # mean over seeds of the mean over test series
        ("low", pa.float64()),  # 95% Student interval over seeds; NaN if no seed changes it
        ("high", pa.float64()),
        ("mae", pa.float64()),
        ("rmse", pa.float64()),  # in the target's own unit
        ("gain", pa.float64()),  # MSE without memory minus this MSE; NaN for baselines
        ("gain_low", pa.float64()),  # 95% Student interval over seeds
        ("gain_high", pa.float64()),
        ("difference", pa.float64()),  # MSE minus the reference's, over common seeds and series
        # 95%: bootstrap over series and seeds; over seeds alone (Student) for windows of records
        ("difference_low", pa.float64()),
        ("difference_high", pa.float64()),
        ("p", pa.float64()),  # two-sided sign-flip test over series; NaN for windows of records
        ("parameters", pa.int32()),
        ("epoch_seconds", pa.float64()),
        ("best_epoch", pa.float64()),  # mean over seeds
    ]
)
