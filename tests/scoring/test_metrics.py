"""The long table against metrics computed by hand, and the checks on predictions."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scored_runs
from ttt_memory import io, options
from ttt_memory.benchmark import schemas as benchmark_schemas
from ttt_memory.benchmark.sample import REFUSALS, SPLITS, UNANSWERABLE, Probe
from ttt_memory.errors import UserError
from ttt_memory.scoring import schemas as scoring_schemas
from ttt_memory.scoring.config import ScoringConfig
from ttt_memory.scoring.groups import ALL, DIMENSIONS
from ttt_memory.scoring.guessing_floor import guesses
from ttt_memory.scoring.metrics import metrics_table
from ttt_memory.scoring.predictions import first_line, read_predictions
from ttt_memory.scoring.probe_scores import attributes, composition, score, third
from ttt_memory.scoring.schemas import PREDICTIONS
from ttt_memory.scoring.score_files import score_files, short_table
from ttt_memory.scoring.verdict import verdict
from ttt_memory.vocabulary import LEVELS

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "score.py"
CONFIG = ScoringConfig(bootstrap=200, permutations=199)
SAMPLES = scored_runs.samples()
VARIANTS = {"4": "next session", "5": "same skeleton"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("predictions")
    scored_runs.write(
        out / "write-drop-read.parquet",
        scored_runs.run_rows(SAMPLES, "write-drop-read", (0, 1, 2), memory=0.9),
    )
    scored_runs.write(
        out / "null.parquet", scored_runs.run_rows(SAMPLES, "null", (0,), memory=0.0, sweeps=False)
    )
    return out


@pytest.fixture(scope="module")
def scored(folder) -> pd.DataFrame:
    return score(SAMPLES, read_predictions([str(path) for path in sorted(folder.glob("*"))]))


@pytest.fixture(scope="module")
def table(scored) -> pd.DataFrame:
    return metrics_table(scored, CONFIG)


def pick(table: pd.DataFrame, **wanted) -> pd.Series:
    wanted = dict.fromkeys([*DIMENSIONS, "seed"], ALL) | {"run": "write-drop-read"} | wanted
    setting = wanted.pop("setting", None)
    rows = table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    rows = rows[rows["setting"].isna() if setting is None else rows["setting"] == setting]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def em(scored: pd.DataFrame, **where) -> float:
    rows = scored[scored["run"] == "write-drop-read"]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    return rows.groupby("seed")["em"].mean().mean()


GROUPS = [
    {},
    {"level": "3"},
    {"level": "3", "split": "train"},
    {"split": "all_new", "grounding": "none"},
    {"language": "zh", "split": "new_values"},
    {"level": "4", "variant": "next session"},
    {"position": "middle"},
    {"probe_order": "back"},
    {"kind": "person"},
    {"composition": "bridge"},
]


@pytest.mark.parametrize(
    ("condition", "group"),
    [(condition, group) for condition in "ABCWN" for group in GROUPS]
    + [("D", {"level": "3"}), ("D", {"position": "front"}), ("D", {"language": "en"})],
    ids=str,
)
def test_groups_are_means_over_seeds_of_means_over_probes(scored, table, condition, group):
    row = pick(table, condition=condition, metric="em", **group)
    assert row.value == pytest.approx(em(scored, condition=condition, **group))
    assert row.low <= row.value <= row.high
    assert row.seeds == 3


def test_sweeps_carry_their_setting(scored, table):
    for scale in scored_runs.SETTINGS["scale"]:
        row = pick(table, condition="scale", setting=scale, metric="em")
        assert row.value == pytest.approx(em(scored, condition="scale", setting=scale))
    for order in range(4):
        row = pick(table, condition="capacity", setting=4, order=str(order), metric="em")
        wanted = em(scored, condition="capacity", setting=4, order=order)
        assert row.value == pytest.approx(wanted)
        assert row.dialogues == 4


def test_a_probe_counts_once_for_each_fact_it_requires(scored, table):
    row = pick(table, condition="B", metric="em", level="2", category="numeric")
    assert row.n == 2 * 16  # the second fact of one bridge and the first of the other
    assert pick(table, condition="B", metric="em", level="2").n == 3 * 16


def test_memory_efficiency_is_of_the_levels_on_which_both_have_read_the_same(scored, table):
    same = scored[scored["level"].astype(int) < 3]
    ems = {condition: em(same, condition=condition) for condition in "AB"}
    row = pick(table, condition=ALL, metric="memory_efficiency")
    assert row.value == pytest.approx(ems["B"] / ems["A"])
    assert row.low < row.value < row.high
    for condition, value in ems.items():
        side = pick(table, condition=condition, metric="em_compared")
        assert side.value == pytest.approx(value)
        assert side.n == row.n
    for condition in "CW":  # beside them, on the same probes
        side = pick(table, condition=condition, metric="em_compared")
        assert side.value == pytest.approx(em(same, condition=condition))
        assert side.n == row.n
        for split in SPLITS:
            of_split = pick(table, condition=condition, metric="em_compared", split=split)
            wanted = em(same, condition=condition, split=split)
            assert of_split.value == pytest.approx(wanted)
            assert of_split.low <= wanted <= of_split.high
    efficiencies = table[(table["metric"] == "memory_efficiency") & (table["condition"] == ALL)]
    assert set(efficiencies["level"]) == {ALL, *"123456"}


def test_memory_efficiency_of_another_level_is_of_conditions_with_the_same_text(scored, table):
    for level, memory in (("3", "D"), ("4", "B"), ("6", "B")):
        row = pick(table, condition=ALL, metric="memory_efficiency", level=level)
        ems = [em(scored, condition=condition, level=level) for condition in (memory, "A")]
        assert row.value == pytest.approx(ems[0] / ems[1])
    whole = table[(table["metric"] == "memory_efficiency") & (table["level"] == "3")]
    assert set(whole["split"]) == {ALL, *SPLITS}


def test_ratios_divide_means_over_seeds(scored, table):
    row = pick(table, condition=ALL, metric="retention_ratio")
    upper, lower = em(scored, condition="D", level="3"), em(scored, condition="B", level="3")
    assert row.value == pytest.approx(upper / lower)
    assert row.n == 6 * 16
    row = pick(table, condition="retention", setting=4000, metric="retention_ratio")
    ends = [em(scored, condition="retention", setting=setting) for setting in (4000, 0)]
    assert row.value == pytest.approx(ends[0] / ends[1])


def test_seeds_stand_beside_their_mean(scored, table):
    by_seed = [
        pick(table, condition=ALL, metric="memory_efficiency", seed=str(seed)) for seed in range(3)
    ]
    part = scored[(scored["run"] == "write-drop-read") & (scored["seed"] == 1)]
    part = part[part["level"].astype(int) < 3]
    means = part.groupby("condition")["em"].mean()
    assert by_seed[1].value == pytest.approx(means["B"] / means["A"])
    assert all(row.seeds == 1 for row in by_seed)


def test_paired_tests_tell_a_difference_from_none(table):
    # Of 8 skeletons only 2 of 256 choices of signs are as extreme.
    assert pick(table, condition=ALL, metric="p_value:B-C").value < 0.03
    assert pick(table, condition=ALL, metric="p_value:B-C", run="null").value > 0.03
    row = pick(table, condition=ALL, metric="em_difference:B-C")
    assert 0.8 < row.low < row.value < row.high < 0.95


def test_last_against_first_of_a_full_state(scored, table):
    row = pick(table, condition="capacity", setting=4, metric="em_difference:last-first")
    ends = [em(scored, condition="capacity", setting=4, order=order) for order in (3, 0)]
    assert row.value == pytest.approx(ends[0] - ends[1])
    assert row.low <= row.value <= row.high


def test_a_full_state_against_all_dialogues_in_context(scored, table):
    row = pick(table, condition="capacity", setting=4, metric="memory_efficiency")
    upper, lower = (
        em(scored, condition=name, setting=4) for name in ("capacity", "capacity_context")
    )
    assert row.value == pytest.approx(upper / lower)


def test_undefined_ratio_of_a_model_that_answers_nothing():
    rows = [
        row
        for condition in "ABCWN"
        for row in scored_runs.predictions(SAMPLES, "mute", 0, condition, 0.0)
    ]
    frame = pd.DataFrame(rows).assign(order=-1, answer="no", gold=None, file="mute")
    row = pick(
        metrics_table(score(SAMPLES, frame), CONFIG),
        run="mute",
        condition=ALL,
        metric="memory_efficiency",
    )
    assert np.isnan(row.value)
    assert np.isnan(row.low)
    assert verdict(row.value, CONFIG) == "undefined"


def test_fits_the_schema_and_prints(table, tmp_path):
    io.write_table(tmp_path / "metrics.parquet", table, scoring_schemas.METRICS, {})
    key = scoring_schemas.METRICS.names[: scoring_schemas.METRICS.names.index("value")]
    assert not table.duplicated(key).any()
    assert not table[key].drop(columns="setting").isna().any().any()
    printed = short_table(table)
    assert "write-drop-read: memory_efficiency 0.9" in printed
    assert "em_contains" in printed


# --- guessing floors


def test_floors_by_hand():
    probes = pd.DataFrame(
        [("d1", "x"), ("d1", "x"), ("d2", "y"), ("d3", "y"), ("d4", "z")],
        columns=["sample_id", "gold"],
    ).assign(language="en", kind="k")
    found = guesses(probes)
    # x and y are equally frequent: x, the first in order, is the guess for all.
    assert found["em_floor"].tolist() == [1, 1, 0, 0, 0]
    # Without its own dialogue: d1 sees y y z; d2 sees x x y z; d3 the same; d4 sees x x y y.
    assert found["em_floor_others"].tolist() == [0, 0, 0, 0, 0]
    found = guesses(probes.assign(gold=["x", "y", "x", "y", "z"]))
    # d2 (gold x) sees x y y z, d3 (gold y) x x y z, d4 (gold z) x x y y; d1 sees x y z, a tie.
    assert found["em_floor_others"].tolist() == pytest.approx([1 / 3, 1 / 3, 0, 0, 0])


def test_a_lone_dialogue_cannot_be_guessed_from_others():
    probes = pd.DataFrame({"sample_id": ["d"], "gold": ["x"], "language": "en", "kind": "k"})
    assert guesses(probes).iloc[0].tolist() == [1, 0]


def test_floors_keep_kinds_and_languages_apart():
    probes = pd.DataFrame(
        {
            "sample_id": [f"d{n}" for n in range(8)],
            "gold": list("xxyy" * 2),
            "kind": ["j", "j", "k", "k"] * 2,
            "language": ["en"] * 4 + ["zh"] * 4,
        }
    )
    assert guesses(probes).min().tolist() == [1, 1]
    assert guesses(probes.assign(kind="k"))["em_floor"].mean() == 0.5


def test_floors_of_groups_are_those_of_one_guesser(table):
    row = pick(table, condition=ALL, metric="em_floor", kind="person")
    # Kind "person" in two languages, with all values different: one right guess in each.
    assert (row.n, row.value) == (4 * 16, 2 / 64)
    levels = [pick(table, condition=ALL, metric="em_floor", level=level) for level in LEVELS]
    whole = pick(table, condition=ALL, metric="em_floor")
    assert sum(row.value * row.n for row in levels) == pytest.approx(whole.value * whole.n)
    assert pick(table, condition=ALL, metric="em_floor_others").value <= whole.value


# --- verdict, attributes


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.71, "viable"),
        (0.7, "partial"),
        (0.3, "partial"),
        (0.29, "not viable"),
        (float("nan"), "undefined"),
    ],
)
def test_verdict(ratio, expected):
    assert verdict(ratio, ScoringConfig()) == expected


def test_bars_must_be_in_order():
    with pytest.raises(UserError, match=r"scoring: partial is 0\.8, expected at most viable"):
        options.validate(ScoringConfig, {"partial": 0.8}, "scoring")


def test_position_is_the_third_where_the_value_starts():
    found = attributes(SAMPLES[:1])
    (dialogue,), facts = SAMPLES[0].sessions, SAMPLES[0].facts
    for row, fact in zip(found.itertuples(), facts, strict=True):
        share = fact.start / len(dialogue)
        wanted = "front" if share < 1 / 3 else "middle" if share < 2 / 3 else "back"
        assert row.position == wanted
    assert found["probe_order"].tolist() == ["front"] * 2 + ["middle"] * 2 + ["back"] * 2


def test_thirds_of_ten_are_four_three_three():
    assert [third(place, 10) for place in range(10)].count("front") == 4
    assert [third(place, 10) for place in range(10)].count("back") == 3


def test_composition():
    found = [
        composition(*given)
        for given in (("slot", 1), ("bridge:x", 2), ("pair:y", 2), ("q", 2), (UNANSWERABLE, 0))
    ]
    assert found == ["single", "bridge", "pair", "several", "none"]


# --- refusals, rivals, other right answers


def test_refusals_and_rivals_are_counted(scored, table):
    where = (scored["run"] == "write-drop-read") & (scored["condition"] == "B")
    rows = scored[where]
    asked = {name: rows[(rows["level"] == "6") == (name == "6")] for name in ("6", "other")}
    shares = {name: of.groupby("seed")["refused"].mean().mean() for name, of in asked.items()}
    row = pick(table, condition="B", metric="false_answers")
    assert row.value == pytest.approx(1 - shares["6"])
    right = pick(table, condition="B", metric="em", level="6")
    assert (row.n, row.value) == (2 * 16, pytest.approx(1 - right.value))
    assert pick(table, condition="B", metric="false_refusals").value == pytest.approx(
        shares["other"]
    )
    assert 0 < shares["other"] < 0.1

    for level, names in (("4", ("latest", "old", "neither")), ("5", ("own", "other", "neither"))):
        found = [pick(table, condition="C", metric=name, level=level) for name in names]
        rows = scored[(scored["run"] == "write-drop-read") & (scored["condition"] == "C")]
        rows = rows[(rows["level"] == level) & rows["rival"].notna()]
        means = rows.groupby("seed")[["em", "says_rival"]].mean().mean()
        assert [row.value for row in found[:2]] == pytest.approx(means.tolist())
        assert sum(row.value for row in found) == pytest.approx(1)
        assert found[1].value > 0.2
        assert {row.n for row in found} == {3 * 16}  # of six probes, three have a rival
        one = pick(table, condition="C", metric=names[1], level=level, variant=VARIANTS[level])
        assert one.n == 3 * 8


def test_a_score_of_each_kind_of_answer():
    gold = Probe("P0", "Where?", "The Hague", "place", (), "shared", ("Den Haag",), "Delft")
    unknown = Probe("P1", "When?", REFUSALS["en"], UNANSWERABLE, (), "shared")
    asked = replace(SAMPLES[0], language="en", probes=(gold, unknown))
    said = {
        "the hague": (1, 0, 0),
        "Den Haag.": (1, 0, 0),
        "Delft": (0, 0, 1),
        "i don't know": (0, 1, 0),
        "\N{CJK UNIFIED IDEOGRAPH-4E0D}知道": (0, 1, 0),
        "I don't know Delft": (0, 0, 0),
        "": (0, 0, 0),
    }
    for answer, expected in said.items():
        rows = pd.DataFrame(scored_runs.predictions([asked], "r", 0, "B", 1.0))
        rows = rows.assign(order=-1, answer=answer, prediction=answer, gold=None, file="f")
        found = score([asked], rows)
        first = found.iloc[0]
        assert (first["em"], first["refused"], first["says_rival"]) == expected, answer
        assert found["em"].iloc[1] == (answer == "i don't know")


def test_another_accepted_refusal_is_no_false_answer():
    """Such as LoCoMo's "No information available"."""
    asked = [s for s in SAMPLES if s.level == 6][:4]
    accepting = [
        replace(s, probes=tuple(replace(p, accepted=("Not told.",)) for p in s.probes))
        for s in asked
    ]
    rows = scored_runs.predictions(asked, "write-drop-read", 0, "B", 1.0)
    for text, expected in (("Not told.", 0), ("Told.", 1)):
        said = pd.DataFrame(rows).assign(prediction=text, answer=text, gold=None, file="f")
        table = metrics_table(score(accepting, said), CONFIG)
        assert pick(table, condition="B", metric="false_answers").value == expected


