"""dvo match: files and databases find objects; rows, counts and mistakes."""

from __future__ import annotations

import csv
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import dvo
from dvo.cli.main import dvo_command
from tests.synth import filled_database


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("match") / "sky", seed=4)


@pytest.fixture(scope="module")
def stars(catdir):
    with dvo.open(catdir) as db:
        return pa.Table.from_batches(db.scan(columns=["ext_id", "ra", "dec"]))


def run(*words, code=0):
    done = CliRunner().invoke(dvo_command, ["match", *(str(w) for w in words)])
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.fixture
def listing(tmp_path, stars):
    """Ten stars, the last first, and a place without one."""
    path = tmp_path / "list.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["label", "RAJ2000", "DEJ2000"])
        rows = zip(stars["ra"].to_pylist()[9::-1], stars["dec"].to_pylist()[9::-1], strict=True)
        out.writerows([f"star {k}", *place] for k, place in enumerate(rows))
        out.writerow(["nothing", 10.0, -80.0])
    return path


PLACES = ("--ra", "RAJ2000", "--dec", "DEJ2000")


def test_rows_of_a_file_find_objects(catdir, stars, listing):
    words = (catdir, listing, *PLACES, "-f", "csv", "--columns", "ext_id, g")
    found = list(csv.DictReader(io.StringIO(run(*words).stdout)))
    assert [row["label"] for row in found] == [f"star {k}" for k in range(10)]
    assert [int(row["ext_id"]) for row in found] == stars["ext_id"].to_pylist()[9::-1]
    assert max(float(row["separation_arcsec"]) for row in found) < 1e-6
    words += ("--join", "left", "--other-columns", "label")
    left = list(csv.DictReader(io.StringIO(run(*words).stdout)))
    assert list(left[0]) == ["label", "ext_id", "g", "separation_arcsec"]
    assert (left[-1]["label"], left[-1]["ext_id"]) == ("nothing", "")


def test_counts_as_json_and_rows_into_a_file(catdir, listing, tmp_path):
    out = tmp_path / "pairs.parquet"
    words = (catdir, listing, *PLACES, "--join", "left", "--json", "-o", out)
    report = json.loads(run(*words).stdout)
    assert report.pop("seconds") > 0
    assert report == {"n_other": 11, "n_rows": 11, "n_pairs": 10}
    table = pq.read_table(out)
    assert table["ext_id"].null_count == 1
    assert table.schema.field("separation_arcsec").metadata[b"unit"] == b"arcsec"


def test_a_database_finds_itself(catdir, stars):
    words = (catdir, catdir, "--mode", "mutual", "--epoch", "2016.0", "-f", "csv")
    found = list(csv.DictReader(io.StringIO(run(*words).stdout)))
    assert [row["ext_id_other"] for row in found] == [row["ext_id"] for row in found]
    assert [int(row["ext_id"]) for row in found] == stars["ext_id"].to_pylist()


def test_a_file_that_another_command_wrote(catdir, stars, tmp_path):
    path = tmp_path / "stars.fits"
    ra, dec = stars["ra"][0].as_py(), stars["dec"][0].as_py()
    done = CliRunner().invoke(
        dvo_command, ["cone", str(catdir), str(ra), str(dec), "300", "-o", str(path)]
    )
    assert done.exit_code == 0
    report = json.loads(run(catdir, path, "--json").stdout)
    assert report["n_pairs"] == report["n_other"] > 0


def test_nothing_near_is_said(catdir, tmp_path):
    path = tmp_path / "far.csv"
    path.write_text("ra,dec\n10,-80\n")
    assert "no object within 1 arcsec of any of 1 row" in run(catdir, path).stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 1, "the table has no column ra; say which columns hold right ascension"),
        ((), 1, "list.csv: "),
        ((), 1, "(options --ra and --dec)"),
        (("--ra", "RAJ2000", "--dec", "de"), 1, "no single column 'de'"),
        ((*PLACES, "--other-columns", "name"), 1, "has no column 'name'; it has label, RAJ2000"),
        ((*PLACES, "--radius", "0"), 1, "match radius 0.0 arcsec is not above 0"),
        ((*PLACES, "--mode", "best"), 2, "'best' is not one of"),
    ],
)
def test_mistakes_are_said(catdir, listing, words, code, message):
    done = CliRunner().invoke(dvo_command, ["match", str(catdir), str(listing), *words])
    assert done.exit_code == code
    assert message in (done.output if code == 2 else str(done.exception))


def test_options_of_files_are_refused_for_databases(catdir):
    run(catdir, catdir, "--ra", "ra", code=2)
