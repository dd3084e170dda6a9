"""Pictures of light curves: what is in them, by the text of SVG files."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from dvo.database.plots import draw_lightcurve
from dvo.tables.photcode import PhotClass, PhotcodeTable


@pytest.fixture
def photcodes():
    table = PhotcodeTable()
    for name in ("r", "g"):
        table = table.add(name, PhotClass.SEC)
    table = table.add("CAM.blue", PhotClass.DEP, filter_name="g")
    table = table.add("SDSS.g", PhotClass.REF, filter_name="g")
    return table.add("CAM.r.1", PhotClass.DEP, filter_name="r")


def texts(rows, photcodes, path):
    """What is written in the picture of rows of MJD, photcode and magnitude."""
    mjd, names, mag = zip(*rows, strict=True)
    table = pa.table(
        {"mjd": mjd, "photcode_name": names, "mag:rel": mag, "mag:err": [0.01] * len(mjd)}
    )
    draw_lightcurve(table, path / "a.svg", "a star", photcodes=photcodes)
    return re.findall(r"<!-- (.*?) -->", (path / "a.svg").read_text())


def test_filters_in_the_order_of_the_database_and_references_at_no_time(photcodes, tmp_path):
    rows = [
        (58000.0 + k, name, 15.0 + 0.01 * k) for k in range(9) for name in ("CAM.blue", "CAM.r.1")
    ]
    found = texts([(51544.5, "SDSS.g", 15.2), *rows], photcodes, tmp_path)
    assert found[-3:] == ["r", "g", "SDSS.g 15.20 (reference)"]
    assert "MJD - 58000 [d]" in found
    assert "a star" in found


def test_outliers_do_not_set_the_range(photcodes, tmp_path):
    rows = [(58000.0 + k, "CAM.r.1", 15.0 + 0.01 * k) for k in range(9)]
    found = texts([*rows, (58010.0, "CAM.r.1", 26.0)], photcodes, tmp_path)
    assert "1 beyond the range (arrows)" in found
    assert "20" not in found


@pytest.mark.filterwarnings("error")
def test_references_alone_and_no_magnitudes_are_drawn(photcodes, tmp_path):
    assert "MJD - 51544 [d]" in texts([(51544.5, "SDSS.g", 15.2)], photcodes, tmp_path)
    assert "a star" in texts([(58000.0, "CAM.r.1", None)], photcodes, tmp_path)
