"""relphot on databases against the limit of Cramér and Rao, from a dense matrix of our own.

The limit is worked out from what the database holds, by scipy and with every star written out:
nothing of `dvo.calib` has a part in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg

from dvo.calib.joint import JointOptions
from dvo.calib.photometry.relphot import RelphotOptions, relphot
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from tests.synth import add_images, make_database, make_images

N_IMAGES, N_FROZEN = 12, 4
PLAIN = JointOptions(is_robust=False, star_chi2=np.inf)


def make_sky(path, seed, *, frozen):
    """Exposures with errors of 5 to 50 mmag and zero points; the first of them may be known."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 0.1, N_IMAGES)
    images = []
    for image, shift in zip(make_images(seed, 80, N_IMAGES), truth, strict=True):
        found = image.detections
        err = rng.uniform(0.005, 0.05, len(found)).astype(np.float32)
        # The noise of `make_images` is 0.02 mag: it is taken for what it was drawn from.
        mag = (
            found.columns["mag"]
            + shift
            + np.sqrt(np.maximum(err**2 - 0.02**2, 0)) * rng.normal(size=len(found))
        )
        err = np.maximum(err, 0.02)
        columns = {**found.columns, "mag": mag.astype(np.float32), "mag_err": err}
        images.append(replace(image, detections=replace(found, columns=columns)))
    made = make_database(path)
    with Store(made, writable=True) as store:
        add_images(store, images)
        if frozen:
            know(store, truth)
    return made, truth


def know(store, truth):
    """Make the first images of each filter ones of ubercal, at the truth."""
    view = store.view()
    with store.begin("test", {}, view) as change:
        (part,) = view.parts(IMAGE, ALL_SKY)
        is_known = np.arange(N_IMAGES) < N_FROZEN
        columns = {
            "flags": np.where(is_known, ImageFlag.PHOTOM_UBERCAL, 0).astype(np.uint32),
            "mcal_psf": np.where(is_known, truth, np.nan).astype(np.float32),
        }
        change.overlay(IMAGE, [(part, ColumnTable(IMAGE, columns, part.n_rows))])
        change.commit()


def limit(catdir):
    """Offsets of least squares, and the least errors that any estimate can have."""
    with Store(catdir) as store:
        view = store.view()
        images = view.read(IMAGE, ALL_SKY)
        parts = [view.read(MEASURE, region) for region in view.regions()]
    known = (images["flags"] & np.uint32(ImageFlag.PHOTOM_UBERCAL)) != 0
    whole = {n: np.concatenate([m[n] for m in parts]) for n in ("mag", "mag_err", "photcode")}
    row = np.concatenate([np.searchsorted(images["image_id"], m["image_id"]) for m in parts])
    star = np.concatenate([m["ave_ref"] + 1_000_000 * k for k, m in enumerate(parts)])
    offset, error = np.full((2, len(images)), np.nan)
    for code in np.unique(images["photcode"]):
        mine = np.flatnonzero(images["photcode"] == code)
        rows = np.flatnonzero(whole["photcode"] == code)
        mag, sigma = (whole[n][rows].astype(float) for n in ("mag", "mag_err"))
        stars, of = np.unique(star[rows], return_inverse=True)
        design = np.zeros((len(rows), len(mine) + len(stars)))
        design[np.arange(len(rows)), np.searchsorted(mine, row[rows])] = 1.0
        design[np.arange(len(rows)), len(mine) + of] = 1.0
        is_free = np.concatenate([~known[mine], np.ones(len(stars), bool)])
        start = np.concatenate([np.where(known[mine], images["mcal_psf"][mine], 0.0),
                                np.zeros(len(stars))])  # fmt: skip
        scaled = design[:, is_free] / sigma[:, None]
        found = linalg.lstsq(scaled, (mag - design[:, ~is_free] @ start[~is_free]) / sigma)[0]
        information = scaled.T @ scaled
        n = int(is_free[: len(mine)].sum())
        stars_too = information[:n, :n] - information[:n, n:] @ linalg.solve(
            information[n:, n:], information[n:, :n], assume_a="pos"
        )
        some = mine[~known[mine]]
        free_gauge = not known[mine].any()
        offset[some] = found[:n] - (found[:n].mean() if free_gauge else 0.0)
        error[some] = np.sqrt(linalg.pinvh(stars_too, rtol=1e-10).diagonal())
    return offset, error


def solved(catdir, **options):
    with Store(catdir, writable=True) as store:
        report = relphot(store, RelphotOptions(("g", "r"), **options))
        images = store.view().read(IMAGE, ALL_SKY, ["mcal_psf", "dmcal"])
    return report, images["mcal_psf"].astype(float), images["dmcal"].astype(float)


@pytest.mark.parametrize("frozen", [False, True])
def test_plain_offsets_and_errors_are_those_of_the_dense_matrix(tmp_path, frozen):
    sky, _ = make_sky(tmp_path / "sky", 5, frozen=frozen)
    expected, least = limit(sky)
    report, offset, error = solved(sky, solve=PLAIN)
    some = np.isfinite(expected)
    assert some.sum() == report.n_images == N_IMAGES - N_FROZEN * frozen
    np.testing.assert_allclose(offset[some], expected[some], rtol=0, atol=2e-7)
    scale = np.sqrt(report.chi2_dof)
    np.testing.assert_allclose(error[some], least[some] * scale, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
def test_errors_are_near_the_limit_and_honest(tmp_path, frozen):
    off, least, pulls = [], [], []
    for seed in range(20):
        sky, truth = make_sky(tmp_path / str(seed), seed, frozen=frozen)
        _, limits = limit(sky)
        _, offset, error = solved(sky)
        for k in (0, 1):
            some = np.arange(N_IMAGES)[k::2]
            some = some[np.isfinite(limits[some])]
            diff = offset[some] - truth[some]
            diff -= 0.0 if frozen else diff.mean()
            off += diff.tolist()
            least += limits[some].tolist()
            pulls += (diff / error[some]).tolist()
    # 160 or more of them: a width is known to 6 per cent; robust weights cost 5.
    assert 0.85 < np.sqrt(np.mean(np.square(off)) / np.mean(np.square(least))) < 1.15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.12)
