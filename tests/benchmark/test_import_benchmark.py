"""Import of published benchmarks: what is read, and that a fault is reported in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from conversation_files import LOCOMO
from ttt_memory.benchmark import read_benchmark, read_samples, schemas, write_benchmark
from ttt_memory.errors import UserError
from ttt_memory.io import write_table

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "workflow" / "scripts" / "import_benchmark.py"
REFERENCE = ROOT.parent / "shared" / "reference" / "conversation" / "benchmark.json"


def entry(sample_id: str = "S1", **changes) -> dict:
    fact = {"fact_id": "F1", "fact_text": "预算 150万", "category": "numeric", "slot": "budget"}
    place = {"fact_id": "F2", "fact_text": "在 总部", "category": "spatial", "slot": "place"}
    return {
        "sample_id": sample_id,
        "level": 1,
        "skeleton_id": "SK-1",
        "conversation": "A：预算150万。\nB：好。",
        "facts": [fact, place],
        "probes": [
            {
                "probe_id": "P1",
                "question": "预算多少？",
                "gold_answer": "150万",
                "required_facts": ["F1"],
            }
        ],
        "distractor": None,
    } | changes


def written(folder: Path, *samples: dict) -> Path:
    path = folder / "published.json"
    path.write_text(json.dumps({"version": "v1", "samples": list(samples)}), encoding="utf-8")
    return path


def test_fields_spans_and_kinds(tmp_path):
    probes = [
        {
            "probe_id": "C1",
            "question": "?",
            "gold_answer": "总部；150万",
            "required_facts": ["F2", "F1"],
        },
        {"probe_id": "C2", "question": "?", "gold_answer": "150万", "required_facts": ["F2", "F1"]},
    ]
    english = entry("S3", level=3, conversation="A: hi", distractor="Prose.")
    path = written(tmp_path, entry(), entry("S2", level=2, probes=probes), english)
    first, second, third = read_samples(path)
    assert (first.language, first.split, first.distractor) == ("zh", "published", None)
    budget, place = first.facts
    assert (budget.value, first.sessions[0][budget.start : budget.end]) == ("150万", "150万")
    assert (place.value, place.start, place.end) == ("", -1, -1)
    assert (first.probes[0].kind, first.probes[0].grounding) == ("budget", "unknown")
    assert [probe.kind for probe in second.probes] == ["pair:place-budget", "bridge:place-budget"]
    assert second.facts[0].value == "150万"  # known from level 1: the same conversation
    assert (third.language, third.distractor) == ("en", "Prose.")
    assert third.facts[0].start == -1  # its gold is not in the dialogue


@pytest.mark.skipif(not REFERENCE.exists(), reason="published reference is not beside this clone")
def test_published_sample_is_read_whole(tmp_path):
    samples = read_samples(REFERENCE)
    assert [s.sample_id for s in samples][:2] == ["L1-0000", "L1-0017"]
    assert [s.level for s in samples] == [1, 1, 2, 2, 3, 3]
    assert sum(len(s.probes) for s in samples) == 52
    assert {s.language for s in samples} == {"zh"}
    assert all(fact.start >= 0 for s in samples for fact in s.facts)
    assert samples[0].facts[0].value == "何鑫"
    write_benchmark(tmp_path / "b.parquet", samples, {})
    assert read_benchmark(tmp_path / "b.parquet") == samples


def drop(field: str, part: str | None = None) -> dict:
    whole = json.loads(json.dumps(entry()))
    del (whole[part][0] if part else whole)[field]
    return whole


PROBE = entry()["probes"][0]
FAULTS = {
    r"sample 1: field 'sample_id' is missing": [drop("sample_id")],
    r"sample 'S1': field 'level' is missing": [drop("level")],
    r"sample 'S1': field 'skeleton_id' is missing": [drop("skeleton_id")],
    r"sample 'S1': field 'conversation' is missing": [drop("conversation")],
    r"sample 'S1': field 'facts' is missing": [drop("facts")],
    r"sample 'S1': field 'probes' is missing": [drop("probes")],
    r"sample 'S1': fact 1: field 'fact_text' is missing": [drop("fact_text", "facts")],
    r"sample 'S1': fact 1: field 'category' is missing": [drop("category", "facts")],
    r"sample 'S1': probe 1: field 'gold_answer' is missing": [drop("gold_answer", "probes")],
    r"sample 'S1': probe 1: field 'required_facts' is": [drop("required_facts", "probes")],
    r"field 'facts': found str, expected a list": [entry(facts="F1")],
    r"field 'level': found str, expected a whole number": [entry(level="1")],
    r"field 'level': found 1\.0, expected a whole number": [entry(level=1.0)],
    r"field 'level': found 4, expected 1, 2 or 3": [entry(level=4)],
    r"field 'distractor': found NoneType, expected text": [entry(level=3)],
    r"probe 1: found str, expected an object": [entry(probes=["P1"])],
    r"expected a list of fact ids": [entry(probes=[PROBE | {"required_facts": [1]}])],
    r"sample id 'S1' occurs twice": [entry(), entry()],
    r"sample 'S1': probe id 'P1' occurs twice": [entry(probes=[PROBE, PROBE])],
    r"sample 'S1': fact id 'F1' occurs twice": [entry(facts=entry()["facts"][:1] * 2)],
    r"sample 'S1': probe 'P1' requires fact 'F9', which the sample lacks": [
        entry(probes=[PROBE | {"required_facts": ["F9"]}])
    ],
    r"sample 'S1': probe 'P1' requires no fact": [entry(probes=[PROBE | {"required_facts": []}])],
    r"no samples": [],
}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([LOCOMO], r"expected an object with 'samples'; it looks like 'locomo', which benchmark\."),
        ([entry()], r"found a list, expected an object with 'samples'$"),
        ("text", r"found a str, expected an object with 'samples'$"),
    ],
)
def test_a_file_of_another_layout_is_named(tmp_path, data, message):
    path = tmp_path / "published.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_samples(path)


@pytest.mark.parametrize("message", FAULTS)
def test_faults_name_sample_and_field(tmp_path, message):
    path = written(tmp_path, *FAULTS[message])
    with pytest.raises(UserError, match=message) as error:
        read_samples(path)
    assert str(path) in str(error.value)


def test_script_fails_in_one_line_and_writes_nothing(tmp_path):
    out = tmp_path / "out.parquet"
    broken = tmp_path / "broken.json"
    broken.write_text('{"samples": [', encoding="utf-8")
    for path, message in (
        (tmp_path / "absent.json", "no such file"),
        (broken, "malformed JSON"),
        (written(tmp_path, entry(), entry()), "occurs twice"),
    ):
        command = [sys.executable, SCRIPT, "--json", path, "--out", out]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert message in done.stderr
        assert not out.exists()


def test_script_imports_both_layouts(tmp_path):
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    path = written(tmp_path, entry())
    for source, out in ((path, first), (first, second)):
        subprocess.run([sys.executable, SCRIPT, "--json", source, "--out", out], check=True)
    assert read_benchmark(second) == read_samples(path)


def test_parquet_is_checked_as_well(tmp_path):
    path = tmp_path / "b.parquet"
    sample = read_samples(written(tmp_path, entry()))[0]
    write_benchmark(path, [sample, sample], {})
    with pytest.raises(UserError, match="sample id 'S1' occurs twice"):
        read_benchmark(path)
    row = sample.row()
    row["facts"][0]["start"] = 1
    write_table(path, [row], schemas.BENCHMARK, {})
    with pytest.raises(UserError, match="fact 'F1': its span is not its value"):
        read_benchmark(path)
    row["sessions"] = None
    write_table(path, [row], schemas.BENCHMARK, {})
    with pytest.raises(UserError, match="row 0: a column other than distractor and rival is null"):
        read_benchmark(path)
