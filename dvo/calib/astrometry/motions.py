"""Places, motions and parallaxes of objects, fitted to all their measures."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.astrometry.kernels import FOUND, N_FOUND, fit_objects, offsets_from
from dvo.calib.astrometry.parallax import EarthPath

__all__ = ["MotionFits", "MotionLimits", "MotionModel", "ObjectMeasures", "fit_motions"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
U8 = NDArray[np.uint8]

_YEAR_S = 31557600.0
_AT = {name: k for k, name in enumerate(FOUND)}


class MotionModel(enum.IntEnum):
    """What is fitted to the measures of an object."""

    MEAN = 0
    """its place"""
    MOTION = 1
    """its place and proper motion"""
    PARALLAX = 2
    """its place, proper motion and parallax"""


@dataclass(frozen=True)
class MotionLimits:
    """What a fit needs, else the next simpler one is made; the numbers of the original.

    Parameters
    ----------
    motion_measures, parallax_measures : int
        Least measures.
    motion_years, parallax_years : float
        Least time between the first and the last [yr].
    factor_range : float
        Least range of parallax factors, in one of the two directions.
    most_motion : float
        Motion beyond which a fit is none [arcsec/yr].
    most_parallax : float
        Parallax beyond which a fit is none [arcsec].
    """

    motion_measures: int = 5
    parallax_measures: int = 7
    motion_years: float = 0.25
    parallax_years: float = 0.25
    factor_range: float = 0.2
    most_motion: float = 4.0
    most_parallax: float = 2.0

    def as_array(self) -> F64:
        """The numbers as the compiled fit takes them.

        Returns
        -------
        ndarray of float64, shape (7,)
            In its order.
        """
        return np.array([self.motion_measures, self.parallax_measures, self.motion_years,
                         self.factor_range, self.most_motion, self.most_parallax,
                         self.parallax_years], np.float64)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ObjectMeasures:
    """Measures of some objects, those of an object together.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_objects + 1,)
        Where the measures of each object begin, and where the last ones end.
    ra, dec : ndarray of float64, shape (n,)
        Measured positions, ICRS [deg].
    sigma : ndarray of float64, shape (n,)
        Their errors in each direction [arcsec]; infinite where a measure does not count.
    time : ndarray of float64, shape (n,)
        Times [s since 1970 UTC].
    from_earth : ndarray of bool, shape (n,)
        Whether they were seen from the Earth, and show the parallax; catalogs give places that
        are free of it.
    """

    edges: I64
    ra: F64
    dec: F64
    sigma: F64
    time: F64
    from_earth: Bool

    def first_places(self) -> tuple[F64, F64]:
        """Where the first measure of each object is; the plane of its fit touches the sky there.

        Returns
        -------
        ra, dec : ndarray of float64, shape (n_objects,)
            ICRS [deg]; 0 for objects without measures.
        """
        has, first = np.diff(self.edges) > 0, self.edges[:-1]
        out = np.zeros((2, len(has)))
        out[0, has], out[1, has] = self.ra[first[has]], self.dec[first[has]]
        return out[0], out[1]


@dataclass(frozen=True, eq=False)
class MotionFits:
    """What fits of objects gave.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n_objects,)
        Places at the mean epoch, ICRS [deg]; NaN without measures that count.
    values : ndarray of float64, shape (n_objects, N_FOUND)
        All else, as `FOUND` says.
    used : ndarray of uint8, shape (n,)
        Of each measure: 0 it does not count, 1 it was masked, 2 it was used.
    """

    ra: F64
    dec: F64
    values: F64
    used: NDArray[np.uint8]

    def of(self, name: str) -> F64:
        """Give a value of all objects.

        Parameters
        ----------
        name : str
            One of `FOUND`.

        Returns
        -------
        ndarray of float64, shape (n_objects,)
            Its values.
        """
        return np.ascontiguousarray(self.values[:, _AT[name]])

    @property
    def model(self) -> NDArray[np.int8]:
        """The `MotionModel` kept for each; -1 where nothing could be fitted."""
        return self.of("kind").astype(np.int8)

    @property
    def epoch_s(self) -> I64:
        """Mean epochs [s since 1970 UTC]; 0 where nothing could be fitted."""
        return np.rint(np.nan_to_num(self.of("epoch")) * _YEAR_S).astype(np.int64)


def fit_motions(
    measures: ObjectMeasures,
    highest: MotionModel,
    limits: MotionLimits = MotionLimits(),
    *,
    known: tuple[F64, F64] | None = None,
    n_resamples: int = 0,
    seeds: NDArray[np.uint64] | None = None,
) -> MotionFits:
    """Fit places, motions and parallaxes of objects to their measures.

    Parameters
    ----------
    measures : ObjectMeasures
        The measures.
    highest : MotionModel
        What to fit where measures allow it.
    limits : MotionLimits
        When they do.
    known : tuple of ndarray of float64, shape (n_objects,), optional
        Motions known from elsewhere, in ra times cos(dec) and in dec [arcsec/yr]; NaN where none
        is. A mean place takes them into account; a motion that is fitted takes their place.
    n_resamples : int
        Samples drawn for errors by bootstrap; 0 for formal errors alone. The greater one counts.
    seeds : ndarray of uint64, shape (n_objects,), optional
        What the samples of each object are drawn from; needed with them.

    Returns
    -------
    MotionFits
        The fits.
    """
    n = len(measures.edges) - 1
    at = np.repeat(np.arange(n), np.diff(measures.edges))
    ra, dec = measures.first_places()
    x, y = np.empty(len(at)), np.empty(len(at))
    offsets_from(measures.edges, measures.ra, measures.dec, ra, dec, x, y)
    years = measures.time / _YEAR_S
    fx, fy = np.zeros(len(at)), np.zeros(len(at))
    if highest is MotionModel.PARALLAX and measures.from_earth.any():
        when = measures.time[measures.from_earth]
        path = EarthPath(float(when.min()), float(when.max()))
        fx, fy = path.factors(measures.edges, ra, dec, measures.time, measures.from_earth)
    given = seeds if seeds is not None else np.zeros(n, np.uint64)

    def fitted(x: F64, y: F64, model: MotionModel) -> tuple[F64, U8]:
        values, used = np.empty((n, N_FOUND)), np.zeros(len(x), np.uint8)
        fit_objects(measures.edges, x, y, measures.sigma, years, fx, fy, int(model),
                    limits.as_array(), n_resamples, given, values, used)  # fmt: skip
        return values, used

    values, used = fitted(x, y, highest)
    if known is not None:
        moving = np.isfinite(known[0]) & np.isfinite(known[1]) & (values[:, _AT["kind"]] == 0)
        if moving.any():
            # Mean places again, of measures that were moved to one epoch.
            dt = years - np.nan_to_num(values[:, _AT["epoch"]])[at]
            x, y = (v - np.where(moving, u, 0.0)[at] * dt
                    for v, u in zip((x, y), known, strict=True))  # fmt: skip
            again, used_again = fitted(x, y, MotionModel.MEAN)
            _put_means(values, again, moving)
            used[moving[at]] = used_again[moving[at]]
    new_ra, new_dec = _from_plane(values[:, _AT["x"]], values[:, _AT["y"]], ra, dec)
    return MotionFits(new_ra, new_dec, values, used)


def _put_means(values: F64, means: F64, some: Bool) -> None:
    """Put mean places of some objects in place of their fits; what else was tried stays told."""
    told = [_AT[name] for name in ("chi2_pm", "chi2_par", "fitted")]
    kept = values[:, told].copy()
    values[some] = means[some]
    values[:, told] = kept


def _from_plane(x: F64, y: F64, ra0: F64, dec0: F64) -> tuple[F64, F64]:
    """Positions of offsets on planes that touch the sky at ra0, dec0 (SIN)."""
    xi, eta = np.radians(x / 3600.0), np.radians(y / 3600.0)
    sin0, cos0 = np.sin(np.radians(dec0)), np.cos(np.radians(dec0))
    toward = np.sqrt(1.0 - xi**2 - eta**2)
    # As a difference from dec0, for the sake of the last digits.
    across = toward * cos0 - eta * sin0
    dec = np.degrees(np.arctan2(eta * cos0 + toward * sin0, np.hypot(xi, across)))
    ra = np.mod(ra0 + np.degrees(np.arctan2(xi, across)), 360.0)
    return np.where(ra >= 360.0, 0.0, ra), dec
