"""Results written in every form: what is read back is what was asked for."""

import io
import json

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

import dvo
from dvo.cli import text_forms
from dvo.cli.output import Output
from dvo.errors import StorageError
from tests.synth import filled_database


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("output") / "sky", seed=3)


def read_back(path, form):
    if form == "json":
        rows = json.loads(path.read_text())
        return {name: [row[name] for row in rows] for name in rows[0]}
    if form == "csv":
        return pyarrow.csv.read_csv(path).to_pydict()
    if form == "parquet":
        return pq.read_table(path).to_pydict()
    table = Table.read(path, format=form)
    return {name: table[name].tolist() for name in table.colnames}


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("table", ["average", "measure", "image"])
@pytest.mark.parametrize("form", ["csv", "json", "fits", "votable", "parquet"])
def test_all_columns_come_back(catdir, tmp_path, form, table):
    with dvo.open(catdir) as db:
        found = pa.Table.from_batches([next(db.scan(table))])
    Output.choose(form, tmp_path / "result").write(found)
    back = read_back(tmp_path / "result", form)
    assert list(back) == found.column_names
    whole = [f.name for f in found.schema if pa.types.is_integer(f.type)]
    for name in whole:
        if found[name].null_count == 0:
            assert back[name] == found[name].to_pylist(), name
    if table != "image":
        np.testing.assert_array_equal(back["ra"], found["ra"].to_numpy())


@pytest.mark.parametrize(("ending", "form"), [("csv", "csv"), ("FITS", "fits"), ("vot", "votable")])
def test_an_ending_says_the_form(tmp_path, ending, form):
    assert Output.choose(None, tmp_path / f"a.{ending}").form == form
    assert Output.choose("json", tmp_path / f"a.{ending}").form == "json"
    assert Output.choose(None, None) == Output("table", None)


@pytest.mark.parametrize("name", ["stars.txt", "stars", "stars.csv.gz"])
def test_an_unknown_ending_is_refused(tmp_path, name):
    with pytest.raises(click.UsageError, match=r"one of \.csv .*\.parquet, or give the form"):
        Output.choose(None, tmp_path / name)
    assert Output.choose("table", tmp_path / name).form == "table"


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"there is no folder .*absent; make it first"):
        Output.choose("csv", tmp_path / "absent" / "a.csv")


def test_a_file_that_cannot_be_written(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(StorageError, match=r"a\.csv: cannot be written"):
        Output.choose(None, tmp_path / "a.csv").write(pa.table({"x": [1]}))
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_what_was_written_is_said_on_stderr(tmp_path, capsys):
    Output.choose(None, tmp_path / "a.csv").write(pa.table({"x": [1, 2]}))
    assert capsys.readouterr() == ("", f"wrote {tmp_path}/a.csv, 2 rows\n")


NUMBERS = np.array([0.1, 1 / 3, 16777216.0, 1e-30, 12.041654], np.float32)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_single_precision_takes_few_digits_and_loses_nothing(tmp_path, form):
    Output(form, tmp_path / "a").write(pa.table({"x": NUMBERS, "y": NUMBERS.astype("f8")}))
    back = read_back(tmp_path / "a", form)
    assert np.array_equal(np.array(back["x"], np.float32), NUMBERS)
    assert np.array_equal(back["y"], NUMBERS.astype("f8"))
    text = (tmp_path / "a").read_text()
    for short in ("0.1", "0.33333334", "12.041654"):
        assert f"{short}," in text
    assert "0.3333333432674408" in text  # of the double that it is


def test_tables_for_people_have_digits_that_mean_something():
    def unit(text):
        return {"unit": text}

    columns = {
        pa.field("ra", pa.float64(), metadata=unit("deg")): [12.3, None],
        pa.field("mag", pa.float32(), metadata=unit("mag")): [15.123456, 9.0],
        pa.field("seeing", pa.float32()): [1.00000011920929, None],
        pa.field("mjd", pa.float64(), metadata=unit("d")): [57000.123456789, 5.0],
    }
    table = pa.Table.from_arrays([pa.array(v, f.type) for f, v in columns.items()],
                                 schema=pa.schema(list(columns)))  # fmt: skip
    file = io.BytesIO()
    text_forms.write_table(table, ["two rows"], file)
    assert file.getvalue().decode().splitlines() == [
        "# two rows",
        "         ra      mag  seeing           mjd",
        "      [deg]    [mag]                   [d]",
        "12.30000000  15.1235       1  57000.123457",
        "          -   9.0000       -      5.000000",
    ]


def test_texts_are_left_aligned_and_numbers_right_aligned():
    table = pa.table({"plan": ["read", "  measure: mag", None], "n": [1, 200, None]})
    file = io.BytesIO()
    text_forms.write_table(table, [], file)
    assert file.getvalue().decode().splitlines() == [
        "plan              n",
        "read              1",
        "  measure: mag  200",
        "-                 -",
    ]


def test_rows_wider_than_the_terminal_are_written_one_below_the_other():
    fields = [pa.field("name", pa.string()), pa.field("ra", pa.float64(), metadata={"unit": "deg"})]
    table = pa.Table.from_arrays([pa.array(["a", "bc"]), pa.array([1.5, None])],
                                 schema=pa.schema(fields))  # fmt: skip
    narrow, wide = io.BytesIO(), io.BytesIO()
    text_forms.write_table(table, (), wide, width=16)
    assert len(wide.getvalue().splitlines()) == 4
    assert max(map(len, wide.getvalue().splitlines())) == 16
    text_forms.write_table(table, (), narrow, width=15)
    assert narrow.getvalue().decode().splitlines() == [
        "-- row 1 of 2 ----------", "name  a", "ra    1.50000000  [deg]",
        "-- row 2 of 2 ----------", "name  bc", "ra    -  [deg]",
    ]  # fmt: skip
    empty = io.BytesIO()
    text_forms.write_table(table.slice(0, 0), (), empty, width=3)
    assert empty.getvalue() == b"name, ra\n(no rows)\n"
