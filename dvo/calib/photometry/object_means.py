"""Mean magnitudes of objects, a column a filter, for comparing them with other magnitudes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.errors import PhotcodeError
from dvo.partition.bounds import Area
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.averages import UNKNOWN_MAG_ERR
from dvo.tables.flags import SecFiltFlag
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.secfilt import SECFILT

__all__ = ["ObjectMeans", "colour_of_words"]

F64 = NDArray[np.float64]


def colour_of_words(codes: PhotcodeTable, words: str) -> tuple[int, int]:
    """Find the two filters of a colour.

    Parameters
    ----------
    codes : PhotcodeTable
        The photcodes.
    words : str
        Such as ``g-r``.

    Returns
    -------
    tuple of int
        Their numbers in SecFilt.

    Raises
    ------
    PhotcodeError
        If it is no difference of two average filters.
    """
    known = {photcode.name: k for k, photcode in enumerate(codes.sec)}
    cuts = [i for i, letter in enumerate(words) if letter == "-"]
    for i in cuts:
        blue, red = words[:i].strip(), words[i + 1 :].strip()
        if blue in known and red in known and blue != red:
            return known[blue], known[red]
    raise PhotcodeError(
        f"{words!r} is no colour; write two average filters, such as g-r; there are: "
        f"{', '.join(known)}"
    )


@dataclass(frozen=True, eq=False)
class ObjectMeans:
    """Objects of some regions.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_regions + 1,)
        Where the objects of each region begin, and where the last ones end.
    ra, dec : ndarray of float64, shape (n,)
        Their places, ICRS [deg].
    mag, error : ndarray of float64, shape (n, n_filters)
        Mean PSF magnitudes of chip images and their errors [mag]; NaN where there are none, for
        galaxies, and outside of the area. An error that is not known is 0.1 mag.
    """

    edges: NDArray[np.int64]
    ra: F64
    dec: F64
    mag: F64
    error: F64

    @classmethod
    def read(cls, view: View, regions: Sequence[int], area: Area | None = None) -> ObjectMeans:
        """Read those of some regions.

        Parameters
        ----------
        view : View
            The snapshot.
        regions : sequence of int
            Which regions, ascending.
        area : Area, optional
            Where objects count; None for everywhere.

        Returns
        -------
        ObjectMeans
            All objects of the regions.
        """
        average, edges = view.read_many(AVERAGE, regions, ["ra", "dec"], once=True)
        secfilt, _ = view.read_many(SECFILT, regions, ["mag", "mag_err", "flags"], once=True)
        shape = (len(average), view.n_secfilt)
        mag = secfilt["mag"].astype(np.float64).reshape(shape)
        error = secfilt["mag_err"].astype(np.float64).reshape(shape)
        is_galaxy = (secfilt["flags"] & np.uint32(SecFiltFlag.OBJ_EXT)) != 0
        mag[is_galaxy.reshape(shape)] = np.nan
        if area is not None:
            mag[~area.holds(average["ra"], average["dec"])] = np.nan
        error = np.where(error > 0, error, UNKNOWN_MAG_ERR)
        return cls(edges, average["ra"], average["dec"], mag, error)

    def colour(self, blue: int, red: int) -> tuple[F64, F64]:
        """Give a colour of all objects.

        Parameters
        ----------
        blue, red : int
            Filters, by their numbers.

        Returns
        -------
        colour, error : ndarray of float64, shape (n,)
            Difference of the means and its error [mag]; NaN where one is missing.
        """
        return (self.mag[:, blue] - self.mag[:, red],
                np.hypot(self.error[:, blue], self.error[:, red]))  # fmt: skip
