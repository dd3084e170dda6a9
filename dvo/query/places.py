"""Geometry in a query becomes areas to read, columns that mark rows, and distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dvo.errors import QueryError
from dvo.partition.bounds import Area, Cone
from dvo.query.geometry import Point, arguments, as_number, circle_of, name_of, point_of, region_of
from dvo.query.sources import Source

__all__ = ["Places", "conjuncts", "rewrite_geometry"]

_SLACK = 1.0 + 1e-9


@dataclass
class Places:
    """What the geometry of one SELECT asks of its tables.

    Parameters
    ----------
    areas : dict of str to list of Area
        By alias: where its rows have to lie.
    near : dict of str to list of Area
        By alias: where they can only lie; the condition itself is still in the query.
    marks : dict of str to dict of str to Area
        By alias: columns to add.
    """

    areas: dict[str, list[Area]] = field(default_factory=dict)
    near: dict[str, list[Area]] = field(default_factory=dict)
    marks: dict[str, dict[str, Area]] = field(default_factory=dict)

    def mark(self, alias: str, area: Area) -> exp.Column:
        """Have rows of a table marked that lie in an area; gives the column."""
        known = self.marks.setdefault(alias, {})
        name = next((n for n, a in known.items() if a == area), f"in_area_{len(known)}")
        known[name] = area
        return exp.column(name, table=alias)


def conjuncts(node: exp.Expr | None) -> list[exp.Expr]:
    """Conditions that have to hold together."""
    if node is None:
        return []
    if isinstance(node, exp.Paren):
        return conjuncts(node.this)
    if isinstance(node, exp.And):
        return conjuncts(node.this) + conjuncts(node.expression)
    return [node]


def rewrite_geometry(
    select: exp.Select, sources: Mapping[str, Source], required: Sequence[str]
) -> Places:
    """Take the geometry out of a SELECT.

    Parameters
    ----------
    select : sqlglot.exp.Select
        A SELECT whose names are resolved; it is changed.
    sources : mapping of str to Source
        Its tables by their aliases.
    required : sequence of str
        Aliases of the tables of which every row of the result has a row: conditions on
        them may be applied when they are read.

    Returns
    -------
    Places
        What to read where.
    """
    places = Places()
    where = select.args.get("where")
    kept = []
    for condition in conjuncts(where.this if where is not None else None):
        found = _area_of(condition, sources, required)
        if found is not None and found[2]:
            places.areas.setdefault(found[0], []).append(found[1])
            continue
        if found is not None:
            places.near.setdefault(found[0], []).append(found[1])
        kept.append(condition)
    if where is not None:
        select.set("where", exp.Where(this=exp.and_(*kept, copy=True)) if kept else None)
    for node in list(select.find_all(exp.Anonymous, exp.Contains)):
        if node.find_ancestor(exp.Anonymous, exp.Contains) is None:
            made = _value(node, sources, places)
            if made is not None:
                node.replace(made)
    return places


def _area_of(
    condition: exp.Expr, sources: Mapping[str, Source], required: Sequence[str]
) -> tuple[str, Area, bool] | None:
    """Alias, area, and whether the condition says no more than that a row lies in it."""
    call = _true_call(condition)
    if call is not None and name_of(call) in ("CONTAINS", "INTERSECTS"):
        pair = _point_and_region(call)
        alias = None if pair is None else _alias_of(pair[0], sources, required)
        area = None if pair is None or alias is None else region_of(pair[1])
        return None if area is None or alias is None else (alias, area, True)
    if call is not None and name_of(call) == "Q3C_RADIAL_QUERY":
        point, centre, radius = _q3c(call)
        alias, place, r = _alias_of(point, sources, required), centre.constant, as_number(radius)
        if alias is None or place is None or r is None:
            return None
        return alias, Cone(*place, r), True
    if isinstance(condition, exp.LT | exp.LTE) and name_of(condition.this) in _DISTANCES:
        one, two = _two_points(condition.this)
        limit = as_number(condition.expression)
        for point, other in ((one, two), (two, one)):
            alias, place = _alias_of(point, sources, required), other.constant
            if alias is not None and place is not None and limit is not None and limit >= 0.0:
                return alias, Cone(*place, min(180.0, limit * _SLACK + 1e-9)), False
    return None


_DISTANCES = ("DISTANCE", "Q3C_DIST")
_POINTS = ("POINT", "CENTROID")


def _true_call(condition: exp.Expr) -> exp.Expr | None:
    """The call in ``CONTAINS(...) = 1``, either way round, or where it stands alone."""
    if isinstance(condition, exp.EQ):
        for call, value in (
            (condition.this, condition.expression),
            (condition.expression, condition.this),
        ):
            if name_of(call) and as_number(value) == 1.0:
                found: exp.Expr = call
                return found
    return condition if name_of(condition) else None


def _alias_of(point: Point, sources: Mapping[str, Source], required: Sequence[str]) -> str | None:
    """The table whose rows lie at a point."""
    found = point.columns
    if found is None or found[0] not in required:
        return None
    source = sources.get(found[0])  # none of a query that stands where a table could
    return found[0] if source is not None and source.position == found[1:] else None


def _point_and_region(call: exp.Expr) -> tuple[Point, exp.Expr] | None:
    """What CONTAINS or INTERSECTS compares; None for INTERSECTS of two regions."""
    one, two = _pair(call)
    if name_of(one) in _POINTS:
        return point_of(one), two
    if name_of(call) == "CONTAINS":
        raise QueryError(f"query: {call.sql()}: what is contained has to be a POINT")
    return (point_of(two), one) if name_of(two) in _POINTS else None


def _pair(call: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
    given = [call.this, call.expression] if isinstance(call, exp.Contains) else call.expressions
    if len(given) != 2:
        raise QueryError(f"query: {call.sql()}: takes two arguments, not {len(given)}")
    return given[0], given[1]


def _q3c(call: exp.Expr) -> tuple[Point, Point, exp.Expr]:
    given = call.expressions
    if len(given) != 5:
        raise QueryError(f"query: {call.sql()}: takes ra, dec, ra, dec and a radius [deg]")
    return Point(given[0], given[1]), Point(given[2], given[3]), given[4]


def _two_points(call: exp.Expr) -> tuple[Point, Point]:
    given = call.expressions
    if len(given) == 2:
        return point_of(given[0]), point_of(given[1])
    if len(given) == 4:
        return Point(given[0], given[1]), Point(given[2], given[3])
    raise QueryError(f"query: {call.sql()}: takes two points, or four coordinates")


def _value(call: exp.Expr, sources: Mapping[str, Source], places: Places) -> exp.Expr | None:
    """What a function of geometry is worth; None if it is none."""
    name = name_of(call)
    if name in _DISTANCES:
        one, two = _two_points(call)
        return one.distance(two)
    if name in ("Q3C_RADIAL_QUERY", "Q3C_JOIN"):
        point, centre, radius = _q3c(call)
        return exp.LTE(this=point.distance(centre), expression=radius.copy())
    if name in ("CONTAINS", "INTERSECTS"):
        return exp.cast(exp.paren(_test(call, sources, places)), "int")
    if name == "AREA":
        (given,) = arguments(call, 1)
        circle = circle_of(given)
        if circle is None:
            raise QueryError(f"query: {call.sql()}: only circles have an AREA here")
        # 2 pi (1 - cos r) steradians, in square degrees
        return exp.paren(
            exp.Literal.number("20626.480624709637")
            * (exp.Literal.number(1) - exp.Cos(this=exp.Radians(this=circle.radius.copy())))
        )
    if name in ("COORD1", "COORD2"):
        point = point_of(*arguments(call, 1))
        return (point.ra if name == "COORD1" else point.dec).copy()
    if name == "COORDSYS":
        arguments(call, 1)
        return exp.Literal.string("ICRS")
    if name in ("POINT", "CIRCLE", "BOX", "POLYGON", "CENTROID"):
        raise QueryError(
            f"query: {call.sql()} is no value; use it in CONTAINS, INTERSECTS or DISTANCE"
        )
    return None


def _test(call: exp.Expr, sources: Mapping[str, Source], places: Places) -> exp.Expr:
    """Make the condition that CONTAINS or INTERSECTS is."""
    pair = _point_and_region(call)
    if pair is None:
        return _circles_touch(call)
    point, region = pair
    area, circle = region_of(region), circle_of(region)
    alias = _alias_of(point, sources, list(sources))
    if area is not None and alias is not None:
        return places.mark(alias, area)
    if circle is not None:
        return exp.LTE(this=point.distance(circle.centre), expression=circle.radius.copy())
    raise QueryError(
        f"query: {call.sql()}: boxes and polygons need constant numbers, and the position of a "
        "table in them"
    )


def _circles_touch(call: exp.Expr) -> exp.Expr:
    """Make the condition that two regions have a place in common."""
    for region in _pair(call):
        region_of(region)  # refuses what is none, and impossible ones
    one, two = (circle_of(region) for region in _pair(call))
    if one is None or two is None:
        raise QueryError(
            f"query: {call.sql()}: of two regions only circles can be compared; INTERSECTS takes "
            "a POINT and a region, or two CIRCLEs"
        )
    reach = exp.Add(this=exp.paren(one.radius.copy()), expression=exp.paren(two.radius.copy()))
    return exp.LTE(this=one.centre.distance(two.centre), expression=exp.paren(reach))
