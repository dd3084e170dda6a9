"""Taking measures out of a database, or images with theirs, and what rested on them.

Objects that keep measures get means made anew from these, as association made them:
in its order, with the times and places that it took. So they are the means of a database
that never had the others, to the bit; ids and places of objects stay. Objects left without
measures are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ids import pack_id
from dvo.ingest.remaking import without
from dvo.ingest.replay import Replay
from dvo.ingest.satellite_removal import Gone
from dvo.ingest.whole_catalogs import WholeCatalogs, read_catalogs, write_catalogs
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY, CatalogRow
from dvo.partition.moving import moving_reach
from dvo.partition.region_batches import region_batches
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing_means import filters_of_images
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES
from dvo.tables.secfilt import SECFILT

__all__ = [
    "Choice",
    "Loss",
    "drop_images",
    "find_losses",
    "losses_of_images",
    "of_images",
    "remove_images",
    "remove_measures",
]

Array = NDArray[Any]
Bool = NDArray[np.bool_]

# Distances to the circle of an image and to regions are computed to a part in a thousand.
_MARGIN = 1.001
_LEAST_MARGIN_DEG = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Which measures are meant, told by their tables.

    Parameters
    ----------
    chosen : callable
        Takes Average, SecFilt and Measure of some regions, ave_ref counting through all of
        them, and tells which measures are meant.
    columns : tuple of str
        Columns of Measure that it looks at.
    by_object : bool
        Whether it looks at ra and dec of objects, and at their magnitudes.
    images : ndarray of int64
        Numbers of images that go as a whole, with satellite rows that no measure has.
    """

    chosen: Callable[[ColumnTable, ColumnTable, ColumnTable], Bool]
    columns: tuple[str, ...]
    by_object: bool = False
    images: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def gone(self, found: WholeCatalogs) -> Gone:
        """Tell what goes of some catalogs."""
        is_gone = self.chosen(found.average, found.secfilt, found.measure)
        rows = found.measure.take(is_gone & (found.measure["image_id"] > 0))
        return Gone(is_gone, pack_id(rows["image_id"], rows["det_id"]), self.images)


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """What some regions lose.

    Parameters
    ----------
    regions : list of int
        Those of the regions that lose anything.
    n_measures, n_objects : int
        Measures that go, and objects that are left without any.
    per_image : ndarray of int64
        Measures that go of each image, by its number.
    """

    regions: list[int]
    n_measures: int
    n_objects: int
    per_image: Array


def find_losses(view: View, regions: Sequence[int], choice: Choice) -> Iterator[Loss]:
    """Find what would go, batch of regions after batch of regions.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Where to look, ascending; each has a catalog.
    choice : Choice
        Which measures.

    Yields
    ------
    Loss
        What some of the regions lose.
    """
    for some in region_batches(view, regions):
        names = dict.fromkeys(["ave_ref", "image_id", *choice.columns])
        measure, runs = view.read_many(MEASURE, some, names)
        if choice.by_object:
            average, edges = view.read_many(AVERAGE, some, ["ra", "dec"])
            secfilt, _ = view.read_many(SECFILT, some, ["mag"])
        else:
            counts = view.catalogs(some)
            edges = np.cumsum([0, *(counts[r].n_average for r in some)])
            average = ColumnTable(AVERAGE, {}, int(edges[-1]))
            secfilt = ColumnTable(SECFILT, {}, int(edges[-1]) * view.n_secfilt)
        ref = measure["ave_ref"] + np.repeat(edges[:-1], np.diff(runs))
        joined = ColumnTable(MEASURE, measure.columns | {"ave_ref": ref.astype(np.uint32)})
        is_gone = choice.chosen(average, secfilt, joined)
        at = np.union1d(
            np.searchsorted(runs, np.flatnonzero(is_gone), side="right") - 1,
            _with_satellites_of(view, some, choice.images),
        )
        had, left = (np.bincount(r, minlength=len(average)) for r in (ref, ref[~is_gone]))
        yield Loss(
            [some[k] for k in at.tolist()],
            int(np.count_nonzero(is_gone)),
            int(np.count_nonzero((had > 0) & (left == 0))),
            np.bincount(measure["image_id"][is_gone]),
        )


def _with_satellites_of(view: View, regions: list[int], images: Array) -> NDArray[np.int64]:
    """Places of the regions that have satellite rows of images; a measure may be elsewhere."""
    parts, at = view.part_table(regions), [np.empty(0, np.int64)]
    for satellite in SATELLITES if len(images) else ():
        if satellite.has_image and parts.are(table=satellite.schema.name).any():
            table, starts = view.read_many(satellite.schema, regions, ["image_id"])
            rows = np.flatnonzero(np.isin(table["image_id"], images))
            at.append(np.searchsorted(starts, rows, side="right") - 1)
    return np.concatenate(at)


