"""The commands of calibration as people run them: engines, levels, and what --json says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.image import IMAGE
from tests.synth import filled_database

pytestmark = pytest.mark.timeout(110)

PARAMETERS = ("mcal_psf", "mcal_aper", "dmcal", "n_fit_photom", "flags", "ubercal_dist")


def run(program: str, *words: object) -> str:
    """Run a program of this environment; its output."""
    path = Path(sys.executable).with_name(program)
    done = subprocess.run([str(path), *map(str, words)], capture_output=True, text=True,
                          timeout=100)  # fmt: skip
    assert done.returncode == 0, (program, words, done.stderr)
    return done.stdout


@pytest.fixture
def catdir(tmp_path):
    return filled_database(tmp_path / "sky", n_stars=200, n_images=8)


def solved(catdir: Path, folder: str, *words: object) -> tuple[dict, dict]:
    """What relphot says of a copy of the database, and the zero points there then."""
    path = shutil.copytree(catdir, catdir.parent / folder)
    if "hosts" in words:
        run("dvo", "host", "start-local", path, "-n", "2")
    try:
        said = json.loads(run("relphot", path, "--filters", "g,r", "--json", *words))
    finally:
        if "hosts" in words:
            run("dvo", "host", "stop", path)
    with Store(path) as store:
        image = store.view().read(IMAGE, ALL_SKY)
        return said, {name: image[name] for name in PARAMETERS}


@pytest.mark.slow
def test_zero_points_do_not_depend_on_who_works(catdir):
    said, expected = solved(catdir, "inline")
    for name in ("n_images", "n_stars", "n_measures", "rounds", "chi2_dof", "components"):
        assert said[name] > 0
    assert (said["n_images"], said["components"]) == (8, 2)
    assert said["seconds"] > 0
    for folder, words in (
        ("one", ("--engine", "processes", "--workers", "1")),
        ("seven", ("--engine", "processes", "--workers", "7")),
        ("hosts", ("--engine", "hosts")),
    ):
        there, found = solved(catdir, folder, *words)
        assert {**there, "seconds": 0} == {**said, "seconds": 0}
        for name in PARAMETERS:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.slow
def test_zero_points_do_not_depend_on_the_level(catdir):
    said, expected = solved(catdir, "as it was")
    for level in (0, 5):
        path = shutil.copytree(catdir, catdir.parent / f"level{level}")
        run("dvo", "relevel", path, level)
        there, found = solved(path, f"solved{level}")
        assert abs(there["median_error"] - said["median_error"]) < 1e-10
        assert abs(there["chi2_dof"] - said["chi2_dof"]) < 1e-10
        for name in PARAMETERS:  # stored with 24 bits
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=2e-8)


@pytest.mark.slow
def test_ubercal_says_its_periods(catdir):
    said = json.loads(run("ubercal", catdir, "--filters", "g,r", "--dry-run", "--json"))
    assert {period["filter"] for period in said["periods"]} == {"g", "r"}
    for period in said["periods"]:
        assert period["start"] < period["stop"]
        assert {"zero_point", "slope", "n_images", "is_photometric"} < set(period)


@pytest.mark.slow
def test_colour_terms_by_the_command(catdir):
    report = catdir.parent / "report"
    run("relphot", catdir, "--filters", "g,r")
    words = ("photcode", "fit", catdir, "SYNTH.g.C00", "g", "--color", "g-r")
    said = json.loads(run("dvo", *words, "--report", report, "--json"))
    assert said["n_points"] > 100
    assert json.loads((report / "report.json").read_text())["terms"] == said["terms"]
    assert (report / "colour.png").stat().st_size > 1000
