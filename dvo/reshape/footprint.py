"""The field of an image: which positions are on it, and where objects are at its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.outlines import outline
from dvo.astrometry.solution import pixel_to_sky, sky_to_pixel
from dvo.partition.bounds import Cone
from dvo.proper_motion import mjd_to_epoch, move_to_epoch
from dvo.sphere import in_cone, separation
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable

__all__ = ["Footprint", "make_footprint", "positions_at"]

Array = NDArray[Any]
F64 = NDArray[np.float64]

_MJD_1970 = 40587.0
_MARGIN = 1.01  # an edge may bulge between the points of the outline


@dataclass(frozen=True, slots=True)
class Footprint:
    """The field of an image.

    Parameters
    ----------
    coords : AstromCoords
        Its astrometry.
    nx, ny : int
        Its size [pix].
    border_pix : float
        Width of the edge that does not count [pix].
    ra, dec, radius_deg : float
        A circle that holds it, ICRS [deg].
    """

    coords: AstromCoords
    nx: int
    ny: int
    border_pix: float
    ra: float
    dec: float
    radius_deg: float

    def cone(self, pad_deg: float) -> Cone:
        """Make a circle that holds the field, and more.

        Parameters
        ----------
        pad_deg : float
            By how much it is larger [deg].

        Returns
        -------
        Cone
            The circle.
        """
        return Cone(self.ra, self.dec, min(180.0, self.radius_deg + pad_deg))

    def may_hold(self, ra: F64, dec: F64, pad_deg: float) -> NDArray[np.bool_]:
        """Tell which positions are in the circle.

        Parameters
        ----------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg].
        pad_deg : float
            By how much the circle is larger [deg].

        Returns
        -------
        ndarray of bool, shape (n,)
            False for NaN.
        """
        return in_cone(ra, dec, self.ra, self.dec, min(180.0, self.radius_deg + pad_deg))

    def pixels(self, ra: F64, dec: F64) -> tuple[F64, F64, NDArray[np.bool_]]:
        """Find where positions are on the image.

        Parameters
        ----------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg].

        Returns
        -------
        x, y : ndarray of float64, shape (n,)
            Pixels; NaN where there are none.
        inside : ndarray of bool, shape (n,)
            Whether they are inside the border.
        """
        x, y = sky_to_pixel(self.coords, ra, dec)
        low, high_x, high_y = (
            0.5 + self.border_pix,
            *(n + 0.5 - self.border_pix for n in (self.nx, self.ny)),
        )
        return x, y, (x >= low) & (x <= high_x) & (y >= low) & (y <= high_y)


def make_footprint(coords: AstromCoords, nx: int, ny: int, border_pix: float) -> Footprint | None:
    """Work out the field of an image.

    Parameters
    ----------
    coords : AstromCoords
        Its astrometry.
    nx, ny : int
        Its size [pix].
    border_pix : float
        Width of the edge that does not count [pix].

    Returns
    -------
    Footprint or None
        None if it has no size, or its astrometry does not reach all of it.
    """
    if nx < 1 or ny < 1:
        return None
    ra, dec = pixel_to_sky(coords, np.array([0.5 * nx + 0.5]), np.array([0.5 * ny + 0.5]))
    edge = outline(coords, nx, ny)
    if not (np.isfinite(edge).all() and np.isfinite(ra[0]) and np.isfinite(dec[0])):
        return None
    far = separation(np.full(len(edge), ra[0]), np.full(len(edge), dec[0]), *edge.T)
    return Footprint(
        coords, nx, ny, border_pix, float(ra[0]), float(dec[0]), float(far.max()) * _MARGIN
    )


def positions_at(average: ColumnTable, time_s: float) -> tuple[F64, F64]:
    """Find where objects are at some time.

    Parameters
    ----------
    average : ColumnTable
        Rows of Average: ra, dec, u_ra, u_dec and mean_epoch.
    time_s : float
        The time [s since 1970].

    Returns
    -------
    ra, dec : ndarray of float64
        Positions, ICRS [deg]; those without known motion stay where they are.
    """
    ra, dec, u_ra, u_dec = (average[n] for n in ("ra", "dec", "u_ra", "u_dec"))
    epoch = average["mean_epoch"]
    known = np.isfinite(u_ra) & np.isfinite(u_dec) & ~AVERAGE["mean_epoch"].is_null(epoch)
    rows = np.flatnonzero(known)
    if len(rows) == 0:
        return ra, dec
    ra, dec = ra.copy(), dec.copy()
    first, then = (mjd_to_epoch(_MJD_1970 + s / 86400.0) for s in (epoch[rows], time_s))
    ra[rows], dec[rows] = move_to_epoch(
        ra[rows], dec[rows], u_ra[rows] * 1000.0, u_dec[rows] * 1000.0, first, then
    )
    return ra, dec
