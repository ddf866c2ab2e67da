"""Tables as people have them: separators, times, zones, names, and what is used of them."""

import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from presets import ROOT
from table_files import frame, refused, table
from ttt_memory import options
from ttt_memory.errors import UserError
from ttt_memory.forecast.config import ForecastConfig
from ttt_memory.forecast.config_checks import problems
from ttt_memory.forecast.series import dataset
from ttt_memory.forecast.series.config import Dataset, TableDataset
from ttt_memory.forecast.series.make import make


def same(one: dataset.Series, other: dataset.Series) -> bool:
    """Whether two series hold the same numbers and origins."""
    return all(
        split.inputs.equal(other.splits[name].inputs)
        and split.origins == other.splits[name].origins
        for name, split in one.splits.items()
    )


def text_table(folder: Path, text: str, **changes: object) -> TableDataset:
    (folder / "mine.csv").write_text(text, encoding="utf-8")
    return table(folder, frame(3), path=str(folder / "mine.csv"), **changes)


def test_separator_decimal_and_thousands_are_read(tmp_path: Path) -> None:
    rows = frame()
    rows["wind"] = (1000 * rows["wind"]).round(2)
    expected = make(table(tmp_path, rows))

    def german(value: float) -> str:
        return f"{value:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")

    written = rows.assign(
        when=pd.to_datetime(rows["when"]).dt.strftime("%d.%m.%Y %H:%M"),
        wind=rows["wind"].map(german),
        power=rows["power"].map(lambda value: str(value).replace(".", ",")),
    )
    assert written["wind"].str.contains(r"\d\.\d{3},").any()
    config = text_table(
        tmp_path,
        written.to_csv(index=False, sep=";"),
        separator=";",
        decimal=",",
        thousands=".",
        time_format="%d.%m.%Y %H:%M",
    )
    assert same(make(config), expected)


@pytest.mark.parametrize(
    ("cell", "changes", "words"),
    [
        ("1.5", {"decimal": ","}, ["row 3", "'1.5'", "decimal ','"]),
        ("12.34", {"decimal": ",", "thousands": "."}, ["row 3", "'12.34'"]),
        ("1,5", {"separator": ";"}, ["row 3", "'1,5'", "`decimal`", "`thousands`"]),
        ("1.234.567", {"separator": ";"}, ["'1.234.567'", "`thousands`"]),
        ("inf", {}, ["row 3", "'inf'", "finite"]),
        ("-Infinity", {}, ["row 3", "'-Infinity'", "finite"]),
    ],
)
def test_a_number_in_another_form_is_never_guessed(
    tmp_path: Path, cell: str, changes: dict, words: list[str]
) -> None:
    rows = frame().round(0).astype({"wind": int, "power": int}).astype(str)
    rows.loc[2, "wind"] = cell
    separator = changes.setdefault("separator", ";")
    text = rows.to_csv(index=False, sep=separator)
    refused(text_table(tmp_path, text, **changes), "mine.csv", "'wind'", *words)


def test_another_separator_is_suspected(tmp_path: Path) -> None:
    text = frame().to_csv(index=False, sep=";")
    refused(text_table(tmp_path, text), "one column", "a semicolon", "`separator`")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_may_count_from_1970(tmp_path: Path, unit: str) -> None:
    rows = frame()
    expected = make(table(tmp_path, rows))
    times = pd.to_datetime(rows["when"]).astype(f"datetime64[{unit}]").astype("int64")
    assert same(make(table(tmp_path, rows.assign(when=times), time_format=unit)), expected)
    path = tmp_path / "counted.parquet"
    rows.assign(when=times).to_parquet(path)
    counted = table(tmp_path, rows, path=str(path), time_format=unit)
    assert same(make(counted), expected)
    # Without the unit the number is shown as it is written, and the key is named.
    refused(
        counted.model_copy(update={"time_format": None}),
        f"found {times[0]}, expected",
        "`time_format: s`",
    )


def test_no_message_shows_a_type_of_numpy(tmp_path: Path) -> None:
    rows = frame()
    for column, cell in (("when", np.int64(12)), ("wind", np.inf), ("power", np.float32("-inf"))):
        path = tmp_path / "bad.parquet"
        bad = rows.assign(**{column: [cell] * len(rows)})
        bad.to_parquet(path)
        with pytest.raises(UserError) as error:
            make(table(tmp_path, rows, path=str(path)))
        assert "np." not in str(error.value)
        assert f"'{column}'" in str(error.value)


