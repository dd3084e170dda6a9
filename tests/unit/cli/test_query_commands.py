"""dvo cone, images and lightcurve: what they print, and in which order."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

import dvo
from dvo.cli.main import dvo_command
from tests.synth import filled_database


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("queries") / "sky", seed=4)


@pytest.fixture(scope="module")
def star(catdir):
    """Position and ids of an object."""
    with dvo.open(catdir) as db:
        batch = next(db.scan(columns=["ra", "dec", "cat_id", "obj_id", "ext_id", "nmeasure"]))
        return {name: batch[name][0].as_py() for name in batch.schema.names}


def run(*words, code=0):
    done = CliRunner().invoke(dvo_command, [str(w) for w in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def rows(*words):
    return list(csv.DictReader(io.StringIO(run(*words, "-f", "csv").stdout)))


@pytest.mark.parametrize("table", ["average", "measure", "image"])
def test_a_cone_begins_with_the_nearest(catdir, star, table):
    found = rows("cone", catdir, star["ra"], star["dec"], 900, "--table", table)
    far = [float(row["distance"]) for row in found]
    assert len(far) > 3
    assert far == sorted(far)
    if table != "image":
        assert far[0] < 0.5


def test_columns_are_as_asked_for(catdir, star):
    words = ("cone", catdir, star["ra"], star["dec"], 900, "--table", "measure")
    found = rows(*words, "--columns", "dec, det_id,ra")
    assert list(found[0]) == ["dec", "det_id", "ra"]
    stored = rows(*words, "--columns", "dec,det_id,ra", "--sort", "stored")
    assert stored != found
    assert sorted(map(str, stored)) == sorted(map(str, found))
    with dvo.open(catdir) as db:
        assert list(rows(*words, "--columns", "all")[0]) == list(
            db.cone(0, 0, 1, table="measure").column_names
        )


def test_a_cone_is_of_objects_unless_it_is_said(catdir, star):
    found = rows("cone", catdir, star["ra"], star["dec"], 0.001)
    assert [row["ext_id"] for row in found] == [str(star["ext_id"])]
    with dvo.open(catdir) as db:
        assert db.cone(star["ra"], star["dec"], 0.001)["ext_id"].to_pylist() == [star["ext_id"]]


def test_a_light_curve_for_people(catdir, star):
    text = run("lightcurve", catdir, star["ra"], star["dec"] + 0.2 / 3600).stdout
    head, names, _, first, *_ = text.splitlines()
    assert head.startswith(f"# object {star['cat_id']}.{star['obj_id']} (ext_id {star['ext_id']})")
    assert f"at {star['ra']:.8f} {star['dec']:+.8f}, 0.200 arcsec from" in head
    assert head.endswith(f"{star['nmeasure']} measures")
    assert names.split()[:4] == ["mjd", "photcode_name", "mag:rel", "mag:err"]
    mjd, photcode, mag, err = first.split()[:4]
    assert 57000 < float(mjd) < 57010
    assert photcode.startswith("SYNTH.")
    assert 14 < float(mag) < 22
    assert err == "0.0200"


def test_a_light_curve_for_programs(catdir, star):
    where = (star["ra"], star["dec"])
    found = json.loads(run("lightcurve", catdir, *where, "-f", "json").stdout)
    assert len(found) == star["nmeasure"]
    assert {"mjd", "photcode_name", "mag:rel", "mag:err", "image_id"} < set(found[0])
    raw = rows("lightcurve", catdir, *where, "--columns", "time,time_msec,photcode")
    assert list(raw[0]) == ["time", "time_msec", "photcode"]
    seconds = int(raw[0]["time"]) + int(raw[0]["time_msec"]) / 1000
    assert found[0]["mjd"] == pytest.approx(seconds / 86400 + 40587, abs=1e-9)


def test_a_light_curve_is_drawn(catdir, star, tmp_path):
    words = ("lightcurve", catdir, star["ra"], star["dec"], "--columns", "mag")
    done = run(*words, "--plot", tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert f"wrote {tmp_path}/a.png" in done.stderr
    assert "ends in .png, .pdf, .svg" in run(*words, "--plot", tmp_path / "a.gif", code=2).stderr


def test_images_by_distance_from_a_place(catdir, star):
    columns = ("--columns", "distance,name,mjd,photcode_name")
    found = rows("images", catdir, "--at", star["ra"], star["dec"], *columns)
    assert len(found) == 4
    assert {row["photcode_name"] for row in found} == {"SYNTH.g.C00", "SYNTH.r.C00"}
    assert run("images", catdir, *columns, code=1).exception is not None


@pytest.mark.parametrize(
    "words",
    [
        ("cone", "-f", "csv"),
        ("cone", "--table", "measure"),
        ("cone", "--table", "image", "-f", "json"),
        ("cone", "-o", "{}/found.fits"),
        ("cone", "-o", "{}/found.parquet"),
        ("lightcurve",),
    ],
)
def test_a_query_loads_only_what_it_needs(catdir, star, tmp_path, words):
    command, *rest = [w.format(tmp_path) for w in words]
    where = [star["ra"], star["dec"], *([60] if command == "cone" else [])]
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr))\n"
        "from dvo.cli.main import main\n"
        "main()"
    )
    words = [str(w) for w in (command, catdir, *where, *rest)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, timeout=60
    )
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("loaded ")]
    loaded = set(line.split())
    assert "pyarrow" in loaded
    # Each of these takes as long as all that is needed.
    assert not loaded & {"pandas", "astropy", "scipy.linalg", "matplotlib", "healpy", "fitsio"}


def test_no_object(catdir):
    refused = run("lightcurve", catdir, 10, -80, code=1)
    assert "look further with --radius" in str(refused.exception)


def test_a_mistyped_option_is_no_number(catdir):
    wrong = run("cone", catdir, 1, -2, 3, "--colums", "ra", code=2)
    assert "Did you mean '--columns'?" in wrong.stderr
    assert "-x" in run("lightcurve", catdir, 1, -2, "-x", code=2).stderr
    asked = run("cone", catdir, "-1e1", "-2.5", 3, "-fcsv", "--columns=ra,dec")
    assert asked.stdout.split() == ['"ra","dec"']
    assert asked.stderr == "no object within 3 arcsec of -10.0 -2.5\n"


def test_a_mistyped_command_gets_a_suggestion():
    assert "Did you mean cone?" in run("con", code=2).stderr
    assert "addstar --help" in run("addstar", code=2).stderr


def test_a_radius_needs_a_position(catdir):
    assert "--at RA DEC" in run("images", catdir, "--radius", 5, code=2).stderr


def test_what_people_see_of_a_database(catdir):
    assert dir(dvo) == [
        "Box", "Cone", "Database", "__version__", "open", "to_astropy", "to_duckdb",
    ]  # fmt: skip
    with dvo.open(catdir) as db:
        counts = db.snapshot.counts
        assert repr(db) == (
            f"<Database {str(catdir)!r}, snapshot {db.snapshot.id}: {counts['images']} images, "
            f"{counts['objects']} objects, {counts['measures']} measures>"
        )
