"""Make the training text: dialogues with probes, and passages, each generated or your own.

python workflow/scripts/make_corpus.py --config config.yaml \
    --out results/corpus/dialogues.parquet --passages results/corpus/passages.parquet
"""

import argparse
import time
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.benchmark import CorpusConfig, Sample, corpus, importers, own_texts, schemas
from ttt_memory.errors import UserError, run
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, write the passages, and write the dialogues."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `corpus`"
    )
    parser.add_argument("--out", required=True, type=Path, help="training dialogues, Parquet")
    parser.add_argument("--passages", required=True, type=Path, help="passages, Parquet")
    parser.add_argument(
        "--texts",
        nargs="*",
        default=[],
        type=Path,
        help="your own texts: files, or folders with files",
    )
    args = parser.parse_args()
    config = options.section(args.config, "corpus", CorpusConfig)
    own, counts = conversations(config)
    metadata = provenance(config, seed=config.seed, counts=counts)
    if config.source == "generator":
        io.write_table(args.passages, corpus.passages(config), schemas.PASSAGES, metadata)
    else:
        texts = own_texts.passages(own_texts.files_in(args.texts), config.passage_characters)
        for made in corpus.write_rows(args.passages, texts, schemas.PASSAGES, metadata):
            print(f"{made} passages of own texts", flush=True)
    start = time.monotonic()
    wanted = config.dialogues + len(own) * (corpus.times_of(own, config) if own else 0)
    for made in corpus.write_dialogues(args.out, config, metadata, own):
        left = (time.monotonic() - start) / made * (wanted - made)
        print(f"{made} of {wanted} dialogues, {left:.0f} s left", flush=True)


def conversations(config: CorpusConfig) -> tuple[list[Sample], dict[str, int]]:
    """The own or public conversations of `config`, and what their reader counted.

    Raises:
        UserError: they cannot be read, or one of them is in a language of which the corpus has no
            passages.
    """
    own = config.conversations
    if own is None:
        return [], {}
    found = importers.read_conversations(**own.reading())
    for sample in found.samples:
        if config.source == "generator" and sample.language not in config.languages:
            raise UserError(
                f"corpus.conversations: sample {sample.sample_id!r} is in {sample.language!r}, "
                f"expected one of corpus.languages {list(config.languages)}"
            )
    return found.samples, found.counts


if __name__ == "__main__":
    run(main)