def test_files_without_an_answer_are_refused(tmp_path):
    """Neither an empty file nor one of texts that were all too long."""
    write = partial(io.write_table, schema=benchmark_schemas.BENCHMARK, metadata={})
    write(tmp_path / "b.parquet", [s.row() for s in SAMPLES])
    far = scored_runs.predictions(SAMPLES[:4], "r", 0, "K", 0.0, distance=9000)
    far = [row | {"too_long": 9000} for row in far]
    given = scored_runs.write(tmp_path / "given.parquet", far)
    io.write_table(tmp_path / "none.parquet", [], PREDICTIONS, {})
    for file in map(str, (given, tmp_path / "none.parquet")):
        with pytest.raises(UserError, match=r"\.parquet: found no answer, expected at least"):
            score_files(tmp_path / "b.parquet", [file], None, CONFIG, tmp_path, lambda *_: {})


def test_what_was_not_asked_is_in_no_mean(tmp_path):
    near = scored_runs.predictions(SAMPLES[:16], "r", 0, "K", 0.5, 1.0)
    far = scored_runs.predictions(SAMPLES[:16], "r", 0, "K", 0.0, distance=9000)
    far = [row | {"prediction": "", "too_long": 9000 + place} for place, row in enumerate(far)]
    io.write_table(
        tmp_path / "b.parquet", [s.row() for s in SAMPLES], benchmark_schemas.BENCHMARK, {}
    )
    tables = []
    for rows in (near, near + far):
        given = str(scored_runs.write(tmp_path / "given.parquet", rows))
        score_files(tmp_path / "b.parquet", [given], None, CONFIG, tmp_path, lambda *_, **__: {})
        tables.append(io.read_table(tmp_path / "metrics.parquet", scoring_schemas.METRICS))
        assert len(io.read_table(tmp_path / "scored.parquet", scoring_schemas.SCORED)) == len(near)
    long = tables[1]["metric"] == "too_long"
    pd.testing.assert_frame_equal(tables[0], tables[1][~long])
    (row,) = tables[1][long].itertuples()
    assert (row.condition, row.distance, row.n) == ("K", 9000, len(far))
    assert row.value == 9000 + len(far) - 1


