"""dvo export, dvo import, dvo coverage: what they are told, what they print."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dvo.cli.main import dvo_command
from tests.synth import filled_database, make_database


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("exchange") / "sky", seed=4, n_stars=80)


def run(*words, code=0):
    done = CliRunner().invoke(dvo_command, [str(w) for w in words], standalone_mode=True)
    if code == 0:
        assert done.exit_code == 0, (done.output, done.exception)
    return done


def report(*words):
    return json.loads(run(*words, "--json").stdout)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("parquet", "o.parquet"), ("fits", "o.fits"), ("votable", "o.vot"), ("csv", "o.csv"),
     ("csv", "o.ecsv"), ("hats", "o_hats")],
)  # fmt: skip
def test_every_form_reports_rows_bytes_and_seconds(catdir, tmp_path, kind, name):
    found = report("export", kind, catdir, tmp_path / name)
    assert found["rows"] == 80
    assert found["bytes"] > 1000
    assert found["seconds"] > 0
    assert found["table"] == "object"
    assert found["kind"] == ("ecsv" if name.endswith(".ecsv") else kind)
    with pytest.raises(Exception, match="say --overwrite"):
        raise run("export", kind, catdir, tmp_path / name, code=1).exception
    run("export", kind, catdir, tmp_path / name, "--overwrite")


def test_people_are_told_in_words(catdir, tmp_path):
    done = run("export", "hats", catdir, tmp_path / "out", "--margin", 60, "--max-rows", 30)
    assert done.stdout.startswith(f"wrote {tmp_path / 'out'}: 80 rows, ")
    assert " partitions, " in done.stdout
    assert " margin rows, " in done.stdout


def test_tables_columns_and_regions(catdir, tmp_path):
    box = ("--region", 112.3, 112.6, 14.9, 15.2)
    words = ("export", "parquet", catdir, tmp_path / "m.parquet", "--table", "measure", *box)
    found = report(*words, "--columns", " ra, dec,mag:rel ,")
    table = pq.read_table(tmp_path / "m.parquet")
    assert table.column_names == ["ra", "dec", "mag:rel"]
    assert 0 < found["rows"] == len(table) < 320
    assert table["ra"].to_numpy().max() <= 112.6


def test_an_older_state(catdir, tmp_path):
    path = tmp_path / "m.csv"
    new = report("export", "csv", catdir, path, "--table", "measure")["rows"]
    words = ("export", "csv", catdir, path, "--table", "measure", "--snapshot", 3, "--overwrite")
    assert report(*words)["rows"] < new


def test_the_original_layout(catdir, tmp_path):
    found = report("export", "fits", catdir, tmp_path / "old", "--catdir")
    assert (found["kind"], found["images"]) == ("catdir", 4)
    assert (tmp_path / "old" / "SkyTable.fits").exists()
    done = run("export", "fits", catdir, tmp_path / "x", "--catdir", "--table", "object", code=2)
    assert "writes all tables and columns" in done.output


def test_export_then_import(catdir, tmp_path):
    other = make_database(tmp_path / "sky", 2)
    run("export", "hats", catdir, tmp_path / "out", "--max-rows", 30)
    run("export", "fits", catdir, tmp_path / "o.fits")
    found = report("import", "hats", other, tmp_path / "out", "--system", "PS1")
    assert found["n_new"] == found["n_detections"] == 80
    done = run("import", "fits", other, tmp_path / "o.fits", "--system", "P2", "--bands", "g,r")
    assert "photcodes added: P2.g, P2.r" in done.output
    assert "1 reference catalog added; 80 rows" in done.output
    assert "80 of known objects, 0 new objects" in done.output
    again = run("import", "fits", other, tmp_path / "o.fits", "--system", "P2", "--bands", "g,r")
    assert "1 skipped, being in already" in again.output


def test_a_table_that_is_an_image(catdir, tmp_path):
    pq.write_table(pa.table({"ra": [112.5], "dec": [15.0], "mag": [17.0]}), tmp_path / "i.parquet")
    other = make_database(tmp_path / "sky", 2)
    words = ("import", "parquet", other, tmp_path / "i.parquet", "--mjd", 57000.25)
    done = run(*words, "--photcode", "SYNTH.g.C00", "--exptime", 30, "--airmass", 1.2)
    assert "1 image added; 1 detection" in done.output
    (image,) = json.loads(run("images", other, "-f", "json").stdout)
    assert image["name"] == "i.parquet"
    assert "--mjd is for one FILE" in run(*words, code=2).output
    assert "give --system for a catalog" in run(*words[:-2], code=2).output


def test_names_are_for_one_catalog(catdir, tmp_path):
    words = ("import", "fits", catdir, "a.fits", "b.fits", "--system", "X", "--name", "both")
    assert "--name is for one catalog" in run(*words, code=2).output


def test_coverage_in_words_and_figures(catdir, tmp_path):
    found = report("coverage", catdir, "--order", 8)
    assert found["rows"] > 250
    assert found["area_deg2"] == pytest.approx(found["cells"] * 41252.96 / (12 * 4**8), rel=1e-5)
    path = tmp_path / "moc.fits"
    done = run("coverage", catdir, "--of", "image", "-o", path)
    assert "square degrees" in done.stdout
    assert path.exists()
    done = run("coverage", catdir, "-o", tmp_path / "moc.png", code=1)
    assert "its ending does not say" in str(done.exception)
