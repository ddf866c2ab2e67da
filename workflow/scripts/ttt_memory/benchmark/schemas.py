"""Columns of the benchmark, of the training dialogues and of the passages."""

import pyarrow as pa

# One row is one sample. Its facts and probes are nested in this row.
FACT = pa.struct(
    [
        ("fact_id", pa.string()),
        ("text", pa.string()),
        ("category", pa.string()),
        ("slot", pa.string()),
        ("value", pa.string()),
        ("start", pa.int32()),  # offset of the value in its session, in characters; -1: unknown
        ("end", pa.int32()),  # offset of the character after the value; -1: unknown
        ("session", pa.int32()),  # which of the sample's sessions states it, from 0
    ]
)

PROBE = pa.struct(
    [
        ("probe_id", pa.string()),
        ("question", pa.string()),
        ("gold", pa.string()),
        ("kind", pa.string()),  # type of the answer; see sample.Probe
        ("required_facts", pa.list_(pa.string())),
        ("grounding", pa.string()),  # "shared", "none" or "unknown"; see generator.grounding
        ("accepted", pa.list_(pa.string())),  # other right answers
        ("rival", pa.string()),  # a wrong answer that is counted by itself; may be null
    ]
)

BENCHMARK = pa.schema(
    [
        ("sample_id", pa.string()),
        ("level", pa.int8()),
        ("language", pa.string()),
        ("split", pa.string()),
        ("skeleton_id", pa.string()),
        ("sessions", pa.list_(pa.string())),  # texts that are written one after the other
        ("distractor", pa.string()),  # null but at level 3
        ("facts", pa.list_(FACT)),
        ("probes", pa.list_(PROBE)),
        ("variant", pa.string()),  # the form of its level; see sample.Sample
    ]
)

# Texts without facts, to train on.
PASSAGES = pa.schema(
    [
        ("passage_id", pa.string()),
        ("language", pa.string()),
        ("topic", pa.string()),
        ("text", pa.string()),
        (
            "messages",
            pa.string(),
        ),  # JSON: the messages, if the text is a chat of the user; else null
    ]
)
