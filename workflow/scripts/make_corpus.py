"""Make the training text: generated dialogues, and passages, generated or from your own texts.

python workflow/scripts/make_corpus.py --config config.yaml \
    --out results/corpus/dialogues.parquet --passages results/corpus/passages.parquet
"""

import argparse
import time
from pathlib import Path

from ttt_memory import io, options
from ttt_memory.benchmark import CorpusConfig, corpus, own_texts, schemas
from ttt_memory.errors import run
from ttt_memory.study.provenance import provenance


def main() -> None:
    """Parse the command line, write the passages, and generate and write the dialogues."""
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
    metadata = provenance(config, seed=config.seed)
    if config.source == "generator":
        io.write_table(args.passages, corpus.passages(config), schemas.PASSAGES, metadata)
    else:
        own = own_texts.passages(own_texts.files_in(args.texts), config.passage_characters)
        for made in corpus.write_rows(args.passages, own, schemas.PASSAGES, metadata):
            print(f"{made} passages of own texts", flush=True)
    start = time.monotonic()
    for made in corpus.write_dialogues(args.out, config, metadata):
        left = (time.monotonic() - start) / made * (config.dialogues - made)
        print(f"{made} of {config.dialogues} dialogues, {left:.0f} s left", flush=True)


if __name__ == "__main__":
    run(main)
