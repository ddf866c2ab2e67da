"""The columns of predictions, scored predictions and metrics."""

import pyarrow as pa

# What it costs to keep the texts of an episode and to answer one probe from what is kept. Times are
# those of a batch, divided by its episodes or probes; FLOPs are counted from shapes.
COSTS = [
    ("state_bytes", pa.float64()),  # kept of the episode's texts until its probes are asked
    ("text_bytes", pa.float64()),  # of the texts themselves, in UTF-8
    ("kv_bytes", pa.float64()),  # of a KV cache of them in all layers
    ("kv_bytes_of_layers", pa.float64()),  # the same of the layers with fast weights alone
    ("write_seconds", pa.float64()),  # to process and keep the texts, once
    ("answer_seconds", pa.float64()),  # to answer one probe
    ("write_flops", pa.float64()),
    ("answer_flops", pa.float64()),
]

# One row per probe asked.
PREDICTIONS = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("condition", pa.string()),  # a condition or sweep of `vocabulary`
        # Of a sweep: the factor, the distractor tokens, the dialogues, the budget ... NaN for a
        # condition.
        ("setting", pa.float64()),
        # Of an alternative: tokens of distractor text after the dialogue. 0 elsewhere.
        ("distance", pa.int32()),
        ("order", pa.int32()),  # place of the dialogue among the texts of its episode
        ("sample_id", pa.string()),
        ("probe_id", pa.string()),
        ("prediction", pa.string()),  # decoded text up to the end token
        # Tokens of a text that does not fit the model's positions, so nothing was asked; else 0.
        ("too_long", pa.int32()),
        ("ended", pa.bool_()),  # the end token came before the length limit
        ("prompt", pa.string()),  # as rendered, from the first token on
        ("prompt_hash", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("written", pa.string()),  # texts written into the fast weights, as rendered
        ("written_tokens", pa.int32()),
        ("new_tokens", pa.int32()),
        *COSTS,
    ]
)

# One row per probe asked: its scores, and the attributes that metrics are broken down by.
SCORED = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("condition", pa.string()),
        ("setting", pa.float64()),
        ("distance", pa.int32()),
        ("order", pa.int32()),  # -1 outside the capacity sweep
        ("sample_id", pa.string()),
        ("probe_id", pa.string()),
        ("level", pa.string()),
        ("language", pa.string()),
        ("split", pa.string()),
        ("variant", pa.string()),
        ("skeleton", pa.string()),  # dialogues of one skeleton are one cluster of the intervals
        ("grounding", pa.string()),
        ("kind", pa.string()),
        ("composition", pa.string()),  # "single", "bridge", "pair", "several", "none"
        ("categories", pa.list_(pa.string())),  # one for each required fact
        ("position", pa.string()),  # third of the dialogue that holds the first fact's value
        ("probe_order", pa.string()),  # third of the sample's probes; null at level 2
        ("gold", pa.string()),
        ("rival", pa.string()),  # a wrong answer that is counted by itself; may be null
        ("prediction", pa.string()),
        ("answer", pa.string()),  # compared with the gold answer by `em`
        ("em", pa.float64()),
        ("em_contains", pa.float64()),
        ("f1_char", pa.float64()),
        ("f1_token", pa.float64()),
        ("degenerate", pa.float64()),
        ("refused", pa.float64()),
        ("says_rival", pa.float64()),
        *COSTS,
    ]
)

# One row per metric and group. A column that the row is not broken down by holds "all".
METRICS = pa.schema(
    [
        ("run", pa.string()),
        ("condition", pa.string()),
        ("setting", pa.float64()),
        ("distance", pa.int32()),
        ("level", pa.string()),
        ("category", pa.string()),
        ("position", pa.string()),
        ("probe_order", pa.string()),
        ("language", pa.string()),
        ("split", pa.string()),
        ("variant", pa.string()),
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
        ("dialogues", pa.int64()),  # dialogues of these probes
        ("skeletons", pa.int64()),  # skeletons of these dialogues; intervals resample both
        ("seeds", pa.int64()),  # training seeds in the mean
    ]
)

DIFFERENCE, EFFICIENCY = "difference", "efficiency"  # kinds of comparison
# One row per comparison of two runs on the same probes.
COMPARISONS = pa.schema(
    [
        ("kind", pa.string()),  # "difference": run minus other; "efficiency": run divided by other
        ("run", pa.string()),
        ("other", pa.string()),
        ("condition", pa.string()),  # of a sweep, at its last setting
        ("other_condition", pa.string()),
        ("levels", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("p", pa.float64()),  # of the paired test; NaN for an efficiency
        ("p_corrected", pa.float64()),  # for the number of tests in the file
        ("em", pa.float64()),  # of the run
        ("other_em", pa.float64()),
        ("n", pa.int64()),
        ("dialogues", pa.int64()),
        ("skeletons", pa.int64()),
        ("seeds", pa.int64()),
        ("other_seeds", pa.int64()),
    ]
)
