"""Missing: known objects that an image should have seen and has no measure of.

An image is looked at once (`ImageFlag.LOOKED_MISSING`), against the objects that are known
then: those with a mean magnitude in its filter that is above its detection limit, measured
often enough to be real, inside its field at the time of the exposure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.image_rows import image_coords
from dvo.errors import QueryError
from dvo.ingest.satellite_rows import add_satellites
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.reshape.footprint import Footprint, make_footprint, positions_at
from dvo.reshape.sources import ImageChoice, choose_images
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.magnitudes import nominal_zero_point
from dvo.tables.measure import MEASURE
from dvo.tables.missing import MISSING
from dvo.tables.secfilt import SECFILT

__all__ = ["MissingOptions", "MissingReport", "find_missing"]

Array = NDArray[Any]

_GROUP_ROWS = 1_000_000  # objects and measures that are read together
_OBJECT_COLUMNS = ("ra", "dec", "u_ra", "u_dec", "mean_epoch", "obj_id", "cat_id")


@dataclass(frozen=True, slots=True)
class MissingOptions:
    """Which images are looked at, and which objects count.

    Parameters
    ----------
    choice : ImageChoice
        Images; without any condition all.
    min_measures : int
        Measures in the filter that an object has at least.
    border_pix : float
        How far inside the image an object has to be [pix].
    limit_mag : float or None
        Mean magnitude that objects are brighter than; None for the detection limit of each
        image, so that images without one are left out.
    batch_images : int
        Images of a commit.
    """

    choice: ImageChoice = field(default_factory=ImageChoice)
    min_measures: int = 2
    border_pix: float = 10.0
    limit_mag: float | None = None
    batch_images: int = 1000

    def __post_init__(self) -> None:
        if self.min_measures < 1:
            raise QueryError(f"{self.min_measures} measures: an object has at least one")
        if not self.border_pix >= 0:
            raise QueryError(f"a border of {self.border_pix} pixels; give 0 or more")
        if self.limit_mag is not None and not np.isfinite(self.limit_mag):
            raise QueryError(f"a limit of {self.limit_mag} mag; give a number")


@dataclass(slots=True)
class MissingReport:
    """What was looked at and found.

    Parameters
    ----------
    n_images : int
        Images that were looked at.
    n_rows : int
        Rows of Missing that came.
    left_out : dict of str to int
        Images that were not looked at, by the reason.
    snapshot : int
        The newest snapshot now.
    """

    n_images: int = 0
    n_rows: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    snapshot: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Look:
    """An image that is looked at: its row of the Image table, field, filter and limit."""

    row: int
    field: Footprint
    filter_index: int
    limit: float


def find_missing(
    store: Store,
    options: MissingOptions | None = None,
    *,
    progress: Callable[[MissingReport], None] | None = None,
) -> MissingReport:
    """Fill Missing for images that have not been looked at.

    Parameters
    ----------
    store : Store
        Open for writing.
    options : MissingOptions, optional
        Which images and objects.
    progress : callable, optional
        Called with the report after every commit.

    Returns
    -------
    MissingReport
        What was done; a run that was cut short goes on when it is asked for again.
    """
    how = options or MissingOptions()
    view = store.view()
    report = MissingReport(snapshot=view.snapshot.id)
    looks, report.left_out = _choose(view, how)
    for start in range(0, len(looks), how.batch_images):
        some = looks[start : start + how.batch_images]
        view = store.view()
        params = {"images": len(some), "min_measures": how.min_measures,
                  "border_pix": how.border_pix, "limit_mag": how.limit_mag}  # fmt: skip
        with store.begin("missing", params, view) as change:
            table, regions, edges = _rows(view, some, how.min_measures)
            add_satellites(change, view, table, regions, edges)
            _flag(change, view, [look.row for look in some])
            report.snapshot = change.commit().id
        report.n_images += len(some)
        report.n_rows += len(table)
        if progress is not None:
            progress(report)
    return report


def _choose(view: View, how: MissingOptions) -> tuple[list[_Look], dict[str, int]]:
    """Images to look at, and why the others are not."""
    images = view.images
    chosen = np.ones(len(images), np.bool_)
    if how.choice != ImageChoice():
        chosen = np.isin(images["image_id"], choose_images(view, how.choice))
    rows = np.flatnonzero(chosen & (images["photcode"] != 0))
    coords = image_coords(images)
    done = (images["flags"] & np.uint32(ImageFlag.LOOKED_MISSING)) != 0
    looks: list[_Look] = []
    left_out: Counter[str] = Counter()
    for row in rows.tolist():
        own, nx, ny = coords[row], int(images["nx"][row]), int(images["ny"][row])
        k = int(view.photcodes.sec_index_of_code[images["photcode"][row]])
        limit = _limit(view, images, row) if how.limit_mag is None else how.limit_mag
        place = None if own is None else make_footprint(own, nx, ny, how.border_pix)
        if done[row]:
            left_out["looked at before"] += 1
        elif k < 0:
            left_out["of no average filter"] += 1
        elif place is None:
            left_out["without astrometry or size"] += 1
        elif IMAGE["time"].is_null(images["time"][row]):
            left_out["without a time"] += 1
        elif np.isnan(limit):
            left_out["without a detection limit"] += 1
        else:
            looks.append(_Look(row, place, k, limit))
    return looks, dict(left_out)


def _limit(view: View, images: ColumnTable, row: int) -> float:
    """Detection limit of an image at the level of mean magnitudes.

    What psphot states (DETEFF.MAGREF) is instrumental, -2.5 log10 of counts, so below 0.
    """
    limit = float(images["detection_limit"][row])
    if not limit < 0:
        return limit
    photcode = view.photcodes.get_code(int(images["photcode"][row]))
    zero = nominal_zero_point(photcode, float(images["secz"][row]))
    exposed = 2.5 * np.log10(float(images["exptime"][row]))
    return float(limit + exposed + zero - np.nan_to_num(images["mcal_psf"][row]))


def _rows(
    view: View, looks: Sequence[_Look], min_measures: int
) -> tuple[ColumnTable, list[int], Array]:
    """Rows of Missing for some images, region after region."""
    of_region: dict[int, list[_Look]] = {}
    for look in looks:
        start_s = float(view.images["time"][look.row])
        for region in view.regions(look.field.cone(view.motion_pad_deg(np.array([start_s])))):
            of_region.setdefault(region, []).append(look)
    pieces: list[tuple[int, ColumnTable]] = []
    for regions in _groups(view, sorted(of_region)):
        pieces += _rows_of(view, regions, of_region, min_measures)
    tables = [t for _, t in pieces] or [ColumnTable(MISSING, {}, 0)]
    table = ColumnTable.concatenate(MISSING, tables)
    return table, [r for r, _ in pieces], np.cumsum([0, *(len(t) for _, t in pieces)])


def _groups(view: View, regions: Sequence[int]) -> Iterator[list[int]]:
    """Regions that are read together."""
    group: list[int] = []
    n_rows = 0
    for region, row in view.catalogs(regions).items():
        group.append(region)
        n_rows += row.n_average + row.n_measure
        if n_rows > _GROUP_ROWS:
            yield group
            group, n_rows = [], 0
    if group:
        yield group


def _rows_of(
    view: View, regions: list[int], of_region: dict[int, list[_Look]], min_measures: int
) -> Iterator[tuple[int, ColumnTable]]:
    """Rows of Missing for the objects of some regions, each region by itself."""
    average, edges = view.read_many(AVERAGE, regions, _OBJECT_COLUMNS)
    secfilt, _ = view.read_many(SECFILT, regions, ["mag", "ncode"])
    measure, runs = view.read_many(MEASURE, regions, ["image_id", "ave_ref"])
    objects = np.repeat(edges[:-1], np.diff(runs)) + measure["ave_ref"]
    by_image = np.argsort(measure["image_id"], kind="stable")
    ids = measure["image_id"][by_image]
    n = view.n_secfilt
    found = []
    for look in {look.row: look for r in regions for look in of_region[r]}.values():
        image = int(view.images["image_id"][look.row])
        lacks = np.ones(len(average), np.bool_)
        first, last = np.searchsorted(ids, [image, image + 1])
        lacks[objects[by_image[first:last]]] = False
        mags, counts = (secfilt[c][look.filter_index :: n] for c in ("mag", "ncode"))
        lacks &= (mags < look.limit) & (counts >= min_measures)
        found.append(_seen_from(view, look, average, np.flatnonzero(lacks), mags))
    table = ColumnTable.concatenate(MISSING, [t for t, _ in found])
    of = np.concatenate([rows for _, rows in found])
    order = np.argsort(of, kind="stable")
    table, of = table.take(order), of[order]
    cuts = np.searchsorted(of, edges)
    table["ave_ref"] = (of - np.repeat(edges[:-1], np.diff(cuts))).astype(np.uint32)
    for region, start, stop in zip(regions, cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        if stop > start:
            yield region, table.take(slice(start, stop))


def _seen_from(
    view: View, look: _Look, average: ColumnTable, rows: Array, mags: Array
) -> tuple[ColumnTable, Array]:
    """Rows of Missing for those of some objects that are in the field of an image."""
    images, i = view.images, look.row
    start_s = float(images["time"][i]) + float(images["time_msec"][i]) / 1000.0
    near = look.field.may_hold(average["ra"][rows], average["dec"][rows],
                               view.motion_pad_deg(np.array([start_s])))  # fmt: skip
    rows = rows[near]
    ra, dec = positions_at(average.take(rows), start_s)
    x, y, inside = look.field.pixels(ra, dec)
    rows = rows[inside]
    same = {n: images[n][i] for n in ("image_id", "photcode", "time", "time_msec")}
    columns: dict[str, Array] = {
        "ra": ra[inside], "dec": dec[inside],
        "x_ccd": x[inside].astype(np.float32), "y_ccd": y[inside].astype(np.float32),
        "mag": mags[rows], "mag_limit": np.full(len(rows), look.limit, np.float32),
        "obj_id": average["obj_id"][rows], "cat_id": average["cat_id"][rows],
        **{n: np.full(len(rows), v, MISSING[n].numpy_dtype) for n, v in same.items()},
    }  # fmt: skip
    return ColumnTable(MISSING, columns, len(rows)), rows


def _flag(change: Transaction, view: View, rows: Sequence[int]) -> None:
    """Note that images have been looked at."""
    flags = view.images["flags"].copy()
    changed = np.isin(np.arange(len(flags)), rows)
    flags[changed] |= np.uint32(ImageFlag.LOOKED_MISSING)
    change.overlay_rows(ColumnTable(IMAGE, {"flags": flags}), [ALL_SKY],
                        np.array([0, len(flags)]), changed)  # fmt: skip
