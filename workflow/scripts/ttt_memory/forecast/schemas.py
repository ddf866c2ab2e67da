"""The columns of the forecast study's Parquet files."""

import pyarrow as pa

# One row per series; each window of a longer record counts as one series.
SERIES = pa.schema(
    [
        ("split", pa.string()),  # train, valid, test
        ("series", pa.int32()),  # from 0 within its split
        ("origin", pa.string()),  # group, first time or first row of the series
        (
            "inputs",
            pa.list_(pa.float32()),
        ),  # [samples, channels] row by row; the target last, if seen
        ("target", pa.list_(pa.float32())),  # one per sample, standardised like the inputs
        ("scored", pa.list_(pa.bool_())),  # false where the target was missing
        ("mean", pa.float64()),  # of the target in training, in its own unit
        ("unit", pa.float64()),  # one standardised unit, in the target's own unit
    ]
)

# One row per horizon and test series of an experiment.
FORECASTS = pa.schema(
    [
        ("dataset", pa.string()),
        ("horizon", pa.int32()),  # samples from the last one that a forecast sees to its target
        ("strategy", pa.string()),
        ("kind", pa.string()),  # strategy, baseline, floor
        ("protocol", pa.string()),  # strict, published
        ("seed", pa.int32()),
        ("series", pa.int32()),
        ("first", pa.int32()),  # position of the first forecast in its series
        ("forecast", pa.list_(pa.float32())),
        ("truth", pa.list_(pa.float32())),
        ("scored", pa.list_(pa.bool_())),
        ("mse", pa.float64()),  # over the scored positions, in squared standardised units
        ("mae", pa.float64()),  # over the scored positions, in standardised units
        ("unit", pa.float64()),  # one standardised unit, in the target's own unit
        ("parameters", pa.int32()),  # trained values
        ("separate", pa.bool_()),  # false if test series are windows of longer records
    ]
)

# One row per epoch of an experiment; a baseline that is fitted has one row.
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
        # Time of the epoch's training without validation; a share of it for each seed of a stack.
        # That of the first epoch holds a share of the search for the learning rate, too.
        ("seconds", pa.float64()),
        ("best", pa.bool_()),  # whether the forecasts are made with this epoch's weights
    ]
)

# The memory's recall error and gates over the first test series; one row per value.
TRACES = pa.schema(
    [
        ("dataset", pa.string()),
        ("strategy", pa.string()),
        ("seed", pa.int32()),
        ("series", pa.int32()),
        ("layer", pa.int32()),
        ("position", pa.int32()),  # last sample of the chunk, or the sample of the token
        ("quantity", pa.string()),  # "recall_error" (MSE) or the name of a gate
        ("value", pa.float64()),
    ]
)

# One row per dataset, horizon and strategy.
LEADERBOARD = pa.schema(
    [
        ("dataset", pa.string()),
        ("horizon", pa.int32()),
        ("strategy", pa.string()),
        ("kind", pa.string()),
        ("protocol", pa.string()),
        ("seeds", pa.int32()),
        ("series", pa.int32()),
        ("mse", pa.float64()),  # mean over seeds of the mean over test series
        ("low", pa.float64()),  # 95% Student interval over seeds; NaN if seeds do not differ
        ("high", pa.float64()),
        ("mae", pa.float64()),
        ("rmse", pa.float64()),  # root of the mean MSE, so in standardised units as all errors
        # One standardised unit, in the target's own unit; NaN where groups have units of their own
        ("unit", pa.float64()),
        ("gain", pa.float64()),  # MSE without memory minus this MSE; NaN for baselines
        ("gain_low", pa.float64()),  # 95% Student interval over seeds
        ("gain_high", pa.float64()),
        # MSE minus the MSE of comparison.compared_with, over common seeds and series
        ("difference", pa.float64()),
        # 95% interval: bootstrap over series and seeds; Student over seeds for windows of records
        ("difference_low", pa.float64()),
        ("difference_high", pa.float64()),
        # Two-sided: sign-flip test over series, or Student over seeds for windows of records
        ("p", pa.float64()),
        ("p_holm", pa.float64()),  # p corrected for all differences of dataset and horizon
        # Of the possible gain, floor_of_window minus floor_of_past; NaN where floors are unknown
        ("share", pa.float64()),
        ("share_low", pa.float64()),  # 95% bootstrap interval over series and seeds
        ("share_high", pa.float64()),
        ("parameters", pa.int32()),
        ("epoch_seconds", pa.float64()),  # mean over seeds and epochs
        ("epochs", pa.int32()),  # that were trained
        ("best_epoch", pa.float64()),  # the epoch that forecasts, mean over seeds
        # Fall of the best validation MSE in the last fifth of the epochs, relative, mean over seeds
        ("late_fall", pa.float64()),
        ("not_flat", pa.int32()),  # seeds in which it is more than comparison.flat_tolerance
    ]
)

# One row per dataset, horizon, strategy and rival.
RIVALS = pa.schema(
    [
        ("dataset", pa.string()),
        ("horizon", pa.int32()),
        ("strategy", pa.string()),
        ("rival", pa.string()),
        ("difference", pa.float64()),  # MSE of the strategy minus that of the rival
        ("difference_low", pa.float64()),  # 95% interval, as in LEADERBOARD
        ("difference_high", pa.float64()),
        ("p", pa.float64()),
        ("p_holm", pa.float64()),  # corrected for all comparisons of dataset and horizon
        ("tests", pa.int32()),  # number of these comparisons
        ("over", pa.string()),  # what interval and p are over: series, seeds
        ("beats", pa.bool_()),  # p_holm below 0.05, and the interval below zero
    ]
)