# --- predictions that do not fit


def read(path: Path, rows: list[dict]) -> pd.DataFrame:
    return read_predictions([str(scored_runs.write(path / "given.parquet", rows))])


def whole(condition: str = "B") -> list[dict]:
    return scored_runs.predictions(SAMPLES, "write-drop-read", 0, condition, 0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows + rows[:1], "1 duplicate predictions.*sample L1-0000, probe P0"),
        (lambda rows: rows[1:], "1 probes have no prediction; first: sample L1-0000, probe P0"),
        (lambda rows: [{**rows[0], "probe_id": "P9"}, *rows[1:]], "no probe P9 of sample L1-0000"),
        (lambda rows: [{**rows[0], "sample_id": "L7"}, *rows[1:]], "benchmark has no sample L7"),
        (lambda rows: [{**rows[0], "condition": "X"}, *rows[1:]], "condition 'X', expected one of"),
        (lambda rows: [{**rows[0], "prediction": None}, *rows[1:]], "row 0: prediction is missing"),
        (lambda rows: [{**rows[0], "condition": "scale"}, *rows[1:]], "scale has no setting"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=rf"given\.parquet: .*{message}"):
        score(SAMPLES, read(tmp_path, change(whole())))


def test_d_must_answer_every_sample_with_a_distractor_and_no_other(tmp_path):
    level_3 = [one for one in SAMPLES if one.level == 3]
    rows = scored_runs.predictions(level_3, "write-drop-read", 0, "D", 0.5)
    assert len(score(SAMPLES, read(tmp_path, rows))) == len(rows)
    with pytest.raises(UserError, match=r"condition D: 6 probes have no prediction.*L3-0000"):
        score(SAMPLES, read(tmp_path, rows[6:]))