def remove_measures(
    change: Transaction, view: View, regions: Sequence[int], choice: Choice, replay: Replay
) -> Iterator[WholeCatalogs]:
    """Take measures out of regions, batch of regions after batch of regions.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on.
    regions : sequence of int
        Regions that have such measures, ascending.
    choice : Choice
        Which measures.
    replay : Replay
        The images and reference catalogs, those that go among them.

    Yields
    ------
    WholeCatalogs
        What stays, when it has been handed over to be written.
    """
    images = view.read(IMAGE, ALL_SKY, ["image_id", "photcode"])
    by_image = filters_of_images(images, view.photcodes)
    for label, some in enumerate(region_batches(view, regions)):
        found = read_catalogs(view, some)
        kept = without(found, choice.gone(found), replay, view.photcodes, by_image)
        change.wait()  # for the batch before: what is held in memory stays bounded
        change.widen(moving_reach(kept.average))
        write_catalogs(change, kept, label=f"k{label}")
        yield kept


def of_images(numbers: Array) -> Choice:
    """Choose the measures of images, or of reference catalogs.

    Parameters
    ----------
    numbers : ndarray of int
        Numbers of images; below 0 those of reference catalogs.

    Returns
    -------
    Choice
        Their measures.
    """
    images, catalogs = numbers[numbers > 0], -numbers[numbers < 0]

    def chosen(average: ColumnTable, secfilt: ColumnTable, measure: ColumnTable) -> Bool:
        del average, secfilt
        out = np.isin(measure["image_id"], images)
        if len(catalogs):
            out |= np.isin(measure["ref_id"], catalogs)
        return out

    columns = ("image_id", "ref_id") if len(catalogs) else ("image_id",)
    return Choice(chosen, columns, images=images)


def remove_images(change: Transaction, view: View, image_ids: Sequence[int]) -> View:
    """Take images out, with their measures.

    Parameters
    ----------
    change : Transaction
        Where the removal is to become part of.
    view : View
        The newest snapshot.
    image_ids : sequence of int
        Numbers of the images.

    Returns
    -------
    View
        The snapshot without them, for what the change does next.
    """
    gone = np.array(sorted(image_ids), np.int64)
    choice = of_images(gone)
    regions = [region for loss in losses_of_images(view, gone) for region in loss.regions]
    tables: dict[int, list[ColumnTable]] = {}
    rows = []
    for kept in remove_measures(change, view, regions, choice, Replay.of(view)):
        for place, region in enumerate(kept.regions):
            found = tables[region] = kept.tables(place)
            next_id = view.catalog(region).next_obj_id
            rows.append(CatalogRow(region, len(found[0]), next_id, len(found[2]), False))
    drop_images(change, view, gone)
    return view.changed(tables, rows)


def losses_of_images(view: View, image_ids: Array) -> list[Loss]:
    """Find what would go with some images.

    Measures lie in the circle of their image, and no farther outside the region of their
    object than the snapshot says. Should that not give as many as the image has, because
    a row was moved or a circle is unknown, all regions are asked.

    Parameters
    ----------
    view : View
        The snapshot.
    image_ids : ndarray of int64
        Numbers of the images.

    Returns
    -------
    list of Loss
        What regions lose, in their order.
    """
    columns = ["image_id", "nstar", "ra_center", "dec_center", "radius"]
    images = view.read(IMAGE, ALL_SKY, columns)
    images = images.take(np.isin(images["image_id"], image_ids))
    wanted = int(images["nstar"].sum())
    near: set[int] = set()
    pad = view.pad_deg * _MARGIN + _LEAST_MARGIN_DEG
    for n, ra, dec, radius in zip(*(images[c].tolist() for c in columns[1:]), strict=True):
        if n and np.isfinite([ra, dec, radius]).all():
            area = Cone(ra, dec, min(180.0, radius * _MARGIN))
            near.update(area.regions(view.partition, pad).tolist())
    choice = of_images(image_ids)
    filled = [r for r, row in view.catalogs(sorted(near)).items() if row.n_average > 0]
    losses = list(find_losses(view, filled, choice))
    if sum(loss.n_measures for loss in losses) != wanted:
        losses = list(find_losses(view, view.regions(), choice))
    return losses


def drop_images(change: Transaction, view: View, image_ids: Array) -> None:
    """Take images out of the Image table and of the list of those that are known.

    The table is written anew from the first part on that has a row to go: the order of its
    parts is that of its rows, so what follows is written again, too.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on.
    image_ids : ndarray of int64
        Numbers of the images, or below 0 those of reference catalogs, which have no rows.
    """
    images = view.read(IMAGE, ALL_SKY, ["image_id", "photcode"])
    is_gone = np.isin(images["image_id"].astype(np.int64), image_ids)
    n_chips = int(np.count_nonzero(is_gone & (images["photcode"] != 0)))
    change.set_images(dropped=image_ids.tolist(), n_more=-n_chips)
    if not is_gone.any():
        return
    parts = view.parts(IMAGE, ALL_SKY)
    first = start = 0
    if all(p.kind == "rows" for p in parts):
        stops = np.cumsum([p.n_rows for p in parts])
        first = int(np.searchsorted(stops, np.argmax(is_gone), side="right"))
        start = int(stops[first]) - parts[first].n_rows
    kept = view.read_parts(IMAGE, parts[first:]).take(~is_gone[start:])
    change.drop_parts(parts[first:])
    if len(kept):
        change.put_global(kept, "Images.kept", replace_all=False)
