"""Satellite rows of a source: which of them come with a batch, and to which objects of ours.

Rows of an image come with the image, so merging again brings nothing twice. Rows without an
image (StarPar) come with an object that gets measures, unless ours has rows of the table
already. LensObj does not come: it is made of the rows of Lensing that there are then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ids import pack_id
from dvo.ingest.objects import ObjectSet
from dvo.ingest.satellite_rows import add_satellites
from dvo.merge.images import ImageMap
from dvo.merge.photcodes import PhotcodeMap
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.partition.writing import Writing
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.missing import MISSING
from dvo.tables.satellites import SATELLITES, Satellite

__all__ = ["SourceSatellite", "add_coming", "any_comes", "read_satellites"]

Array = NDArray[Any]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class SourceSatellite:
    """Rows of a satellite table of some regions of a source.

    Parameters
    ----------
    satellite : Satellite
        Which table.
    table : ColumnTable
        The rows; ave_ref is the row of the object among those of all the regions.
    photcodes : ndarray of uint16
        Photcode of the image of each row, in the source; 0 without an image, and in an outline.
    """

    satellite: Satellite
    table: ColumnTable
    photcodes: NDArray[np.uint16]

    @property
    def images(self) -> NDArray[np.int64]:
        """Number of the image of each row in the source; 0 for none."""
        if not self.satellite.has_image:
            return np.zeros(len(self.table), np.int64)
        return np.asarray(self.table["image_id"].astype(np.int64))


def read_satellites(
    view: View, regions: Sequence[int], edges: Array, *, is_outline: bool = False
) -> list[SourceSatellite]:
    """Read the satellite tables of some regions.

    Parameters
    ----------
    view : View
        The source.
    regions : sequence of int
        Which, ascending.
    edges : ndarray of int64, shape (len(regions) + 1,)
        Where the objects of each begin among those of all.
    is_outline : bool
        Read only of which object and image a row is.

    Returns
    -------
    list of SourceSatellite
        Those that have rows, but for LensObj.
    """
    parts, out = view.part_table(regions), []
    for satellite in SATELLITES:
        schema = satellite.schema
        if schema is LENSOBJ or not parts.are(table=schema.name).any():
            continue
        names = schema.stored_names
        if is_outline:
            names = tuple(n for n in names if n in ("ave_ref", "image_id"))
        table, runs = view.read_many(schema, regions, names)
        first = np.repeat(edges[:-1], np.diff(runs))
        columns = table.columns | {"ave_ref": (table["ave_ref"] + first).astype(np.uint32)}
        table = ColumnTable(schema, columns, len(table))
        found = SourceSatellite(satellite, table, np.zeros(len(table), np.uint16))
        if satellite.has_image and not is_outline:
            images = view.read(IMAGE, ALL_SKY, ["image_id", "photcode"])
            codes = np.zeros(int(images["image_id"].max(initial=0)) + 1, np.uint16)
            codes[images["image_id"]] = images["photcode"]
            codes[0] = 0
            found = SourceSatellite(satellite, table, codes[found.images])
        out.append(found)
    return out


def any_comes(satellites: Sequence[SourceSatellite], images: ImageMap) -> bool:
    """Tell whether rows come although no measure does.

    Parameters
    ----------
    satellites : sequence of SourceSatellite
        Of a batch.
    images : ImageMap
        Which images come.

    Returns
    -------
    bool
        True if an image that comes has rows.
    """
    return any((images.comes[s.images] & (s.images > 0)).any() for s in satellites)


def add_coming(
    change: Writing,
    view: View,
    objects: ObjectSet,
    satellites: Sequence[SourceSatellite],
    measure: ColumnTable,
    rows: NDArray[np.int32],
    images: ImageMap,
    photcodes: PhotcodeMap,
    *,
    is_selection: bool,
) -> None:
    """Add the rows that come with a batch.

    Parameters
    ----------
    change : Writing
        Where to write.
    view : View
        The snapshot that the change builds on.
    objects : ObjectSet
        Objects of the database, with those that the batch made.
    satellites : sequence of SourceSatellite
        The rows.
    measure : ColumnTable
        Measures of the source that come.
    rows : ndarray of int32
        Row in `objects` of each object of the batch, or -1.
    images : ImageMap
        Which images come, and their numbers.
    photcodes : PhotcodeMap
        Photcodes in terms of the database.
    is_selection : bool
        Whether not all measures come: then rows of an image come with their measure only,
        and rows of Missing, which have none, stay out.
    """
    gets = np.zeros(len(rows), np.bool_)
    gets[measure["ave_ref"]] = True
    for found in satellites:
        of = rows[found.table["ave_ref"]]
        from_image = found.images > 0
        is_coming = np.where(from_image, images.comes[found.images], gets[found.table["ave_ref"]])
        is_coming &= of >= 0
        if is_selection:
            is_coming &= ~from_image | _has_measure(found, measure)
        bare = np.flatnonzero(is_coming & ~from_image)
        if len(bare):
            is_coming[bare] = _lack_rows(view, objects, of[bare], found.satellite)
        picked = np.flatnonzero(is_coming)
        if len(picked):
            _add(change, view, objects, found, picked, of[picked], images, photcodes)


def _has_measure(found: SourceSatellite, measure: ColumnTable) -> Bool:
    """Which rows are of a measure that comes."""
    if found.satellite.schema is MISSING or not found.satellite.has_image:
        return np.zeros(len(found.table), np.bool_)
    wanted = pack_id(measure["image_id"], measure["det_id"])
    return np.isin(pack_id(found.table["image_id"], found.table["det_id"]), wanted)


def _lack_rows(view: View, objects: ObjectSet, of: NDArray[np.int32], satellite: Satellite) -> Bool:
    """Which objects of ours have no rows of a table yet."""
    groups = objects.group(of)
    known = view.catalogs(groups.regions)
    sizes = np.array([known[r].n_average if r in known else 0 for r in groups.regions], np.int64)
    filled = [r for r, n in zip(groups.regions, sizes.tolist(), strict=True) if n]
    lacks = np.ones(len(of), np.bool_)
    if not filled:
        return lacks
    counts, _ = view.read_many(AVERAGE, filled, [satellite.count])
    at = np.repeat(np.arange(len(sizes)), np.diff(groups.edges))
    place = objects.ave_ref[of[groups.order]]
    is_stored = place < sizes[at]
    first = (np.cumsum(sizes) - sizes)[at]
    has = counts[satellite.count][(first + place)[is_stored]] > 0
    lacks[groups.order[is_stored]] = ~has
    return lacks


def _add(
    change: Writing,
    view: View,
    objects: ObjectSet,
    found: SourceSatellite,
    picked: Array,
    of: NDArray[np.int32],
    images: ImageMap,
    photcodes: PhotcodeMap,
) -> None:
    """Write rows, in the order of our objects and with the numbers of our database."""
    groups = objects.group(of)
    picked, of = picked[groups.order], of[groups.order]
    table = found.table.take(picked)
    codes = photcodes.codes[found.photcodes[picked]]
    columns = dict(table.columns)
    if found.satellite.has_image:
        columns["image_id"] = images.numbers[found.images[picked]]
    if found.satellite.schema is LENSING:
        columns["old_im_id"] = found.images[picked].astype(np.uint32)
    if "photcode" in table.schema:
        columns["photcode"] = photcodes.codes[table["photcode"]]
    columns |= {
        "ave_ref": objects.ave_ref[of].astype(np.uint32),
        "obj_id": objects.obj_id[of],
        "cat_id": objects.cat_id[of],
    }
    add_satellites(
        change, view, ColumnTable(table.schema, columns, len(of)), groups.regions, groups.edges,
        photcodes=codes if found.satellite.schema is LENSING else None, known=photcodes.table,
    )  # fmt: skip
