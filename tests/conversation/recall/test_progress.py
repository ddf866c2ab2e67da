"""A job that is cut off while it asks goes on from what it has asked."""

import json
import math

import pytest

from asked_runs import recall
from ttt_memory.conversation.recall.ask import Recall
from ttt_memory.conversation.recall.progress import Progress, digest

UNTIMED = ("write_seconds", "answer_seconds")


def stable(rows: list[dict]) -> list[str]:
    return [repr({k: v for k, v in row.items() if k not in UNTIMED}) for row in rows]


def cut_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> list[int]:
    """Let the job end in the batch after so many; returns the sizes of the batches asked."""
    whole, sizes = Recall._ask, []

    def ask(self, batch, condition):
        if len(sizes) == batches:
            raise KeyboardInterrupt
        sizes.append(len(batch))
        return whole(self, batch, condition)

    monkeypatch.setattr(Recall, "_ask", ask)
    return sizes


@pytest.mark.parametrize("condition", ["A", "B", "retention", "Q"])
def test_a_job_that_is_cut_goes_on_with_what_it_has_not_asked(condition, tmp_path, monkeypatch):
    whole, path = recall(rows=2).run(condition), tmp_path / "0-of-1.jsonl"
    cut_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        recall(rows=2).run(condition, progress=Progress(path, "model"))
    monkeypatch.undo()
    resumed, sizes = Progress(path, "model"), cut_after(monkeypatch, 1000)
    done = len(resumed.done)
    assert done == 4
    rows = recall(rows=2).run(condition, progress=resumed)
    assert stable(rows) == stable(whole)
    assert sum(sizes) == len(resumed.done) - done
    resumed.end()
    assert not list(tmp_path.iterdir())


def test_a_line_that_was_being_written_is_not_read(tmp_path):
    path, row = tmp_path / "asked.jsonl", {"setting": math.nan, "prediction": "Köln", "n": 1}
    first = Progress(path, "model")
    first.add([0, 3], [row], of=9)
    first.add([1], [{"n": 2}], of=9)
    with open(path, "ab") as file:
        file.write(json.dumps(([2], [{"n": 3}])).encode()[:-4])
    again = Progress(path, "model")
    assert again.done == {0, 1, 3}
    assert repr(again.rows) == repr([row, {"n": 2}])
    again.add([2], [{"n": 3}], of=9)
    assert Progress(path, "model").done == {0, 1, 2, 3}


def test_what_was_asked_of_something_else_is_not_used(tmp_path):
    path = tmp_path / "asked.jsonl"
    Progress(path, "model").add([0], [{"n": 1}], of=2)
    assert Progress(path, "another model").done == set()
    assert Progress(path, "model").done == set()  # the other job has begun anew
    assert Progress().done == set()


def test_the_digest_is_that_of_the_contents(tmp_path):
    folder, file = tmp_path / "model", tmp_path / "benchmark"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "weights").write_bytes(b"1")
    file.write_bytes(b"2")
    before = digest(folder, file)
    assert digest(folder, file) == before
    (folder / "adapter" / "weights").write_bytes(b"3")
    assert digest(folder, file) != before
