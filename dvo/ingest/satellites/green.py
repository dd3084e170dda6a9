"""Stellar parameters in the form in which Green et al. (2014, 2015) gave them to Pan-STARRS.

A FITS file with a table, one row a star, and behind it an image. The table has galactic
longitude and latitude (``l``, ``b`` [deg]), whether the sampling converged (``conv``), the
evidence (``lnZ``), and the best distance modulus, reddening, absolute magnitude in r and
metallicity (``DM``, ``EBV``, ``Mr``, ``FeH``). The image is float64 of 5 by 4 by n: of EBV, DM,
Mr and FeH, in this order, five numbers, of which the second and the fourth are the percentiles
at one sigma below and above; an error is half of their difference. Facts from the original's
loadstarpar, which leaves out stars that have not converged or have lnZ below -15.

Galactic coordinates are those of Reid & Brunthaler (2004, ApJ 616, 872; appendix).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.hdus import HduFile
from dvo.ingest.satellites.table_rows import TableRows
from dvo.tables.fits.hdu import Hdu
from dvo.tables.table_files import first_bytes, read_chosen

__all__ = ["galactic_to_icrs", "is_green", "read_green"]

Array = NDArray[Any]
F64 = NDArray[np.float64]

_COLUMNS = ("l", "b", "conv", "lnZ", "DM", "EBV", "Mr", "FeH")
_PARAMETERS = {"e_bv": "EBV", "distance_mod": "DM", "m_r_abs": "Mr", "f_e_h": "FeH"}
"""Our names and theirs, in the order of the image."""
_N_PERCENTILES = 5
_BELOW, _ABOVE = 1, 3
_LEAST_LN_Z = -15.0

# North galactic pole and the longitude of the celestial pole, J2000 [deg].
_POLE_RA, _POLE_DEC, _POLE_LON = 192.85950833, 27.12833611, 122.932


def is_green(path: Path) -> bool:
    """Tell whether a file has this form.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
        Whether it is a FITS file whose first table has the columns.
    """
    if not first_bytes(path).startswith(b"SIMPLE"):
        return False
    with HduFile(path) as file:
        table = next((hdu for hdu in file.hdus if hdu.is_table), None)
        return table is not None and all(n.upper() in file.table(table) for n in _COLUMNS)


def read_green(path: Path) -> TableRows:
    """Read the stars of a file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    TableRows
        Rows of StarPar, found by position; stars that have not converged, or with little evidence,
        are left out and counted.

    Raises
    ------
    BadCatalogError
        If the file is damaged, or the image behind the table does not fit it.
    """

    def choose(_: Sequence[str]) -> Sequence[str]:
        return _COLUMNS

    raw = read_chosen(path, choose).columns
    for name in _COLUMNS:
        if raw[name].ndim != 1 or raw[name].dtype.kind not in "fiub":
            raise BadCatalogError(
                f"{path}: column {name} holds {raw[name].dtype} of shape {raw[name].shape}, not "
                "one number a star"
            )
    n = len(raw["l"])
    errors = _read_errors(path, n)
    has_converged = raw["conv"].astype(np.float64) > 0
    with np.errstate(invalid="ignore"):
        is_likely = raw["lnZ"] >= _LEAST_LN_Z
    keep = np.flatnonzero(has_converged & is_likely)
    lon, lat = (raw[name][keep].astype(np.float64) for name in ("l", "b"))
    ra, dec = galactic_to_icrs(lon, lat)
    columns: dict[str, Array] = {
        "ra": ra,
        "dec": dec,
        "gal_lon": lon.astype(np.float32),
        "gal_lat": lat.astype(np.float32),
    }
    with np.errstate(over="ignore", invalid="ignore"):  # beyond float32 is unknown
        for k, (ours, theirs) in enumerate(_PARAMETERS.items()):
            columns[ours] = raw[theirs][keep].astype(np.float32)
            half = 0.5 * (errors[keep, k, _ABOVE] - errors[keep, k, _BELOW])
            columns[f"{ours}_err"] = half.astype(np.float32)
    dropped = {
        "stars that have not converged": int(np.count_nonzero(~has_converged)),
        f"stars with lnZ below {_LEAST_LN_Z:g}": int(np.count_nonzero(has_converged & ~is_likely)),
    }
    links = {"ra": ra, "dec": dec}
    return TableRows(links, columns, len(keep), {k: v for k, v in dropped.items() if v})


def _read_errors(path: Path, n: int) -> F64:
    """Percentiles of the four parameters of each star, from the image behind the table."""
    shape = (n, len(_PARAMETERS), _N_PERCENTILES)
    with HduFile(path) as file:
        table = next(hdu for hdu in file.hdus if hdu.is_table)
        behind = file.hdus[table.index + 1 :]
        image = next((hdu for hdu in behind if not hdu.is_table), None)
        if image is None or _shape(image) != shape:
            found = "none" if image is None else " by ".join(map(str, _shape(image)[::-1]))
            raise BadCatalogError(
                f"{path}: the errors are expected in an image of float64 behind the table, of "
                f"{' by '.join(map(str, shape[::-1]))}; found: {found}"
            )
        values = np.frombuffer(file.read_data(image), ">f8", count=n * shape[1] * shape[2])
    return values.reshape(shape).astype(np.float64)


def _shape(hdu: Hdu) -> tuple[int, ...]:
    """Shape of an image of float64, slowest axis first; empty for any other."""
    header = hdu.header
    if header.get("BITPIX") != -64:
        return ()
    axes = [header.get(f"NAXIS{i}") for i in range(3, 0, -1)]
    return tuple(a for a in axes if isinstance(a, int)) if header.get("NAXIS") == 3 else ()


def galactic_to_icrs(lon: F64, lat: F64) -> tuple[F64, F64]:
    """Turn galactic coordinates to right ascension and declination.

    Parameters
    ----------
    lon, lat : ndarray of float64, shape (n,)
        Galactic longitude and latitude [deg].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        ICRS [deg]; ra in [0, 360); NaN where an input is.

    Examples
    --------
    >>> ra, dec = galactic_to_icrs(np.array([0.0]), np.array([0.0]))
    >>> round(float(ra[0]), 3), round(float(dec[0]), 3)
    (266.405, -28.936)
    """
    from_pole = np.radians(_POLE_LON - lon)
    b, pole = np.radians(lat), np.radians(_POLE_DEC)
    sin_dec = np.sin(b) * np.sin(pole) + np.cos(b) * np.cos(pole) * np.cos(from_pole)
    y = np.cos(b) * np.sin(from_pole)
    x = np.sin(b) * np.cos(pole) - np.cos(b) * np.sin(pole) * np.cos(from_pole)
    ra = np.mod(np.degrees(np.arctan2(y, x)) + _POLE_RA, 360.0)
    ra = np.where(ra >= 360.0, 0.0, ra)
    return ra, np.degrees(np.arctan2(sin_dec, np.hypot(x, y)))
