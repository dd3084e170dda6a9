"""setphot: zero points and flat fields from tables, given to images and measures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.json_values import with_nulls
from dvo.calib.photometry.apply import write_catalogs, write_images
from dvo.calib.photometry.flats import FlatFields
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.calib.photometry.given_flats import flats_of
from dvo.calib.photometry.given_points import GivenPoints, pairs_of_rows_and_images
from dvo.calib.photometry.images import ImageSelection, PhotImages, filters_by_name
from dvo.calib.photometry.measures import StarLimits
from dvo.calib.photometry.residuals import report_residuals
from dvo.calib.photometry.zero_points import ZeroPoints
from dvo.calib.report.page import check_report_folder
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import Runner
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE

__all__ = ["SetphotOptions", "SetphotReport", "setphot"]

Bool = NDArray[np.bool_]

_COLUMNS = ("image_id", "parent_id", "name", "photcode", "time", "time_msec", "secz", "ra_center",
            "dec_center")  # fmt: skip
_MOST_NAMED = 20


@dataclass(frozen=True)
class SetphotOptions:
    """What setphot does.

    Parameters
    ----------
    filters : tuple of str
        Average filters of the images that may be given zero points; empty for all.
    selection : ImageSelection
        Where and when these images are.
    at_airmass : bool
        Whether zero points of the table are those at the airmass of each image; else they are
        reduced to airmass 1 by the nominal slope.
    is_ubercal : bool
        Whether all images that get a zero point are marked as of ubercal, so that relphot
        leaves it.
    is_strict : bool
        Whether a row that means no image is an error.
    dry_run : bool
        Whether nothing is written.
    report : Path or None
        Folder that gets a report with pictures; it costs one more reading of the measures.
    """

    filters: tuple[str, ...] = ()
    selection: ImageSelection = field(default_factory=ImageSelection)
    at_airmass: bool = False
    is_ubercal: bool = False
    is_strict: bool = False
    dry_run: bool = False
    report: Path | None = None


@dataclass(frozen=True)
class SetphotReport:
    """What setphot did.

    Parameters
    ----------
    n_rows : int
        Rows of the table of zero points.
    n_images : int
        Images that got a zero point.
    n_ubercal : int
        Those of them marked as of ubercal.
    n_left_out : int
        Images that rows mean, but the options leave out.
    n_skipped : int
        Images that are not to be calibrated (PHOTOM_NOCAL, PHOTOM_SKIP), or of no filter.
    n_unmatched : int
        Rows that mean no image.
    unmatched : list of int
        The first of them, counted from 1.
    n_flats : int
        Flat fields that were set.
    median_change : float
        Median change of the zero points, where there was one [mag].
    n_regions : int
        Regions in which measures were changed.
    n_means : int
        Mean magnitudes made anew.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    """

    n_rows: int
    n_images: int
    n_ubercal: int
    n_left_out: int
    n_skipped: int
    n_unmatched: int
    unmatched: list[int] = field(default_factory=list)
    n_flats: int = 0
    median_change: float = math.nan
    n_regions: int = 0
    n_means: int = 0
    snapshot: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON.

        Returns
        -------
        dict
            With null for numbers that are not finite.
        """
        found: dict[str, Any] = with_nulls(asdict(self))
        return found


