"""Joins by distance: pairs of rows that may be near are found by a grid on the sky.

The evaluator compares every row of one table with every row of the other where a join says
no more than ``DISTANCE(...) < r``. Here the pairs within a little more than the radius are
found first. The table that is joined gets a row for each of its pairs, and a column that says
which row of the table before it belongs to the pair; the join asks for this column, too. The
condition itself stays, so what it says alone decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sqlglot import exp

from dvo.neighbours import MAX_RADIUS_ARCSEC, SkyGrid
from dvo.query.evaluator import sql_of
from dvo.query.functions import DISTANCE
from dvo.query.geometry import as_number, name_of
from dvo.query.places import conjuncts

__all__ = ["NearCondition", "Statement", "greatest_radius", "near_condition", "places_of"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_SLACK, _LEAST_SLACK_DEG = 1.0 + 1e-7, 1e-9
_MOST_PAIRS = 30_000_000
"""Pairs of which each takes a row in memory; more are left to the evaluator."""

_FARTHEST_DEG = 1e5
"""Angles beyond this are no places: whole turns taken off them leave too few digits."""


@dataclass(frozen=True)
class NearCondition:
    """Two places that have to be near each other.

    Parameters
    ----------
    one, two : tuple of str
        Alias, and columns of right ascension and declination.
    radius : float or tuple of str
        How near [deg]: a number, or alias and column.
    """

    one: tuple[str, str, str]
    two: tuple[str, str, str]
    radius: float | tuple[str, str]


@dataclass(frozen=True)
class _NearJoin:
    """A join to find pairs for; tables by the names that they have in the statement.

    Parameters
    ----------
    left, right : str
        The tables; the right one is the one that is joined.
    left_place, right_place : tuple of str
        Their columns of right ascension and declination.
    radius : float or tuple of str
        How near [deg]: a number, or table and column.
    mark : str
        Column that both tables get: row of the left one.
    """

    left: str
    right: str
    left_place: tuple[str, str]
    right_place: tuple[str, str]
    radius: float | tuple[str, str]
    mark: str


@dataclass(frozen=True)
class Statement:
    """A query as it is evaluated: as it stands, and with pairs where it has joins by distance.

    Parameters
    ----------
    sql : str
        As it stands.
    paired_sql : str
        With the pairs.
    joins : tuple
        What pairs it needs.
    """

    sql: str
    paired_sql: str
    joins: tuple[_NearJoin, ...]

    @staticmethod
    def of(tree: exp.Query) -> Statement:
        """Make the statement of a tree whose tables are called by their aliases or names.

        Parameters
        ----------
        tree : sqlglot.exp.Query
            The tree; it is not changed.

        Returns
        -------
        Statement
            The statement.
        """
        changed = tree.copy()
        joins: list[_NearJoin] = []
        for select in changed.find_all(exp.Select):
            _find_joins(select, changed, joins)
        return Statement(sql_of(tree), sql_of(changed) if joins else "", tuple(joins))

    def over(self, tables: Mapping[str, pa.Table]) -> tuple[str, Mapping[str, pa.Table]]:
        """Find the pairs among tables.

        Parameters
        ----------
        tables : mapping of str to pyarrow.Table
            The tables that it names.

        Returns
        -------
        sql : str
            What to evaluate.
        tables : mapping of str to pyarrow.Table
            Over which tables.
        """
        found = dict(tables)
        for join in self.joins:
            pairs = _pairs(found, join)
            if pairs is None:
                return self.sql, tables
            left, right = pairs
            rows = _integers(np.arange(len(found[join.left])))
            found[join.left] = found[join.left].append_column(join.mark, rows)
            # Of one piece: rows taken from many are looked for one by one.
            taken = found[join.right].combine_chunks().take(_integers(right))
            found[join.right] = taken.append_column(join.mark, _integers(left))
        return (self.paired_sql if self.joins else self.sql), found


def near_condition(condition: exp.Expr) -> NearCondition | None:
    """Read a condition that two places of tables are near each other.

    Parameters
    ----------
    condition : sqlglot.exp.Expr
        A condition whose geometry has become distances.

    Returns
    -------
    NearCondition or None
        None if it says anything else. What it says, no pair farther apart fulfils.
    """
    condition = _without_cast(condition)
    if isinstance(condition, exp.LT | exp.LTE):
        distance, limit = condition.this, condition.expression
    elif isinstance(condition, exp.GT | exp.GTE):
        distance, limit = condition.expression, condition.this
    else:
        return None
    if name_of(distance) != DISTANCE:
        return None
    one, two = (_place(distance.expressions[k : k + 2]) for k in (0, 2))
    radius = as_number(limit)
    if isinstance(limit, exp.Column):
        return NearCondition(one, two, (limit.table, limit.name)) if one and two else None
    return NearCondition(one, two, radius) if one and two and radius is not None else None


def _without_cast(condition: exp.Expr) -> exp.Expr:
    """The condition in ``CAST((condition) AS INT) = 1``, as CONTAINS becomes."""
    if isinstance(condition, exp.Paren):
        return _without_cast(condition.this)
    if isinstance(condition, exp.EQ):
        for value, one in (
            (condition.this, condition.expression),
            (condition.expression, condition.this),
        ):
            if isinstance(value, exp.Cast) and as_number(one) == 1.0:
                return _without_cast(value.this)
    return condition


def _place(pair: Sequence[exp.Expr]) -> tuple[str, str, str] | None:
    ra, dec = pair
    if not (isinstance(ra, exp.Column) and isinstance(dec, exp.Column) and ra.table == dec.table):
        return None
    return ra.table, ra.name, dec.name


def _find_joins(select: exp.Select, tree: exp.Query, joins: list[_NearJoin]) -> None:
    """Have the joins of a SELECT that can be made so ask for pairs."""
    before = select.args.get("from_")
    if before is None:
        return
    known = {before.this.alias_or_name: before.this}
    where = select.args.get("where")
    asked = conjuncts(where.this if where is not None else None)
    for join in select.args.get("joins") or []:
        side = str(join.args.get("side") or "").upper()
        if not (side or join.kind or join.args.get("on")):
            join.set("kind", "CROSS")  # a comma would bind weaker than what stands behind it
        right = join.this
        if side in ("", "LEFT") and not join.args.get("using") and not join.args.get("method"):
            for condition in (*conjuncts(join.args.get("on")), *asked):
                made = _near_join(condition, known, right, tree, joins)
                if made is not None:
                    joins.append(made)
                    on = exp.EQ(
                        this=_column(right.alias_or_name, made.mark),
                        expression=_column(_other(condition, right), made.mark),
                    )
                    join.set("on", exp.and_(on, join.args.get("on"), copy=False))
                    if join.kind == "CROSS":
                        join.set("kind", None)
                    break
        known[right.alias_or_name] = right


def _near_join(
    condition: exp.Expr,
    known: Mapping[str, exp.Expr],
    right: exp.Expr,
    tree: exp.Query,
    joins: Sequence[_NearJoin],
) -> _NearJoin | None:
    found = near_condition(condition)
    if found is None:
        return None
    one, two = found.one, found.two
    if one[0] == right.alias_or_name:
        one, two = two, one
    left = known.get(one[0])
    tables = {a: t for a, t in ((one[0], left), (two[0], right)) if isinstance(t, exp.Table)}
    if two[0] != right.alias_or_name or len(tables) < 2:
        return None
    of_with = {cte.alias for cte in tree.find_all(exp.CTE)}
    if any(table.name in of_with for table in tables.values()):
        return None  # its rows are not known before
    names = [table.name for table in tree.find_all(exp.Table)]
    if names.count(right.name) > 1:
        return None  # it is read elsewhere, too, with each row once
    radius = found.radius
    if isinstance(radius, tuple):
        if radius[0] not in tables:
            return None
        radius = tables[radius[0]].name, radius[1]
    taken = {i.name.lower() for i in tree.find_all(exp.Identifier)}
    mark = next(m for k in range(len(taken) + len(joins) + 1)
                if (m := f"near_{k}") not in taken and all(j.mark != m for j in joins))  # fmt: skip
    return _NearJoin(tables[one[0]].name, right.name, one[1:], two[1:], radius, mark)


def _other(condition: exp.Expr, right: exp.Expr) -> str:
    """Alias of the table that a condition sets beside the right one."""
    found = near_condition(condition)
    assert found is not None
    return found.one[0] if found.two[0] == right.alias_or_name else found.two[0]


def _column(alias: str, name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name), table=exp.to_identifier(alias))


def _pairs(tables: Mapping[str, pa.Table], join: _NearJoin) -> tuple[I64, I64] | None:
    """Rows of both tables that may be near each other; None if that cannot be told."""
    left = places_of(tables[join.left], join.left_place)
    right = places_of(tables[join.right], join.right_place)
    radius = greatest_radius(tables, join.radius)
    if left is None or right is None or radius is None:
        return None
    reach = radius * _SLACK + _LEAST_SLACK_DEG
    if reach * 3600.0 > MAX_RADIUS_ARCSEC:
        return None
    of_left, of_right = _near_zone(left[1], right[1], reach), _near_zone(right[1], left[1], reach)
    # The grid is made of the fewer, the many look them up.
    if len(of_left) < len(of_right):
        return _near_rows(left, of_left, right, of_right, reach)
    found = _near_rows(right, of_right, left, of_left, reach)
    return None if found is None else (found[1], found[0])


def _near_rows(
    few: tuple[F64, F64], of_few: I64, many: tuple[F64, F64], of_many: I64, reach: float
) -> tuple[I64, I64] | None:
    """Pairs among some rows of two tables; None if there are too many."""
    grid = SkyGrid(few[0][of_few], few[1][of_few], reach * 3600.0)
    ra, dec = many[0][of_many], many[1][of_many]
    if int(grid.count(ra, dec).sum()) > _MOST_PAIRS:
        return None
    asked, found, _ = grid.within(ra, dec)
    return of_few[found], of_many[asked]


def _integers(values: I64) -> pa.Array[Any]:
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values.data)])


def _near_zone(dec: F64, others: F64, reach: float) -> I64:
    """Rows whose declination is among those of the others, or near."""
    known = others[np.isfinite(others)]
    if len(known) == 0:
        return np.empty(0, np.int64)
    low, high = float(known.min()) - reach, float(known.max()) + reach
    return np.flatnonzero((dec >= low) & (dec <= high))


def places_of(table: pa.Table, names: tuple[str, str]) -> tuple[F64, F64] | None:
    """Read the places of the rows of a table.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    names : tuple of str
        Its columns of right ascension and declination [deg].

    Returns
    -------
    tuple of two ndarrays of float64, or None
        ra of any turn, and dec from -90 to 90 [deg], NaN where one is null; None if the
        columns are no angles.
    """
    found = []
    for name in names:
        column = _by_name(table, name)
        if column is None or not _is_number(column.type):
            return None
        found.append(column.cast(pa.float64()).to_numpy())
    ra, dec = found
    with np.errstate(invalid="ignore"):
        if (np.abs(ra) > _FARTHEST_DEG).any() or (np.abs(dec) > _FARTHEST_DEG).any():
            return None
        beyond = np.flatnonzero(np.abs(dec) > 90.0)
    if len(beyond):  # over the pole and down again: what sines and cosines make of it
        ra, dec = ra.copy(), dec.copy()
        a, d = np.radians(ra[beyond]), np.radians(dec[beyond])
        x, y, z = np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)
        ra[beyond] = np.degrees(np.arctan2(y, x)) % 360.0
        dec[beyond] = np.degrees(np.arctan2(z, np.hypot(x, y)))
    return ra, dec


def greatest_radius(tables: Mapping[str, pa.Table], given: float | tuple[str, str]) -> float | None:
    """Find the greatest radius of all rows.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
        Tables by their names.
    given : float or tuple of str
        The radius [deg], or the table and the column that has it.

    Returns
    -------
    float or None
        Radius [deg], 0 if no row has one; None if there is no telling.
    """
    if isinstance(given, float):
        return max(given, 0.0)
    column = _by_name(tables[given[0]], given[1])
    if column is None or not _is_number(column.type):
        return None
    greatest: Any = pc.max(column.cast(pa.float64())).as_py()
    return None if greatest == np.inf else max(greatest or 0.0, 0.0)


def _by_name(table: pa.Table, name: str) -> pa.ChunkedArray[Any] | None:
    found = [i for i, n in enumerate(table.column_names) if n.lower() == name.lower()]
    return table.column(found[0]) if len(found) == 1 else None


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
