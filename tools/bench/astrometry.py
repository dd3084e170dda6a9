"""Astrometry: how fast objects are fitted and images solved for, and how well."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from figures import Figure
from numpy.typing import NDArray
from stage import Stage

from dvo.calib.astrometry.image_solve import solve_images
from dvo.calib.astrometry.image_terms import CorrectionTerms, TermPriors
from dvo.calib.astrometry.motions import MotionModel, ObjectMeasures, fit_motions
from ipp_pipeline.sim.flat_sky import flat_sky

__all__ = ["measure"]

Array = NDArray[Any]

_SEED = 3
_YEAR_S = 31557600.0
_OBJECTS, _PER_OBJECT = 100_000, 13
_CASES = {"dense": 0.5, "sparse": 0.0075}


def measure(stage: Stage) -> list[Figure]:
    """Measure the fits of objects and the joint solve for images, at their one size.

    Parameters
    ----------
    stage : Stage
        Where to run; not looked at.

    Returns
    -------
    list of Figure
        Objects a second on one core, with and without bootstrap; seconds of the solve for 1,440
        images and what is left of their distortion, with many reference stars and with few.
    """
    del stage
    found = _fits()
    for name, share in _CASES.items():
        found += _solve(name, share)
    return found


def _fits() -> list[Figure]:
    rng = np.random.default_rng(_SEED)
    at = np.repeat(np.arange(_OBJECTS), _PER_OBJECT)
    ra, dec = rng.uniform(10, 20, (2, _OBJECTS))
    off = rng.normal(0, 0.02 / 3600, (2, len(at)))
    measures = ObjectMeasures(
        np.arange(_OBJECTS + 1) * _PER_OBJECT, ra[at] + off[0], dec[at] + off[1],
        np.full(len(at), 0.02), (38 + rng.uniform(0, 4, len(at))) * _YEAR_S,
        np.ones(len(at), np.bool_),
    )  # fmt: skip
    seeds = np.arange(_OBJECTS, dtype=np.uint64)
    rates = {}
    for n_resamples in (0, 100):
        fit_motions(measures, MotionModel.PARALLAX, n_resamples=n_resamples, seeds=seeds)
        begun = time.perf_counter()
        fit_motions(measures, MotionModel.PARALLAX, n_resamples=n_resamples, seeds=seeds)
        rates[n_resamples] = _OBJECTS / (time.perf_counter() - begun)
    about = f"{_PER_OBJECT} measures an object"
    return [
        Figure("astrom_objects", "objects fitted with parallaxes, one core", "", rates[0] / 1e3,
               "k objects/s", about),
        Figure("astrom_bootstrap", "the same with 100 samples each", "", rates[100] / 1e3,
               "k objects/s", about),
    ]  # fmt: skip


def _solve(name: str, share: float) -> list[Figure]:
    sky = flat_sky(np.random.default_rng(_SEED), reference_share=share)
    terms = CorrectionTerms.of(sky.places, TermPriors())
    batches = sky.halves()
    begun = time.perf_counter()
    found = solve_images(batches, terms)
    seconds = time.perf_counter() - begun
    before = 1e3 * float(np.sqrt((sky.distortion**2).mean()))
    n = int(sky.is_reference.sum())
    about = f"1,440 images, {len(sky.batch.x):,} measures, {n:,} references"
    return [
        Figure(f"astrom_solve_{name}", f"images solved for, {name} references", "", seconds, "s",
               about),
        Figure(f"astrom_error_{name}", f"distortion that is left, {name} references", "",
               sky.distortion_error(found), "mas",
               f"of {before:.0f} mas, {len(found.rounds)} rounds"),
    ]  # fmt: skip
