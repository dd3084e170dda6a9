"""Mean positions made anew from stored measures, as association made them.

A mean depends, in its last bits, on the order in which it took up its measures, on the
time each was taken to be of, and on when the object came by its proper motion. All of
that is in the database: images and reference catalogs are numbered in the order in which
they were added, and rows of catalogs name theirs and keep its motions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.as_matched import matched_positions, stored_times
from dvo.partition.manifest import ALL_SKY, ImageRow
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.position_weights import measured_times, weights

__all__ = ["Replay"]

Array = NDArray[Any]
I64 = NDArray[np.int64]


class Replay:
    """What association knew of the images and reference catalogs of a snapshot.

    Parameters
    ----------
    images : ColumnTable
        The Image table, at least `IMAGE_COLUMNS` of it.
    catalogs : sequence of ImageRow
        The reference catalogs.
    """

    IMAGE_COLUMNS: ClassVar[list[str]] = ["image_id", "time", "time_msec"]
    """Columns of Image that this needs."""

    def __init__(self, images: ColumnTable, catalogs: Sequence[ImageRow]) -> None:
        mjd = [np.nan if c.match_mjd is None else c.match_mjd for c in catalogs]
        known = np.isfinite(mjd)
        numbers = np.array([-c.image_id for c in catalogs], np.int64)[known]
        times = stored_times(np.array(mjd)[known])
        numbers = np.concatenate([images["image_id"].astype(np.int64), numbers])
        order = np.argsort(numbers)
        self._numbers = numbers[order]
        self._times = np.concatenate([measured_times(images), times])[order]

    @classmethod
    def of(cls, view: View) -> Replay:
        """What association knew of the images and reference catalogs of a snapshot."""
        return cls(view.read(IMAGE, ALL_SKY, cls.IMAGE_COLUMNS), view.reference_catalogs())

    def order(self, measure: ColumnTable, rows: I64) -> I64:
        """Put measures in the order in which association took them up.

        Parameters
        ----------
        measure : ColumnTable
            Rows of Measure.
        rows : ndarray of int64
            Those wanted, as they lie.

        Returns
        -------
        ndarray of int64
            The same rows, image after image; those of one image as they lie.
        """
        return rows[np.argsort(_numbers(measure)[rows], kind="stable")]

    def redo_positions(
        self, average: ColumnTable, measure: ColumnTable, changed: Array, codes: PhotcodeTable
    ) -> None:
        """Make the mean positions of some objects anew.

        Parameters
        ----------
        average : ColumnTable
            All objects of a catalog; changed.
        measure : ColumnTable
            All measures of the objects wanted, in order.
        changed : ndarray of bool
            Which objects are wanted.
        codes : PhotcodeTable
            The photcodes, with their error models.
        """
        numbers, ref = _numbers(measure), measure["ave_ref"].astype(np.int64)
        times, ra, dec = self.places(measure)
        motion = average["u_ra"], average["u_dec"]
        u_ra, u_dec = (values.copy() for values in motion)
        gives = np.isfinite(measure["u_ra"]) & np.isfinite(measure["u_dec"])
        # What a catalog says of an object's motion is known to what comes after the catalog;
        # a motion of other origin, from the beginning.
        is_told = np.zeros(len(average), np.bool_)
        is_told[ref[gives]] = True
        u_ra[changed & is_told] = u_dec[changed & is_told] = np.nan
        state = (average["ra"].copy(), average["dec"].copy(), u_ra, u_dec,
                 average["mean_epoch"].astype(np.float64))  # fmt: skip
        pos_err, n_pos = average["ra_err"].copy(), average["number_pos"].copy()
        n_pos[changed] = 0
        error = weights(measure, codes, times)
        for run in _runs(numbers, gives):
            kernels.remeasure(ref[run], ra[run], dec[run], error[run], times[run], state,
                              pos_err, n_pos)  # fmt: skip
            told = ref[run][gives[run]]
            u_ra[told], u_dec[told] = motion[0][told], motion[1][told]
        average["ra"], average["dec"] = state[0], state[1]
        epoch = average["mean_epoch"].copy()
        epoch[changed] = state[4][changed].astype(np.int64)
        average["mean_epoch"] = epoch
        for name in ("ra_err", "dec_err"):
            errors = average[name].copy()
            errors[changed] = pos_err[changed]
            average[name] = errors
        average["number_pos"] = n_pos

    def places(self, measure: ColumnTable) -> tuple[Array, Array, Array]:
        """Find times and positions of measures as association took them.

        Parameters
        ----------
        measure : ColumnTable
            Rows of Measure.

        Returns
        -------
        times, ra, dec : ndarray of float64
            Times [s since 1970] and positions, ICRS [deg].
        """
        numbers = _numbers(measure)
        own = measured_times(measure)
        place = np.minimum(np.searchsorted(self._numbers, numbers), len(self._numbers) - 1)
        is_known = self._numbers[place] == numbers if len(self._numbers) else own < 0
        times = np.where(is_known, self._times[place], own) if len(self._numbers) else own
        ra, dec = measure["ra"], measure["dec"]
        moved = (measure["image_id"] == 0) & is_known
        if moved.any():
            u_ra, u_dec = measure["u_ra"], measure["u_dec"]
            at = matched_positions(ra, dec, u_ra, u_dec, own, times)
            ra, dec = np.where(moved, at[0], ra), np.where(moved, at[1], dec)
        return times, ra, dec


def _numbers(measure: ColumnTable) -> I64:
    """Number of the image or reference catalog of each measure."""
    ids = measure["image_id"].astype(np.int64)
    return np.where(ids > 0, ids, measure["ref_id"].astype(np.int64))


def _runs(numbers: I64, gives: Array) -> Iterator[slice]:
    """Runs of measures between which no object comes by a motion."""
    ends = np.searchsorted(numbers, np.unique(numbers[gives]), side="right")
    start = 0
    for stop in [*ends.tolist(), len(numbers)]:
        if stop > start:
            yield slice(start, stop)
        start = stop
