"""Average rows made anew from all measures of objects: place, motion, parallax, flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.astrometry.motions import (
    MotionFits,
    MotionLimits,
    MotionModel,
    ObjectMeasures,
    fit_motions,
)
from dvo.partition.manifest import ALL_SKY, Reach
from dvo.partition.moving import moving_reach
from dvo.partition.partition import overhang_deg
from dvo.partition.region_batches import region_batches
from dvo.partition.view import View
from dvo.partition.write_operations import register_write
from dvo.partition.writing import Writing
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import AverageFlag, ImageFlag, MeasureFlag
from dvo.tables.image import IMAGE
from dvo.tables.kernels import rows_by_object
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of
from dvo.tables.position_weights import measured_times, weights

__all__ = [
    "FIT_COLUMNS",
    "OBJECT_OPERATION",
    "ObjectOptions",
    "ObjectSums",
    "RegionFits",
    "counting_measures",
    "fit_measures",
    "fit_regions",
    "fitted_before",
    "write_fits",
]

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

OBJECT_OPERATION = "fit-objects"

FIT_COLUMNS = ("ra", "dec", "ra_err", "dec_err", "mag_err", "time", "time_msec", "ave_ref",
               "image_id", "ref_id", "photcode", "phot_flags", "db_flags")  # fmt: skip
"""Columns of Measure that a fit needs."""

_AVERAGE_COLUMNS = ("ra", "dec", "u_ra", "u_dec", "u_ra_err", "u_dec_err", "par", "par_err",
                    "mean_epoch", "flags", "ext_id")  # fmt: skip
_OUTSIDE = np.uint32(MeasureFlag.AREA | MeasureFlag.POOR_ASTROM | MeasureFlag.ARTIFACT)
_USED = np.uint32(MeasureFlag.USED_OBJ | MeasureFlag.UNMASKED_ASTRO)
_POOR_IMAGE = np.uint32(ImageFlag.ASTROM_POOR | ImageFlag.ASTROM_FAIL | ImageFlag.ASTROM_SKIP)
_FITTED = (AverageFlag.FIT_AVE, AverageFlag.FIT_PM, AverageFlag.FIT_PAR, AverageFlag.BAD_PM)
_KEPT = (AverageFlag.USE_AVE, AverageFlag.USE_PM, AverageFlag.USE_PAR)
_OF_FITS = np.uint32(
    AverageFlag.RAW_AVE | AverageFlag.NO_MEAN_ASTROM
    | np.bitwise_or.reduce([int(f) for f in (*_FITTED, *_KEPT)])
)  # fmt: skip
_MOTIONS = {
    "u_ra": ("ux", MotionModel.MOTION), "u_dec": ("uy", MotionModel.MOTION),
    "u_ra_err": ("ux_err", MotionModel.MOTION), "u_dec_err": ("uy_err", MotionModel.MOTION),
    "par": ("par", MotionModel.PARALLAX), "par_err": ("par_err", MotionModel.PARALLAX),
}  # fmt: skip
"""Columns of Average, what of a fit they get, and the model that has it."""
_CODES = 65536


@dataclass(frozen=True)
class ObjectOptions:
    """How objects are fitted.

    Parameters
    ----------
    highest : MotionModel
        What is fitted where the measures allow it.
    limits : MotionLimits
        When they do.
    n_resamples : int
        Samples drawn for errors by bootstrap; 0 for formal errors alone.
    """

    highest: MotionModel = MotionModel.MEAN
    limits: MotionLimits = field(default_factory=MotionLimits)
    n_resamples: int = 0

    def as_request(self) -> dict[str, Any]:
        """In JSON types."""
        return asdict(self) | {"highest": int(self.highest)}

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> ObjectOptions:
        """Read what `as_request` gave.

        Parameters
        ----------
        request : mapping
            From JSON.

        Returns
        -------
        ObjectOptions
            The options.
        """
        return cls(MotionModel(request["highest"]), MotionLimits(**request["limits"]),
                   int(request["n_resamples"]))  # fmt: skip


@dataclass(frozen=True)
class ObjectSums:
    """What fits of some objects gave, to be added up.

    Parameters
    ----------
    n_objects : int
        Objects that have a place.
    n_none : int
        Objects without measures that count; they stay as they are.
    n_pm, n_par : int
        Objects with a motion, and with a motion and a parallax.
    n_bad_pm : int
        Objects whose motion or parallax cannot be.
    n_measures, n_masked : int
        Measures that were used, and that were masked as outliers.
    squares : float
        Sum of the squared residuals of those used, of both axes [arcsec^2].
    rounds : int
        Most rounds of weighing that one took.
    """

    n_objects: int = 0
    n_none: int = 0
    n_pm: int = 0
    n_par: int = 0
    n_bad_pm: int = 0
    n_measures: int = 0
    n_masked: int = 0
    squares: float = 0.0
    rounds: int = 0

    def __add__(self, other: ObjectSums) -> ObjectSums:
        added = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return ObjectSums(**(added | {"rounds": max(self.rounds, other.rounds)}))

    @classmethod
    def of(cls, fits: MotionFits) -> ObjectSums:
        """Add up fits.

        Parameters
        ----------
        fits : MotionFits
            The fits.

        Returns
        -------
        ObjectSums
            Their sums.
        """
        model, fitted = fits.model, fits.of("fitted").astype(np.int64)
        counts = np.bincount(fits.used, minlength=3)
        return cls(
            n_objects=int((model >= 0).sum()),
            n_none=int((model < 0).sum()),
            n_pm=int((model >= MotionModel.MOTION).sum()),
            n_par=int((model == MotionModel.PARALLAX).sum()),
            n_bad_pm=int((fitted & 8 != 0).sum()),
            n_measures=int(counts[2]),
            n_masked=int(counts[1]),
            squares=float(fits.of("squares").sum()),
            rounds=int(fits.of("rounds").max(initial=0)),
        )


@dataclass(frozen=True, eq=False)
class RegionFits:
    """Fits of the objects of some regions, and the rows that they belong to.

    Parameters
    ----------
    fits : MotionFits
        The fits; measures by object, and of each object by time.
    rows : ndarray of int64, shape (n_measures,)
        Row of Measure of each.
    measure : ColumnTable
        Measure rows of the regions.
    runs : ndarray of int64, shape (n_regions + 1,)
        Where those of each region begin, and where the last ones end.
    average : ColumnTable
        Their Average rows as they were.
    edges : ndarray of int64, shape (n_regions + 1,)
        Where those of each region begin, and where the last ones end.
    """

    fits: MotionFits
    rows: I64
    measure: ColumnTable
    runs: I64
    average: ColumnTable
    edges: I64


def fit_regions(view: View, regions: Sequence[int], options: ObjectOptions) -> RegionFits:
    """Fit the objects of some regions.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.
    options : ObjectOptions
        How.

    Returns
    -------
    RegionFits
        The fits of all objects of the regions.
    """
    measure, runs = view.read_many(MEASURE, regions, FIT_COLUMNS, once=True)
    return fit_measures(view, regions, measure, runs, options)


def fit_measures(
    view: View, regions: Sequence[int], measure: ColumnTable, runs: I64, options: ObjectOptions
) -> RegionFits:
    """Fit the objects of some regions to measures that may have changed.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.
    measure : ColumnTable
        All their measures, with `FIT_COLUMNS`.
    runs : ndarray of int64, shape (n_regions + 1,)
        Where those of each region begin, and where the last ones end.
    options : ObjectOptions
        How.

    Returns
    -------
    RegionFits
        The fits of all objects of the regions.
    """
    average, edges = view.read_many(AVERAGE, regions, _AVERAGE_COLUMNS, once=True)
    objects = np.repeat(edges[:-1], np.diff(runs)) + measure["ave_ref"].astype(np.int64)
    counts = np.bincount(objects, minlength=len(average))
    of_object = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rows = rows_by_object(objects, measure["time"], of_object)
    some = measure.take(rows)
    sigma = weights(some, view.photcodes).astype(np.float64)
    sigma[~counting_measures(view, some, objects[rows])] = np.inf
    measures = ObjectMeasures(of_object, some["ra"], some["dec"], sigma, measured_times(some),
                              (some["image_id"] != 0) & (some["ref_id"] == 0))  # fmt: skip
    fits = fit_motions(
        measures, options.highest, options.limits,
        known=_known_motions(average), n_resamples=options.n_resamples, seeds=average["ext_id"],
    )  # fmt: skip
    return RegionFits(fits, rows, measure, runs, average, edges)


def fitted_before(view: View, regions: Sequence[int]) -> MotionModel:
    """Find the highest model that an earlier fit kept for any object of some regions.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.

    Returns
    -------
    MotionModel
        A mean place if there was no fit.
    """
    used = np.uint32(0)
    for some in region_batches(view, regions):
        average, _ = view.read_many(AVERAGE, some, ["flags"], once=True)
        used |= np.bitwise_or.reduce(average["flags"], initial=np.uint32(0))
    if used & np.uint32(AverageFlag.USE_PAR):
        return MotionModel.PARALLAX
    return MotionModel.MOTION if used & np.uint32(AverageFlag.USE_PM) else MotionModel.MEAN


def counting_measures(view: View, measure: ColumnTable, objects: I64) -> Bool:
    """Tell which measures count for astrometry: those with the best rank that their object has.

    Good ones have rank 0; those with poor flags or on poor images 1; those with bad flags, and
    stacks and warps, which repeat what chips measured, 2.

    Parameters
    ----------
    view : View
        The snapshot.
    measure : ColumnTable
        All measures of some objects, with image_id, photcode and flags.
    objects : ndarray of int64, shape (n,)
        Object of each, from 0.

    Returns
    -------
    ndarray of bool, shape (n,)
        Whether it counts.
    """
    rank = _photcode_ranks(measure, view.photcodes)
    images = view.read(IMAGE, ALL_SKY, ["image_id", "flags"])
    poor = np.sort(images["image_id"][(images["flags"] & _POOR_IMAGE) != 0])
    on_poor = np.isin(measure["image_id"], poor) if len(poor) else np.zeros(len(rank), np.bool_)
    is_poor = on_poor | ((measure["db_flags"] & _OUTSIDE) != 0)
    rank[is_poor] = np.maximum(rank[is_poor], 1)
    is_skipped = (measure["db_flags"] & np.uint32(MeasureFlag.SKIP_ASTROM)) != 0
    rank[is_skipped] = 255
    best = np.full(int(objects.max(initial=-1)) + 1, 255, np.uint8)
    np.minimum.at(best, objects, rank)
    counting: Bool = (rank == best[objects]) & ~is_skipped
    return counting


def _photcode_ranks(measure: ColumnTable, codes: PhotcodeTable) -> NDArray[np.uint8]:
    poor, bad = np.zeros(_CODES, np.uint32), np.zeros(_CODES, np.uint32)
    of_skycells = np.zeros(_CODES, np.bool_)
    for photcode in codes:
        poor[photcode.code] = photcode.astrom_poor_mask
        bad[photcode.code] = photcode.astrom_bad_mask
        is_skycell = source_of(photcode.name) is not PhotSource.CHIP
        of_skycells[photcode.code] = is_skycell and photcode.kind is PhotClass.DEP
    code, flags = measure["photcode"], measure["phot_flags"]
    rank = np.where((flags & poor[code]) != 0, 1, 0).astype(np.uint8)
    rank[((flags & bad[code]) != 0) | of_skycells[code]] = 2
    return rank


def _known_motions(average: ColumnTable) -> tuple[F64, F64]:
    """Motions that outside catalogs gave; those of an earlier fit are forgotten."""
    of_fits = np.uint32(AverageFlag.USE_PM | AverageFlag.USE_PAR)
    fitted = (average["flags"] & of_fits) != 0
    u_ra, u_dec = (np.where(fitted, np.nan, average[n].astype(np.float64))
                   for n in ("u_ra", "u_dec"))  # fmt: skip
    return u_ra, u_dec


def write_fits(change: Writing, regions: Sequence[int], found: RegionFits) -> None:
    """Write fits into Average, and into the flags of Measure what became of each measure.

    Parameters
    ----------
    change : Writing
        Where to write.
    regions : sequence of int
        The regions of the fits.
    found : RegionFits
        The fits.
    """
    fits, average = found.fits, found.average
    model = fits.model
    rows = np.flatnonzero((model >= 0) | (average["flags"] & _OF_FITS != 0))
    table = ColumnTable(AVERAGE, _average_columns(fits, average), len(model)).take(rows)
    edges = np.searchsorted(rows, found.edges)
    of = np.repeat(np.arange(len(regions)), np.diff(edges))
    change.patch_rows(rows - found.edges[of], table, regions, edges, label=f"a{regions[0]}")
    # Objects stay in their catalog: a query has to know how far beyond its edges they are.
    bounds = change.base.sky.bounds(np.asarray(regions))[of]
    over = overhang_deg(bounds, table["ra"], table["dec"])
    change.widen(moving_reach(table).joined(Reach(float(over.max(initial=0.0)))))
    before = found.measure["db_flags"]
    used = np.empty(len(before), np.uint8)
    used[found.rows] = fits.used
    after = before & ~_USED
    after |= np.where(used > 0, np.uint32(MeasureFlag.USED_OBJ), np.uint32(0))
    after |= np.where(used > 1, np.uint32(MeasureFlag.UNMASKED_ASTRO), np.uint32(0))
    flags = ColumnTable(MEASURE, {"db_flags": after}, len(after))
    change.overlay_rows(flags, regions, found.runs, after != before)


def _average_columns(fits: MotionFits, average: ColumnTable) -> dict[str, NDArray[np.generic]]:
    """New values of Average; objects without a fit keep place and epoch."""
    model = fits.model
    has = model >= 0
    f4 = np.float32
    out: dict[str, NDArray[np.generic]] = {
        "ra": np.where(has, fits.ra, average["ra"]),
        "dec": np.where(has, fits.dec, average["dec"]),
        "ra_err": fits.of("x_err").astype(f4),
        "dec_err": fits.of("y_err").astype(f4),
        "chisq_pos": fits.of("chi2_ave").astype(f4),
        "chisq_pm": fits.of("chi2_pm").astype(f4),
        "chisq_par": fits.of("chi2_par").astype(f4),
        "mean_epoch": np.where(has, fits.epoch_s, average["mean_epoch"]),
        "time_range": np.where(has, np.rint(np.nan_to_num(fits.of("range")) * 31557600.0), -1)
        .astype(np.int64),
        "number_pos": fits.of("n_used").astype(np.uint32),
    }  # fmt: skip
    was_fitted = (average["flags"] & np.uint32(AverageFlag.USE_PM | AverageFlag.USE_PAR)) != 0
    for name, (of, least) in _MOTIONS.items():
        kept = np.where(was_fitted, f4(np.nan), average[name])
        out[name] = np.where(model >= least, fits.of(of).astype(f4), kept)
    out["flags"] = _flags(fits, average["flags"])
    return out


def _flags(fits: MotionFits, before: U32) -> U32:
    flags = before & ~_OF_FITS
    fitted, model = fits.of("fitted").astype(np.int64), fits.model
    for k, flag in enumerate(_FITTED):
        flags |= np.where(fitted & (1 << k), np.uint32(flag), np.uint32(0))
    for k, flag in enumerate(_KEPT):
        flags |= np.where(model == k, np.uint32(flag), np.uint32(0))
    flags |= np.where(model < 0, np.uint32(AverageFlag.NO_MEAN_ASTROM), np.uint32(0))
    return flags


def _write_group(
    change: Writing, regions: Sequence[int], request: Mapping[str, Any]
) -> dict[str, Any]:
    """Fit and write some regions: the write operation."""
    options = ObjectOptions.of_request(request)
    found = fit_regions(change.base, regions, options)
    write_fits(change, regions, found)
    return asdict(ObjectSums.of(found.fits))


register_write(OBJECT_OPERATION, _write_group)
