"""What psphot says of extended and lensed sources, and the truth of it.

Some stars of the sky stand for galaxies: each has a half-light radius, an axis ratio, a
position angle and a Sersic index, seen the same in every exposure but for noise. Three models
are fitted to each. The fit of the exponential disc is a tenth too large, and comes with a grid of
trials whose minimum is at the truth, as forced photometry has it. Bright detections have
fluxes in five apertures and KSB terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ipp_pipeline.sim.exposure import Exposure, World, to_sky
from ipp_pipeline.sim.shapes import LENS_TERMS, MODELS

__all__ = ["RADII_ARCSEC", "SATELLITE_TABLES", "Satellites", "measure_satellites"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

RADII_ARCSEC = (1.03, 1.76, 3.00, 4.63, 7.43)
"""Radii of the apertures: numbers 3 to 7 of SDSS, as PS1 takes them."""

SATELLITE_TABLES = ("galaxies", "lensing")
"""Names of the truth tables."""

_KEPT_RADII = {5: 2, 6: 3, 7: 4}
_LEAST_SNR = 20.0
_BRIGHTER = 1.2  # a model holds more light than the psf
_MAG_ERR = 0.02
_AXIS_ERR = 0.03  # of the axis
_THETA_ERR = 0.02  # [rad]
_TOO_LARGE = 1.1
_FRACTION_ERR = 0.01
_N_PIX = 400.0
_N_TRIALS, _FIRST, _STEP = 5, 0.8, 0.05
_HALF_PIX = 0.5

_XFIT = np.dtype(
    [("IPP_IDET", ">i4")]
    + [(n, ">f4") for n in ("X_EXT", "Y_EXT", "X_EXT_SIG", "Y_EXT_SIG", "SKY_EXT",
                            "RA_EXT", "DEC_EXT", "EXT_INST_MAG", "EXT_INST_MAG_SIG", "EXT_CHISQ")]
    + [("EXT_NDOF", ">i4"), ("EXT_MODEL_TYPE", ">i4"), ("EXT_FLAGS", ">i2")]
    + [(n, ">f4") for n in ("PSF_INST_MAG", "AP_MAG", "KRON_MAG")]
    + [("NPARAMS", ">i4"), ("MODEL_TYPE", "S15")]
    + [(n, ">f4") for n in ("EXT_WIDTH_MAJ", "EXT_WIDTH_MIN", "EXT_THETA", "EXT_WIDTH_MAJ_ERR",
                            "EXT_WIDTH_MIN_ERR", "EXT_THETA_ERR", "EXT_PAR_07")]
)  # fmt: skip
_GRID = (_N_TRIALS * _N_TRIALS,)
_XGAL = np.dtype(
    [("IPP_IDET", ">i4"), ("MODEL_TYPE", ">i4")]
    + [(n, ">f4") for n in ("X_FIT", "Y_FIT", "NPIX")]
    + [(n, ">f4", _GRID) for n in ("GAL_FLUX", "GAL_FLUX_ERR", "GAL_CHISQ")]
    + [(f"FR_{axis}_{w}", ">f4") for axis in ("MAJOR", "MINOR") for w in ("MIN", "MAX", "DEL")]
)
_XRAD = np.dtype(
    [("IPP_IDET", ">i4")]
    + [(n, ">f4") for n in ("X_APER", "Y_APER", "PSF_FWHM")]
    + [(n, ">f4", (len(RADII_ARCSEC),)) for n in ("APER_FLUX", "APER_FLUX_ERR", "APER_FLUX_STDEV",
                                                  "APER_FILL")]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Satellites:
    """What an exposure has beside its detections, chip after chip, and the truth.

    Parameters
    ----------
    rows : dict of str to structured ndarray
        Rows of the extensions ``xfit``, ``xgal`` and ``xrad``, as on disk.
    chip : dict of str to ndarray of int64
        Chip of each of these rows, ascending.
    lens : ndarray of float64, shape (n_detections, 22)
        KSB terms of all detections; 0 where they were not measured.
    truth : dict of str to pyarrow.Table
        Rows of the truth tables.
    """

    rows: dict[str, NDArray[np.void]]
    chip: dict[str, I64]
    lens: F64
    truth: dict[str, pa.Table]


def measure_satellites(world: World, exposure: Exposure) -> Satellites:
    """Measure the extended and the lensed sources of an exposure.

    Parameters
    ----------
    world : World
        The survey; its shapes are there.
    exposure : Exposure
        One of its exposures.

    Returns
    -------
    Satellites
        The same whichever exposures were made before.
    """
    assert world.shapes is not None
    rng = np.random.default_rng([world.plan.seed, 2, exposure.number])
    star = exposure.star_id
    is_star = star >= 0
    is_galaxy = np.zeros(star.size, np.bool_)
    is_galaxy[is_star] = world.shapes.is_galaxy[star[is_star]]
    xfit, xgal, galaxies = _galaxies(world, exposure, np.flatnonzero(is_galaxy), rng)
    is_bright = is_star & (exposure.measured.true_snr > _LEAST_SNR)
    bright = np.flatnonzero(is_bright)
    xrad, fluxes = _apertures(world, exposure, bright, rng)
    lens = np.zeros((star.size, len(LENS_TERMS)))
    lens[bright] = world.shapes.terms[star[bright]]
    terms = {n.lower(): lens[bright, k].astype(np.float32) for k, n in enumerate(LENS_TERMS)}
    return Satellites(
        rows={"xfit": xfit[0], "xgal": xgal[0], "xrad": xrad},
        chip={"xfit": xfit[1], "xgal": xgal[1], "xrad": exposure.chip[bright]},
        lens=lens,
        truth={
            "galaxies": _table(galaxies),
            "lensing": _table(_ids(exposure, bright) | terms | fluxes),
        },
    )


def _table(columns: dict[str, NDArray[np.generic]]) -> pa.Table:
    return pa.table({name: pa.array(values) for name, values in columns.items()})


def _ids(exposure: Exposure, at: I64) -> dict[str, NDArray[np.generic]]:
    return {
        "exposure": np.full(at.size, exposure.number, np.int32),
        "chip": exposure.chip[at].astype(np.int16),
        "det_id": exposure.det_id[at].astype(np.int32),
    }


def _galaxies(
    world: World, exposure: Exposure, at: I64, rng: np.random.Generator
) -> tuple[
    tuple[NDArray[np.void], I64], tuple[NDArray[np.void], I64], dict[str, NDArray[np.generic]]
]:
    """Rows of xfit and xgal with their chips, and the truth; three models a galaxy."""
    assert world.shapes is not None
    star = exposure.star_id[at]
    shape = world.shapes.take(star)
    n, n_models = at.size, len(MODELS)
    scale_major, scale_minor, theta = _on_chip(exposure, at, shape.position_angle)
    counts = _BRIGHTER * exposure.measured.counts[at]
    names = np.tile(np.array([f"PS_MODEL_{m}" for m in MODELS], "S15"), n)
    is_disc = np.tile(np.array([m == "EXP" for m in MODELS]), n)
    index = np.where(names == b"PS_MODEL_SERSIC", np.repeat(shape.index, n_models),
                     np.where(is_disc, 1.0, 4.0))  # fmt: skip
    too_large = np.where(is_disc, _TOO_LARGE, 1.0)
    axes = {
        "MAJ": np.repeat(shape.radius_arcsec / scale_major, n_models),
        "MIN": np.repeat(shape.radius_arcsec * shape.axis_ratio / scale_minor, n_models),
    }
    rows = np.zeros(n * n_models, _XFIT)
    values: dict[str, object] = {
        "IPP_IDET": np.repeat(exposure.det_id[at], n_models),
        "X_EXT": np.repeat(exposure.x[at], n_models),
        "Y_EXT": np.repeat(exposure.y[at], n_models),
        "RA_EXT": np.repeat(exposure.ra[at], n_models),
        "DEC_EXT": np.repeat(exposure.dec[at], n_models),
        "EXT_INST_MAG": -2.5 * np.log10(np.repeat(counts, n_models))
        + rng.normal(0, _MAG_ERR, n * n_models),
        "EXT_INST_MAG_SIG": _MAG_ERR,
        "EXT_CHISQ": rng.uniform(0.9, 1.2, n * n_models) * _N_PIX,
        "EXT_NDOF": int(_N_PIX),
        "EXT_MODEL_TYPE": MODELS["EXP"],
        "EXT_FLAGS": 1,
        "NPARAMS": np.where(names == b"PS_MODEL_SERSIC", 8, 7),
        "MODEL_TYPE": names,
        "EXT_THETA": np.repeat(theta, n_models) + rng.normal(0, _THETA_ERR, n * n_models),
        "EXT_THETA_ERR": _THETA_ERR,
        "EXT_PAR_07": np.where(names == b"PS_MODEL_SERSIC", 0.5 / index, np.nan),
    }
    for axis, true in axes.items():
        noise = np.where(is_disc, 0.0, rng.normal(0, _AXIS_ERR, n * n_models))
        values[f"EXT_WIDTH_{axis}"] = true * too_large * (1 + noise)
        values[f"EXT_WIDTH_{axis}_ERR"] = true * _AXIS_ERR
    for name, value in values.items():
        rows[name] = value
    truth = {name: np.repeat(ids, n_models) for name, ids in _ids(exposure, at).items()} | {
        "model": np.tile(list(MODELS), n),
        "mag_inst": -2.5 * np.log10(np.repeat(counts, n_models)),
        "major_axis": np.repeat(shape.radius_arcsec, n_models),
        "minor_axis": np.repeat(shape.radius_arcsec * shape.axis_ratio, n_models),
        "theta": np.repeat(shape.position_angle, n_models),
        "index": index,
    }
    chip = exposure.chip[at]
    grids = _grids(exposure, at, counts, rng)
    return (rows, np.repeat(chip, n_models)), (grids, chip), truth


def _grids(exposure: Exposure, at: I64, counts: F64, rng: np.random.Generator) -> NDArray[np.void]:
    """Trials of exponential discs; their minimum is where the fit was too large by a tenth."""
    n = at.size
    rows = np.zeros(n, _XGAL)
    best = 1.0 / _TOO_LARGE + rng.normal(0, _FRACTION_ERR, (2, n, 1))
    step = np.arange(_GRID[0])
    major, minor = (_FIRST + _STEP * s for s in np.divmod(step, _N_TRIALS))
    p, q = major - best[0], minor - best[1]
    measured = counts * (1 + rng.normal(0, _MAG_ERR, n))
    flux = measured[:, None] * (1 + 0.5 * p + 0.5 * q)
    values: dict[str, object] = {
        "IPP_IDET": exposure.det_id[at],
        "MODEL_TYPE": MODELS["EXP"],
        "X_FIT": exposure.x[at],
        "Y_FIT": exposure.y[at],
        "NPIX": _N_PIX,
        "GAL_FLUX": flux,
        "GAL_FLUX_ERR": _MAG_ERR * flux,
        "GAL_CHISQ": 1.0 + (p**2 + q**2) / _FRACTION_ERR**2 / _N_PIX,
    }
    for axis in ("MAJOR", "MINOR"):
        values[f"FR_{axis}_MIN"] = _FIRST
        values[f"FR_{axis}_MAX"] = _FIRST + _STEP * (_N_TRIALS - 1)
        values[f"FR_{axis}_DEL"] = _STEP
    for name, value in values.items():
        rows[name] = value
    return rows


def _apertures(
    world: World, exposure: Exposure, at: I64, rng: np.random.Generator
) -> tuple[NDArray[np.void], dict[str, NDArray[np.generic]]]:
    """Rows of xrad, and the true fluxes a second: what a Gaussian psf has within each radius."""
    sigma_arcsec = exposure.light.fwhm_pix / 2.355 * world.camera.scale_arcsec
    share = 1.0 - np.exp(-0.5 * (np.array(RADII_ARCSEC) / sigma_arcsec) ** 2)
    true = exposure.measured.counts[at][:, None] * share
    error = np.broadcast_to(exposure.measured.counts_err[at][:, None], true.shape)
    rows = np.zeros(at.size, _XRAD)
    values: dict[str, object] = {
        "IPP_IDET": exposure.det_id[at],
        "X_APER": exposure.x[at],
        "Y_APER": exposure.y[at],
        "PSF_FWHM": np.nan,
        "APER_FLUX": true + error * rng.normal(size=true.shape),
        "APER_FLUX_ERR": error,
        "APER_FLUX_STDEV": 10 * error,
        "APER_FILL": 1.0,
    }
    for name, value in values.items():
        rows[name] = value
    fluxes: dict[str, NDArray[np.generic]] = {
        f"flux_ap_r{number}": true[:, k] / world.plan.exptime_s for number, k in _KEPT_RADII.items()
    }
    return rows, fluxes


def _on_chip(exposure: Exposure, at: I64, position_angle: F64) -> tuple[F64, F64, F64]:
    """Pixel scales along both axes of ellipses on the sky [arcsec], and angles on the chip [rad].

    From the matrix of the way from pixels to the sky; an ellipse that is turned by it stays
    one, to a part in ten thousand.
    """
    x, y = exposure.x[at].astype(np.float64), exposure.y[at].astype(np.float64)
    chip = exposure.chip[at]
    solved = (exposure.chip_solution, exposure.sky_solution, exposure.boresight)
    cos_dec = np.cos(np.radians(exposure.dec[at]))
    columns = []
    for dx, dy in ((_HALF_PIX, 0.0), (0.0, _HALF_PIX)):
        ahead = to_sky(*solved, chip, x + dx, y + dy)
        behind = to_sky(*solved, chip, x - dx, y - dy)
        turn = np.mod(ahead[0] - behind[0] + 180.0, 360.0) - 180.0  # over RA 0, too
        columns.append((3600.0 * turn * cos_dec, 3600.0 * (ahead[1] - behind[1])))
    (east_x, north_x), (east_y, north_y) = columns
    det = east_x * north_y - east_y * north_x
    angle = np.radians(position_angle)

    def to_pixels(east: F64, north: F64) -> tuple[F64, F64]:
        return (north_y * east - east_y * north) / det, (east_x * north - north_x * east) / det

    major = to_pixels(np.sin(angle), np.cos(angle))
    minor = to_pixels(np.cos(angle), -np.sin(angle))
    return 1 / np.hypot(*major), 1 / np.hypot(*minor), np.arctan2(major[1], major[0])
