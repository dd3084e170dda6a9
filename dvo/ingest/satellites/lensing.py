"""Lensing rows from the LENS_ columns of a psphot table and its extension ``.xrad``.

Forced photometry of warps adds to its table of detections the KSB tensors (LENS_X11_SM_OBJ
to LENS_E2_SH_PSF, and LENS_E1_PSF, LENS_E2_PSF). Those of the object are missing
from the file if its first detection has none, or they are zero or NaN where a detection has none.

``.xrad`` has a row a detection and psf: first the image as it is, then images convolved to a
common psf (PSF_FWHM), which only stacks have. APER_FLUX is the flux inside each radius, in
counts, APER_FLUX_ERR its error, APER_FLUX_STDEV the scatter over the aperture, APER_FILL the
share of good pixels; the cards RMAX_nn give the radii in pixels. The original takes the
first rows too. It trusts the five radii of PS1 to be numbers 3 to 7, which is done here only
where no card says what they are. Facts from IPP's pmSourceIO_CMF, psphotRadialApertures and
the original's ReadXradFITS.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.header_facts import find_number
from dvo.ingest.satellite_input import SatelliteRows
from dvo.ingest.satellites.columns import Chip, Extension
from dvo.tables.lensing import APERTURE_RADII_ARCSEC, LENSING, ksb_columns

__all__ = ["has_terms", "read_lensing"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
U32 = NDArray[np.uint32]

_TERMS = (*(column.name for column in ksb_columns()), "e1_psf", "e2_psf")
_APERTURES = {
    "APER_FLUX": "flux_ap",
    "APER_FLUX_ERR": "flux_err_ap",
    "APER_FLUX_STDEV": "flux_std_ap",
    "APER_FILL": "flux_fil_ap",
}
_FIRST_NUMBER = 3  # of the five radii that PS1 measures
_N_PS1 = 5
# Radii are given in whole or half pixels, about as near as this to those of SDSS.
_NEAR = 0.05


def has_terms(psf: Extension) -> bool:
    """Tell whether a table of detections has lensing terms.

    Parameters
    ----------
    psf : Extension
        The table.

    Returns
    -------
    bool
        Whether it has any of their columns.
    """
    return any(f"LENS_{name.upper()}" in psf for name in _TERMS)


def read_lensing(psf: Extension, xrad: Extension | None, chip: Chip) -> SatelliteRows:
    """Make the Lensing rows of an image.

    Parameters
    ----------
    psf : Extension
        The table of detections.
    xrad : Extension or None
        The radial apertures, if the image has them.
    chip : Chip
        The image; what is missing is told there.

    Returns
    -------
    SatelliteRows
        One row a detection that has a term or a flux; there may be none.

    Raises
    ------
    BadCatalogError
        If a column is of another kind, or the rows of ``.xrad`` name no detection.
    """
    terms_of, terms = _read_terms(psf)
    fluxes_of, fluxes = _read_apertures(xrad, chip) if xrad is not None else _nothing()
    det_id = np.union1d(terms_of, fluxes_of)
    columns: dict[str, Array] = {}
    for own, found in ((terms_of, terms), (fluxes_of, fluxes)):
        place = np.searchsorted(det_id, own)
        for name, values in found.items():
            columns[name] = np.full(len(det_id), np.nan, np.float32)
            with np.errstate(over="ignore"):  # beyond float32 is unknown
                columns[name][place] = values.astype(np.float32)
    return SatelliteRows(LENSING, det_id, columns)


def _nothing() -> tuple[U32, dict[str, F64]]:
    return np.empty(0, np.uint32), {}


def _read_terms(psf: Extension) -> tuple[U32, dict[str, F64]]:
    """Tensors of the detections that have any."""
    names = [name for name in _TERMS if f"LENS_{name.upper()}" in psf]
    if not names or "IPP_IDET" not in psf:
        return _nothing()
    found = {name: psf.floats(f"LENS_{name.upper()}") for name in names}
    # A tensor of zeros is one that was not measured.
    has = np.any([np.isfinite(v) & (v != 0) for v in found.values()], axis=0)
    det_id = psf.det_ids()[has]
    return det_id, {name: values[has] for name, values in found.items()}


def _read_apertures(xrad: Extension, chip: Chip) -> tuple[U32, dict[str, F64]]:
    """Fluxes of the detections that have any, in the image as it is."""
    det_id, first = np.unique(xrad.det_ids(), return_index=True)
    flux = xrad.vectors("APER_FLUX")
    width = flux.shape[1]
    places = _find_radii(xrad, width, chip)
    found: dict[str, F64] = {}
    for column, stem in _APERTURES.items():
        values = flux if column == "APER_FLUX" else xrad.vectors(column, width)
        unit = 1.0 if stem == "flux_fil_ap" else chip.per_second
        for number, i in places.items():
            found[f"{stem}_r{number}"] = values[first, i] * unit
    xrad.note_missing(chip)
    if not found:
        return _nothing()
    # Apertures beyond an object's own edge are not measured.
    has = np.any([np.isfinite(v) for v in found.values()], axis=0)
    return det_id[has], {name: values[has] for name, values in found.items()}


def _find_radii(xrad: Extension, width: int, chip: Chip) -> dict[int, int]:
    """Place in the vectors of each radius number that the table keeps."""
    radii = np.array([find_number([xrad.header], f"RMAX_{i:02d}") for i in range(width)])
    if np.isnan(radii).all() and width == _N_PS1:
        return {n: n - _FIRST_NUMBER for n in APERTURE_RADII_ARCSEC}
    arcsec = radii * chip.scale_arcsec
    places = {}
    for number, wanted in APERTURE_RADII_ARCSEC.items():
        off = np.abs(arcsec / wanted - 1.0)
        if width and np.nanmin(off, initial=math.inf) <= _NEAR:
            places[number] = int(np.nanargmin(off))
        elif xrad.n_rows:
            chip.notes.append(
                f".xrad has no aperture of {wanted:.2f} arcsec (by RMAX_nn, in pixels): null"
            )
    return places
