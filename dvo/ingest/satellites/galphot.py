"""GalPhot rows from the extensions ``.xfit`` and ``.xgal`` of a psphot catalog.

``.xfit`` has one row a detection and model: MODEL_TYPE by name, centre (X_EXT, Y_EXT), axes
in pixels (EXT_WIDTH_MAJ, EXT_WIDTH_MIN, the half-light radii) and EXT_THETA in radians from
x towards y, EXT_INST_MAG, EXT_CHISQ with EXT_NDOF, EXT_FLAGS (pmModelStatus), and for Sersic
models EXT_PAR_07 = 1/(2n). ``.xgal`` has one row a detection and model with a grid of
trials of forced photometry (see :mod:`dvo.ingest.satellites.shape_grid`); its MODEL_TYPE is
a number that the cards MTNUM, MTNAMnn and MTVALnn of ``.xfit`` explain. Facts from IPP's
pmSourceIO_CMF and loadgalphot.

A model with a grid takes centre, axes, magnitude, chi squared and number of pixels from it,
as in the original; a model without one is as it was fitted. Beyond the original, axes and
angles are those on the sky, the index is the Sersic n, and models of the Galaxy's stars
(trails, psf models) are passed by. Departures where the original errs: the trials of a
grid have the minor axis running fastest, as psphot writes them (loadgalphot reads them the other
way round); GAL_FLUX_ERR is an error in the files of warps, but a variance in the summary of
several, which goes with the stack, as psphotFullForceSummary forgets the root.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.satellite_input import SatelliteRows
from dvo.ingest.satellites.columns import Chip, Extension
from dvo.ingest.satellites.shape_grid import ShapeGrid, best_trials
from dvo.ingest.satellites.sky_axes import sky_axes
from dvo.tables.fits.header import Header
from dvo.tables.galphot import GALPHOT, GalaxyModel, GalPhotFlag

__all__ = ["read_galphot"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_MODELS = {
    b"PS_MODEL_DEV": GalaxyModel.DEV,
    b"PS_MODEL_EXP": GalaxyModel.EXP,
    b"PS_MODEL_SERSIC": GalaxyModel.SER,
}
_FIXED_INDEX = {GalaxyModel.DEV: 4.0, GalaxyModel.EXP: 1.0}
_MAX_MODELS = 100  # the cards have two digits
# Bits of EXT_FLAGS (pmModelStatus).
_NOT_CONVERGED = 0x02 | 0x08 | 0x40 | 0x80 | 0x100 | 0x200
_AT_LIMITS = 0x10

_NO_GALAXY = "model fits of other shapes than galaxies"
_NO_FIT = "galaxy shapes (.xgal) without their fit (.xfit)"


def read_galphot(xfit: Extension | None, xgal: Extension | None, chip: Chip) -> SatelliteRows:
    """Make the GalPhot rows of an image.

    Parameters
    ----------
    xfit, xgal : Extension or None
        The extensions, as far as the image has them.
    chip : Chip
        The image; what is left out, and what is missing, is told there.

    Returns
    -------
    SatelliteRows
        One row a detection and galaxy model; there may be none.

    Raises
    ------
    BadCatalogError
        If an extension lacks what its rows are told apart by, a model of a detection stands twice,
        or a grid has more trials than there are values.
    """
    if xfit is None:
        if xgal is not None:
            chip.drop(_NO_FIT, xgal.n_rows)
        return SatelliteRows(GALPHOT, np.empty(0, np.uint32), {})
    det_id, words = xfit.det_ids(), xfit.words("MODEL_TYPE")
    model = np.zeros(xfit.n_rows, np.int64)
    for word, kind in _MODELS.items():
        model[np.char.upper(words) == word] = kind
    rows = np.flatnonzero(model)
    chip.drop(_NO_GALAXY, xfit.n_rows - len(rows))
    det_id, model = det_id[rows], model[rows]
    key = _keys(xfit, det_id, model)
    fit = {name: values[rows] for name, values in _read_fits(xfit, chip).items()}
    for kind, index in _FIXED_INDEX.items():
        fit["index"] = np.where(model == kind, index, fit["index"])
    if xgal is not None and xgal.n_rows:
        _take_shapes(fit, key, xgal, xfit.header, chip)
    columns = _on_sky(fit, chip)
    columns["model_type"] = model.astype(np.int16)
    columns["flags"] = fit["flags"].astype(np.uint32)
    return SatelliteRows(GALPHOT, det_id, columns)


def _keys(extension: Extension, det_id: NDArray[np.uint32], model: I64) -> I64:
    """Number of each model of each detection; refuses one that stands twice."""
    key = det_id.astype(np.int64) * 4 + model
    order = np.argsort(key, kind="stable")
    twice = np.flatnonzero(key[order[1:]] == key[order[:-1]])
    if len(twice):
        at = order[twice[0]]
        raise extension.contradicts(
            f"model {GalaxyModel(int(model[at])).name} of detection {det_id[at]} stands twice"
        )
    return key


def _read_fits(xfit: Extension, chip: Chip) -> dict[str, F64]:
    """What ``.xfit`` says: axes in pixels, angle in radians, magnitudes as Measure.mag."""
    mag = xfit.floats("EXT_INST_MAG")
    status = np.nan_to_num(xfit.floats("EXT_FLAGS")).astype(np.int64)
    flags = np.where(status & _NOT_CONVERGED, GalPhotFlag.FIT_FAILED, 0)
    flags |= np.where(status & _AT_LIMITS, GalPhotFlag.OUT_OF_RANGE, 0)
    fit = {
        "xfit": xfit.floats("X_EXT"),
        "yfit": xfit.floats("Y_EXT"),
        # As for all magnitudes of psphot: 0 or more is the mark of a failed fit.
        "mag": np.where(mag < 0, mag + chip.mag_shift, np.nan),
        "mag_err": xfit.floats("EXT_INST_MAG_SIG"),
        "major_axis": xfit.floats("EXT_WIDTH_MAJ"),
        "minor_axis": xfit.floats("EXT_WIDTH_MIN"),
        "major_axis_err": xfit.floats("EXT_WIDTH_MAJ_ERR"),
        "minor_axis_err": xfit.floats("EXT_WIDTH_MIN_ERR"),
        "theta": xfit.floats("EXT_THETA"),
        "theta_err": xfit.floats("EXT_THETA_ERR"),
        "npix": np.full(xfit.n_rows, np.nan),
        "flags": flags,
    }
    n_free = xfit.floats("EXT_NDOF")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        fit["chisq"] = np.where(n_free > 0, xfit.floats("EXT_CHISQ") / n_free, np.nan)
        # Only Sersic models have a seventh parameter; a table without them, no such column.
        exponent = xfit.floats("EXT_PAR_07") if "EXT_PAR_07" in xfit else np.full(mag.shape, np.nan)
        fit["index"] = np.where(exponent > 0, 0.5 / exponent, np.nan)
    xfit.note_missing(chip)
    return fit


def _model_numbers(header: Header, xgal: Extension) -> dict[int, int]:
    """GalaxyModel of each number in MODEL_TYPE of ``.xgal``."""
    n = header.get("MTNUM")
    if not isinstance(n, int) or isinstance(n, bool) or not 0 < n <= _MAX_MODELS:
        raise xgal.contradicts(f"its model types cannot be told: MTNUM of {header.where} is {n!r}")
    found: dict[int, int] = {}
    for i in range(n):
        name, value = header.get(f"MTNAM{i:02d}"), header.get(f"MTVAL{i:02d}")
        if isinstance(name, str) and isinstance(value, int):
            model = _MODELS.get(name.strip().upper().encode("ascii", "replace"))
            if model is not None:
                found[value] = int(model)
    return found


def _take_shapes(
    fit: dict[str, F64], key: I64, xgal: Extension, header: Header, chip: Chip
) -> None:
    """Let models that have a grid of trials take what it says; `fit` changes."""
    det_id, numbers = xgal.det_ids(), xgal.integers("MODEL_TYPE")
    model = np.zeros(xgal.n_rows, np.int64)
    for number, kind in _model_numbers(header, xgal).items():
        model[numbers == number] = kind
    wanted = np.flatnonzero(model)
    chip.drop(_NO_GALAXY, xgal.n_rows - len(wanted))
    own = _keys(xgal, det_id[wanted], model[wanted])
    order = np.argsort(key, kind="stable")
    place = np.minimum(np.searchsorted(key[order], own), max(len(key) - 1, 0))
    is_known = key[order][place] == own if len(key) else np.zeros(len(own), np.bool_)
    chip.drop(_NO_FIT, len(own) - int(np.count_nonzero(is_known)))
    at, rows = order[place[is_known]] if len(key) else place[:0], wanted[is_known]
    if len(rows) == 0:
        return
    shape = _best_shapes(xgal, rows, chip)
    for axis in ("major", "minor"):
        width = fit[f"{axis}_axis"][at]
        fit[f"{axis}_axis"][at] = width * shape[axis]
        fit[f"{axis}_axis_err"][at] = width * shape[f"{axis}_err"]
    for name in ("mag", "mag_err", "chisq", "npix", "xfit", "yfit", "flags"):
        fit[name][at] = shape[name]


def _best_shapes(xgal: Extension, rows: I64, chip: Chip) -> dict[str, F64]:
    """Best trial of each of some rows: fractions of the axes, magnitudes as Measure.mag."""
    n_pix = xgal.floats("NPIX")[rows]
    low, step, size = [], [], []
    for axis in ("MAJOR", "MINOR"):
        first, last, by = (xgal.floats(f"FR_{axis}_{w}")[rows] for w in ("MIN", "MAX", "DEL"))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            n = np.rint((last - first) / by) + 1
        low.append(first)
        step.append(by)
        # An axis that was not varied has no step.
        size.append(np.where(first == last, 1.0, n))
    chisq = xgal.vectors("GAL_CHISQ")
    width = chisq.shape[1]
    trials = [chisq[rows]] + [xgal.vectors(n, width)[rows] for n in ("GAL_FLUX", "GAL_FLUX_ERR")]
    xgal.note_missing(chip)
    bad = ~((size[0] >= 1) & (size[1] >= 1) & (size[0] * size[1] <= width))
    if bad.any():
        k = int(np.argmax(bad))
        raise xgal.contradicts(
            f"row {rows[k]} (from 0) says that it has {size[0][k]:g} by {size[1][k]:g} trials, but "
            f"there are values of {width}"
        )
    out = {name: np.full(len(rows), np.nan) for name in
           ("major", "minor", "major_err", "minor_err", "flux", "flux_err", "chisq")}  # fmt: skip
    out["flags"] = np.zeros(len(rows))
    shapes = np.stack(size, axis=1).astype(np.int64)
    # Grids of one size are fitted together: nearly always there is only one.
    for n_major, n_minor in np.unique(shapes, axis=0).tolist():
        own = np.flatnonzero((shapes == (n_major, n_minor)).all(axis=1))
        cut = [t[own, : n_major * n_minor].reshape(len(own), n_major, n_minor) for t in trials]
        grid = ShapeGrid(
            major_min=low[0][own],
            major_step=step[0][own],
            minor_min=low[1][own],
            minor_step=step[1][own],
            chisq=cut[0],
            flux=cut[1],
            flux_err=cut[2],
            n_pix=n_pix[own],
        )
        best = best_trials(grid)
        for name, values in out.items():
            values[own] = getattr(best, name)
    flux = out["flux"]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        error = np.sqrt(out["flux_err"]) if chip.is_stack else out["flux_err"]
        mag = np.where(flux > 0, -2.5 * np.log10(flux) + chip.mag_shift, np.nan)
        mag_err = np.where(flux > 0, error / flux, np.nan)
    return out | {
        "mag": mag,
        "mag_err": mag_err,
        "npix": n_pix,
        "xfit": xgal.floats("X_FIT")[rows],
        "yfit": xgal.floats("Y_FIT")[rows],
    }


def _on_sky(fit: dict[str, F64], chip: Chip) -> dict[str, Array]:
    """Columns of GalPhot: axes and angles on the sky."""
    if chip.solution is None:
        n = len(fit["mag"])
        major = minor = np.full(n, chip.scale_arcsec)
        theta = np.full(n, np.nan)
    else:
        axes = sky_axes(chip.solution, fit["xfit"], fit["yfit"], fit["theta"])
        major, minor, theta = axes
    out = fit | {
        "major_axis": fit["major_axis"] * major,
        "major_axis_err": fit["major_axis_err"] * major,
        "minor_axis": fit["minor_axis"] * minor,
        "minor_axis_err": fit["minor_axis_err"] * minor,
        "theta": theta,
        "theta_err": np.degrees(fit["theta_err"]),
    }
    if chip.solution is None and len(theta) and np.isfinite(fit["theta"]).any():
        chip.notes.append("no astrometry: position angles of galaxies (theta) are null")
    with np.errstate(over="ignore"):  # beyond float32 is unknown
        return {k: v.astype(np.float32) for k, v in out.items() if k != "flags"}
