"""Reports of all programs that calibrate: their pages, figures and pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dvo.calib.photometry.colour_terms import ColourFitOptions, fit_colour_terms
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.calib.photometry.reference_points import TableReference
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.setphot import SetphotOptions, setphot
from dvo.calib.photometry.ubercal import UbercalOptions, ubercal
from dvo.calib.photometry.uniphot import UniphotOptions, uniphot
from dvo.partition.store import Store
from tests.synth import filled_database, make_images

OF_IMAGES = {"zero_points", "zero_point_histogram", "repeatability", "residuals", "pulls", "sky"}
OF_STARS = {"repeatability", "residuals", "pulls", "sky"}


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    path = filled_database(tmp_path_factory.mktemp("reports") / "sky", n_stars=200, n_images=8)
    with Store(path, writable=True) as store:
        relphot(store, RelphotOptions(("g", "r")))
    return path


def read(folder):
    """What a report has: pictures, and report.json; the page holds all of them."""
    pictures = {path.stem for path in folder.glob("*.png")}
    page = (folder / "index.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    return pictures, json.loads((folder / "report.json").read_text())


def test_ubercal(sky, tmp_path):
    nights = tmp_path / "nights.txt"
    nights.write_text("".join(f"{band} 2000-01-01 2030-01-01 yes\n" for band in "gr"))
    with Store(sky) as store:
        options = UbercalOptions(("g", "r"), periods=nights, dry_run=True, report=tmp_path / "out")
        done = ubercal(store, options)
    pictures, said = read(tmp_path / "out")
    assert pictures == OF_IMAGES
    assert [row["n_images"] for row in said["filters"]] == [4, 4]
    assert sum(row["n_measures"] for row in said["filters"]) == done.n_measures
    assert said["periods"] == done.as_dict()["periods"]


def test_setphot(sky, tmp_path):
    given = GivenColumns("points", {"image_id": np.array([1, 3]), "mcal": np.array([0.1, 0.3])})
    with Store(sky) as store:
        setphot(store, given, options=SetphotOptions(dry_run=True, report=tmp_path / "out"))
    pictures, said = read(tmp_path / "out")
    assert pictures == OF_IMAGES
    (row,) = said["filters"]
    assert (row["filter"], row["n_images"]) == ("g", 2)
    assert row["zero_point_median"] == pytest.approx(0.2)
    # Two images 0.2 mag apart, which the stars do not bear out.
    assert row["residual_scatter"] > 0.1


def test_uniphot(sky, tmp_path):
    stars = make_images(1, 200, 1)[0].detections
    mag = stars.columns["mag"].astype(float) - 0.1
    reference = TableReference(
        stars.ra, stars.dec, {0: (mag, np.full(len(mag), 0.02))}, {0: "stars"}, 1.0
    )
    with Store(sky) as store:
        for colour, more in (("g-r", {"colour"}), (None, set())):
            folder = tmp_path / f"of {colour}"
            options = UniphotOptions(colour, dry_run=True, least_stars=3, report=folder)
            done = uniphot(store, reference, options)
            pictures, said = read(folder)
            assert done.filters[0].n_stars > 20
            assert pictures == OF_STARS | more | {"zero_points", "zero_point_histogram"}
            # Residuals are about the fit, not about 0.
            assert said["filters"][0]["residual_scatter"] < 0.06


def test_photcode_fit(sky, tmp_path):
    with Store(sky) as store:
        options = ColourFitOptions("g-r", report=tmp_path / "out")
        done = fit_colour_terms(store, "SYNTH.g.C00", "g", options)
    pictures, said = read(tmp_path / "out")
    assert pictures == OF_STARS | {"colour"}
    assert said["terms"] == done.terms
    assert said["filters"][0]["n_measures"] == done.n_points