def test_a_sweep_answers_whole_samples(tmp_path):
    rows = scored_runs.predictions(SAMPLES[:2], "write-drop-read", 0, "scale", 0.5, setting=0.5)
    assert len(score(SAMPLES, read(tmp_path, rows))) == 12
    with pytest.raises(UserError, match="condition scale: 1 probes have no prediction"):
        score(SAMPLES, read(tmp_path, rows[1:]))


def test_capacity_may_leave_out_a_question_that_two_dialogues_answer(tmp_path):
    rows = scored_runs.predictions(
        SAMPLES[:2], "write-drop-read", 0, "capacity", 0.5, setting=2, order=1
    )
    assert len(score(SAMPLES, read(tmp_path, rows[1:]))) == 11


# --- the published JSON layout


def published(path: Path, change=None) -> Path:
    data = [
        {
            "sample_id": one.sample_id,
            "predictions": [
                {
                    "probe_id": probe.probe_id,
                    "predicted": f"\n {probe.gold}.\nQuestion",
                    "gold": probe.gold,
                }
                for probe in one.probes
            ],
        }
        for one in SAMPLES
    ]
    if change:
        change(data)
    file = path / "a.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def test_the_first_line_is_the_answer_of_a_published_prediction(tmp_path):
    found = score(SAMPLES, read_predictions([f"A={published(tmp_path)}"], run="theirs"))
    assert found["em"].min() == 1
    assert found["f1_char"].max() < 1  # of the whole text
    assert set(found["run"]) == {"theirs"}
    assert first_line("") == first_line(" \n ") == ""


