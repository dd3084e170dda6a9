"""Scatter of bright stars beyond photon noise: put into a simulated survey, and got back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import dvo
from dvo.calib.photometry.levels import Level
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.calib.photometry.ubercal import UbercalOptions, ubercal
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from tests.calibrated_sky import PLAN, make_sky, set_floors

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BANDS = ("g", "r", "i", "z", "y")
# Magnier et al. (2020, ApJS 251, 6): scatter of single measures of bright stars in PV3 [mag].
FLOORS = (0.014, 0.014, 0.015, 0.015, 0.018)
SATURATED = 0x1080  # phot_flags


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_floors_of_magnitudes_come_back(tmp_path: Path, seed: int) -> None:
    """Nothing is known at first; what is left of bright stars goes into the photcodes, thrice."""
    plan = replace(PLAN, seed=seed, n_exposures=200, exposures_per_night=20, filters=BANDS,
                   density_per_deg2=1500, exptime_s=200.0, n_seasons=1, mag_floor=FLOORS,
                   photometric_fraction=0.7)  # fmt: skip
    sky = make_sky(tmp_path, plan)
    options = RelphotOptions(BANDS, levels=(Level.EXPOSURE,), report=tmp_path / "report")
    found = np.zeros(len(BANDS))
    for _ in range(3):
        with Store(sky.catdir, writable=True) as store:
            set_floors(store, found)
            ubercal(store, UbercalOptions(BANDS))
            report = relphot(store, options)
        found = floors_of(sky.catdir)
    np.testing.assert_allclose(found, FLOORS, rtol=0.03)
    # With these errors the calibration is what it says to be.
    assert report.chi2_dof == pytest.approx(1.0, abs=0.05)
    for row in json.loads((tmp_path / "report" / "report.json").read_text())["filters"]:
        assert row["pull_width"] == pytest.approx(1.0, abs=0.05)
    truth = pq.read_table(tmp_path / "sim" / "truth" / "exposures.parquet")
    assert zero_point_errors(sky.catdir, truth).std() < 0.002


def floors_of(catdir: Path) -> F64:
    """What bright stars scatter beyond photon noise, by filter [mag]."""
    with dvo.open(catdir) as db:
        band_of = db.photcodes.sec_index_of_code
        names = ["cat_id", "obj_id", "photcode", "phot_flags", "mag:rel", "mag:err"]
        table = pa.Table.from_batches(db.scan("measure", names))
    cat, obj, code, flags, mag, err = (table[n].to_numpy() for n in names)
    star = (cat.astype(np.int64) << 32) | obj
    good = np.isfinite(mag) & (err < 0.1) & ((flags & SATURATED) == 0)
    out = []
    for k in range(len(BANDS)):
        some = good & (band_of[code] == k)
        out.append(floor_of(star[some], mag[some].astype(float), err[some].astype(float)))
    return np.array(out)


def floor_of(star: I64, mag: F64, err: F64) -> float:
    """The floor by which chi-square about the means of stars is what is free."""
    of = np.unique(star, return_inverse=True)[1]
    n = np.bincount(of)
    bright = (np.sqrt(np.bincount(of, err**2) / n) < 0.02) & (n > 5)
    some = bright[of]
    of, mag, err = np.unique(of[some], return_inverse=True)[1], mag[some], err[some]
    low, high = 0.0, 0.05
    for _ in range(30):
        middle = 0.5 * (low + high)
        weight = 1.0 / (err**2 + middle**2)
        for _ in range(2):  # false detections and blends are left out
            mean = np.bincount(of, weight * mag) / np.bincount(of, weight)
            chi2 = weight * (mag - mean[of]) ** 2
            weight = np.where(chi2 < 25.0, weight, 0.0) + 1e-12
        excess = chi2[chi2 < 25.0].sum() - ((chi2 < 25.0).sum() - len(mean))
        low, high = (middle, high) if excess > 0 else (low, middle)
    return 0.5 * (low + high)


def zero_point_errors(catdir: Path, exposures: pa.Table) -> F64:
    """Offsets of images less the truth, about the mean of each filter [mag]."""
    with Store(catdir) as store:
        view = store.view()
        images = view.read(IMAGE, ALL_SKY, ["photcode", "time", "mcal_psf", "flags"])
        band = view.photcodes.sec_index_of_code[images["photcode"]]
    seconds = (exposures["mjd"].to_numpy() - 40587.0) * 86400
    of = np.abs(images["time"][:, None].astype(float) - seconds).argmin(axis=1)
    few = np.uint32(ImageFlag.PHOTOM_FEW | ImageFlag.PHOTOM_POOR)
    some = (band >= 0) & ((images["flags"] & few) == 0)
    off = (images["mcal_psf"].astype(float) - exposures["mcal"].to_numpy()[of])[some]
    levels = np.bincount(band[some], off) / np.bincount(band[some])
    return np.asarray(off - levels[band[some]])
