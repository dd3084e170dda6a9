"""Satellite rows of outside origin, loaded from tables in one commit.

A row is known by its object and by the key of its table: StarPar has one row an object,
GalPhot one an image, detection, photcode and model, Lensing one an image and detection. What
is there already with the same values is left alone, so loading a table again does nothing. A row
with other values takes the place of the older one, but for Lensing, whose rows belong to
their image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.associate import greatest_overhang_deg
from dvo.ingest.limits import widen_pad
from dvo.ingest.satellite_rows import add_satellites
from dvo.ingest.satellites.find_objects import FoundObjects, find_objects
from dvo.ingest.satellites.green import is_green, read_green
from dvo.ingest.satellites.table_rows import TableRows, parse_map, read_rows
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.galphot import GALPHOT
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.photcode import PhotClass
from dvo.tables.schema import TableSchema
from dvo.tables.starpar import STARPAR

__all__ = ["LoadOptions", "LoadReport", "load_rows"]

Array = NDArray[Any]
I64 = NDArray[np.int64]

_KEYS: dict[str, tuple[str, ...]] = {
    STARPAR.name: (),
    GALPHOT.name: ("image_id", "det_id", "photcode", "model_type"),
    LENSING.name: ("image_id", "det_id"),
}
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How tables are loaded.

    Parameters
    ----------
    column_map : str
        Columns that have other names, or other units than they say; empty for none.
    radius_arcsec : float
        Match radius for rows that give a position.
    time_s : float or None
        Time of these positions [s since 1970]; None for the median time of the images.
    photcode : str or None
        Photcode of all rows of GalPhot.
    hdu : int, str or None
        HDU of FITS files; None for the first table.
    dry_run : bool
        Whether to tell what would be done, and change nothing.
    """

    column_map: str = ""
    radius_arcsec: float = 1.0
    time_s: float | None = None
    photcode: str | None = None
    hdu: int | str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.radius_arcsec < 3600:
            raise ConfigError(
                f"match radius {self.radius_arcsec:g} arcsec; give more than 0 and less than 3600"
            )


@dataclass(slots=True)
class LoadReport:
    """What loading did.

    Parameters
    ----------
    table : str
        Name of the table.
    n_rows : int
        Rows of the files that were to be loaded.
    n_added, n_replaced, n_unchanged : int
        Rows that are new, that took the place of others, and that were there.
    n_unmatched : int
        Rows for which no object was found; they are left out.
    unmatched : list of str
        The first few of these.
    n_dropped : dict of str to int
        Further rows left out, by reason.
    found_by : str
        What rows were found by.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    """

    table: str
    n_rows: int = 0
    n_added: int = 0
    n_replaced: int = 0
    n_unchanged: int = 0
    n_unmatched: int = 0
    unmatched: list[str] = field(default_factory=list)
    n_dropped: dict[str, int] = field(default_factory=dict)
    found_by: str = ""
    snapshot: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return asdict(self)


