"""What changed from one snapshot to another: counts of rows by table and region, and the rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError
from dvo.partition.history.compare import Comparison, Snapshots, compare
from dvo.partition.manifest import ALL_SKY, SnapshotRow
from dvo.partition.sky_table import SkyTable
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.row_keys import ROW_KEYS

__all__ = ["DiffRows", "SnapshotDiff", "TableDiff", "diff", "diff_rows"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Array = NDArray[Any]

_KINDS = ("added", "changed", "gone")


@dataclass(frozen=True, slots=True, eq=False)
class TableDiff:
    """How one table differs.

    Parameters
    ----------
    table : str
        Its name.
    regions : ndarray of int64, shape (n,)
        Regions with rows that differ, ascending; `ALL_SKY` for a table without regions.
    added, changed, gone : ndarray of int64, shape (n,)
        Rows in each that only the new snapshot has, that both have with other values, and
        that only the old one has.
    columns : dict of str to int
        In how many of the changed rows each column differs.
    """

    table: str
    regions: I64
    added: I64
    changed: I64
    gone: I64
    columns: dict[str, int]

    @property
    def totals(self) -> dict[str, int]:
        """Rows added, changed and gone in all."""
        return {kind: int(getattr(self, kind).sum()) for kind in _KINDS}


@dataclass(frozen=True, slots=True, eq=False)
class SnapshotDiff:
    """What is different in a snapshot from another.

    Parameters
    ----------
    old, new : SnapshotRow
        The snapshots.
    tables : list of TableDiff
        Tables that differ.
    sky : SkyTable
        Knows the regions.
    """

    old: SnapshotRow
    new: SnapshotRow
    tables: list[TableDiff]
    sky: SkyTable

    @property
    def counts(self) -> dict[str, int]:
        """How many more images, objects, measures and catalogs there are."""
        return {k: n - self.old.counts.get(k, 0) for k, n in self.new.counts.items()}

    def names(self, regions: I64) -> list[str]:
        """Names of regions.

        Parameters
        ----------
        regions : ndarray of int64
            Regions, `ALL_SKY` among them or not.

        Returns
        -------
        list of str
            Their names; ``-`` for `ALL_SKY`.
        """
        known = iter(self.sky.names(regions[regions >= 0]))
        return [next(known) if region >= 0 else "-" for region in regions.tolist()]

    def as_dict(self) -> dict[str, Any]:
        """The report in JSON types."""
        lines = [
            {"table": t.table, "region": name if region != ALL_SKY else None,
             "added": added, "changed": changed, "gone": gone}
            for t in self.tables
            for name, region, added, changed, gone in zip(
                self.names(t.regions),
                *(column.tolist() for column in (t.regions, t.added, t.changed, t.gone)),
                strict=True,
            )
        ]  # fmt: skip
        return {
            "old": self.old.id,
            "new": self.new.id,
            "counts": self.counts,
            "tables": {t.table: t.totals | {"columns": t.columns} for t in self.tables},
            "regions": lines,
        }


@dataclass(frozen=True, slots=True, eq=False)
class DiffRows:
    """Rows of a table that differ.

    Parameters
    ----------
    change : ndarray of str, shape (n,)
        ``gone`` and ``added``; a row that has changed is there twice, ``before`` and ``after``.
    regions : ndarray of int64, shape (n,)
        Region of each.
    keys : dict of str to ndarray
        Columns by which they are known and that are none of the table's own (SecFilt).
    rows : ColumnTable
        The rows.
    """

    change: Array
    regions: I64
    keys: dict[str, Array]
    rows: ColumnTable


def diff(
    store: Store,
    old: SnapshotName | View,
    new: SnapshotName | View | None = None,
    *,
    tables: Collection[str] | None = None,
    regions: Collection[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SnapshotDiff:
    """Compare two snapshots, row by row.

    Rows are known by their keys (`dvo.tables.row_keys`), wherever they are stored. One has
    changed if any stored value differs: by its bits, and NaN is equal to NaN. Links to rows
    of other tables are no values.

    Parameters
    ----------
    store : Store
        The database.
    old, new : int, str, datetime or View
        The snapshots: number, tag, time, or open ones; None for the newest.
    tables : collection of str, optional
        Names of tables that are looked at, such as ``Measure``; None for all.
    regions : collection of str, optional
        Names of regions that are looked at, with those in them; one that is part of a
        larger catalog stands for all of that. None for the whole sky and the tables without
        regions.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    SnapshotDiff
        What is different in `new`.

    Raises
    ------
    UnknownSnapshotError
        If there is no such snapshot, or it has been vacuumed away.
    UnknownRegionError
        If there is no such region.
    ConfigError
        If there is no such table.
    """
    both = _open(store, old, new, tables)
    is_asked = _region_filter(both, regions)
    counts: dict[str, list[Array]] = {}
    columns: dict[str, dict[str, int]] = {}
    for found in compare(both, tables, is_asked, progress):
        name = found.key.schema.name
        where = _regions_of_new(found)
        keep = np.ones(len(where), np.bool_) if is_asked is None else is_asked(where)
        changed = np.zeros(len(where), np.bool_)
        of = columns.setdefault(name, {})
        for column, unlike in found.unlike_columns():
            changed |= unlike
            n = int(np.count_nonzero(unlike & keep))
            if n:
                of[column] = of.get(column, 0) + n
        rows = (
            found.new.regions_of(found.match.added),
            where[changed],
            found.old.regions_of(found.match.gone),
        )
        for kind, places in enumerate(rows):
            some, n_rows = np.unique(places, return_counts=True)
            counts.setdefault(name, []).append(
                np.column_stack([some, np.full(len(some), kind), n_rows])
            )
    found_tables = [
        _sum(name, np.concatenate(counts[name]), columns[name], is_asked)
        for name in ROW_KEYS
        if name in counts
    ]
    differing = [table for table in found_tables if len(table.regions)]
    return SnapshotDiff(both.old.snapshot, both.new.snapshot, differing, store.sky)


def diff_rows(
    store: Store,
    old: SnapshotName | View,
    new: SnapshotName | View | None = None,
    *,
    table: str,
    regions: Collection[str] | None = None,
) -> Iterator[DiffRows]:
    """Find the rows of a table that differ, and read them.

    Parameters
    ----------
    store : Store
        The database.
    old, new : int, str, datetime or View
        The snapshots: number, tag, time, or open ones; None for the newest.
    table : str
        Name of the table, such as ``Measure``.
    regions : collection of str, optional
        Names of regions that are looked at, with those in them; None for all.

    Yields
    ------
    DiffRows
        Those of some regions.

    Raises
    ------
    UnknownSnapshotError
        If there is no such snapshot, or it has been vacuumed away.
    UnknownRegionError
        If there is no such region.
    ConfigError
        If there is no such table.
    """
    both = _open(store, old, new, [table])
    is_asked = _region_filter(both, regions)
    for found in compare(both, [table], is_asked):
        changed = np.zeros(len(found.match.old), np.bool_)
        for _, unlike in found.unlike_columns():
            changed |= unlike
        pieces = [
            _pick(found, word, rows, is_asked)
            for word, rows in (
                ("gone", found.match.gone), ("before", found.match.old[changed]),
                ("after", found.match.new[changed]), ("added", found.match.added),
            )
        ]  # fmt: skip
        yield from (piece for piece in pieces if len(piece.regions))


def _open(
    store: Store,
    old: SnapshotName | View,
    new: SnapshotName | View | None,
    tables: Collection[str] | None,
) -> Snapshots:
    """Both snapshots, and where they may differ."""
    for name in tables or ():
        if name not in ROW_KEYS:
            raise ConfigError(f"no table {name!r}; there are {', '.join(ROW_KEYS)}")
    one, two = (v if isinstance(v, View) else store.view(v) for v in (old, new))
    numbers = store.manifest.changed_regions(one.snapshot.id, two.snapshot.id)
    if [p.code for p in one.photcodes.sec] != [p.code for p in two.photcodes.sec]:
        # Every object has other rows in SecFilt, though they may hold nothing.
        numbers = sorted({*numbers, *one.regions(), *two.regions()})
    before, after = (store.manifest.part_table(v.snapshot.id, numbers) for v in (one, two))
    return Snapshots(one, two, before, after, np.array(numbers, np.int64), store.cache)


def _region_filter(both: Snapshots, names: Collection[str] | None) -> Callable[[I64], Bool] | None:
    """Tells which regions are those named, lie in them, or are catalogs that they are part of."""
    if names is None:
        return None
    asked = [both.old.sky.by_name(name).index for name in names]
    found = [view.partition.overlapping(asked) for view in (both.old, both.new)]
    wanted = np.unique(np.concatenate(found))
    return lambda regions: np.isin(regions, wanted)


def _regions_of_new(found: Comparison) -> I64:
    """Region, in the new snapshot, of each row that both have."""
    return found.new.regions_of(found.match.new)


def _sum(
    name: str,
    counts: Array,
    columns: dict[str, int],
    is_asked: Callable[[I64], Bool] | None,
) -> TableDiff:
    """Put counts (region, kind, rows) of many comparisons together."""
    if is_asked is not None:
        counts = counts[is_asked(counts[:, 0])]
    regions, at = np.unique(counts[:, 0], return_inverse=True)
    sums = np.zeros((len(_KINDS), len(regions)), np.int64)
    np.add.at(sums, (counts[:, 1], at), counts[:, 2])
    ranked = dict(sorted(columns.items(), key=lambda item: (-item[1], item[0])))
    return TableDiff(name, regions, sums[0], sums[1], sums[2], ranked)


def _pick(
    found: Comparison, word: str, rows: I64, is_asked: Callable[[I64], Bool] | None
) -> DiffRows:
    """Read some rows of one side."""
    side = found.old if word in ("gone", "before") else found.new
    regions = side.regions_of(rows)
    if is_asked is not None:
        keep = is_asked(regions)
        rows, regions = rows[keep], regions[keep]
    schema = found.key.schema
    if len(rows) == 0:
        return DiffRows(np.empty(0, "U6"), regions, {}, ColumnTable(schema, {}, 0))
    keys = {} if side.owners is None else {n: v[rows] for n, v in side.read_keys().items()}
    return DiffRows(np.full(len(rows), word), regions, keys, side.pick(rows))
