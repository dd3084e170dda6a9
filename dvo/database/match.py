"""Cross-match: the rows of a table, or of another database, find objects of a database.

One side asks, row by row; the other is searched. Rows that ask come in chunks, and each
chunk in groups whose part of the searched database fits into memory. Everything near a
group is looked at, across the edges of regions, so that neither partition can change the
outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.match_sides import ObjectSide, Places, Side, take_rows
from dvo.errors import QueryError
from dvo.neighbours import MAX_RADIUS_ARCSEC, SkyGrid

__all__ = ["JOINS", "MODES", "SEPARATION", "MatchRule", "collect", "find_matches"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MODES = ("nearest", "all", "mutual")
"""What a row may find: the nearest object; all within the radius; the nearest object, if that
has no nearer row."""

JOINS = ("inner", "left")
"""Which rows come out: those that find something; all that ask."""

SEPARATION = "separation_arcsec"
"""Name of the column that says how far apart the two of a pair are."""

_SEPARATION_ABOUT = {
    "unit": "arcsec",
    "ucd": "pos.angDistance",
    "description": "distance between the two places that were matched",
}
# Rows and objects that are looked at together: their columns, too, have to fit into memory.
_GROUP_ROWS = 2_000_000


@dataclass(frozen=True, slots=True)
class MatchRule:
    """How rows are matched.

    Parameters
    ----------
    radius_arcsec : float
        How far apart a pair may be, above 0, at most 3600; the edge counts.
    mode : str
        One of `MODES`.
    join : str
        One of `JOINS`.
    suffix : str
        What the name of a column of the asking side gets that the searched side has, too.
    group_rows : int
        Rows and objects that are looked at together.
    """

    radius_arcsec: float
    mode: str = "nearest"
    join: str = "inner"
    suffix: str = "_other"
    group_rows: int = _GROUP_ROWS

    def __post_init__(self) -> None:
        if not 0.0 < self.radius_arcsec <= MAX_RADIUS_ARCSEC:
            raise QueryError(
                f"match radius {self.radius_arcsec} arcsec is not above 0 and at most 3600 "
                "(1 degree)"
            )
        for name, value, known in (("mode", self.mode, MODES), ("join", self.join, JOINS)):
            if value not in known:
                raise QueryError(f"no {name} {value!r}; there are {', '.join(known)}")


def find_matches(asking: Side, searched: ObjectSide, rule: MatchRule) -> Iterator[tuple[I64, Any]]:
    """Match, group after group.

    Parameters
    ----------
    asking : Side
        Rows that ask.
    searched : ObjectSide
        Objects to be found.
    rule : MatchRule
        How.

    Yields
    ------
    keys : ndarray of int64, shape (n,)
        Rows of the asking side, ascending.
    table : pyarrow.Table
        Columns of both and the separation, n rows.
    """
    fields = _fields(asking, searched, rule)
    radius_deg = rule.radius_arcsec / 3600.0
    # Where all rows are asked for none may be passed over.
    near_only = searched if rule.join == "inner" else None
    with ThreadPoolExecutor(1, thread_name_prefix="dvo-match") as pool:
        for chunk in asking.chunks(near_only, radius_deg, rule.group_rows):
            for group, own in _groups(chunk, searched, rule):
                near = searched.near(group, own, radius_deg) if len(own) else None
                row, key, separation = _pairs(group, near, asking, rule)
                if rule.join == "left":
                    row, key, separation = _with_unmatched(len(group), row, key, separation)
                if len(row):
                    keys = group.keys[row]
                    reading = pool.submit(asking.read, keys)
                    found = searched.read(key)
                    yield keys, _joined(reading.result(), found, separation, fields)


def collect(asking: Side, searched: ObjectSide, rule: MatchRule) -> pa.Table:
    """Match, and put the rows in the order of the asking side, nearest objects first.

    Parameters
    ----------
    asking : Side
        Rows that ask.
    searched : ObjectSide
        Objects to be found.
    rule : MatchRule
        How.

    Returns
    -------
    pyarrow.Table
        All rows.
    """
    keys, tables = [], []
    for some, table in find_matches(asking, searched, rule):
        keys.append(some)
        tables.append(table)
    if not tables:
        none = np.empty(0, np.int64)
        fields = _fields(asking, searched, rule)
        return _joined(asking.read(none), searched.read(none), np.empty(0), fields)
    whole = pa.concat_tables(tables)
    order = np.concatenate(keys)
    if bool((np.diff(order) >= 0).all()):
        return whole
    return take_rows(whole, np.argsort(order, kind="stable"))


def _groups(chunk: Places, searched: ObjectSide, rule: MatchRule) -> Iterator[tuple[Places, I64]]:
    """Rows that lie together, and the region of each; those without a place come alone."""
    own = searched.own(chunk)
    lost = np.flatnonzero(own < 0)
    if len(lost):
        yield chunk.take(lost), np.empty(0, np.int64)
        kept = np.flatnonzero(own >= 0)
        chunk, own = chunk.take(kept), own[kept]
    if len(own) == 0:
        return
    n_asking = np.bincount(own - own.min())
    regions = np.flatnonzero(n_asking) + own.min()
    weights = n_asking[regions - own.min()] + searched.counts(regions)
    number = np.zeros(len(n_asking), np.int64)
    number[regions - own.min()] = (np.cumsum(weights) - weights) // rule.group_rows
    of_row = number[own - own.min()]
    if of_row.max() == 0:
        yield chunk, own
        return
    order = np.argsort(of_row, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(of_row[order])) + 1):
        yield chunk.take(rows), own[rows]


def _pairs(
    group: Places, near: Places | None, asking: Side, rule: MatchRule
) -> tuple[I64, I64, F64]:
    """Rows of a group, keys of the objects that they find, and separations [arcsec]."""
    if near is None or len(near) == 0:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    grid = SkyGrid(near.ra, near.dec, rule.radius_arcsec)
    if rule.mode == "all":
        row, found, separation = grid.within(group.ra, group.dec)
        return row, near.keys[found], separation
    found, separation = grid.nearest(group.ra, group.dec)
    row = np.flatnonzero(found >= 0)
    if rule.mode == "mutual":
        objects = np.unique(found[row])
        back = np.full(len(near), -1, np.int64)
        back[objects] = asking.nearest(near.ra[objects], near.dec[objects], rule.radius_arcsec)
        row = row[back[found[row]] == group.keys[row]]
    return row, near.keys[found[row]], separation[row]


def _with_unmatched(n: int, row: I64, key: I64, separation: F64) -> tuple[I64, I64, F64]:
    """Pairs and, in their places, rows that have none, with key -1 and separation NaN."""
    alone = np.ones(n, np.bool_)
    alone[row] = False
    rest = np.flatnonzero(alone)
    if len(rest) == 0:
        return row, key, separation
    row = np.concatenate([row, rest])
    order = np.argsort(row, kind="stable")
    key = np.concatenate([key, np.full(len(rest), -1, np.int64)])
    separation = np.concatenate([separation, np.full(len(rest), np.nan)])
    return row[order], key[order], separation[order]


def _fields(asking: Side, searched: ObjectSide, rule: MatchRule) -> list[str]:
    """Names of the columns of the result."""
    taken = {*searched.names, SEPARATION}
    names = [n + rule.suffix if n in taken else n for n in asking.names]
    names += [*searched.names, SEPARATION]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise QueryError(
            f"the result would have {', '.join(twice)} more than once; give another suffix "
            f"than {rule.suffix!r}, or fewer columns"
        )
    return names


def _joined(asking: pa.Table, found: pa.Table, separation: F64, names: list[str]) -> pa.Table:
    """Columns of both sides and the separation, side by side."""
    apart = pa.field(SEPARATION, pa.float64(), metadata=_SEPARATION_ABOUT)
    fields = [
        f.with_name(name)
        for f, name in zip([*asking.schema, *found.schema, apart], names, strict=True)
    ]
    columns: list[Any] = [*asking.columns, *found.columns, pa.array(separation, from_pandas=True)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))
