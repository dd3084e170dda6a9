"""Records of commits: what each one did, as FITS tables beside the data.

A record is written and synced before the commit becomes visible, so the records of a
database hold all that its manifest holds, and `dvo check --rebuild` can make a lost
manifest anew from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dvo.errors import CorruptTableError
from dvo.partition.manifest import CatalogRow, Change, FileRow, ImageRow, Part, SnapshotRow
from dvo.tables.fits import (
    Field,
    TableFile,
    TableHDU,
    WrittenFile,
    describe,
    verify,
    write_fits,
)
from dvo.tables.schema import Column

__all__ = ["read_record", "write_record"]

# Table of the record: columns with their types; S is as wide as the longest value.
_TABLES: dict[str, dict[str, str]] = {
    "DVO_SNAPSHOT": {"params": "S", "counts": "S", "meta": "S"},
    "DVO_FILES": {"path": "S", "n_bytes": "i8", "digest": "S"},
    "DVO_PARTS": {
        "id": "i8", "path": "S", "tab": "S", "region": "i8", "kind": "S",
        "row_start": "i8", "row_stop": "i8", "target": "i8", "columns": "S",
    },
    "DVO_REMOVED": {"kind": "S", "id": "i8"},
    "DVO_CATALOGS": {
        "region": "i8", "n_average": "i8", "next_obj_id": "i8", "n_measure": "i8",
        "is_sorted": "i8",
    },
    "DVO_IMAGES": {"image_id": "i8", "identity": "S", "content": "S"},
}  # fmt: skip


def write_record(path: Path, snapshot: SnapshotRow, change: Change, db_id: str) -> WrittenFile:
    """Write and sync the record of a commit.

    Parameters
    ----------
    path : Path
        File to make; must not exist.
    snapshot : SnapshotRow
        The snapshot that the commit makes.
    change : Change
        What it does.
    db_id : str
        Identifier of the database.

    Returns
    -------
    WrittenFile
        Size and digest.
    """
    info = [(json.dumps(snapshot.params), json.dumps(snapshot.counts), json.dumps(change.meta))]
    removed = [("part", i) for i in change.removed_parts]
    removed += [("catalog", i) for i in change.dropped_catalogs]
    removed += [("image", i) for i in change.dropped_images]
    removed += [("snapshot", i) for i in change.forgotten]
    rows: dict[str, Sequence[tuple[Any, ...]]] = {
        "DVO_SNAPSHOT": info,
        "DVO_FILES": [(f.path, f.n_bytes, f.digest) for f in change.files],
        "DVO_PARTS": [_part_row(p) for p in change.parts],
        "DVO_REMOVED": removed,
        "DVO_CATALOGS": [
            (c.region, c.n_average, c.next_obj_id, c.n_measure, int(c.is_sorted))
            for c in change.catalogs
        ],
        "DVO_IMAGES": [(i.image_id, i.identity, i.content) for i in change.images],
    }
    primary = {
        "DVO_DBID": (db_id, "database this commit belongs to"),
        "DVO_SNAP": (snapshot.id, "snapshot that the commit made"),
        "DVO_TOK": (snapshot.token, "token of the commit"),
        "DVO_TIME": (snapshot.time, "when, UTC"),
        "DVO_CMD": (snapshot.command, "command"),
        "DVO_VERS": (snapshot.version, "version of dvo"),
    }
    hdus = [_hdu(name, rows[name]) for name in _TABLES if name == "DVO_SNAPSHOT" or rows[name]]
    return write_fits(path, hdus, primary=primary)


def read_record(path: Path) -> tuple[SnapshotRow, Change, str]:
    """Read the record of a commit.

    Parameters
    ----------
    path : Path
        A file that `write_record` made.

    Returns
    -------
    snapshot : SnapshotRow
        The snapshot that the commit made.
    change : Change
        What it did.
    db_id : str
        Identifier of the database.

    Raises
    ------
    CorruptTableError
        If the file is damaged or is no record.
    """
    verify(path)
    present = {hdu["extname"] for hdu in describe(path)}
    rows = {name: list(_rows(path, name)) if name in present else [] for name in _TABLES}
    with TableFile(path, "DVO_SNAPSHOT") as f:
        head = f.primary
        if "DVO_SNAP" not in head or not rows["DVO_SNAPSHOT"]:
            raise CorruptTableError(f"{path}: is no record of a commit")
        params, counts, meta = (json.loads(t) for t in rows["DVO_SNAPSHOT"][0])
        snapshot = SnapshotRow(
            head.integer("DVO_SNAP"), str(head["DVO_TOK"]), str(head["DVO_TIME"]),
            str(head["DVO_CMD"]), params, str(head["DVO_VERS"]), counts,
        )  # fmt: skip
        db_id = str(head["DVO_DBID"])
    change = Change(
        files=[FileRow(p, n, d) for p, n, d in rows["DVO_FILES"]],
        parts=[
            Part(path, tab, region, kind, a, b, target or None, _names(c), i)
            for i, path, tab, region, kind, a, b, target, c in rows["DVO_PARTS"]
        ],
        removed_parts=[i for kind, i in rows["DVO_REMOVED"] if kind == "part"],
        dropped_catalogs=[i for kind, i in rows["DVO_REMOVED"] if kind == "catalog"],
        dropped_images=[i for kind, i in rows["DVO_REMOVED"] if kind == "image"],
        forgotten=[i for kind, i in rows["DVO_REMOVED"] if kind == "snapshot"],
        catalogs=[
            CatalogRow(r, objects, next_id, measures, bool(is_sorted))
            for r, objects, next_id, measures, is_sorted in rows["DVO_CATALOGS"]
        ],
        images=[ImageRow(*row) for row in rows["DVO_IMAGES"]],
        meta=meta,
    )
    return snapshot, change, db_id


def _part_row(part: Part) -> tuple[Any, ...]:
    names = ",".join(part.columns)
    return (part.id, part.path, part.table, part.region, part.kind, part.row_start, part.row_stop,
            part.target or 0, names)  # fmt: skip


def _names(joined: str) -> tuple[str, ...]:
    return tuple(joined.split(",")) if joined else ()


def _hdu(name: str, rows: Sequence[tuple[Any, ...]]) -> TableHDU:
    fields, columns = [], {}
    for k, (column, dtype) in enumerate(_TABLES[name].items()):
        values = [row[k] for row in rows]
        if dtype == "S":
            array = np.array([v.encode() for v in values])
            dtype = f"S{max(1, array.dtype.itemsize)}"
        else:
            array = np.array(values)
        columns[column] = array.astype(dtype)
        fields.append(Field.from_column(Column(column, dtype, "")))
    return TableHDU(name, tuple(fields), columns, tile_rows=None)


def _rows(path: Path, name: str) -> Iterable[tuple[Any, ...]]:
    with TableFile(path, name) as f:
        columns = f.read()
    plain = [
        [t.decode() for t in columns[c]] if dtype == "S" else columns[c].tolist()
        for c, dtype in _TABLES[name].items()
    ]
    yield from zip(*plain, strict=True)
