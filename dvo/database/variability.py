"""Indices of variability of objects: which measures count, and the table that comes out.

Columns of a filter are called as its magnitude words are, ``g:chi2``.

- ``chi2``: reduced chi-square about the weighted mean; 1 on average for a constant star whose
  errors are right.
- ``stetson_j``: J of Stetson (1996, PASP 108, 851), ``sum w sgn(P) sqrt|P| / sum w``. ``P`` is the
  product of the residuals of a pair in units of their errors, and ``delta**2 - 1`` of a measure
  without a partner, which has weight 0.5. Of `n` measures that lie within the time window
  together all pairs are taken, with weights ``2 / n``: 1 for two, 2/3 for three. Residuals are
  those from his robust mean of each filter, times ``sqrt(n / (n - 1))``. Near 0 for constant
  stars.
- ``inv_eta``: 1 over von Neumann's ratio (1941, Ann. Math. Stat. 12, 367), ``sum (m - mean)**2 /
  sum (m[i+1] - m[i])**2``: near 0.5 for noise, large for what changes slowly. Of all filters it is
  the ratio of the sums over filters.
- ``amplitude``, ``amplitude_90``, ``amplitude_80``: faintest less brightest, percentile 95 less 5,
  and 90 less 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.errors import PhotcodeError, QueryError
from dvo.partition.bounds import Area
from dvo.partition.manifest import ALL_SKY
from dvo.partition.region_batches import region_batches
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.averages import STORED_MAGS, averaged_filters, mean_magnitudes
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import MeasureFlag
from dvo.tables.image import IMAGE
from dvo.tables.kernels import rows_by_object
from dvo.tables.measure import MEASURE
from dvo.tables.ranks import RANK_COLUMNS, photometric_error, ranks
from dvo.tables.schema import Column
from dvo.variability.kernels import ALL_INDICES, FILTER_INDICES, index_objects

__all__ = [
    "MAGNITUDE_COLUMNS",
    "VariabilityChoice",
    "calibrated_magnitudes",
    "flags_of_images",
    "variability_columns",
    "variability_tables",
]

Array = NDArray[Any]
I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_MASKED = {"psf": MeasureFlag.MASKED_PSF, "ap": MeasureFlag.MASKED_APER,
           "kron": MeasureFlag.MASKED_KRON}  # fmt: skip
MAGNITUDE_COLUMNS = {
    kind: tuple(dict.fromkeys(("m_flat", "airmass", "time", "time_msec", "image_id", "ave_ref",
                               *RANK_COLUMNS, *own, "mag_err")))
    for kind, own in STORED_MAGS.items()
}  # fmt: skip
"""Columns of Measure that calibrated magnitudes of a kind are made of, with times and ranks."""

_IDS = ("cat_id", "obj_id", "ext_id", "ra", "dec")
_LIKE = {
    "n": Column("n", "u4", "measures that count"),
    "mean": Column("mean", "f4", "weighted mean", "mag", "phot.mag;stat.mean"),
    "chi2": Column("chi2", "f4", "reduced chi-square of a constant brightness", "",
                   "stat.fit.chi2"),
    "stetson_j": Column("stetson_j", "f4", "J of Stetson (1996)", "", "src.var.index"),
    "inv_eta": Column("inv_eta", "f4", "1 over von Neumann's ratio", "", "src.var.index"),
    "amplitude": Column("amplitude", "f4", "faintest less brightest", "mag", "src.var.amplitude"),
    "amplitude_90": Column("amplitude_90", "f4", "percentile 95 less 5", "mag",
                           "src.var.amplitude"),
    "amplitude_80": Column("amplitude_80", "f4", "percentile 90 less 10", "mag",
                           "src.var.amplitude"),
}  # fmt: skip


@dataclass(frozen=True)
class VariabilityChoice:
    """Of what indices are made.

    Parameters
    ----------
    filters : tuple of str or None
        Average filters; None for all.
    kind : {'psf', 'ap', 'kron'}
        Which magnitudes.
    least_measures : int
        Measures that count which a filter needs, 2 or more; an object comes out if one has them.
    window_s : float
        Measures no further apart are pairs of Stetson's J [s].
    with_masked : bool
        Whether outliers that relphot masked count. Flares and eclipses are such outliers.
    """

    filters: tuple[str, ...] | None = None
    kind: str = "psf"
    least_measures: int = 5
    window_s: float = 1800.0
    with_masked: bool = True

    def __post_init__(self) -> None:
        if self.kind not in STORED_MAGS:
            raise QueryError(f"no kind of magnitude {self.kind!r}; there are psf, ap, kron")
        if self.least_measures < 2:
            raise QueryError(f"{self.least_measures} measures say nothing of changes; ask for 2 "
                             "or more")  # fmt: skip
        if not 0.0 <= self.window_s < np.inf:
            raise QueryError(f"a time window of {self.window_s:g} s is none; give 0 or more")

    def filters_of(self, view: View) -> tuple[str, ...]:
        """Names of the filters.

        Parameters
        ----------
        view : View
            The snapshot.

        Returns
        -------
        tuple of str
            In the order of the database.

        Raises
        ------
        PhotcodeError
            If there is no such filter.
        """
        known = tuple(photcode.name for photcode in view.photcodes.sec)
        for name in self.filters or ():
            if name not in known:
                raise PhotcodeError(f"{name!r} is no average filter of this database; there are: "
                                    f"{', '.join(known)}")  # fmt: skip
        return tuple(n for n in known if self.filters is None or n in self.filters)


def variability_columns(filters: Sequence[str]) -> list[OutputColumn]:
    """Columns of the table.

    Parameters
    ----------
    filters : sequence of str
        Names of the filters.

    Returns
    -------
    list of OutputColumn
        Ids and position, indices of all filters together, then those of each.
    """
    found = [OutputColumn(name, AVERAGE[name]) for name in _IDS]
    found += [OutputColumn(name, _LIKE[name]) for name in ALL_INDICES]
    for name in filters:
        for index in FILTER_INDICES:
            found.append(OutputColumn(f"{name}:{index}", replace(_LIKE[index], name=index)))
    return found


def variability_tables(
    view: View, area: Area | None, choice: VariabilityChoice
) -> Iterator[pa.Table]:
    """Make indices of variability of objects, some regions at a time.

    Measures of the best rank that an object has in a filter count, as for its mean.

    Parameters
    ----------
    view : View
        The snapshot.
    area : Area or None
        Where; None for the whole sky.
    choice : VariabilityChoice
        Of what.

    Yields
    ------
    pyarrow.Table
        Objects with enough measures in a filter at least; one table at the least.

    Raises
    ------
    PhotcodeError
        If there is no such filter.
    """
    filters = choice.filters_of(view)
    columns = variability_columns(filters)
    band_of = np.full(view.n_secfilt + 1, -1, np.int64)  # the last place is for k = -1
    for band, name in enumerate(filters):
        code = view.photcodes.get(name).code
        band_of[int(view.photcodes.sec_index_of_code[code])] = band
    flags = flags_of_images(view)
    yield to_arrow(columns, {c.name: np.empty(0, c.like.dtype) for c in columns})
    for some in region_batches(view, view.regions(area)):
        values = _indices(view, some, area, choice, band_of, flags)
        yield to_arrow(columns, {c.name: values[k] for k, c in enumerate(columns)})


def flags_of_images(view: View) -> NDArray[np.uint32]:
    """Flags of all images.

    Parameters
    ----------
    view : View
        The snapshot.

    Returns
    -------
    ndarray of uint32
        By image_id; 0 for numbers of no image.
    """
    table = view.read(IMAGE, ALL_SKY, ["image_id", "flags"])
    ids = table["image_id"].astype(np.int64)
    flags = np.zeros(int(ids.max(initial=0)) + 1, np.uint32)
    flags[ids] = table["flags"]
    return flags


def _indices(
    view: View,
    regions: list[int],
    area: Area | None,
    choice: VariabilityChoice,
    band_of: I64,
    image_flags: Array,
) -> list[Array]:
    """Values of the columns of `variability_columns`, in their order."""
    objects, first = view.read_many(AVERAGE, regions, _IDS, once=True)
    measure, runs = view.read_many(MEASURE, regions, MAGNITUDE_COLUMNS[choice.kind],
                                   once=True)  # fmt: skip
    of = np.repeat(first[:-1], np.diff(runs)) + measure["ave_ref"].astype(np.int64)
    band = band_of[averaged_filters(measure, view.photcodes)]
    counts = band >= 0
    if area is not None:
        counts &= area.holds(objects["ra"], objects["dec"])[of]
    if not choice.with_masked:
        counts &= (measure["db_flags"] & np.uint32(_MASKED[choice.kind])) == 0
    enough = np.bincount(of[counts], minlength=len(objects)) >= choice.least_measures
    rows = np.flatnonzero(counts & enough[of])
    some, band, of = measure.take(rows), band[rows], of[rows]
    wanted, of, n = np.unique(of, return_inverse=True, return_counts=True)
    edges = np.concatenate([[0], np.cumsum(n)]).astype(np.int64)
    time = 1000 * some["time"].astype(np.int64) + some["time_msec"].astype(np.int64)
    order = rows_by_object(of.astype(np.int64), time, edges)
    mag, error, rank = calibrated_magnitudes(view, some, choice.kind, image_flags)
    by_filter = np.empty((len(wanted), int(band_of.max()) + 1, len(FILTER_INDICES)))
    of_all = np.empty((len(wanted), len(ALL_INDICES)))
    index_objects(edges, band[order], mag[order], error[order], rank[order], 1e-3 * time[order],
                  choice.window_s, choice.least_measures, by_filter, of_all)  # fmt: skip
    found = np.flatnonzero(of_all[:, 0] > 0)
    ids = objects.take(wanted[found])
    return [*(ids[name] for name in _IDS), *_typed(of_all[found], ALL_INDICES),
            *(column for band in range(by_filter.shape[1])
              for column in _typed(by_filter[found, band], FILTER_INDICES))]  # fmt: skip


def calibrated_magnitudes(
    view: View, some: ColumnTable, kind: str, image_flags: NDArray[np.uint32]
) -> tuple[F64, F64, NDArray[np.uint8]]:
    """Magnitudes as they are averaged, with their errors and ranks.

    Parameters
    ----------
    view : View
        The snapshot.
    some : ColumnTable
        Measures, with the columns of `MAGNITUDE_COLUMNS`.
    kind : {'psf', 'ap', 'kron'}
        Which magnitudes.
    image_flags : ndarray of uint32
        From `flags_of_images`.

    Returns
    -------
    mag, error : ndarray of float64, shape (n,)
        Level ``rel`` without colour terms, and the error with that of the photcode [mag].
    rank : ndarray of uint8, shape (n,)
        0 the best, see `dvo.tables.ranks`.
    """
    mag, error = mean_magnitudes(some, kind, view.photcodes)
    if kind != "psf":  # the errors of other magnitudes are often not given
        error = np.where(error > 0, error, some["mag_err"])
    image = some["image_id"]
    known = image < len(image_flags)
    flags = np.where(known, image_flags[np.where(known, image, 0)], np.uint32(0))
    return (mag.astype(np.float64), photometric_error(error, some["photcode"], view.photcodes),
            ranks(some, view.photcodes, flags))  # fmt: skip


def _typed(values: F64, names: Sequence[str]) -> list[Array]:
    return [values[:, k].astype(_LIKE[name].dtype) for k, name in enumerate(names)]
