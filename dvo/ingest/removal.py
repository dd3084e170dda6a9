"""Taking images out of a database: their measures go, and what rested on them is redone.

Objects that keep measures get means made anew from these, as association made them:
in its order, with the times and places that it took. So they are the means of a database
that never had the images, to the bit; ids and places of objects stay. Objects left without
measures are gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest import kernels
from dvo.ingest.mean_set import MEAN_STEMS, MeanSet
from dvo.ingest.replay import Replay
from dvo.ingest.satellite_removal import Gone, holds_rows, satellites_left
from dvo.ingest.stored import averaged_filters, mean_magnitudes
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY, CatalogRow
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.secfilt import SECFILT

__all__ = ["remove_images"]

Array = NDArray[Any]
Tables = list[ColumnTable]  # Average, SecFilt, Measure, then the satellites that there are

_FORESEEN = 2000
# Distances to the circle of an image and to regions are computed to a part in a thousand.
_MARGIN = 1.001
_LEAST_MARGIN_DEG = 1e-6


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
    gone = np.array(sorted(image_ids), np.uint32)
    images = view.read(IMAGE, ALL_SKY, [*Replay.IMAGE_COLUMNS, "photcode", "nstar", "ra_center",
                                        "dec_center", "radius"])  # fmt: skip
    replay = Replay(images, view.reference_catalogs())
    is_gone = np.isin(images["image_id"], gone)
    tables = {
        region: _without(view, region, gone, replay)
        for region in _regions_with(view, images.take(is_gone))
    }
    rows = [
        CatalogRow(region, len(found[0]), view.catalog(region).next_obj_id, len(found[2]), False)
        for region, found in tables.items()
    ]
    _write(change, view, tables)
    change.set_catalogs(rows)
    _drop_image_rows(change, view, is_gone)
    n_chips = int(np.count_nonzero(is_gone & (images["photcode"] != 0)))
    change.set_images(dropped=image_ids, n_more=-n_chips)
    return view.changed(tables, rows)


def _regions_with(view: View, images: ColumnTable) -> list[int]:
    """Regions that have measures of some images.

    Measures lie in the circle of their image, and no farther outside the region of their
    object than the snapshot says. Should that not give as many as the image has, because
    a row was moved or a circle is unknown, all regions are asked.
    """
    wanted = int(images["nstar"].sum())
    near: set[int] = set()
    pad = view.pad_deg * _MARGIN + _LEAST_MARGIN_DEG
    for n, ra, dec, radius in zip(
        *(images[c].tolist() for c in ("nstar", "ra_center", "dec_center", "radius")), strict=True
    ):
        if n and np.isfinite([ra, dec, radius]).all():
            area = Cone(ra, dec, min(180.0, radius * _MARGIN))
            near.update(area.regions(view.partition, pad).tolist())
    found, n_found = _holding(view, sorted(view.catalogs(sorted(near))), images["image_id"])
    if n_found != wanted:
        found, _ = _holding(view, view.regions(), images["image_id"])
    return found


def _holding(view: View, regions: Sequence[int], gone: Array) -> tuple[list[int], int]:
    """Those of some regions that have measures of images, and how many there are in all."""
    out, n_found = [], 0
    for region in _foreseen(view, regions):
        ids = view.read(MEASURE, region, ["image_id"])["image_id"]
        n = int(np.count_nonzero(np.isin(ids, gone)))
        if n or holds_rows(view, region, Gone(gone)):
            out.append(region)
            n_found += n
    return out, n_found


def _foreseen(view: View, regions: Sequence[int]) -> Iterator[int]:
    for start in range(0, len(regions), _FORESEEN):
        some = regions[start : start + _FORESEEN]
        view.foresee(some)
        yield from some


def _write(change: Transaction, view: View, tables: dict[int, Tables]) -> None:
    """Put tables in the place of those of their regions, in files that they share."""
    parts = view.part_table(tables)
    by_name: dict[str, list[tuple[int, ColumnTable]]] = {}
    for region, found in tables.items():
        for table in found:
            by_name.setdefault(table.schema.name, []).append((region, table))
    for name, of_regions in by_name.items():
        change.drop_parts(parts.take(parts.are(table=name)))
        regions, pieces = zip(*of_regions, strict=True)
        schema = pieces[0].schema
        joined = ColumnTable.concatenate(schema, pieces)
        if len(joined) and joined.without_nulls().columns:
            edges = np.cumsum([0, *(len(piece) for piece in pieces)])
            change.add_rows(joined, regions, edges, label="k")


def _drop_image_rows(change: Transaction, view: View, is_gone: Array) -> None:
    """Write the Image table anew from the first part on that has a row to go.

    The order of its parts is that of its rows, so what follows is written again, too.
    """
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


def _without(view: View, region: int, gone: Array, replay: Replay) -> Tables:
    """Tables of a region without the measures of some images."""
    average, secfilt, measure = (
        view.read(t, region, t.stored_names) for t in (AVERAGE, SECFILT, MEASURE)
    )
    is_gone = np.isin(measure["image_id"], gone)
    changed = np.zeros(len(average), np.bool_)
    changed[measure["ave_ref"][is_gone]] = True
    measure = measure.take(~is_gone)
    ref = measure["ave_ref"].astype(np.int64)
    counts = np.bincount(ref, minlength=len(average))
    redone = measure.take(replay.order(measure, np.flatnonzero(changed[ref])))
    average, secfilt = _fresh(average), _fresh(secfilt)
    average["nmeasure"] = counts.astype(np.uint32)
    average["off_measure"] = AVERAGE["off_measure"].nulls(len(average))  # it is sorted no more
    replay.redo_positions(average, redone, changed, view.photcodes)
    _redo_means(secfilt, redone, changed, view.n_secfilt, view.photcodes)
    stays = counts > 0
    measure["ave_ref"] = (np.cumsum(stays) - 1)[ref].astype(np.uint32)
    satellites = satellites_left(view, region, average, stays, Gone(gone))
    means = secfilt.take(np.repeat(stays, view.n_secfilt))
    return [average.take(stays), means, measure, *satellites]


def _fresh(table: ColumnTable) -> ColumnTable:
    """A copy whose arrays may be changed."""
    copies = {name: values.copy() for name, values in table.columns.items()}
    return ColumnTable(table.schema, copies, len(table))


def _redo_means(
    secfilt: ColumnTable, measure: ColumnTable, changed: Array, n_secfilt: int, codes: PhotcodeTable
) -> None:
    """Make mean magnitudes of changed objects anew from their measures, in order."""
    if not secfilt.columns:
        return
    k = averaged_filters(measure, codes)
    row = np.where(k < 0, -1, measure["ave_ref"].astype(np.int64) * n_secfilt + k)
    reset = np.repeat(changed, n_secfilt)
    for kind in MEAN_STEMS:
        means = MeanSet(kind, len(secfilt))
        for name, values in means.columns().items():
            values[~reset] = secfilt[name][~reset]
        means.accumulate(row, *mean_magnitudes(measure, kind, codes))
        for name, values in means.columns().items():
            secfilt[name] = values
    ncode = np.where(reset, 0, secfilt["ncode"]).astype(np.uint32)
    kernels.count_rows(row, ncode)
    secfilt["ncode"] = ncode
