"""The columns of predictions, scored predictions and metrics."""

import pyarrow as pa

# One row per probe asked.
PREDICTIONS = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("condition", pa.string()),  # A B C D W N, or a sweep: scale, retention, capacity
        (
            "setting",
            pa.float64(),
        ),  # alpha, distractor tokens or dialogues of a sweep; NaN otherwise
        ("order", pa.int32()),  # place of the dialogue among those written into one state
        ("sample_id", pa.string()),
        ("probe_id", pa.string()),
        ("prediction", pa.string()),  # decoded text up to the end token
        ("ended", pa.bool_()),  # the end token came before the length limit
        ("prompt", pa.string()),  # as rendered, from the first token that the model sees
        ("prompt_hash", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("written", pa.string()),  # what the fast weights have read, as rendered
        ("written_tokens", pa.int32()),
        ("new_tokens", pa.int32()),
        ("seconds", pa.float64()),  # the batch's wall time divided by its probes
    ]
)

# One row per probe asked, scored and with what the metrics are broken down by.
SCORED = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("condition", pa.string()),
        ("setting", pa.float64()),
        ("order", pa.int32()),  # -1 outside the capacity sweep
        ("sample_id", pa.string()),
        ("probe_id", pa.string()),
        ("level", pa.string()),
        ("language", pa.string()),
        ("split", pa.string()),
        ("grounding", pa.string()),
        ("kind", pa.string()),
        ("composition", pa.string()),  # "single", "bridge", "pair", "several"
        ("categories", pa.list_(pa.string())),  # of each required fact
        ("position", pa.string()),  # third of the dialogue where the first fact's value stands
        ("probe_order", pa.string()),  # third of the sample's probes; null at level 2
        ("gold", pa.string()),
        ("prediction", pa.string()),
        ("answer", pa.string()),  # what `em` compares with the gold
        ("em", pa.float64()),
        ("em_contains", pa.float64()),
        ("f1_char", pa.float64()),
        ("degenerate", pa.float64()),
    ]
)

# Long: one row per metric and group; "all" where a column is not broken down.
METRICS = pa.schema(
    [
        ("run", pa.string()),
        ("condition", pa.string()),
        ("setting", pa.float64()),
        ("level", pa.string()),
        ("category", pa.string()),
        ("position", pa.string()),
        ("probe_order", pa.string()),
        ("language", pa.string()),
        ("split", pa.string()),
        ("grounding", pa.string()),
        ("order", pa.string()),
        ("kind", pa.string()),
        ("composition", pa.string()),
        ("seed", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),  # probes (of one seed)
        ("dialogues", pa.int64()),  # they belong to: what the intervals resample
        ("seeds", pa.int64()),  # training seeds averaged over
    ]
)
