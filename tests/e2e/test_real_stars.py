"""Real stars, where their data are at hand: a transit, and RR Lyrae."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools import demo_hatp32, demo_s82

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def report_of(main, name, out, *options):
    folder = DATA / name
    if not (folder / "detections.parquet").is_file():
        pytest.skip(f"the real data are not in {folder}")
    assert main(["--data", str(folder), "--out", str(out), *options]) == 0
    return json.loads((out / "report.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_planet_is_seen_after_relphot(tmp_path):
    found = report_of(demo_hatp32.main, "hatp32", tmp_path / "hatp32")
    assert found["relphot"]["n_images"] == 48
    assert found["n_bright"] >= 50
    assert found["bright_scatter"] <= 0.010
    assert found["depth"] > 5 * found["depth_err"]
    assert abs(found["depth"] - 0.0226) < 3 * found["depth_err"]  # Hartman et al. (2011)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rr_lyrae_stars_vary_with_their_periods(tmp_path):
    found = report_of(demo_s82.main, "s82_rrlyrae", tmp_path / "s82", "--stars", "25")
    assert found["n_stars"] >= 240
    assert found["share_above_0.2"] > 0.95
    assert found["least_j"] > 0.5
    # Aliases of a day cannot all be told apart in one filter.
    assert found["share_same"] > 0.7
    assert 0.4 < found["median_period_d"] < 0.7
