"""The columns of training curves, of the base's texts, of diagnostics and of tokens' gates."""

import pyarrow as pa

# One row per training step.
CURVE = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("step", pa.int32()),
        ("tokens", pa.int64()),  # seen so far
        ("seconds", pa.float64()),  # since the start of training, resumptions included
        ("objective", pa.string()),
        ("loss", pa.float64()),  # of the objective alone
        ("context_loss", pa.float64()),  # condition A in the same step; NaN if not asked
        (
            "inner_norm",
            pa.float64(),
        ),  # mean over layers of ||dW||_F / ||W||_F; NaN where nothing is written
        ("learning_rate", pa.float64()),
    ]
)

# One row per text that the untouched base wrote by itself.
BASE_TEXTS = pa.schema(
    [
        ("kind", pa.string()),  # "chat": a user's message and the answer; "text": running text
        ("ids", pa.list_(pa.int32())),  # token ids, its beginning included
        ("text", pa.string()),
    ]
)

# One row per layer: what writing did to it.
DIAGNOSTICS = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("statistic", pa.string()),  # "gate", "next_token_loss", "relative_norm"
        ("layer", pa.int32()),  # -1 where no layer is meant
        ("segment", pa.string()),  # "fact", "filler", "distractor", "dialogue"
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
    ]
)

# One row per token of a session, as a run writes it.
GATES = pa.schema(
    [
        ("run", pa.string()),
        ("seed", pa.int32()),
        ("sample_id", pa.string()),
        ("session", pa.int32()),
        ("start", pa.int32()),  # of the token in its session, in characters
        ("end", pa.int32()),
        ("gate", pa.float32()),  # mean over layers, 0 to 1
    ]
)
