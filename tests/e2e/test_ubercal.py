"""Simulated surveys with clouds: which nights are photometric, and how well they are calibrated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dvo.calib.photometry.ubercal import UbercalOptions, ubercal
from dvo.partition.store import Store
from tests.calibrated_sky import PLAN, against_truth, make_sky


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("cloud_mag", [0.3, 0.1])
def test_cloudy_nights_are_found_and_clear_ones_kept(tmp_path, cloud_mag):
    """Three of ten nights cloudy, 2 % variable stars, two seasons of flat fields."""
    judged, pulls, slope_pulls, offsets = [], [], [], []
    for seed in range(1, 6):
        plan = replace(PLAN, seed=seed, n_exposures=300, duration_days=600.0,
                       cloud_mag=cloud_mag, variable_fraction=0.02)  # fmt: skip
        sky = make_sky(tmp_path / str(seed), plan)
        with Store(sky.catdir) as store:
            report = ubercal(store, UbercalOptions(("g",), dry_run=True))
        assert report.n_seasons == 2
        enough = np.array([period.n_exposures >= 4 for period in report.periods])
        found, true, zp, true_zp, zp_err, slope, true_slope, slope_err = against_truth(sky, report)
        judged.append(np.array([true, found])[:, enough])
        good = (found == 1) & (true == 1)
        off = (zp - true_zp)[good]
        offsets += (off - off.mean()).tolist()
        pulls += ((off - off.mean()) / zp_err[good]).tolist()
        slope_pulls += ((slope - true_slope) / slope_err)[good].tolist()
    true, found = np.concatenate(judged, axis=1)
    n_cloudy, n_clear = (true == 0).sum(), (true == 1).sum()
    assert min(n_cloudy, n_clear) > 30
    assert ((true == 0) & (found == 0)).sum() >= 0.95 * n_cloudy
    assert ((true == 1) & (found == 0)).sum() <= 0.02 * n_clear
    # Variable stars go with the night: errors know of them in part.
    assert np.std(offsets) < 0.002
    assert np.std(pulls) < 1.4
    assert np.std(slope_pulls) < 1.3
