"""dvo load, and the satellite rows of addstar: what they say, and the numbers of --json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dvo.cli.addstar import addstar
from dvo.cli.main import dvo_command
from dvo.partition.store import Store, create_store
from dvo.tables.average import AVERAGE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from tests.synth import filled_database
from tests.unit.ingest.satellite_files import (
    apertures,
    fits_of_models,
    write_catalog,
    xfit_hdu,
    xrad_hdu,
)


def run(*words, code=0, command=dvo_command):
    done = CliRunner().invoke(command, [str(w) for w in words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output if done.exception is None or code == 2 else str(done.exception)


@pytest.fixture
def sky(tmp_path: Path) -> Path:
    return filled_database(tmp_path / "sky")


def stars(sky: Path, path: Path, *more: str) -> Path:
    """A star of the database, and others."""
    with Store(sky) as store:
        view = store.view()
        table = view.read(AVERAGE, view.regions()[0])
    row = f"{float(table['ra'][0])!r},{float(table['dec'][0])!r},0.25"
    path.write_text("\n".join(["RA,DE,ebv", row, *more]))
    return path


def test_loading_says_what_it_did(sky: Path, tmp_path: Path) -> None:
    path = stars(sky, tmp_path / "s.csv", "200.5,-70.25,0.5")
    words = ["load", "starpar", sky, path, "--map", "ra=RA,dec=DE,e_bv=ebv"]
    said = run(*words, "--dry-run")
    assert said.startswith("StarPar: 1 row would be added, 0 would be replaced, 0 there already; ")
    said = run(*words)
    assert said.startswith("StarPar: 1 row added, 0 replaced, 0 there already; 1 of 2 without an")
    assert f"no object: {path}, row 1 (from 0): dec -70.25, ra 200.5" in said
    found = json.loads(run(*words, "--json"))
    assert (found["n_rows"], found["n_added"], found["n_unchanged"]) == (2, 0, 1)
    assert (found["n_unmatched"], found["found_by"], found["table"]) == (1, "position", "StarPar")
    assert "load" in run("log", sky)


def test_mistakes_in_loading(sky: Path, tmp_path: Path) -> None:
    path = stars(sky, tmp_path / "s.csv")
    assert "There are galphot, lensing, starpar." in run("load", "measure", sky, path, code=2)
    assert "FILE" in run("load", "starpar", sky, code=2)
    assert "no column of StarPar" in run("load", "starpar", sky, path, code=1)
    assert "match radius" in run("load", "starpar", sky, path, "--radius", 0, code=1)
    assert "cannot be read" in run("load", "lensing", sky, tmp_path / "none.fits", code=1)


def test_addstar_tells_of_satellite_rows(tmp_path: Path) -> None:
    codes = PhotcodeTable().add("r", PhotClass.SEC)
    codes = codes.add("CAM.r.Stack", PhotClass.DEP, filter_name="r", zero_point=25.0)
    create_store(tmp_path / "sky", level=4, photcodes=codes)
    hdus = [xfit_hdu(fits_of_models([3, 5, 99])), xrad_hdu(apertures([1, 3]))]
    path = write_catalog(tmp_path / "s.cmf", hdus)
    plain = json.loads(run(tmp_path / "sky", path, "--no-satellites", "--json", command=addstar))
    assert (plain["n_images"], plain["n_satellites"]) == (1, {})
    # Now they are wanted: it is the same image with more.
    assert "--replace" in run(tmp_path / "sky", path, command=addstar, code=1)
    said = run(tmp_path / "sky", path, "--replace", command=addstar)
    assert "rows of satellite tables added: 6 of GalPhot, 2 of Lensing\n" in said
    assert "left out: 3 (rows of GalPhot whose detection is not in)\n" in said
    again = json.loads(run(tmp_path / "sky", path, "--json", command=addstar))
    assert (again["n_skipped"], again["n_satellites"]) == (1, {})
