"""The columns of predictions, scored predictions and metrics."""

import pyarrow as pa

# One row per probe asked.
PREDICTIONS = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("condition", pa.string()),  # a condition or sweep of `vocabulary`
        # Of a sweep: the factor, the distractor tokens or the dialogues. NaN for a condition.
        ("setting", pa.float64()),
        ("order", pa.int32()),  # place of the dialogue among the texts of its episode
        ("sample_id", pa.string()),
        ("probe_id", pa.string()),
        ("prediction", pa.string()),  # decoded text up to the end token
        ("ended", pa.bool_()),  # the end token came before the length limit
        ("prompt", pa.string()),  # as rendered, from the first token on
        ("prompt_hash", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("written", pa.string()),  # texts written into the fast weights, as rendered
        ("written_tokens", pa.int32()),
        ("new_tokens", pa.int32()),
        ("seconds", pa.float64()),  # wall time of the batch, divided by its probes
    ]
)

# One row per probe asked: its scores, and the attributes that metrics are broken down by.
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
        ("categories", pa.list_(pa.string())),  # one for each required fact
        ("position", pa.string()),  # third of the dialogue that holds the first fact's value
        ("probe_order", pa.string()),  # third of the sample's probes; null at level 2
        ("gold", pa.string()),
        ("prediction", pa.string()),
        ("answer", pa.string()),  # compared with the gold answer by `em`
        ("em", pa.float64()),
        ("em_contains", pa.float64()),
        ("f1_char", pa.float64()),
        ("degenerate", pa.float64()),
    ]
)

# One row per metric and group. A column that the row is not broken down by holds "all".
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
        ("n", pa.int64()),  # probes that one seed answers
        ("dialogues", pa.int64()),  # dialogues of these probes; intervals resample them
        ("seeds", pa.int64()),  # training seeds in the mean
    ]
)