def setphot(
    store: Store,
    points: GivenColumns | None,
    flats: GivenColumns | None = None,
    options: SetphotOptions = SetphotOptions(),
    *,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> SetphotReport:
    """Give images the zero points, and chips the flat fields, of tables; one commit.

    Offsets go to Image and to all measures of the images, flat fields to Measure.m_flat by place
    on the chip and time, and mean magnitudes of the filters are made anew in the regions that
    have such measures.

    Parameters
    ----------
    store : Store
        The database; open for writing unless it is a dry run.
    points : GivenColumns, optional
        Zero points; see `GivenPoints` and `pairs_of_rows_and_images` for the columns.
    flats : GivenColumns, optional
        Cells of flat fields; see `flats_of`. They take the places of those of the same photcode
        and season.
    options : SetphotOptions
        What to do.
    engine : Runner, optional
        Where measures are written; None for here. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    SetphotReport
        What was done; no commit is made if no image and no flat field is meant.

    Raises
    ------
    BadCatalogError
        If a table cannot be understood, or a row means no image and that is not allowed.
    PhotcodeError
        If a filter is not one of the database.
    """
    begun = time.monotonic()
    if options.report is not None:
        check_report_folder(options.report)
    say = progress or (lambda _: None)
    view = store.view()
    table = view.read(IMAGE, ALL_SKY, _COLUMNS)
    report = SetphotReport(0, 0, 0, 0, 0, 0, snapshot=view.snapshot.id)
    set_points = None
    if points is not None:
        set_points, report = _match(view, table, points, options)
    new_flats = None if flats is None else flats_of(flats, view.photcodes)
    n_flats = 0 if new_flats is None else len(new_flats)
    report = replace(report, n_flats=n_flats)
    n_images = 0 if set_points is None else len(set_points.images)
    if n_images or n_flats:
        changed = _Change.of(view, table, set_points, new_flats)
        report = replace(report, median_change=changed.median_change)
        if not options.dry_run:
            report = _write(store, view, changed, report, engine, say)
        report = replace(report, seconds=time.monotonic() - begun)
        if options.report is not None:
            _show(options.report, view, changed, report, say)
    return replace(report, seconds=time.monotonic() - begun)


def _show(
    folder: Path, view: View, new: _Change, report: SetphotReport, say: Callable[[str], None]
) -> None:
    """Write what the images that change are like with what they got."""
    touched = new.images.only(new.is_touched & new.images.is_chip)
    filters = np.unique(touched.filter_index[touched.is_wanted]).tolist()
    if filters:
        facts = report.as_dict()
        report_residuals(folder, "Zero points by setphot", facts, view, filters, touched,
                         new.points, StarLimits(), flats=new.flats, progress=say)  # fmt: skip


def _match(
    view: View, table: ColumnTable, given: GivenColumns, options: SetphotOptions
) -> tuple[GivenPoints, SetphotReport]:
    rows, images = pairs_of_rows_and_images(given, table, view.photcodes)
    is_lost = np.ones(len(given), np.bool_)
    is_lost[rows] = False
    if options.is_strict:
        given.refuse(is_lost, lambda _: "means no image of the database, and --strict was said")
    asked = _asked(view, table, options)[images]
    k = view.photcodes.sec_index_of_code[table["photcode"]]
    wanted = PhotImages.read(view, sorted(set(k[k >= 0].tolist()))).is_wanted[images]
    # Of all rows, whatever is left out of them: a table with a NaN is not to be trusted.
    points = GivenPoints.of(given, rows, images, table, view.photcodes,
                            at_airmass=options.at_airmass)  # fmt: skip
    kept = points.take(asked & wanted)
    if options.is_ubercal:
        kept = replace(kept, is_ubercal=np.ones(len(kept.images), np.bool_))
    lost = np.flatnonzero(is_lost)
    return kept, SetphotReport(
        n_rows=len(given),
        n_images=len(kept.images),
        n_ubercal=int(kept.is_ubercal.sum()),
        n_left_out=int((~asked).sum()),
        n_skipped=int((asked & ~wanted).sum()),
        n_unmatched=len(lost),
        unmatched=(lost[:_MOST_NAMED] + 1).tolist(),
        snapshot=view.snapshot.id,
    )


def _asked(view: View, table: ColumnTable, options: SetphotOptions) -> Bool:
    """Which images the options allow."""
    asked = options.selection.holds(table)
    if options.filters:
        k = view.photcodes.sec_index_of_code[table["photcode"]]
        asked &= np.isin(k, filters_by_name(view.photcodes, options.filters))
    return asked


@dataclass(frozen=True, eq=False)
class _Change:
    """Images and flat fields as they will be.

    ``is_touched`` are the rows of Image whose measures change, ``map_id`` new values of
    photom_map_id, None without flat fields.
    """

    images: PhotImages
    points: ZeroPoints
    is_touched: Bool
    median_change: float
    flats: FlatFields | None
    map_id: NDArray[np.uint32] | None

    @classmethod
    def of(
        cls, view: View, table: ColumnTable, given: GivenPoints | None, new: FlatFields | None
    ) -> _Change:
        k = view.photcodes.sec_index_of_code[table["photcode"]]
        touched = np.zeros(len(table), np.bool_)
        if given is not None:
            touched[given.images] = True
        flats, map_id = None, None
        if new is not None:
            flats = FlatFields.read(view).with_new(new)
            has = new.has_photcode(table["photcode"])
            map_id = flats.numbers(table)
            touched |= has
        images = PhotImages.read(view, sorted(set(k[touched & (k >= 0)].tolist())))
        before = images.table["mcal_psf"].copy()
        points = ZeroPoints.as_they_are(images)
        if given is not None:
            points = points.with_given(given)
            ubercal = images.is_wanted & ((points.flags & _UBERCAL) != 0)
            images = replace(images, is_ubercal=ubercal)
        moved = points.offset - before
        some = moved[touched & np.isfinite(moved)]
        return cls(images, points, touched & images.is_wanted,
                   float(np.median(some)) if len(some) else math.nan, flats, map_id)  # fmt: skip


_UBERCAL = np.uint32(ImageFlag.PHOTOM_UBERCAL)


def _write(
    store: Store, view: View, new: _Change, report: SetphotReport, engine: Runner | None,
    say: Callable[[str], None],
) -> SetphotReport:  # fmt: skip
    regions = replace(new.images, is_selected=new.is_touched).regions(view)
    params = {"n_images": report.n_images, "n_ubercal": report.n_ubercal,
              "n_flats": report.n_flats}  # fmt: skip
    with store.begin("setphot", params, view) as change:
        write_images(change, new.images, new.points, new.map_id)
        if new.flats is not None:
            new.flats.write(change)
        n_means = write_catalogs(change, view, regions, new.images, new.points, new.flats,
                                 engine=engine, say=say)  # fmt: skip
        change.commit(n_means=n_means)
    return replace(report, n_regions=len(regions), n_means=n_means,
                   snapshot=store.view().snapshot.id)  # fmt: skip
