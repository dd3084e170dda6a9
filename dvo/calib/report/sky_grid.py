"""Cells of the sky that residuals are averaged in: a map of a field, or of the whole sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.projection import tan_project
from dvo.sphere import separation, unit_vectors

__all__ = ["FieldGrid", "SkyGrid", "WholeSky", "grid_of_images"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_CELLS = 64
_N_SIDE = 32
_WIDEST_DEG = 40.0
_LEAST_DEG = 0.01


@dataclass(frozen=True)
class FieldGrid:
    """Square cells of a tangent plane.

    Parameters
    ----------
    ra, dec : float
        Its point of contact, ICRS [deg].
    half_deg : float
        Half the width of the map [deg].
    n : int
        Cells along each side.
    """

    ra: float
    dec: float
    half_deg: float
    n: int = _CELLS

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return self.n * self.n

    def cells(self, ra: F64, dec: F64) -> I64:
        """Find the cells of positions.

        Parameters
        ----------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg].

        Returns
        -------
        ndarray of int64, shape (n,)
            ``row * n + column``, rows to the north and columns to the east; those beyond the
            edge belong to the cells there.
        """
        xi, eta = tan_project(ra, dec, self.ra, self.dec)
        place = [
            np.clip(((p / self.half_deg + 1.0) * 0.5 * self.n).astype(np.int64), 0, self.n - 1)
            for p in (np.nan_to_num(xi), np.nan_to_num(eta))
        ]
        return np.asarray(place[1] * self.n + place[0])


@dataclass(frozen=True)
class WholeSky:
    """Healpix cells of the whole sky (ring order).

    Parameters
    ----------
    n_side : int
        Healpix resolution.
    """

    n_side: int = _N_SIDE

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return 12 * self.n_side**2

    def cells(self, ra: F64, dec: F64) -> I64:
        """Find the cells of positions.

        Parameters
        ----------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg].

        Returns
        -------
        ndarray of int64, shape (n,)
            Healpix numbers.
        """
        import healpy  # noqa: PLC0415 - slow to import

        return np.asarray(healpy.ang2pix(self.n_side, ra, dec, lonlat=True), np.int64)


SkyGrid = FieldGrid | WholeSky


def grid_of_images(ra: F64, dec: F64, radius: F64) -> SkyGrid:
    """Choose the cells for some images.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Their centres, ICRS [deg].
    radius : ndarray of float64, shape (n,)
        How far their measures lie from these [deg].

    Returns
    -------
    FieldGrid or WholeSky
        A field that holds all of them, or the whole sky if they lie far apart.
    """
    known = np.isfinite(ra) & np.isfinite(dec)
    if not known.any():
        return WholeSky()
    ra, dec, radius = ra[known], dec[known], np.nan_to_num(radius[known])
    x, y, z = unit_vectors(ra, dec).mean(axis=0)
    centre = float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arctan2(
        z, np.hypot(x, y))))  # fmt: skip
    far = separation(np.full(len(ra), centre[0]), np.full(len(ra), centre[1]), ra, dec) + radius
    widest = float(far.max())
    if widest > _WIDEST_DEG:
        return WholeSky()
    half = np.degrees(np.tan(np.radians(max(widest, _LEAST_DEG))))
    return FieldGrid(*centre, float(half))
