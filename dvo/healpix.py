"""HEALPix, checked: pixels of positions in the nested scheme.

healpy does this as well, but loads half of astropy and matplotlib to do it, which takes
longer than most commands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import ShapeError
from dvo.kernels import healpix as kernels
from dvo.sphere import same_shape

__all__ = ["nested_pixels"]

I64 = NDArray[np.int64]


def nested_pixels(ra: ArrayLike, dec: ArrayLike, order: int) -> I64:
    """Pixel of each position.

    Parameters
    ----------
    ra, dec : array_like of float64, shape (n,)
        Positions, ICRS, right ascension by any number of turns [deg].
    order : int
        Order of the pixels, 0 to 29: 12 * 4^order of them.

    Returns
    -------
    ndarray of int64, shape (n,)
        Pixel numbers; -1 where a coordinate is not finite or dec is not within -90..90.

    Raises
    ------
    ShapeError
        If ra and dec differ in shape, or there is no such order.

    Examples
    --------
    >>> nested_pixels([0.0, 45.0], [90.0, 0.0], 0).tolist()
    [0, 5]
    """
    if not 0 <= order <= 29:
        raise ShapeError(f"HEALPix order {order}; orders are 0 to 29")
    a, d = same_shape(ra=ra, dec=dec)
    out = np.empty(a.size, np.int64)
    kernels.nested_pixels(a.ravel(), d.ravel(), order, out)
    assert out.size == 0 or out.max() < 12 << 2 * order
    return out.reshape(a.shape)
