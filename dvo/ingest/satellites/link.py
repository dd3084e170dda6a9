"""Satellite rows of a batch, linked to the objects that its detections have found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.associate import Associated
from dvo.ingest.batch import Batch, BatchImage
from dvo.ingest.objects import Grouped, ObjectSet
from dvo.ingest.satellite_input import SatelliteRows
from dvo.tables.column_table import ColumnTable
from dvo.tables.schema import TableSchema

__all__ = ["LinkedRows", "has_satellites", "linked_rows"]

Array = NDArray[Any]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LinkedRows:
    """Rows of one satellite table, linked to objects and images.

    Parameters
    ----------
    table : ColumnTable
        The rows, region after region, object after object.
    groups : Grouped
        Where those of each region are.
    photcodes : ndarray of uint16, shape (n,)
        Photcode of the image of each row.
    n_lost : int
        Rows of the input whose detection is not in the batch, which are left out.
    """

    table: ColumnTable
    groups: Grouped
    photcodes: NDArray[np.uint16]
    n_lost: int


def has_satellites(batch: Batch) -> bool:
    """Tell whether any image of a batch has satellite rows.

    Parameters
    ----------
    batch : Batch
        The batch.

    Returns
    -------
    bool
        Whether `linked_rows` has anything to give.
    """
    return any(image.source.satellites for image in batch.images)


def linked_rows(batch: Batch, found: Associated, objects: ObjectSet) -> Iterator[LinkedRows]:
    """Give the satellite rows of a batch their objects.

    Parameters
    ----------
    batch : Batch
        The detections.
    found : Associated
        Their objects.
    objects : ObjectSet
        The objects, those made by the batch included.

    Yields
    ------
    LinkedRows
        The rows of one table.
    """
    # Place in the batch of each detection as the files have them.
    place = np.empty(batch.n, np.int64)
    place[batch.order] = np.arange(batch.n)
    starts = np.concatenate([[0], batch.stops[:-1]]).tolist()
    tables: dict[str, list[tuple[BatchImage, SatelliteRows, I64]]] = {}
    for image, start in zip(batch.images, starts, strict=True):
        for rows in image.source.satellites:
            det_id = image.source.detections.columns["det_id"]
            at = _rows_of(det_id, rows.det_id)
            at = np.where(at < 0, -1, place[start + np.maximum(at, 0)] if len(det_id) else -1)
            tables.setdefault(rows.schema.name, []).append((image, rows, at))
    for pieces in tables.values():
        yield _table(pieces, found, objects)


def _rows_of(det_id: Array, wanted: Array) -> I64:
    """Row of the detection of each number, or -1."""
    if len(det_id) == 0:
        return np.full(len(wanted), -1, np.int64)
    order = np.argsort(det_id, kind="stable")
    at = order[np.minimum(np.searchsorted(det_id, wanted, sorter=order), len(det_id) - 1)]
    return np.where(det_id[at] == wanted, at, -1)


def _table(
    pieces: Sequence[tuple[BatchImage, SatelliteRows, I64]],
    found: Associated,
    objects: ObjectSet,
) -> LinkedRows:
    """Rows of one table from all images."""
    schema = pieces[0][1].schema
    at = np.concatenate([where for _, _, where in pieces])
    kept = np.flatnonzero(at >= 0)
    of = found.objects.take(at[kept])
    groups = objects.group(of)
    order, of = kept[groups.order], of[groups.order]
    columns = {name: values[order] for name, values in _own_columns(schema, pieces).items()}
    sizes = [len(rows) for _, rows, _ in pieces]
    photcodes, image_ids = (
        np.repeat(np.array(one_each, kind), sizes)[order]
        for one_each, kind in (
            ([image.photcode.code for image, _, _ in pieces], np.uint16),
            ([image.image_id for image, _, _ in pieces], np.uint32),
        )
    )
    if "photcode" in schema:
        columns["photcode"] = photcodes
    columns |= {
        "image_id": image_ids,
        "det_id": np.concatenate([rows.det_id for _, rows, _ in pieces])[order],
        "ave_ref": objects.ave_ref.take(of).astype(np.uint32),
        "obj_id": objects.obj_id.take(of),
        "cat_id": objects.cat_id.take(of),
    }
    table = ColumnTable(schema, columns, len(order))
    return LinkedRows(table, groups, photcodes, len(at) - len(kept))


def _own_columns(
    schema: TableSchema, pieces: Sequence[tuple[BatchImage, SatelliteRows, I64]]
) -> dict[str, Array]:
    """Columns that the images gave, null for those that lack them."""
    names = dict.fromkeys(name for _, rows, _ in pieces for name in rows.columns)
    return {
        name: np.concatenate(
            [rows.columns.get(name, schema[name].nulls(len(rows))) for _, rows, _ in pieces]
        )
        for name in names
    }
