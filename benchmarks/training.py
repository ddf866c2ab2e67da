"""Training a memory beside plain fine-tuning of the same dialogues with peft: time and memory.

    python benchmarks/training.py --base FOLDER [--dialogues 4] [--rounds 3]

A step is forward and backward of one batch, in float32, without the optimiser. The same adapters
train in every form, on the same answers:

- write-drop-read: a training step of config/smollm2-train.yaml. The dialogues are written, then the
  probes are asked from the fast weights.
- plain, each dialogue once: transformers' own loss over rows of a dialogue and all its probes.
- plain, each dialogue for every probe: rows as a data set of question and answer has them.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from ttt_memory import options
from ttt_memory.benchmark import corpus
from ttt_memory.conversation.config.training import RunConfig
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.models.trained_run import trained_part
from ttt_memory.conversation.prompts.packing import IGNORE, pad_right
from ttt_memory.conversation.prompts.prompter import EncodedDialogue, Prompter
from ttt_memory.conversation.train.batches import Batch, WrittenText
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.episodes import EpisodeMaker
from ttt_memory.conversation.train.objective import Objective
from ttt_memory.conversation.train.train_run import choose_trained
from ttt_memory.cost import stopwatch
from ttt_memory.errors import UserError, run
from ttt_memory.fast_weights import FastWeights, inject
from ttt_memory.study.config.runs import laid_over
from ttt_memory.study.config.tree import Config

ROOT = Path(__file__).resolve().parents[1]
OURS, ONCE, EVERY = (
    "write-drop-read",
    "plain, each dialogue once",
    "plain, each dialogue for every probe",
)
FORMS = (OURS, ONCE, EVERY)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Step:
    """A form of the training step.

    Attributes:
        loss: the forward pass.
        tokens: tokens that it processes, without padding.
        answers: tokens of the answers that it learns.
    """

    loss: Callable[[], Tensor]
    tokens: int
    answers: int


def write_drop_read(
    fw: FastWeights, prompter: Prompter, told: list[EncodedDialogue], job: RunConfig
) -> Step:
    """The step of this study."""
    sampler = CorpusSampler([], {}, prompter, 0, job.train.probes_per_dialogue)
    episodes = EpisodeMaker(sampler, job.train.episode.model_copy(update={"foreign_probes": 0}))
    rows = [example.context for example in told]
    text = episodes.probes([[] for _ in rows], rows)
    place = torch.arange(text.input_ids.shape[1])
    lengths = torch.tensor([len(prompter.opening) + len(row) for row in rows])
    written = (place >= len(prompter.opening)) & (place < lengths[:, None])
    probes = episodes.probes([[example] for example in told])
    batch = Batch("write_drop_read", [WrittenText(text, written)], probes)
    tokens = int((text.segment >= 0).sum() + (probes.segment >= 0).sum())
    answers = int((probes.labels != IGNORE).sum())
    objective = Objective(fw, job.train)
    return Step(lambda: objective(batch).total, tokens, answers)


def plain(fw: FastWeights, prompter: Prompter, told: list[EncodedDialogue], every: bool) -> Step:
    """Rows of a dialogue and all its probes, or of a dialogue and one probe."""
    rows, labels = [], []
    for example in told:
        probes = list(zip(example.questions, example.answers, strict=True))
        for asked in [[probe] for probe in probes] if every else [probes]:
            ids = [*prompter.opening, *example.context]
            learned = [IGNORE] * len(ids)
            for question, answer in asked:
                ids += question + answer
                learned += [IGNORE] * len(question) + answer
            rows.append(ids)
            labels.append(learned)
    ids, mask = pad_right(rows, prompter.pad)
    targets, _ = pad_right(labels, IGNORE)
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": targets, "use_cache": False}
    return Step(lambda: fw.plain(**inputs).loss, int(mask.sum()), int((targets != IGNORE).sum()))


def made(form: str, fw: FastWeights, prompter: Prompter, told: list, job: RunConfig) -> Step:
    """The step of a form."""
    if form == OURS:
        return write_drop_read(fw, prompter, told, job)
    return plain(fw, prompter, told, every=form == EVERY)


def once(fw: nn.Module, step: Step) -> None:
    """Forward and backward."""
    fw.zero_grad(set_to_none=True)
    step.loss().backward()


def to_train(base: str, job: RunConfig, count: int) -> tuple[FastWeights, Prompter, list]:
    """The model with its adapters and fast weights, the prompts, and `count` dialogues."""
    prompter, model = Prompter.load(base), load_model(base, "float32")
    torch.manual_seed(0)
    trained_part(model, job.train)
    fw = inject(model, job.fast_weights).train()
    choose_trained(fw, job.train.regime)
    samples = list(islice(corpus.dialogues("en", 0), count))
    most = job.train.probes_per_dialogue
    places = [list(range(min(most, len(sample.probes)))) for sample in samples]
    return fw, prompter, prompter.encode(samples, places)


def peak(base: str, job: RunConfig, count: int, form: str, threads: int) -> int:
    """Peak bytes of a step of a form, beside the model."""
    torch.set_num_threads(threads)
    fw, *texts = to_train(base, job, count)
    step = made(form, fw, *texts, job)
    return stopwatch.peak_bytes(partial(once, fw, step), CPU)


def configuration() -> RunConfig:
    """The run of config/smollm2-train.yaml."""
    files = ("config.yaml", "config/smollm2.yaml", "config/smollm2-train.yaml")
    study = reduce(laid_over, [options.read(ROOT / name) for name in files])
    return options.validate(Config, study, files[-1]).runs["write-drop-read"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True, help="the base model, a folder in hub format")
    parser.add_argument("--dialogues", type=int, default=4, help="dialogues of a step")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    if args.dialogues < 1:
        raise UserError(f"--dialogues: found {args.dialogues}, expected 1 or more")
    torch.set_num_threads(args.threads)
    job = configuration()
    peaks = {
        form: stopwatch.in_child(peak, args.base, job, args.dialogues, form, args.threads)
        for form in FORMS
    }
    fw, *texts = to_train(args.base, job, args.dialogues)
    steps = {form: made(form, fw, *texts, job) for form in FORMS}
    times = stopwatch.seconds(
        {form: partial(once, fw, step) for form, step in steps.items()}, args.rounds, CPU
    )
    print(f"{stopwatch.machine(CPU)}; {args.dialogues} dialogues\n")
    print("| Form | Seconds | to plain once | Tokens | Tokens/s | Answer tokens/s | Peak GB |")
    print("|---|---|---|---|---|---|---|")
    for form, step in steps.items():
        took, by = statistics.median(times[form]), stopwatch.ratio(times[form], times[ONCE])
        rates = f"{step.tokens} | {step.tokens / took:.0f} | {step.answers / took:.1f}"
        print(f"| {form} | {took:.2f} | {by:.2f} | {rates} | {peaks[form] / 1e9:.2f} |", flush=True)


if __name__ == "__main__":
    run(main)