def test_the_hour_that_clocks_repeat_is_told_apart(tmp_path: Path) -> None:
    times = pd.date_range("2020-10-20", periods=200, freq="1h", tz="Europe/Berlin")
    rows = frame().assign(when=times.tz_localize(None).astype(str))
    assert rows["when"].duplicated().any()
    # Without the zone the repeated hour is an error, which names the key.
    refused(table(tmp_path, rows), "2020-10-25 02:00", "twice", "`time_zone`")
    series = make(table(tmp_path, rows, time_zone="Europe/Berlin", step="1h"))
    assert series.splits["train"].origins[0] == "2020-10-19 22:00"
    assert series.usage.used["train"] == 157
    with_offset = rows.assign(when=times.astype(str))
    assert same(make(table(tmp_path, with_offset, step="1h")), series)
    assert same(make(table(tmp_path, with_offset, time_zone="Asia/Tokyo", step="1h")), series)
    # In each of two groups the hour is repeated.
    both = pd.concat([rows.assign(place=place) for place in "AB"])
    assert make(table(tmp_path, both, group="place", time_zone="Europe/Berlin")).usage.groups


def test_local_times_that_are_none_or_two_are_refused(tmp_path: Path) -> None:
    spring = pd.date_range("2020-03-28", periods=200, freq="1h").astype(str)
    rows = frame().assign(when=spring)
    refused(table(tmp_path, rows, time_zone="Europe/Berlin"), "2020-03-29 02:00", "does not exist")
    autumn = pd.date_range("2020-10-20", periods=200, freq="1h").astype(str)
    rows = frame().assign(when=autumn)
    refused(table(tmp_path, rows, time_zone="Europe/Berlin"), "2020-10-25 02:00", "occurs twice")


def test_a_parquet_file_may_have_the_time_as_its_index(tmp_path: Path) -> None:
    rows = frame()
    expected = make(table(tmp_path, rows))
    indexed = rows.assign(when=pd.to_datetime(rows["when"])).set_index("when")
    path = tmp_path / "indexed.parquet"
    indexed.to_parquet(path)
    assert same(make(table(tmp_path, rows, path=str(path))), expected)
    indexed.rename_axis(None).to_parquet(path)
    assert same(make(table(tmp_path, rows, path=str(path), time="index")), expected)
    refused(table(tmp_path, rows, path=str(path), time="hour"), "'hour'", "'index'")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    rows = frame()
    twice = rows.set_axis(["when", "power", "power"], axis=1)
    config = text_table(tmp_path, twice.to_csv(index=False), features=())
    refused(config, "columns 2 and 3", "'power'")
    path = tmp_path / "twice.parquet"
    columns = [pa.array(rows[name]) for name in ("when", "power", "power")]
    pq.write_table(pa.Table.from_arrays(columns, names=["when", "power", "power"]), path)
    refused(config.model_copy(update={"path": str(path)}), "columns 2 and 3", "'power'")
    # Where another name is twice, it does not matter.
    other = pd.concat([rows, rows[["wind"]]], axis=1)
    make(text_table(tmp_path, other.to_csv(index=False), features=()))


