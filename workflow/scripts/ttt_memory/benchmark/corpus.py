"""What models train on: dialogues with probes, and passages of distractor text.

Dialogues use training skeletons or are synthetic. Their values are never held out.
"""

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from itertools import count as counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .. import io
from . import distractors, schemas
from .config import CorpusConfig
from .generator.lessons import training_sample
from .generator.values import pools
from .sample import Sample

SYNTHETIC_SHARE = 0.7
UNANSWERED_SHARE = 0.35
ROW_GROUP = 5_000  # rows that are in RAM at once


def dialogues(
    language: str,
    seed: int,
    count: int | None = None,
    synthetic_share: float = SYNTHETIC_SHARE,
    unanswered_share: float = UNANSWERED_SHARE,
) -> Iterator[Sample]:
    """Yield `count` training samples, or endlessly many if it is None.

    The same arguments give the same samples. Each has probes of level 1 and of level 2 (kinds
    `bridge:*` and `pair:*`). Their grounding is "unknown".
    """
    rng = random.Random(f"corpus/{language}/{seed}")
    fields = {"level": 1, "split": "train", "grounded": False}
    for i in counter() if count is None else range(count):
        fields["sample_id"] = f"train-{language}-{seed}-{i:06d}"
        synthetic = rng.random() < synthetic_share
        yield training_sample(language, synthetic, unanswered_share, rng, **fields)


def write_dialogues(
    path: str | Path, config: CorpusConfig, metadata: dict, own: Sequence[Sample] = ()
) -> Iterator[int]:
    """Write the dialogues of `config` and the `own` ones as Parquet; yield the number so far."""
    streams = [
        dialogues(language, config.seed, None, config.synthetic_share, config.unanswered_share)
        for language in config.languages
    ]
    rows = (next(streams[number % len(streams)]).row() for number in range(config.dialogues))
    if own:
        rows = chain(rows, (sample.row() for sample in copies(own, times_of(own, config))))
    return write_rows(path, rows, schemas.BENCHMARK, metadata)


def times_of(own: Sequence[Sample], config: CorpusConfig) -> int:
    """How often each own conversation stands in the corpus, so that they have their share of it."""
    share = config.conversations.share
    return max(1, round(config.dialogues * share / (1 - share) / len(own)))


def copies(samples: Sequence[Sample], times: int) -> Iterator[Sample]:
    """All `samples`, so many times. The ids of copies end in ~2, ~3, ..."""
    yield from samples
    for copy in range(2, times + 1):
        yield from (replace(s, sample_id=f"{s.sample_id}~{copy}") for s in samples)


def write_rows(
    path: str | Path, rows: Iterable[dict], schema: pa.Schema, metadata: dict
) -> Iterator[int]:
    """Write `rows` as Parquet; yield the number written so far.

    Rows are taken and written in groups, so that the RAM needed does not grow with their number.
    The file gets its name when it is complete.
    """
    note = json.dumps(metadata, ensure_ascii=False, sort_keys=True).encode()
    schema = schema.with_metadata({io.METADATA_KEY: note})
    rows, written = iter(rows), 0
    with (
        io.beside(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        while group := list(islice(rows, ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            written += len(group)
            yield written


def passages(config: CorpusConfig) -> list[dict]:
    """Passages of distractor text from the training split, as rows of `schemas.PASSAGES`."""
    rows = []
    for number in range(config.passages):
        language = config.languages[number % len(config.languages)]
        rng = random.Random(f"passages/{language}/{config.seed}/{number}")
        topic, words = distractors.passage(rng, language, "train")
        while pools(language).held_out(words):
            topic, words = distractors.passage(rng, language, "train")
        passage_id = f"passage-{language}-{config.seed}-{number:06d}"
        rows.append({"passage_id": passage_id, "language": language, "topic": topic, "text": words})
    return rows
