"""Train the tokenizer and the embedded base model on the training corpus.

python workflow/scripts/train_base.py --help
"""

import argparse
from collections.abc import Iterator
from itertools import chain

from accelerate import Accelerator

from ttt_memory import io, options
from ttt_memory.benchmark import schemas as benchmark_schemas
from ttt_memory.conversation import schemas as conversation_schemas
from ttt_memory.conversation.config.base_model import BaseConfig
from ttt_memory.conversation.models.embedded import build_model, start_from, train_tokenizer
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.pretrain import pretrain
from ttt_memory.errors import run
from ttt_memory.study import devices
from ttt_memory.study.provenance import provenance


def corpus_texts(corpus: str, passages: str) -> Iterator[str]:
    """All texts that the tokenizer is trained on."""
    columns = io.read_table(corpus, benchmark_schemas.BENCHMARK)
    questions = chain.from_iterable([p["question"] for p in probes] for probes in columns["probes"])
    around_probes = ["问：\n答：", "Q: \nA:"]
    texts = io.read_table(passages, benchmark_schemas.PASSAGES)["text"]
    sessions = chain.from_iterable(columns["sessions"])
    return chain(sessions, questions, around_probes, texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--config", required=True, help="JSON, or a JSON/YAML file, with key `base`"
    )
    parser.add_argument("--corpus", required=True, help="training dialogues, Parquet")
    parser.add_argument("--passages", required=True, help="distractor passages, Parquet")
    parser.add_argument("--checkpoints", help="folder of the checkpoints")
    parser.add_argument(
        "--out", required=True, help="folder for model and tokenizer, in Hub format"
    )
    parser.add_argument("--curve", required=True, help="training curve, Parquet")
    args = parser.parse_args()
    config = options.section(args.config, "base", BaseConfig)
    seed = config.pretrain.seed
    if config.pretrain.start:
        prompter = Prompter.load(config.pretrain.start, config.chat_template)
        model = start_from(config.pretrain.start, config)
    else:
        texts = corpus_texts(args.corpus, args.passages)
        prompter = Prompter(train_tokenizer(texts, config.architecture.vocab_size))
        model = build_model(config.architecture, prompter.tokenizer, seed)
    sampler = CorpusSampler.load(
        args.corpus, args.passages, prompter, seed, config.pretrain.probes_per_dialogue
    )
    devices.pick("auto")  # makes it the current device, which Accelerate uses
    rows = pretrain(model, sampler, config.pretrain, Accelerator(), args.checkpoints)
    with io.beside(args.out) as folder:
        model.save_pretrained(folder, safe_serialization=True)
        prompter.tokenizer.save_pretrained(folder)
    rows = [{"run": "base", "seed": seed, **row} for row in rows]
    io.write_table(args.curve, rows, conversation_schemas.CURVE, provenance(config, seed=seed))


if __name__ == "__main__":
    run(main)
