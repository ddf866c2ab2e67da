"""Training in several processes of `accelerate launch` gives the result of one process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from clone import ROOT
from conversation_models import model, passages, prompter, samples
from presets import merged
from ttt_memory import io
from ttt_memory.benchmark import schemas as benchmark_schemas
from ttt_memory.benchmark import write_benchmark
from ttt_memory.conversation import schemas as conversation_schemas
from ttt_memory.conversation.config.training import RunConfig
from ttt_memory.conversation.models.loading import load_model
from ttt_memory.conversation.models.trained_run import load_run
from ttt_memory.conversation.prompts.packing import IGNORE
from ttt_memory.conversation.train.batches import BatchMaker
from ttt_memory.conversation.train.corpus_sampler import CorpusSampler
from ttt_memory.conversation.train.train_run import train
from ttt_memory.errors import UserError
from ttt_memory.fast_weights import FastWeights, inject
from ttt_memory.study import config

RUN = {
    "fast_weights": {"layers": [0, 1], "chunk": 8},
    "train": {
        "regime": "joint",
        # Some steps are of condition A, which does not use the fast weights. With seed 0 the eight
        # steps are of every kind: the seventh writes texts that are not asked of in the same pass,
        # and the eighth is of condition C.
        "context_share": 0.2,
        "steps": 8,
        "dialogues_per_step": 4,
        "accumulation": 4,
        "checkpoint_every": 2,
        "optimiser": {"warmup": 0, "muon_lr": 0.002},
    },
}


@dataclass(frozen=True)
class Corpus:
    """The files of a tiny base model and of its training texts."""

    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def parts(self) -> tuple[Path, Path]:
        return self.folder / "dialogues.parquet", self.folder / "passages.parquet"

    def launch(
        self, name: str, *options: str, steps: int = RUN["train"]["steps"], seed: int = 0
    ) -> subprocess.Popen[str]:
        """Start the real script in two processes. All its files go to the folder `name`."""
        out, (dialogues, texts) = self.folder / name, self.parts
        run = RUN | {"train": RUN["train"] | {"steps": steps}}
        command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2"]
        command += ["--num_machines", "1", "--main_process_port", "0", *options]
        command += [ROOT / "workflow" / "scripts" / "train.py", "--run", "r", "--seed", seed]
        command += ["--config", json.dumps({"runs": {"r": run}, "base": {"dtype": "float32"}})]
        command += ["--base", self.base, "--corpus", dialogues, "--passages", texts]
        command += ["--out", out / "model", "--curve", out / "curve.parquet"]
        command += ["--checkpoints", out / "checkpoints"]
        return subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def launched(self, name: str, *options: str, **changes: int) -> None:
        """`launch`, and wait for its end, which must be a success."""
        training = self.launch(name, *options, **changes)
        said, _ = training.communicate()
        assert training.returncode == 0, said

    def alone(
        self, checkpoints: Path | None = None, steps: int = RUN["train"]["steps"], seed: int = 0
    ):
        """The same training in this process alone: its model and the rows of its curve."""
        torch.manual_seed(seed)
        run = RunConfig(**RUN | {"train": RUN["train"] | {"steps": steps}})
        fw = inject(load_model(self.base), run.fast_weights)
        return fw, train(fw, self.sampler(run, seed), run, Accelerator(cpu=True), checkpoints)

    def sampler(self, run: RunConfig, seed: int) -> CorpusSampler:
        """The training texts as the script reads them."""
        return CorpusSampler.load(*self.parts, prompter(), seed, run.train.probes_per_dialogue)

    def losses(self, name: str) -> list[float]:
        return io.read_table(self.folder / name / "curve.parquet", conversation_schemas.CURVE)[
            "loss"
        ].tolist()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("processes")
    model().save_pretrained(folder / "base")
    prompter().tokenizer.save_pretrained(folder / "base")
    made = Corpus(folder)
    write_benchmark(made.parts[0], samples(), {})
    rows = [
        {"passage_id": f"{language}-{i}", "language": language, "topic": "x", "text": text}
        for language, texts in passages().items()
        for i, text in enumerate(texts)
    ]
    io.write_table(made.parts[1], rows, benchmark_schemas.PASSAGES, {})
    return made


@pytest.fixture(scope="module")
def whole(corpus: Corpus) -> tuple[FastWeights, list[dict]]:
    """What one process gets; two processes have written theirs to the folder `two`."""
    corpus.launched("two", "--multi_gpu")
    return corpus.alone()


def test_two_processes_share_each_step_and_get_the_result_of_one(corpus, whole):
    fw, rows = whole
    curve = io.read_table(corpus.folder / "two" / "curve.parquet", conversation_schemas.CURVE)
    assert curve["loss"].tolist() == pytest.approx([row["loss"] for row in rows], rel=1e-4)
    assert set(curve["objective"]) == {"write_drop_read", "context", "empty"}
    for name in ("tokens", "objective"):
        assert curve[name].tolist() == [row[name] for row in rows]
    loaded = load_run(corpus.folder / "two" / "model", corpus.base, torch.device("cpu"))
    for (name, a), b in zip(fw.named_parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)
    # Each process wrote its part of a checkpoint, and a single process resumes from it.
    checkpoints = corpus.folder / "two" / "checkpoints"
    last = sorted(checkpoints.glob("step-*"))[-1]
    assert len(list(last.glob("random_states_*.pkl"))) == 2
    _, resumed = corpus.alone(checkpoints)
    assert [row["loss"] for row in resumed] == pytest.approx(curve["loss"].tolist(), rel=1e-4)
    done = int(last.name.removeprefix("step-"))
    assert [row["seconds"] for row in resumed[:done]] == curve["seconds"].tolist()[:done]


def test_sigterm_to_all_processes_writes_a_checkpoint_and_the_losses_continue(corpus, whole):
    """Like Slurm before a time limit, to the launcher and both processes at once."""
    checkpoints = corpus.folder / "stopped" / "checkpoints"
    training = corpus.launch("stopped", "--multi_gpu")
    while not list(checkpoints.glob("step-*")):
        assert training.poll() is None, training.communicate()[0]
        time.sleep(0.01)
    os.killpg(training.pid, signal.SIGTERM)
    said, _ = training.communicate()
    assert training.returncode, said
    stopped = int(re.search(r"SIGTERM after step (\d+); goes on from", said)[1])
    assert sorted(checkpoints.glob("step-*"))[-1].name == f"step-{stopped:06d}"
    assert stopped < RUN["train"]["steps"]
    corpus.launched("stopped", "--multi_gpu")
    assert corpus.losses("stopped") == corpus.losses("two")


MEANS = [
    ({"processes": 2}, "accumulation: found 1, expected a multiple of resources.train.processes"),
    ({"processes": 1, "gpu": 2}, "resources.train.gpu: found 2, expected one for each of the 1 pr"),
    ({"accelerate": "no.yaml"}, "resources.train.accelerate: found 'no.yaml', expected an existin"),
]


@pytest.mark.parametrize(("means", "message"), MEANS)
def test_the_configuration_refuses(means, message):
    with pytest.raises(UserError) as caught:
        config.load(merged({"resources": {"train": means}}), root=ROOT)
    assert message in str(caught.value)


def test_a_model_sharded_over_two_processes_gets_the_result_of_one_and_resumes(corpus):
    """Under FSDP, with the configuration that comes with the project.

    With this seed the first step writes texts of which nothing is asked in the same pass, the
    second asks in it, and the third is of condition A.
    """
    fsdp = ("--config_file", str(ROOT / "envs" / "fsdp.yaml"))
    out, schedule = corpus.folder / "fsdp", {"steps": 3, "seed": 4}
    run = RunConfig(**RUN)
    batches = BatchMaker(corpus.sampler(run, schedule["seed"]), run.train)
    asked = [
        [bool((text.packed.labels != IGNORE).any()) for text in batches.batch(step, 0).texts]
        for step in range(schedule["steps"])
    ]
    assert asked == [[False, False], [True], []]
    launcher = str(ROOT / "tests" / "helpers" / "fsdp_on_cpu.py")
    corpus.launched("fsdp", *fsdp, launcher, **schedule)
    fw, rows = corpus.alone(**schedule)
    losses = corpus.losses("fsdp")
    assert [row["objective"] for row in rows] == ["write_drop_read"] * 2 + ["context"]
    assert losses == pytest.approx([row["loss"] for row in rows], rel=1e-4)
    loaded = load_run(out / "model", corpus.base, torch.device("cpu"))
    for (name, a), b in zip(fw.named_parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=name)
    # Each process wrote its shards. Both resume from them and repeat the last step.
    last = sorted((out / "checkpoints").glob("step-*"))[-1]
    assert len(list(last.glob("*.distcp"))) == 2
    (out / "curve.parquet").unlink()
    corpus.launched("fsdp", *fsdp, launcher, **schedule)
    assert corpus.losses("fsdp") == pytest.approx(losses, rel=1e-6)
