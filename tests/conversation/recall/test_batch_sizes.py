"""Batches that fit: by a GPU's free memory, and by what a process was really refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from asked_runs import recall, said
from conversation_models import fast_weights, prompter, samples
from ttt_memory.conversation.config.asking import RecallConfig
from ttt_memory.conversation.recall import batch_sizes
from ttt_memory.conversation.recall.ask import Recall
from ttt_memory.errors import UserError

ROOT = Path(__file__).resolve().parents[3]

# For each number of bytes, a process that may map so many more once all is loaded, until one goes
# on with half as many dialogues. Prints what that one answers.
REFUSED = """
import os, resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
folders, spares = sys.argv[1:3], map(int, sys.argv[3:])
sys.path[:0] = folders
from asked_runs import recall, said
engine = recall(count=16, rows=16)
recall(engine.fw, count=1).run("B")  # libraries are in place
for spare in spares:
    told, tell = os.pipe()
    if not os.fork():
        os.dup2(tell, 2)
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + spare,) * 2)
        answers = str(said(engine.run("B")))
        sys.stderr.flush()
        sys.stdout.write(answers)
        sys.stdout.flush()
        os._exit(0)
    os.close(tell)
    log = open(told).read()
    ended = os.wait()[1] == 0
    if ended and "out of memory with 16 dialogues at once: going on with 8" in log:
        sys.exit()
    if ended:
        sys.stdout.write("\\n")
sys.exit(f"sixteen were never too many: {log}")
"""


def test_half_as_many_where_memory_runs_out():
    """A process that is refused memory answers the same in smaller batches, and says so."""
    expected = str(said(recall(count=16, rows=16).run("B")))
    # How much it takes depends on the allocator: less and less, until it is too little for sixteen.
    spares = [str(n * 2**20) for n in range(64, 12, -4)]
    folders = [str(ROOT / "tests" / "helpers"), str(ROOT / "workflow" / "scripts")]
    command = [sys.executable, "-c", REFUSED, *folders, *spares]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.splitlines()) == {expected}


def test_a_single_job_that_does_not_fit():
    """One line that says what was asked and what may help; other errors pass."""
    engine = recall(count=1)
    (episode,) = engine.maker.episodes("B")

    def too_much(batch):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(UserError, match=r"one dialogue of \d+ tokens .* recall.segment_tokens"):
        engine._sizes.ask([episode], too_much)
    with pytest.raises(RuntimeError, match="shapes"):
        engine._sizes.ask([episode], lambda batch: (_ for _ in ()).throw(RuntimeError("shapes")))


@pytest.mark.parametrize("update", ["hebbian", "mesa"])
@pytest.mark.parametrize("condition", ["A", "B", "C"])
@pytest.mark.parametrize("free", [10**12, 10**7, 10**5])
def test_a_batch_fits_what_is_free(condition, free, update, monkeypatch):
    """As many rows as set where there is room, fewer where there is less, never none."""
    monkeypatch.setattr(batch_sizes, "free_bytes", lambda device: free)
    engine = Recall(
        fast_weights(update=update), prompter(), samples(), RecallConfig(rows=16, device="cpu")
    )
    episodes = engine.maker.episodes(condition)
    batches = list(engine._sizes.batches(episodes, condition == "A"))
    assert sum(map(len, batches)) == len(episodes)
    most = max(map(len, batches))
    assert most == {10**12: 16, 10**5: 1}.get(free, most)
    if free == 10**7:
        assert 1 < most < 16
