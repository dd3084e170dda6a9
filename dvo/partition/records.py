"""Records of commits: what each one did, as FITS tables beside the data.

A record is written and synced before the commit becomes visible, so the records of a
database hold all that its manifest holds, and `dvo check --rebuild` can make a lost
manifest anew from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError, FormatVersionError
from dvo.partition.manifest import (
    FORMAT,
    CatalogRow,
    Change,
    FileRow,
    ImageRow,
    PartRun,
    Reach,
    SnapshotRow,
)
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

Array = NDArray[Any]

# Tables of the record: columns with their types; S is as wide as the longest value.
_TABLES: dict[str, dict[str, str]] = {
    "DVO_SNAPSHOT": {"params": "S", "counts": "S", "reach": "S", "meta": "S"},
    "DVO_FILES": {
        "path": "S", "tab": "S", "kind": "S", "columns": "S", "n_bytes": "i8", "digest": "S",
        "is_new": "i8",
    },
    "DVO_PARTS": {
        "id": "i8", "file": "i8", "region": "i8", "row_start": "i8", "row_stop": "i8",
        "target": "i8",
    },
    "DVO_GONE_PARTS": {"region": "i8", "id": "i8"},
    "DVO_REMOVED": {"kind": "S", "id": "i8"},
    "DVO_CATALOGS": {
        "region": "i8", "n_average": "i8", "next_obj_id": "i8", "n_measure": "i8",
        "is_sorted": "i8", "n_parts": "i8", "n_largest": "i8",
    },
    "DVO_SPLIT": {"region": "i8"},
    "DVO_IMAGES": {"image_id": "i8", "identity": "S", "content": "S", "match_mjd": "f8"},
    "DVO_TAGS": {"name": "S", "snapshot": "i8"},
}  # fmt: skip
_TILE_ROWS = 8192


def write_record(
    path: Path, snapshot: SnapshotRow, change: Change, *, db_id: str, base: str
) -> WrittenFile:
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
    base : str
        Token of the commit that it builds on; empty for the first one.

    Returns
    -------
    WrittenFile
        Size and digest.
    """
    texts = (snapshot.params, snapshot.counts, asdict(snapshot.reach), change.meta)
    removed = [("image", i) for i in change.dropped_images]
    removed += [("snapshot", i) for i in change.forgotten]
    removed += [("split", i) for i in change.joined]
    paths = {f.path: i for i, f in enumerate(change.files)}
    old = [run.path for run in change.parts if run.path not in paths]
    paths |= {path: i for i, path in enumerate(dict.fromkeys(old), len(paths))}
    tables: dict[str, Mapping[str, Array]] = {
        "DVO_SNAPSHOT": _columns("DVO_SNAPSHOT", [tuple(json.dumps(t) for t in texts)]),
        "DVO_FILES": _columns("DVO_FILES", _file_rows(change.files, paths)),
        "DVO_PARTS": _part_columns(change.parts, paths),
        "DVO_GONE_PARTS": {
            "region": change.removed_parts[:, 0], "id": change.removed_parts[:, 1]
        },
        "DVO_REMOVED": _columns("DVO_REMOVED", removed),
        "DVO_CATALOGS": _columns(
            "DVO_CATALOGS",
            [(c.region, c.n_average, c.next_obj_id, c.n_measure, int(c.is_sorted), c.n_parts,
              c.n_largest) for c in change.catalogs],
        ),
        "DVO_SPLIT": _columns("DVO_SPLIT", [(region,) for region in change.split]),
        "DVO_IMAGES": _columns(
            "DVO_IMAGES",
            [(i.image_id, i.identity, i.content,
              np.nan if i.match_mjd is None else i.match_mjd) for i in change.images],
        ),
        "DVO_TAGS": _columns("DVO_TAGS", list(change.tags.items())),
    }  # fmt: skip
    primary = {
        "DVO_FMT": (FORMAT, "format of the database"),
        "DVO_DBID": (db_id, "database this commit belongs to"),
        "DVO_SNAP": (snapshot.id, "snapshot that the commit made"),
        "DVO_TOK": (snapshot.token, "token of the commit"),
        "DVO_BASE": (base, "token of the commit that it builds on"),
        "DVO_TIME": (snapshot.time, "when, UTC"),
        "DVO_CMD": (snapshot.command, "command"),
        "DVO_LEVL": (snapshot.level, "level of the partition"),
        "DVO_VERS": (snapshot.version, "version of dvo"),
    }
    hdus = [_hdu(name, columns) for name, columns in tables.items() if len(_first(columns))]
    return write_fits(path, hdus, primary=primary)


def _file_rows(files: Sequence[FileRow], paths: Mapping[str, int]) -> list[tuple[Any, ...]]:
    """The files of all parts; of those that earlier commits made, the paths."""
    rows: list[tuple[Any, ...]] = [
        (f.path, f.table, f.kind, ",".join(f.columns), f.n_bytes, f.digest, 1) for f in files
    ]
    return rows + [(path, "", "", "", 0, "", 0) for path in list(paths)[len(files) :]]


