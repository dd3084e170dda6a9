"""Tycho-2 (thinned where stars are dense), from an index file of astrometry.net.

Debian's ``astrometry-data-tycho2-07-littleendian`` holds 1.87 million stars: a table
``kdtree_data_stars`` of unit vectors in three uint32, scaled by ``kdtree_range_stars``,
and the magnitudes ``MAG_VT``; epoch 2000. The integers have the byte order that ENDIAN in
the primary header tells, whatever FITS says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.detections import InputImage
from dvo.ingest.hdus import HduFile
from dvo.ingest.surveys.base import reference_image

__all__ = ["TYCHO2_EPOCH", "TYCHO2_PATH", "TYCHO2_PHOTCODE", "read_tycho2"]

TYCHO2_EPOCH = 2000.0
"""Julian epoch of the positions [yr]."""

TYCHO2_PHOTCODE = "TYCHO.VT"
"""REF photcode of VT, unless another is given."""

TYCHO2_PATH = Path("/usr/share/astrometry/index-tycho2-07.littleendian.fits")
"""Where Debian's package puts the file."""

_ENDIAN = {"04:03:02:01": "<", "01:02:03:04": ">"}


def read_tycho2(path: Path | str | None = None, *, photcode: str = TYCHO2_PHOTCODE) -> InputImage:
    """Read the Tycho-2 stars with their VT magnitudes.

    Parameters
    ----------
    path : Path, str or None
        An astrometry.net index of Tycho-2 with MAG_VT; None takes that of Debian's package.
    photcode : str
        REF photcode of the magnitudes.

    Returns
    -------
    InputImage
        Stars at epoch 2000; det_id is the row of the file.

    Raises
    ------
    BadCatalogError
        If the file is absent, cut short, or no such index.
    """
    path = Path(path) if path is not None else TYCHO2_PATH
    if path == TYCHO2_PATH and not path.is_file():
        raise BadCatalogError(
            f"{path} is not there: apt-get install astrometry-data-tycho2-07-littleendian, "
            "or give the path of such an index"
        )
    with HduFile(path) as file:
        order = _ENDIAN.get(str(file.hdus[0].header.get("ENDIAN")))
        if order is None:
            raise BadCatalogError(f"{path}: no ENDIAN in its header; no astrometry.net index")
        stars = _read_block(file, "kdtree_data_stars", f"{order}u4").reshape(-1, 3)
        bounds = _read_block(file, "kdtree_range_stars", f"{order}f8")
        # The magnitudes are a true FITS column, big-endian as all of them.
        mag = _read_block(file, "MAG_VT", ">f4").astype(np.float32)
    if len(bounds) != 7 or not np.all(np.isfinite(bounds)) or bounds[6] <= 0:
        raise BadCatalogError(f"{path}: kdtree_range_stars does not hold 7 sensible numbers")
    if len(stars) != len(mag):
        raise BadCatalogError(f"{path}: {len(stars)} positions, but {len(mag)} magnitudes")
    x, y, z = (bounds[i] + stars[:, i] / bounds[6] for i in range(3))
    return reference_image(
        path=path,
        photcode=photcode,
        epoch=TYCHO2_EPOCH,
        ra=np.degrees(np.arctan2(y, x)),
        dec=np.degrees(np.arctan2(z, np.hypot(x, y))),
        columns={"mag": mag},
    )


def _read_block(file: HduFile, name: str, dtype: str) -> NDArray[Any]:
    for hdu in file.hdus:
        if hdu.is_table and hdu.header.get("TTYPE1") == name:
            data = file.read_data(hdu)
            if len(data) % np.dtype(dtype).itemsize:
                raise BadCatalogError(f"{hdu.header.where}: {name} has {len(data)} bytes")
            return np.frombuffer(data, dtype)
    raise BadCatalogError(f"{file.path}: no table {name}; no astrometry.net index of Tycho-2")