def _set(data: list, key: str, value: object) -> None:
    data[0]["predictions"][2][key] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[3].pop("sample_id"), "entry 3: field 'sample_id' is missing"),
        (lambda data: data[0].pop("predictions"), "sample L1-0000: field 'predictions' is missing"),
        (
            lambda data: data[0]["predictions"][2].pop("predicted"),
            "sample L1-0000: probe P2: field 'predicted' is missing",
        ),
        (
            lambda data: data[0]["predictions"][2].pop("probe_id"),
            "sample L1-0000: prediction 2: field 'probe_id' is missing",
        ),
        (lambda data: _set(data, "predicted", 3), "field 'predicted' is int, expected str"),
        (lambda data: _set(data, "gold", "other"), "probe P2: gold is 'other', expected 'v"),
        (lambda data: data.insert(0, "x"), "entry 0: expected an object, found str"),
    ],
)
def test_malformed_published_predictions_are_refused(tmp_path, change, message):
    file = published(tmp_path, change)
    with pytest.raises(UserError, match=rf"a\.json: .*{message}"):
        score(SAMPLES, read_predictions([f"A={file}"]))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such file"):
        read_predictions([f"A={tmp_path / 'none.json'}"])
    with pytest.raises(UserError, match=r"none\.parquet: no such file"):
        read_predictions([f"{tmp_path / 'none.parquet'}"])
    broken = tmp_path / "broken.json"
    for content, message in [("[1", "malformed JSON"), ("{}", "expected a list of samples")]:
        broken.write_text(content)
        with pytest.raises(UserError, match=message):
            read_predictions([f"A={broken}"])
    with pytest.raises(UserError, match="names no condition; give it as A="):
        read_predictions([str(published(tmp_path))])


# --- the script


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_scores_and_repeats_itself_to_the_byte(tmp_path, folder):
    benchmark = tmp_path / "benchmark.parquet"
    rows = [one.row() for one in SAMPLES]
    io.write_table(benchmark, rows, benchmark_schemas.BENCHMARK, {})
    config = json.dumps({"scoring": {"bootstrap": 100, "permutations": 99}})
    common = [
        "--benchmark",
        benchmark,
        "--config",
        config,
        "--predictions",
        folder / "null.parquet",
    ]
    for out in ("one", "two"):
        done = run_script(*common, "--out", tmp_path / out)
        assert done.returncode == 0, done.stderr
        assert "null: memory_efficiency 0.000" in done.stdout
    for name in ("metrics.parquet", "scored.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert io.read_metadata(tmp_path / "one" / "metrics.parquet")["config"]["bootstrap"] == 100

    shutil.rmtree(tmp_path / "two")
    done = run_script(
        *common, "--predictions", tmp_path / "missing.parquet", "--out", tmp_path / "two"
    )
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'missing.parquet'}: no such file\n"
    assert not (tmp_path / "two").exists()
