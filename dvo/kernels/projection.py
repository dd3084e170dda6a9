"""Compiled map projections: gnomonic (TAN) and orthographic (SIN), both ways.

Native coordinates xi (east) and eta (north) are degrees, as in the FITS papers
(Calabretta & Greisen 2002, sections 5.1.3 and 5.1.5). Nothing is checked here.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel
from dvo.kernels.sphere import wrap_ra_one

__all__ = [
    "sin_deproject",
    "sin_project",
    "tan_deproject",
    "tan_deproject_each",
    "tan_project",
    "tan_project_each",
]

F64 = NDArray[np.float64]


@kernel
def _tan_project_one(
    ra: float, dec: float, ra0: float, sin0: float, cos0: float
) -> tuple[float, float]:
    delta = math.radians(ra - ra0)
    d = math.radians(dec)
    sin_dec = math.sin(d)
    cos_dec = math.cos(d)
    cos_delta = math.cos(delta)
    along = sin_dec * sin0 + cos_dec * cos0 * cos_delta
    if not along > 0.0:
        return np.nan, np.nan
    return (
        math.degrees(cos_dec * math.sin(delta) / along),
        math.degrees((sin_dec * cos0 - cos_dec * sin0 * cos_delta) / along),
    )


@kernel
def _tan_deproject_one(
    xi: float, eta: float, ra0: float, sin0: float, cos0: float
) -> tuple[float, float]:
    x = math.radians(xi)
    y = math.radians(eta)
    to_axis = cos0 - y * sin0
    ra = wrap_ra_one(ra0 + math.degrees(math.atan2(x, to_axis)))
    # atan2 keeps its digits at the poles, where an arcsine would lose half of them.
    dec = math.degrees(math.atan2(sin0 + y * cos0, math.sqrt(x * x + to_axis * to_axis)))
    return ra, dec


@kernel
def tan_project(ra: F64, dec: F64, ra0: float, dec0: float, xi: F64, eta: F64) -> None:
    """Fill xi, eta with gnomonic coordinates [deg]; NaN 90 deg or more from the centre."""
    sin0 = math.sin(math.radians(dec0))
    cos0 = math.cos(math.radians(dec0))
    for i in range(ra.size):
        xi[i], eta[i] = _tan_project_one(ra[i], dec[i], ra0, sin0, cos0)


@kernel
def tan_project_each(ra: F64, dec: F64, ra0: F64, dec0: F64, xi: F64, eta: F64) -> None:
    """Do `tan_project` with a tangent point for each position; NaN where it is NaN."""
    for i in range(ra.size):
        d = math.radians(dec0[i])
        xi[i], eta[i] = _tan_project_one(ra[i], dec[i], ra0[i], math.sin(d), math.cos(d))


@kernel
def tan_deproject(xi: F64, eta: F64, ra0: float, dec0: float, ra: F64, dec: F64) -> None:
    """Fill ra, dec with the positions of gnomonic coordinates [deg]."""
    sin0 = math.sin(math.radians(dec0))
    cos0 = math.cos(math.radians(dec0))
    for i in range(xi.size):
        ra[i], dec[i] = _tan_deproject_one(xi[i], eta[i], ra0, sin0, cos0)


@kernel
def tan_deproject_each(xi: F64, eta: F64, ra0: F64, dec0: F64, ra: F64, dec: F64) -> None:
    """Do `tan_deproject` with a tangent point for each position; NaN where it is NaN."""
    for i in range(xi.size):
        d = math.radians(dec0[i])
        ra[i], dec[i] = _tan_deproject_one(xi[i], eta[i], ra0[i], math.sin(d), math.cos(d))


@kernel
def sin_project(ra: F64, dec: F64, ra0: float, dec0: float, xi: F64, eta: F64) -> None:
    """Fill xi, eta with orthographic coordinates [deg]; NaN over 90 deg from the centre."""
    sin0 = math.sin(math.radians(dec0))
    cos0 = math.cos(math.radians(dec0))
    for i in range(ra.size):
        delta = math.radians(ra[i] - ra0)
        d = math.radians(dec[i])
        sin_dec = math.sin(d)
        cos_dec = math.cos(d)
        cos_delta = math.cos(delta)
        if sin_dec * sin0 + cos_dec * cos0 * cos_delta >= 0.0:
            xi[i] = math.degrees(cos_dec * math.sin(delta))
            eta[i] = math.degrees(sin_dec * cos0 - cos_dec * sin0 * cos_delta)
        else:
            xi[i] = np.nan
            eta[i] = np.nan


@kernel
def sin_deproject(xi: F64, eta: F64, ra0: float, dec0: float, ra: F64, dec: F64) -> None:
    """Fill ra, dec with positions of orthographic coordinates [deg]; NaN off the disc."""
    sin0 = math.sin(math.radians(dec0))
    cos0 = math.cos(math.radians(dec0))
    for i in range(xi.size):
        x = math.radians(xi[i])
        y = math.radians(eta[i])
        rest = 1.0 - x * x - y * y
        if rest >= 0.0:
            along = math.sqrt(rest)
            to_axis = along * cos0 - y * sin0
            ra[i] = wrap_ra_one(ra0 + math.degrees(math.atan2(x, to_axis)))
            dec[i] = math.degrees(
                math.atan2(along * sin0 + y * cos0, math.sqrt(x * x + to_axis * to_axis))
            )
        else:
            ra[i] = np.nan
            dec[i] = np.nan
