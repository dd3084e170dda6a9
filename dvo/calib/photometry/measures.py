"""Measures from which zero points are solved: which count, and as what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.calib.normal import StarBatch
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.terms import ChipCells, PhotModel
from dvo.partition.view import View
from dvo.tables.averages import averaged_filters, nominal_shift
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import MeasureFlag
from dvo.tables.kernels import rows_by_object
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.ranks import photometric_error, photometric_masks

__all__ = ["MEASURE_COLUMNS", "StarLimits", "StarMeasures", "is_good", "read_star_measures"]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

MEASURE_COLUMNS = ("mag", "mag_err", "m_kron", "m_flat", "airmass", "photcode", "image_id", "time",
            "ave_ref", "psf_qf", "psf_qf_perfect", "phot_flags", "db_flags")  # fmt: skip
"""What `is_good` and magnitudes are made of."""

_PLACE = ("x_ccd", "y_ccd")


@dataclass(frozen=True)
class StarLimits:
    """Which measures count for zero points.

    Parameters
    ----------
    most_error : float
        Greatest error of a magnitude [mag].
    least_qf : float
        Least psf_qf and psf_qf_perfect, where they are known.
    most_kron : float
        Greatest difference of PSF and Kron magnitude, where both are known [mag]; galaxies
        have a greater one.
    least_measures : int
        Measures that a star needs in a filter.
    """

    most_error: float = 0.1
    least_qf: float = 0.95
    most_kron: float = 1.0
    least_measures: int = 2


@dataclass(frozen=True, eq=False)
class StarMeasures:
    """Measures of some stars, whatever is to be solved for; a star is an object in one filter.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_stars + 1,)
        Where the measures of each star begin, and where the last ones end.
    y : ndarray of float64, shape (n,)
        Magnitudes at the nominal zero points, less the flat field that is known where it is not
        solved for [mag].
    sigma : ndarray of float64, shape (n,)
        Their errors [mag].
    image, cell : ndarray of int32, shape (n,)
        Row of the image of each, and its cell on the chip; -1 for none.
    """

    edges: I64
    y: F64
    sigma: F64
    image: I32
    cell: I32

    def batch(self, model: PhotModel) -> StarBatch:
        """Give them the terms of a model.

        Parameters
        ----------
        model : PhotModel
            What is to be solved for; of flat fields it has the cells that were asked for.

        Returns
        -------
        StarBatch
            What a solver takes.
        """
        terms = model.columns_of_cells(self.image, self.cell)
        return StarBatch(self.edges, self.y, self.sigma, *terms)


def read_star_measures(
    view: View,
    regions: Sequence[int],
    images: PhotImages,
    limits: StarLimits,
    cells: ChipCells | None = None,
) -> StarMeasures:
    """Read the measures of some regions that count.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.
    images : PhotImages
        The images.
    limits : StarLimits
        Which measures count.
    cells : ChipCells, optional
        Cells of flat fields that are solved for, on images of known size; measures of these
        that have no place on their chip do not count then.

    Returns
    -------
    StarMeasures
        By star, and of each star by time.
    """
    codes, n_secfilt = view.photcodes, view.n_secfilt
    columns = (*MEASURE_COLUMNS, *(() if cells is None else _PLACE))
    measure, runs = view.read_many(MEASURE, regions, columns, once=True)
    first = np.cumsum([0, *(view.catalog(r).n_average for r in regions)])[:-1]
    objects = np.repeat(first, np.diff(runs)) + measure["ave_ref"]
    image = images.rows_of(measure["image_id"])
    k = averaged_filters(measure, codes)
    good = (image >= 0) & (k >= 0) & is_good(measure, codes, limits)
    cell, has_flat = np.full(len(image), -1, np.int32), np.zeros(len(image), np.bool_)
    if cells is not None:
        x, y = (measure[name].astype(np.float64) for name in _PLACE)
        cell, has_flat = cells.of(image, x, y), cells.is_known[image]
        good &= ~has_flat | (cell >= 0)
    star = objects * n_secfilt + k
    n_of_star = np.bincount(star[good], minlength=1)
    good &= n_of_star[np.where(good, star, 0)] >= limits.least_measures
    rows = np.flatnonzero(good)
    _, star, counts = np.unique(star[rows], return_inverse=True, return_counts=True)
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = rows[rows_by_object(star.astype(np.int64), measure["time"][rows], edges)]
    some = measure.take(rows)
    magnitude = some["mag"] + nominal_shift(some, codes)
    magnitude -= np.where(has_flat[rows], 0.0, np.nan_to_num(some["m_flat"]))
    error = photometric_error(some["mag_err"], some["photcode"], codes)
    return StarMeasures(edges, np.asarray(magnitude, np.float64), error, image[rows], cell[rows])


def is_good(measure: ColumnTable, codes: PhotcodeTable, limits: StarLimits) -> Bool:
    """Tell which measures count for zero points, by themselves.

    Parameters
    ----------
    measure : ColumnTable
        The measures, with `MEASURE_COLUMNS`.
    codes : PhotcodeTable
        The photcodes, with the masks of poor and bad flags.
    limits : StarLimits
        The limits.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether magnitude, error, quality and flags are good; what is not known is.
    """
    mag, error = measure["mag"], measure["mag_err"]
    good: Bool = np.isfinite(mag) & ~(error > limits.most_error)
    for name in ("psf_qf", "psf_qf_perfect"):
        if name in measure:
            good &= ~(measure[name] <= limits.least_qf)
    if "m_kron" in measure:
        good &= ~(np.abs(mag - measure["m_kron"]) > limits.most_kron)
    if "db_flags" in measure:
        good &= (measure["db_flags"] & np.uint32(MeasureFlag.AREA)) == 0
    if "phot_flags" in measure:
        poor, bad = photometric_masks(measure, codes)
        good &= ~(poor | bad)
    return good
