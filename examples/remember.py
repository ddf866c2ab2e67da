"""Write a dialogue into fast weights, drop it, save and load adapter and state, then ask.

    python examples/remember.py --model results/runs/write-drop-read/0/model

`make run` trains that model. If the folder holds no base, `--base` names it; without it the base is
the one that the adapter names. A real model, once `make run CONFIG=config/smollm2.yaml` fetched it:

    python examples/remember.py --model data/models/smollm2-memory/0
"""

import argparse
import sys
import tempfile
from itertools import islice
from pathlib import Path

import torch
from transformers.utils import logging

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory import fast_weights
from ttt_memory.benchmark import Sample, corpus
from ttt_memory.chat.conversation import open_run
from ttt_memory.conversation.prompts.prompter import Prompter
from ttt_memory.conversation.recall.answers import answer
from ttt_memory.conversation.recall.write_dialogues import write_texts
from ttt_memory.errors import run


def ask(
    fw: fast_weights.FastWeights,
    prompter: Prompter,
    sample: Sample,
    state: fast_weights.FastState | None,
) -> list[str]:
    """Answers to the sample's questions from `state` alone; None asks the base model."""
    rendered = [prompter.question(p.question, sample.language) for p in sample.probes]
    (said,) = answer(fw, prompter, [prompter.ids(rendered)], state=state)
    return [a.text for a in said]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", default="results/runs/write-drop-read/0/model", help="a trained run"
    )
    parser.add_argument("--base", help="base model, if --model holds none")
    args = parser.parse_args()
    logging.disable_progress_bar()
    fw, prompter = open_run(args.model, args.base, torch.device("cpu"))
    (sample,) = islice(corpus.dialogues("en", seed=7), 1)
    print(sample.sessions[0])

    state = write_texts(fw, prompter, [prompter.sessions(sample)], segment_tokens=512)
    with tempfile.TemporaryDirectory() as folder:
        fast_weights.save(fw, Path(folder) / "adapter")
        fast_weights.save_state(fw, state, Path(folder) / "dialogue.safetensors")
        fw = fast_weights.load(Path(folder) / "adapter", fw.eject()).eval()
        state = fast_weights.load_state(fw, Path(folder) / "dialogue.safetensors")

    remembered, forgotten = (ask(fw, prompter, sample, s) for s in (state, None))
    print(f"\n{'question':<60}{'expected':<32}{'fast weights':<32}nothing")
    for probe, one, none in zip(sample.probes, remembered, forgotten, strict=True):
        print(f"{probe.question:<60}{probe.gold:<32}{one:<32}{none}")


if __name__ == "__main__":
    run(main)
