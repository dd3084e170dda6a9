"""The error that a measured position counts with, from its own and from its photcode's model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT_POS_ERR_ARCSEC", "position_error"]

Array = NDArray[Any]

DEFAULT_POS_ERR_ARCSEC = 0.1
"""Position error of a detection that comes without one."""

_LEAST_ERR_ARCSEC = 1e-3
# An error beyond this says that the error is not known.
_MOST_ERR_ARCSEC = 60.0


def position_error(
    n: int,
    ra_err: Array | None,
    dec_err: Array | None,
    mag_err: Array | None,
    model: tuple[Array, Array, Array],
) -> NDArray[np.float32]:
    """Make one error for the weight of each position.

    Parameters
    ----------
    n : int
        Number of positions.
    ra_err, dec_err : ndarray of float, shape (n,), or None
        Errors as given, ra times cos(dec) [arcsec]; if one is unknown the other stands for
        both, if both are NaN, not above 0 or beyond 60, `DEFAULT_POS_ERR_ARCSEC`.
    mag_err : ndarray of float, shape (n,), or None
        Errors of the magnitudes [mag]; NaN counts as 0.
    model : tuple of ndarray, each of shape (n,) or (1,)
        Of the photcode of each, or of all: systematic error squared [arcsec^2], scale of
        the squared measured error, scale of the squared magnitude error.

    Returns
    -------
    ndarray of float32, shape (n,)
        ``sqrt(sys^2 + scale * measured^2 + mag_scale * mag_err^2)``, at least 1 mas
        [arcsec]; the model of the original's photcodes.
    """
    sys2, scale, mag_scale = model
    own = np.full(n, DEFAULT_POS_ERR_ARCSEC**2)
    if ra_err is not None or dec_err is not None:
        one = np.asarray(ra_err if ra_err is not None else dec_err, np.float64)
        two = np.asarray(dec_err if dec_err is not None else ra_err, np.float64)
        given = (np.square(np.where(np.isnan(one), two, one)) +
                 np.square(np.where(np.isnan(two), one, two))) / 2  # fmt: skip
        known = (given > 0) & (given < _MOST_ERR_ARCSEC**2)
        own[known] = given[known]
    own = own * scale + sys2
    if mag_err is not None and mag_scale.any():
        # Where it does not count an error without end does no harm either.
        counts = np.where(mag_scale > 0, np.nan_to_num(mag_err), 0.0)
        own += mag_scale * np.square(counts)
    return np.asarray(np.maximum(np.sqrt(own), _LEAST_ERR_ARCSEC), np.float32)
