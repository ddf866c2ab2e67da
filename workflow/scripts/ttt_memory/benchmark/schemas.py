"""The columns of the benchmark, the corpus and its passages."""

import pyarrow as pa

# One row per sample; facts and probes nested, so that a sample is never torn apart.
FACT = pa.struct(
    [
        ("fact_id", pa.string()),
        ("text", pa.string()),
        ("category", pa.string()),
        ("slot", pa.string()),
        ("value", pa.string()),
        ("start", pa.int32()),  # first character of the value in the dialogue; -1 if unknown
        ("end", pa.int32()),  # one past its last character; -1 if unknown
    ]
)

PROBE = pa.struct(
    [
        ("probe_id", pa.string()),
        ("question", pa.string()),
        ("gold", pa.string()),
        ("kind", pa.string()),  # question kind: the group of the guessing floor
        ("required_facts", pa.list_(pa.string())),
        ("grounding", pa.string()),  # "shared": question and fact share words; "none"; "unknown"
    ]
)

BENCHMARK = pa.schema(
    [
        ("sample_id", pa.string()),
        ("level", pa.int8()),
        ("language", pa.string()),
        ("split", pa.string()),
        ("skeleton_id", pa.string()),
        ("dialogue", pa.string()),
        ("distractor", pa.string()),  # null below level 3
        ("facts", pa.list_(FACT)),
        ("probes", pa.list_(PROBE)),
    ]
)

# Texts to train on that hold no facts: distractor passages.
PASSAGES = pa.schema(
    [
        ("passage_id", pa.string()),
        ("language", pa.string()),
        ("topic", pa.string()),
        ("text", pa.string()),
        ("messages", pa.string()),  # JSON, of a chat of the user's own; else null
    ]
)