def test_names_are_compared_as_text_and_not_as_bytes(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Leistung für Köln") for form in ("NFC", "NFD"))
    assert composed != apart
    rows = frame()
    expected = make(table(tmp_path, rows))
    for written, asked in ((composed, apart), (apart, composed)):
        named = rows.rename(columns={"power": written})
        assert same(make(table(tmp_path, named, target=asked)), expected)
        path = tmp_path / "named.parquet"
        named.to_parquet(path)
        assert same(make(table(tmp_path, named, path=str(path), target=asked)), expected)
    both = rows.assign(**{composed: 1.0, apart: 2.0})
    refused(table(tmp_path, both, target=composed), "columns 4 and 5")


@pytest.mark.parametrize("name", [" power", "power ", "Power", "power\u00a0"])
def test_a_name_that_looks_alike_is_shown_with_quotes(tmp_path: Path, name: str) -> None:
    rows = frame().rename(columns={"power": name})
    refused(table(tmp_path, rows), "'power' is missing", f"is {name!r} meant?")


def test_no_advice_is_given_that_is_followed_already(tmp_path: Path) -> None:
    rows = frame()
    twice = pd.concat([rows, rows.tail(1).assign(power=5.0)])
    with pytest.raises(UserError, match="duplicates: drop"):
        make(table(tmp_path, twice))
    with pytest.raises(UserError, match="occurs twice") as error:
        make(table(tmp_path, twice, duplicates="drop", time_zone="UTC"))
    assert "duplicates" not in str(error.value)
    assert "time_zone" not in str(error.value)


def test_irregular_times_name_the_keys_that_help(tmp_path: Path) -> None:
    rows = frame()[lambda rows: rows.index % 4 != 3]
    refused(table(tmp_path, rows), "stretch", "`gaps: join`", "`step`", "0 days 01:00:00")
    with pytest.raises(UserError, match="`gaps: join`") as error:
        make(table(tmp_path, rows, step="1h", missing="drop"))
    assert "`step`" not in str(error.value)
    make(table(tmp_path, rows, step="1h", missing="carry"))
    make(table(tmp_path, rows, gaps="join"))


def test_dates_split_a_table(tmp_path: Path) -> None:
    dates = {"valid_from": "2020-01-06", "test_from": "2020-01-07", "until": "2020-01-08 06:00"}
    series = make(table(tmp_path, frame(), since="2020-01-01 02:00", **dates))
    assert series.usage.given == {"train": 118, "valid": 24, "test": 30}
    assert series.usage.scored == {"train": 22 * 8, "valid": 24, "test": 30}
    assert series.usage.left_out == {"before `since`": 2, "from `until` on": 26}
    # Local dates are of the zone of the times.
    series = make(table(tmp_path, frame(), time_zone="Asia/Tokyo", **dates))
    assert series.usage.given == {"train": 120, "valid": 24, "test": 30}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"until": "soon"}, ["until", "'soon'", "2018-01-01"]),
        ({"valid_from": "2020-01-01"}, ["both or neither"]),
        ({"valid_from": "2020-02-01", "test_from": "2020-01-01"}, ["test_from to be later"]),
        ({"since": "2020-02-01", "until": "2020-02-01"}, ["until to be later"]),
        ({"time_zone": "Berlin"}, ["time_zone", "'Berlin'", "Europe/Berlin"]),
        ({"decimal": ","}, ["','", "separator and decimal", "two characters"]),
        ({"separator": ";;"}, ["separator"]),
    ],
)
def test_a_bad_key_of_a_table_is_named(values: dict, words: list[str]) -> None:
    known = {"source": "table", "path": "x.csv", "time": "t", "target": "y"}
    with pytest.raises(UserError) as error:
        options.validate(Dataset, {**known, **values}, "forecast.datasets.mine")
    for word in ("forecast.datasets.mine", *words):
        assert word in str(error.value)


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    """A short group, rows without a group, incomplete rows: in the file, and in the log."""
    places = [frame().assign(place=place) for place in ("A", "B")]
    short = frame(5).assign(place="short")
    nameless = frame(7).assign(place=[None, " ", *[np.nan] * 5])
    rows = pd.concat([*places, short, nameless])
    refused(table(tmp_path, rows, group="place"), "'place' is empty in row 406 and 6 more")
    rows.iloc[3, rows.columns.get_loc("wind")] = np.nan
    config = table(tmp_path, rows, group="place", missing="drop")
    usage = make(config).usage
    assert usage.left_out == {"without a place": 7, "with a missing cell": 1}
    assert usage.short == ("short",)
    assert usage.groups == {"train": 2, "valid": 2, "test": 2}
    assert usage.windows["train"] > 0
    assert usage.used["test"] == usage.given["test"] == usage.scored["test"] == 40
    study = tmp_path / "study.yaml"
    study.write_text(
        f"forecast: {{datasets: {{load: {options.json.dumps(config.model_dump(mode='json'))}}}}}"
    )
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "workflow/scripts/make_series.py"),
            *("--config", str(study), "--dataset", "load", "--out", str(tmp_path / "s.parquet")),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "load: left out: 7 rows without a place, 1 rows with a missing cell" in done.stdout
    assert "load: too short for a window: short" in done.stdout
    assert "load: test: " in done.stdout
    assert dataset.read(tmp_path / "s.parquet").usage == usage


def test_columns_and_cells_are_looked_at_when_the_configuration_is_checked(
    tmp_path: Path,
) -> None:
    config = table(tmp_path, frame())

    def found(**changes: object) -> list[tuple[str, str]]:
        changed = {**config.model_dump(mode="json"), **changes}
        return list(problems(ForecastConfig.model_validate({"datasets": {"load": changed}})))

    assert found() == []
    for change, word in (
        ({"target": "powr"}, "is 'power' meant?"),
        ({"features": ["when2"]}, "'when2' is missing"),
        ({"group": "place"}, "'place' is missing"),
        ({"time_format": "%d.%m.%Y"}, "time_format"),
        ({"separator": ";"}, "`separator`"),
        ({"decimal": ",", "separator": "|"}, "`separator`"),
    ):
        ((key, problem),) = found(**change)
        assert key == "datasets.load"
        assert word in problem
        assert "table.csv" in problem


def test_the_same_series_must_be_scored_on_the_same_samples() -> None:
    def found(**changes: object) -> list[tuple[str, str]]:
        waves = {"source": "sine", "length": 400}
        datasets = {"a": {**waves, "context_window": 16}, "b": {**waves, **changes}}
        return list(problems(ForecastConfig.model_validate({"datasets": datasets})))

    assert found(context_window=80) == []
    ((key, problem),) = found(context_window=96)
    assert key == "datasets.b.scored_from"
    assert "scored_from: 96" in problem
    assert found(context_window=96, seed=1) == []
    with pytest.raises(ValueError, match="scored_from 20, expected at least context_window 96"):
        found(context_window=96, scored_from=20)