def load_rows(
    store: Store,
    schema: TableSchema,
    files: Sequence[Path],
    options: LoadOptions,
    *,
    params: dict[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> LoadReport:
    """Load rows of a satellite table, in one commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    schema : TableSchema
        StarPar, GalPhot or Lensing.
    files : sequence of Path
        The tables; their rows count as one table.
    options : LoadOptions
        How.
    params : dict, optional
        More to record in the log of the database.
    progress : callable, optional
        Called with a line of text at each step.

    Returns
    -------
    LoadReport
        What was done; there is no commit if everything was there.

    Raises
    ------
    BadCatalogError
        If a file is bad, two rows have one key, a row names an image that is not there, or a
        row of Lensing is there with other values.
    ConfigError
        If nothing says which object a row is of.
    """
    began = time.perf_counter()
    view = store.view()
    report = LoadReport(schema.name, snapshot=view.snapshot.id)
    tell = progress or (lambda _: None)
    pieces = []
    for path in files:
        tell(f"reading {path.name}")
        pieces.append(_read(path, schema, options, view, report))
    links, columns, report.n_rows = _joined(schema, pieces)
    tell(f"{report.n_rows} rows read, finding their objects")
    found = find_objects(view, links, radius_arcsec=options.radius_arcsec, time_s=options.time_s)
    report.found_by = found.how
    origin = _Origin(files, [piece.n_rows for piece in pieces])
    kept = np.flatnonzero(found.region >= 0)
    _tell_lost(report, np.flatnonzero(found.region < 0), links, origin)
    table = _linked(schema, links, columns, found, kept, view, options)
    rows = _Rows(table, found.region[kept], origin, kept)
    tell(f"{len(kept)} rows of known objects, comparing them with what is there")
    rows.sort()
    rows.check_repeats()
    is_new, replaces, stored_row = _compare(view, rows)
    report.n_added, report.n_replaced = int(is_new.sum()), int(replaces.sum())
    report.n_unchanged = len(rows.table) - report.n_added - report.n_replaced
    if schema is LENSING and report.n_replaced:
        raise BadCatalogError(
            f"{rows.name(int(np.argmax(replaces)))}: Lensing has a row of this detection, with "
            "other values; replace the image instead (addstar --replace)"
        )
    if (report.n_added or report.n_replaced) and not options.dry_run:
        report.snapshot = _commit(store, view, rows, (is_new, replaces, stored_row), params or {})
    report.seconds = time.perf_counter() - began
    return report


class _Origin:
    """Where rows come from: file and row, for messages."""

    def __init__(self, files: Sequence[Path], sizes: Sequence[int]) -> None:
        self._files = files
        self._edges = np.concatenate([[0], np.cumsum(sizes)])

    def name(self, row: int) -> str:
        """File and row number, from 0."""
        k = int(np.searchsorted(self._edges, row, side="right")) - 1
        return f"{self._files[k]}, row {row - int(self._edges[k])} (from 0)"


class _Rows:
    """Rows with their objects, in the order of regions and keys."""

    def __init__(self, table: ColumnTable, region: I64, origin: _Origin, numbers: I64) -> None:
        self.table = table
        self.region = region
        self._origin = origin
        self._numbers = numbers

    @property
    def key_names(self) -> tuple[str, ...]:
        """Columns of the key, the object first."""
        return ("ave_ref", *_KEYS[self.table.schema.name])

    def name(self, row: int) -> str:
        """Where a row comes from."""
        return self._origin.name(int(self._numbers[row]))

    def sort(self) -> None:
        """Put the rows in order."""
        keys = [self.table[n] for n in reversed(self.key_names)]
        order = np.lexsort((*keys, self.region))
        self.table, self.region = self.table.take(order), self.region[order]
        self._numbers = self._numbers[order]

    def check_repeats(self) -> None:
        """Refuse rows of one key."""
        same = self.region[1:] == self.region[:-1]
        for name in self.key_names:
            same &= self.table[name][1:] == self.table[name][:-1]
        if same.any():
            k = int(np.argmax(same))
            what = ", ".join(_KEYS[self.table.schema.name])
            raise BadCatalogError(
                f"{self.name(k + 1)}: the same object{' with the same ' + what if what else ''} "
                f"as {self.name(k)}; leave one of them out"
            )


def _read(
    path: Path, schema: TableSchema, options: LoadOptions, view: View, report: LoadReport
) -> TableRows:
    if schema is STARPAR and not options.column_map and options.hdu is None and is_green(path):
        rows = read_green(path)
    else:
        mapping = parse_map(options.column_map, schema)
        rows = read_rows(path, schema, mapping, view.photcodes, hdu=options.hdu)
    for reason, n in rows.dropped.items():
        report.n_dropped[reason] = report.n_dropped.get(reason, 0) + n
    return rows


def _joined(
    schema: TableSchema, pieces: Sequence[TableRows]
) -> tuple[dict[str, Array], dict[str, Array], int]:
    """Rows of all files as one; only what all of them have can link them."""
    names = set.intersection(*(set(piece.links) for piece in pieces))
    links = {n: np.concatenate([piece.links[n] for piece in pieces]) for n in sorted(names)}
    given = dict.fromkeys(n for piece in pieces for n in piece.columns)
    columns = {
        n: np.concatenate([p.columns.get(n, schema[n].nulls(p.n_rows)) for p in pieces])
        for n in given
    }
    return links, columns, sum(piece.n_rows for piece in pieces)


def _tell_lost(report: LoadReport, lost: Array, links: dict[str, Array], origin: _Origin) -> None:
    report.n_unmatched = len(lost)
    for row in lost[:_SHOWN].tolist():
        facts = ", ".join(f"{name} {values[row]}" for name, values in links.items())
        report.unmatched.append(f"{origin.name(row)}: {facts}")


def _linked(
    schema: TableSchema,
    links: dict[str, Array],
    columns: dict[str, Array],
    found: FoundObjects,
    kept: I64,
    view: View,
    options: LoadOptions,
) -> ColumnTable:
    """Rows that have an object, with all that links them."""
    out = {name: values[kept] for name, values in columns.items()}
    out |= {name: getattr(found, name)[kept] for name in ("ave_ref", "obj_id", "cat_id")}
    if schema is STARPAR:
        return ColumnTable(schema, out, len(kept))
    for name in ("image_id", "det_id"):
        values = links.get(name)
        out[name] = np.zeros(len(kept), np.uint32) if values is None else values[kept]
    codes = _photcodes_of(view, out["image_id"])
    if schema is GALPHOT:
        if options.photcode is not None:
            code = view.photcodes.get(options.photcode, PhotClass.DEP).code
            out["photcode"] = np.full(len(kept), code, np.uint16)
        out["photcode"] = np.where(codes > 0, codes, out.get("photcode", np.uint16(0)))
        out.setdefault("model_type", np.zeros(len(kept), np.int16))
        out.setdefault("flags", np.zeros(len(kept), np.uint32))
    return ColumnTable(schema, out, len(kept))


def _photcodes_of(view: View, image_ids: Array) -> NDArray[np.uint16]:
    """Photcode of the image of each row; 0 for rows without an image."""
    images = view.read(IMAGE, ALL_SKY, ["image_id", "photcode"])
    wanted, places = np.unique(image_ids, return_inverse=True)
    order = np.argsort(images["image_id"])
    ranked = images["image_id"][order]
    at = np.minimum(np.searchsorted(ranked, wanted), max(len(ranked) - 1, 0))
    is_known = ranked[at] == wanted if len(ranked) else np.zeros(len(wanted), np.bool_)
    lost = wanted[~is_known & (wanted > 0)]
    if len(lost):
        raise BadCatalogError(
            f"image {lost[0]} is not in the database; add it first, or leave image_id away for "
            "rows that belong to an object alone"
        )
    codes = np.zeros(len(wanted), np.uint16)
    if len(ranked):
        codes[is_known] = images["photcode"][order][at[is_known]]
    return codes[places]


def _compare(view: View, rows: _Rows) -> tuple[Array, Array, I64]:
    """Which rows are new, which have other values than those stored, and where these are."""
    schema, table = rows.table.schema, rows.table
    n = len(table)
    regions = np.unique(rows.region).tolist()
    is_new, replaces = np.ones(n, np.bool_), np.zeros(n, np.bool_)
    stored_row = np.full(n, -1, np.int64)
    if n == 0:
        return is_new, replaces, stored_row
    stored, edges = view.read_many(schema, regions, schema.stored_names)
    own = np.repeat(regions, np.diff(edges))
    columns = [(rows.region, own)] + [(table[k], stored[k]) for k in rows.key_names]
    # One number a key, by the rank of its columns among all.
    both = [np.concatenate([np.asarray(a, np.int64), np.asarray(b, np.int64)]) for a, b in columns]
    _, key = np.unique(np.stack(both, axis=1), axis=0, return_inverse=True)
    key = key.reshape(-1)
    place = np.full(int(key.max(initial=-1)) + 1, -1, np.int64)
    place[key[n:]] = np.arange(len(stored))
    at = place[key[:n]]
    is_new = at < 0
    known = np.flatnonzero(~is_new)
    differs = np.zeros(len(known), np.bool_)
    for name in schema.stored_names:
        given, old = table[name][known], stored[name][at[known]]
        same = given == old
        if given.dtype.kind == "f":
            same |= np.isnan(given) & np.isnan(old)
        differs |= ~same
    replaces[known] = differs
    stored_row[known] = at[known] - edges[:-1][np.searchsorted(regions, rows.region[known])]
    return is_new, replaces, stored_row


def _commit(
    store: Store,
    view: View,
    rows: _Rows,
    compared: tuple[Array, Array, I64],
    params: dict[str, Any],
) -> int:
    """Write new rows behind those that are there, and new values of others in their place."""
    is_new, replaces, stored_row = compared
    with store.begin("load", {"table": rows.table.schema.name, **params}, view) as change:
        if is_new.any():
            regions, edges = _runs(rows.region[is_new])
            add_satellites(change, view, rows.table.take(np.flatnonzero(is_new)), regions, edges)
        if replaces.any():
            regions, edges = _runs(rows.region[replaces])
            changed = rows.table.take(np.flatnonzero(replaces))
            whole = {name: changed[name] for name in changed.schema.stored_names}
            change.patch_rows(
                stored_row[replaces], ColumnTable(changed.schema, whole), regions, edges, label="v"
            )
        if "ra" in rows.table and "dec" in rows.table:
            ra, dec = rows.table["ra"], rows.table["dec"]
            good = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
            ra, dec, home = ra[good], dec[good], rows.region[good]
            own = view.partition.locate(ra, dec)
            widen_pad(change, greatest_overhang_deg(ra, dec, own, home, view))
        return change.commit().id


def _runs(region: I64) -> tuple[list[int], I64]:
    """Regions of sorted rows, and where the rows of each begin and the last ones end."""
    regions, starts = np.unique(region, return_index=True)
    return regions.tolist(), np.concatenate([starts, [len(region)]]).astype(np.int64)
