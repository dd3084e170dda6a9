"""Parallax factors: how an object's parallax shifts it at a time, seen from the Earth."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.calib.astrometry.kernels import parallax_factors

__all__ = ["EarthPath"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_STEP_D = 0.5
_DAY_S = 86400.0
_EPOCH_MJD = 40587.0  # 1970-01-01


class EarthPath:
    """Where the Earth is, from the barycentre of the solar system, in a span of time.

    Parameters
    ----------
    first, last : float
        The span [s since 1970 UTC].

    Notes
    -----
    Astropy's built-in ephemeris (ERFA ``epv00``, good to 5 km) at steps of half a day, and
    straight lines between: the Earth falls 1e-5 AU short of one, which moves a star of 1
    arcsec parallax by 10 microarcsec. UTC is taken for TDB, which is less.
    """

    def __init__(self, first: float, last: float) -> None:
        from astropy.coordinates import (  # noqa: PLC0415 - slow to load, for parallaxes alone
            get_body_barycentric,
            solar_system_ephemeris,
        )
        from astropy.time import Time  # noqa: PLC0415

        start = math.floor(first / _DAY_S) - 1.0
        n = int((last / _DAY_S - start) / _STEP_D) + 3
        self._first = start
        days = start + _STEP_D * np.arange(n)
        with solar_system_ephemeris.set("builtin"):
            found = get_body_barycentric(
                "earth", Time(_EPOCH_MJD + days, format="mjd", scale="tdb")
            )
        self._places = np.ascontiguousarray(found.xyz.to_value("au").T)

    def factors(
        self, edges: I64, ra: F64, dec: F64, time: F64, from_earth: NDArray[np.bool_]
    ) -> tuple[F64, F64]:
        """Parallax factors of the measures of objects.

        Parameters
        ----------
        edges : ndarray of int64, shape (n_objects + 1,)
            Where the measures of each object begin, and where the last ones end.
        ra, dec : ndarray of float64, shape (n_objects,)
            Where each object is, ICRS [deg].
        time : ndarray of float64, shape (n,)
            Times [s since 1970 UTC] in the span.
        from_earth : ndarray of bool, shape (n,)
            Which measures were made from the Earth; the factors of others are 0.

        Returns
        -------
        east, north : ndarray of float64, shape (n,)
            Shifts in ra times cos(dec) and in dec, in units of the parallax.

        Notes
        -----
        The Hipparcos Catalogue, volume 1, equation 1.2.20: minus the Earth's place along the
        unit vectors to the east and north of the star.
        """
        east, north = np.empty(len(time)), np.empty(len(time))
        parallax_factors(edges, ra, dec, time / _DAY_S, from_earth, self._first, _STEP_D,
                         self._places, east, north)  # fmt: skip
        return east, north
