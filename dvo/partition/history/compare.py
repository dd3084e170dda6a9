"""The tables of two snapshots compared, row by row, where they may differ.

Only regions whose parts differ are looked at. Of tables without patches only those runs of
rows are read that one of the two snapshots does not have; of tables with patches, where only
patches differ, only the columns that these have. Regions are taken in groups of bounded size;
where the partition has changed, a region goes together with all that it was split into.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dvo.partition.cache import TileCache
from dvo.partition.gather import gather_rows
from dvo.partition.history.row_match import RowMatch, are_unlike, match_rows, row_codes
from dvo.partition.history.states import find_alone, group_numbers, table_numbers
from dvo.partition.manifest import ALL_SKY, PartTable
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.row_keys import FILTER_KEY, ROW_KEYS, RowKey
from dvo.tables.secfilt import SECFILT

__all__ = ["Comparison", "Snapshots", "compare"]

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_BATCH_ROWS = 500_000
_BATCH_REGIONS = 5000
_BLOCK_VALUES = 1 << 25
# Tables whose rows are known by their place: their parts say nothing one by one.
_BY_PLACE = (AVERAGE.name, SECFILT.name)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a table in one of the snapshots, those that have to be looked at.

    Parameters
    ----------
    cache : TileCache
        Where files are read through.
    key : RowKey
        The table, and by what its rows are known.
    parts : PartTable
        Parts that the rows are made of.
    regions : ndarray of int64, shape (n,)
        Regions, ascending.
    edges : ndarray of int64, shape (n + 1,)
        Where the rows of each region begin, and where the last end.
    owners : Rows or None
        For SecFilt, the objects.
    filters : ndarray of int64
        For SecFilt, photcodes of the filters in the order of its rows.
    """

    cache: TileCache
    key: RowKey
    parts: PartTable
    regions: I64
    edges: I64
    owners: Rows | None
    filters: I64

    def __len__(self) -> int:
        return int(self.edges[-1])

    def read(self, names: Sequence[str]) -> ColumnTable:
        """Read columns of all the rows; those wholly null may be left unset."""
        return gather_rows(self.cache, self.key.schema, names, self.parts, self.regions, self.edges)

    def pick(self, rows: I64) -> ColumnTable:
        """Read all stored columns of some of the rows, a few columns at a time.

        Parameters
        ----------
        rows : ndarray of int64
            Which rows.

        Returns
        -------
        ColumnTable
            They.
        """
        names = self.key.schema.stored_names
        n = max(1, _BLOCK_VALUES // (len(self) + 1))
        columns: dict[str, NDArray[np.generic]] = {}
        for k in range(0, len(names), n):
            columns |= self.read(names[k : k + n]).take(rows).columns
        return ColumnTable(self.key.schema, columns, len(rows))

    def read_keys(self) -> dict[str, NDArray[np.generic]]:
        """Read the columns by which the rows are known.

        Returns
        -------
        dict of str to ndarray
            The columns, of all rows.
        """
        if self.owners is None:
            table = self.read(self.key.columns)
            return {name: table[name] for name in self.key.columns}
        n = len(self.filters)
        objects = {name: np.repeat(v, n) for name, v in self.owners.read_keys().items()}
        return objects | {FILTER_KEY: np.tile(self.filters, len(self.owners))}

    def regions_of(self, rows: I64) -> I64:
        """Tell in which regions rows are.

        Parameters
        ----------
        rows : ndarray of int64
            Which rows.

        Returns
        -------
        ndarray of int64, same shape
            The region of each.
        """
        return self.regions[np.searchsorted(self.edges, rows, side="right") - 1]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Rows of one table in some regions, compared.

    Parameters
    ----------
    key : RowKey
        The table, and by what its rows are known.
    old, new : Rows
        The rows of the two snapshots that may differ.
    match : RowMatch
        Which of them are the same rows, and which are in one snapshot only.
    names : tuple of str
        Columns in which rows that are the same may differ.
    """

    key: RowKey
    old: Rows
    new: Rows
    match: RowMatch
    names: tuple[str, ...]

    def unlike_columns(self) -> Iterator[tuple[str, Bool]]:
        """Compare the rows that both snapshots have, column by column.

        Yields
        ------
        name : str
            A column that differs in some rows.
        unlike : ndarray of bool, shape (len(match.old),)
            In which pairs of rows.
        """
        if len(self.match.old) == 0:
            return
        n = max(1, _BLOCK_VALUES // (len(self.old) + len(self.new)))
        for k in range(0, len(self.names), n):
            some = self.names[k : k + n]
            one, two = self.old.read(some), self.new.read(some)
            for name in some:
                if name in one or name in two:
                    unlike = are_unlike(one[name][self.match.old], two[name][self.match.new])
                    if unlike.any():
                        yield name, unlike


@dataclass(frozen=True, slots=True, eq=False)
class Snapshots:
    """Two snapshots of one database.

    Parameters
    ----------
    old, new : View
        The snapshots.
    old_parts, new_parts : PartTable
        Their parts in `regions`.
    regions : ndarray of int64
        Regions in which they may differ, ascending.
    cache : TileCache
        Where files are read through.
    """

    old: View
    new: View
    old_parts: PartTable
    new_parts: PartTable
    regions: I64
    cache: TileCache


def compare(
    both: Snapshots,
    tables: Collection[str] | None = None,
    is_asked: Callable[[I64], Bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Comparison]:
    """Compare two snapshots.

    Parameters
    ----------
    both : Snapshots
        The snapshots.
    tables : collection of str, optional
        Names of the tables that are looked at; None for all.
    is_asked : callable, optional
        Says which of some regions are asked about; None for all. What it is made of when the
        partition has changed is compared along with each of them.
    progress : callable, optional
        Called with regions done and regions in all.

    Yields
    ------
    Comparison
        One table of a group of regions, where its rows may differ.
    """
    numbers = table_numbers(both.old_parts, both.new_parts)
    names = [name for name in ROW_KEYS if tables is None or name in tables]
    differs = _differing_tables(both, numbers)
    groups = _group(both)
    wanted = np.ones(len(both.regions), np.bool_)
    if is_asked is not None:
        wanted = np.isin(groups, groups[is_asked(both.regions)])
    done = 0
    for rows in _batches(both, groups, np.flatnonzero(wanted)):
        states = [
            (view, _parts_in(parts, both.regions[rows]))
            for view, parts in ((both.old, both.old_parts), (both.new, both.new_parts))
        ]
        for name in names:
            here = both.regions[rows[differs[name][rows]]] if name in differs else rows[:0]
            if len(here):
                yield _compare_table(both.cache, ROW_KEYS[name], states, here)
        done += len(rows)
        if progress is not None:
            progress(done, int(wanted.sum()))


def _parts_in(parts: PartTable, regions: I64) -> PartTable:
    """Parts of some regions, with what is known of their files and of no others."""
    run = slice(
        np.searchsorted(parts.regions, regions[0]),
        np.searchsorted(parts.regions, regions[-1], side="right"),
    )
    rows = run.start + np.flatnonzero(np.isin(parts.regions[run], regions))
    files = {
        number: parts.rows_of_files[number] for number in np.unique(parts.files[rows]).tolist()
    }
    return replace(parts.take(rows), rows_of_files=files)


def _differing_tables(both: Snapshots, numbers: dict[str, int]) -> dict[str, Bool]:
    """In which regions each table may differ."""
    alone = find_alone(both.old_parts, both.new_parts)
    groups = [
        group_numbers(parts, numbers)[mask]
        for parts, mask in zip((both.old_parts, both.new_parts), alone, strict=True)
    ]
    group = np.unique(np.concatenate(groups))
    out = {}
    for name, number in numbers.items():
        out[name] = np.isin(both.regions, group[group % len(numbers) == number] // len(numbers))
    # Rows of SecFilt are those of their objects, and may have no parts of their own.
    nobody = np.zeros(len(both.regions), np.bool_)
    out[SECFILT.name] = out.get(SECFILT.name, nobody) | _has_other_objects(both, alone)
    # Objects without a single value have no parts: their rows only show in the counts.
    sizes = [_n_objects(view, both.regions) for view in (both.old, both.new)]
    more = sizes[0] != sizes[1]
    is_new_layout = _filters(both.old).tolist() != _filters(both.new).tolist()
    for name in _BY_PLACE:
        out[name] = out.get(name, nobody) | more
    out[SECFILT.name] |= (both.regions != ALL_SKY) & is_new_layout
    return out


def _has_other_objects(both: Snapshots, alone: tuple[Bool, Bool]) -> Bool:
    """In which regions there may be other objects, as many as there were or not."""
    found = [np.empty(0, np.int64)]
    keys = set(ROW_KEYS[AVERAGE.name].columns)
    for parts, mask in zip((both.old_parts, both.new_parts), alone, strict=True):
        files = [
            number
            for number, file in parts.rows_of_files.items()
            if file.table == AVERAGE.name
            and (file.kind == "rows" or not file.columns or keys & set(file.columns))
        ]
        found.append(parts.regions[mask & np.isin(parts.files, np.array(files, np.int64))])
    return np.isin(both.regions, np.concatenate(found))


def _n_objects(view: View, regions: I64) -> I64:
    known = view.catalogs(regions.tolist())
    return np.array([known[r].n_average if r in known else 0 for r in regions.tolist()], np.int64)


def _filters(view: View) -> I64:
    return np.array([p.code for p in view.photcodes.sec], np.int64)


def _group(both: Snapshots) -> I64:
    """For each region the topmost one of them that holds it, where the partition has changed."""
    root = both.regions.copy()
    if both.old.partition == both.new.partition:
        return root
    sky = both.old.sky
    above = root.copy()
    while (above >= 0).any():
        up = above >= 0
        above[up] = sky.parents(above[up])
        root = np.where((above >= 0) & np.isin(above, both.regions), above, root)
    return root


def _batches(both: Snapshots, groups: I64, wanted: I64) -> Iterator[I64]:
    """Groups of regions that are read together: few rows in all, so that memory is bounded."""
    sizes = np.zeros(len(both.regions), np.int64)
    for view, parts in ((both.old, both.old_parts), (both.new, both.new_parts)):
        np.add.at(sizes, np.searchsorted(both.regions, parts.regions), parts.sizes)
        sizes += _n_objects(view, both.regions) * view.n_secfilt
    order = wanted[np.lexsort((wanted, groups[wanted]))]
    ends = np.cumsum(sizes[order])
    is_last = np.append(np.diff(groups[order]) != 0, True)[: len(order)]
    start = 0
    while start < len(order):
        before = ends[start] - sizes[order[start]]
        stop = int(np.searchsorted(ends, before + _BATCH_ROWS, side="right"))
        stop = min(max(stop, start + 1), start + _BATCH_REGIONS)
        # To the end of a group, the last that is full or the first that is too large.
        full = np.flatnonzero(is_last[start:stop])
        stop = (
            start + int(full[-1]) + 1
            if len(full)
            else int(stop + np.flatnonzero(is_last[stop:])[0] + 1)
        )
        yield np.sort(order[start:stop])
        start = stop


def _compare_table(
    cache: TileCache, key: RowKey, states: Sequence[tuple[View, PartTable]], regions: I64
) -> Comparison:
    """Compare one table of some regions."""
    name = key.schema.name
    own = [
        parts.take(parts.are(table=name) & np.isin(parts.regions, regions)) for _, parts in states
    ]
    names = key.values
    if name in _BY_PLACE:
        kept = own
        names = _columns_that_may_differ(own, names)
    else:
        kept = _changed_runs(name, own)
    sides = []
    for (view, parts), some in zip(states, kept, strict=True):
        owners = None
        if name == SECFILT.name:
            objects = parts.take(parts.are(table=AVERAGE.name) & np.isin(parts.regions, regions))
            edges = _edges(view, AVERAGE.name, objects, regions)
            owners = Rows(
                cache, ROW_KEYS[AVERAGE.name], objects, regions, edges, None, _filters(view)
            )
        edges = _edges(view, name, some, regions)
        sides.append(Rows(cache, key, some, regions, edges, owners, _filters(view)))
    old, new = sides
    old_keys, new_keys = (
        [keys[column] for column in key.columns] for keys in (old.read_keys(), new.read_keys())
    )
    found = match_rows(old_keys, new_keys, lambda one, two: _content(old, new, one, two))
    return Comparison(key, old, new, found, names)


def _edges(view: View, name: str, parts: PartTable, regions: I64) -> I64:
    """Where the rows of each region begin that parts are to be put together to."""
    if name in _BY_PLACE:
        sizes = _n_objects(view, regions) * (1 if name == AVERAGE.name else view.n_secfilt)
    else:
        is_rows = parts.are(table=name, kind="rows")
        sizes = np.zeros(len(regions), np.int64)
        np.add.at(sizes, np.searchsorted(regions, parts.regions[is_rows]), parts.sizes[is_rows])
    return np.concatenate([[0], np.cumsum(sizes)])


def _columns_that_may_differ(own: Sequence[PartTable], names: tuple[str, ...]) -> tuple[str, ...]:
    """Columns of the parts that one state lacks; all, if whole rows are among these."""
    columns: set[str] = set()
    for parts, alone in zip(own, find_alone(*own), strict=True):
        for number in np.unique(parts.files[alone]).tolist():
            file = parts.rows_of_files[number]
            if file.kind == "rows" or not file.columns:
                return names
            columns |= set(file.columns)
    return tuple(name for name in names if name in columns)


def _changed_runs(name: str, own: Sequence[PartTable]) -> list[PartTable]:
    """Runs of rows that one state lacks or has other overlays over, with their overlays.

    Of regions with patches all parts: which rows a patch is for depends on all before them.
    """
    patched = np.concatenate([p.regions[p.are(table=name, kind="patch")] for p in own])
    runs = [_runs_under(parts) for parts in own]
    # The same run has the same code in both states.
    codes = row_codes([np.concatenate(pair) for pair in zip(*runs, strict=True)])
    changed = codes[np.concatenate(find_alone(own[0], own[1], in_place=False))]
    wanted = np.isin(codes, changed)
    n = len(own[0])
    return [
        parts.take(mask | np.isin(parts.regions, patched))
        for parts, mask in ((own[0], wanted[:n]), (own[1], wanted[n:]))
    ]


def _runs_under(parts: PartTable) -> tuple[I64, I64, I64, I64]:
    """Region, file and rows of each part, or of the part that it is an overlay of."""
    by_id = np.argsort(parts.ids)
    of = np.where(parts.targets > 0, parts.targets, parts.ids)
    at = by_id[np.searchsorted(parts.ids[by_id], of)]
    return parts.regions, parts.files[at], parts.starts[at], parts.stops[at]


def _content(old: Rows, new: Rows, one: I64, two: I64) -> tuple[U64, U64]:
    """Numbers for all that some rows of both states hold."""
    names = old.key.values
    n = max(1, _BLOCK_VALUES // (len(old) + len(new) + 1))
    codes = np.zeros(len(one) + len(two), np.uint64)
    for k in range(0, len(names), n):
        tables = [(side.read(names[k : k + n]), rows) for side, rows in ((old, one), (new, two))]
        columns = [
            np.concatenate([table[name][rows] for table, rows in tables])
            for name in names[k : k + n]
        ]
        codes = row_codes([codes, *columns])
    return codes[: len(one)], codes[len(one) :]