def _part_columns(runs: Sequence[PartRun], paths: Mapping[str, int]) -> dict[str, Array]:
    def joined(name: str) -> Array:
        return np.concatenate([np.empty(0, np.int64), *(getattr(run, name) for run in runs)])

    files = np.repeat(
        np.array([paths[run.path] for run in runs], np.int64),
        np.array([len(run) for run in runs], np.int64),
    )
    return {
        "id": joined("ids"), "file": files, "region": joined("regions"),
        "row_start": joined("starts"), "row_stop": joined("stops"), "target": joined("targets"),
    }  # fmt: skip


def read_record(path: Path) -> tuple[SnapshotRow, Change, str, str]:
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
    base : str
        Token of the commit that it builds on; empty for the first one.

    Raises
    ------
    CorruptTableError
        If the file is damaged or is no record.
    FormatVersionError
        If it was made in a format that this version does not know.
    """
    verify(path)
    present = {hdu["extname"] for hdu in describe(path)}
    with TableFile(path, "DVO_SNAPSHOT") as f:
        head = f.primary
        if "DVO_SNAP" not in head:
            raise CorruptTableError(f"{path}: is no record of a commit")
        found = head.get("DVO_FMT", 1)
        if found != FORMAT:
            raise FormatVersionError(
                f"{path}: has format {found}, this version of dvo reads format {FORMAT}; use the "
                "version that made it, or ingest its catalogs into a new database"
            )
    tables = {name: _read(path, name) for name in _TABLES if name in present}
    ((params, counts, reach, meta),) = _rows(tables, "DVO_SNAPSHOT")
    snapshot = SnapshotRow(
        head.integer("DVO_SNAP"), str(head["DVO_TOK"]), str(head["DVO_TIME"]),
        str(head["DVO_CMD"]), json.loads(params), str(head["DVO_VERS"]), json.loads(counts),
        head.integer("DVO_LEVL"), Reach(**json.loads(reach)),
    )  # fmt: skip
    change = _change(tables)
    change.meta = json.loads(meta)
    return snapshot, change, str(head["DVO_DBID"]), str(head["DVO_BASE"])


def _change(tables: Mapping[str, Mapping[str, Array]]) -> Change:
    files = _rows(tables, "DVO_FILES")
    removed = _rows(tables, "DVO_REMOVED")
    gone = tables.get("DVO_GONE_PARTS")
    change = Change(
        files=[
            FileRow(path, table, kind, tuple(filter(None, columns.split(","))), n_bytes, digest)
            for path, table, kind, columns, n_bytes, digest, is_new in files
            if is_new
        ],
        dropped_images=[i for kind, i in removed if kind == "image"],
        forgotten=[i for kind, i in removed if kind == "snapshot"],
        joined=[i for kind, i in removed if kind == "split"],
        split=[region for (region,) in _rows(tables, "DVO_SPLIT")],
        catalogs=[
            CatalogRow(r, objects, next_id, measures, bool(is_sorted), n_parts, largest)
            for r, objects, next_id, measures, is_sorted, n_parts, largest in _rows(
                tables, "DVO_CATALOGS"
            )
        ],
        images=[
            ImageRow(i, identity, content, None if np.isnan(mjd) else mjd)
            for i, identity, content, mjd in _rows(tables, "DVO_IMAGES")
        ],
        tags=dict(_rows(tables, "DVO_TAGS")),
    )
    if gone is not None:
        change.removed_parts = np.column_stack([gone["region"], gone["id"]])
    parts = tables.get("DVO_PARTS")
    if parts is not None:
        names = ("id", "region", "row_start", "row_stop", "target")
        for start, stop in _runs_of_equal(parts["file"]):
            path = files[int(parts["file"][start])][0]
            change.parts.append(PartRun(path, *(parts[n][start:stop] for n in names)))
    return change


def _runs_of_equal(values: Array) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(values)) + 1
    stops = [*edges.tolist(), len(values)]
    return list(zip([0, *stops[:-1]], stops, strict=True))


def _first(columns: Mapping[str, Array]) -> Array:
    return next(iter(columns.values()))


def _columns(name: str, rows: Sequence[tuple[Any, ...]]) -> dict[str, Array]:
    """Rows as the columns of a table."""
    out = {}
    for k, (column, dtype) in enumerate(_TABLES[name].items()):
        values = [row[k] for row in rows]
        out[column] = np.array([v.encode() for v in values] if dtype == "S" else values)
    return out


def _hdu(name: str, columns: Mapping[str, Array]) -> TableHDU:
    fields, arrays = [], {}
    for column, dtype in _TABLES[name].items():
        values = columns[column]
        kind = f"S{max(1, values.dtype.itemsize)}" if dtype == "S" else dtype
        arrays[column] = values.astype(kind)
        fields.append(Field.from_column(Column(column, kind, "")))
    # A few rows are smaller as they are.
    tile_rows = _TILE_ROWS if len(_first(columns)) > 100 else None
    return TableHDU(name, tuple(fields), arrays, tile_rows=tile_rows)


def _read(path: Path, name: str) -> dict[str, Array]:
    with TableFile(path, name) as f:
        return f.read()


def _rows(tables: Mapping[str, Mapping[str, Array]], name: str) -> list[tuple[Any, ...]]:
    """Rows of a table of the record; none if it has no such table."""
    if name not in tables:
        return []
    plain = [
        [t.decode() for t in tables[name][c]] if dtype == "S" else tables[name][c].tolist()
        for c, dtype in _TABLES[name].items()
    ]
    return list(zip(*plain, strict=True))
