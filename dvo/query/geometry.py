"""The geometry of ADQL: places and regions of sky in a query, and what they stand for.

Regions whose numbers are constant become areas, which rule out parts of the database and
tell exactly which positions they hold. What has columns in it becomes a distance that the
evaluator computes. Positions are ICRS; of coordinate systems only ICRS is accepted, in the
old form of ADQL 2.0 where it is the first argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sqlglot import exp

from dvo.errors import QueryError
from dvo.partition.bounds import Area, Box, Cone
from dvo.partition.polygon import Polygon
from dvo.query.functions import DISTANCE

__all__ = ["Circle", "Point", "arguments", "as_number", "circle_of", "name_of", "point_of",
           "region_of"]  # fmt: skip

_SYSTEMS = ("ICRS", "")


@dataclass(frozen=True, slots=True)
class Point:
    """A place, as two expressions.

    Parameters
    ----------
    ra, dec : sqlglot.exp.Expr
        Right ascension and declination [deg].
    """

    ra: exp.Expr
    dec: exp.Expr

    @property
    def constant(self) -> tuple[float, float] | None:
        """Its numbers [deg]; None if it has columns."""
        ra, dec = as_number(self.ra), as_number(self.dec)
        return None if ra is None or dec is None else (ra, dec)

    @property
    def columns(self) -> tuple[str, str, str] | None:
        """Table and names of the two columns that it is; None if it is anything else."""
        if not (isinstance(self.ra, exp.Column) and isinstance(self.dec, exp.Column)):
            return None
        if self.ra.table != self.dec.table:
            return None
        return self.ra.table, self.ra.name.lower(), self.dec.name.lower()

    def distance(self, other: Point) -> exp.Expr:
        """Make the expression of the distance of two places [deg]."""
        places = (self.ra, self.dec, other.ra, other.dec)
        return exp.Anonymous(this=DISTANCE, expressions=[p.copy() for p in places])


@dataclass(frozen=True, slots=True)
class Circle:
    """A circle, as expressions.

    Parameters
    ----------
    centre : Point
        Its centre.
    radius : sqlglot.exp.Expr
        Its radius [deg].
    """

    centre: Point
    radius: exp.Expr


def name_of(node: exp.Expr) -> str:
    """Name of a function of geometry, in upper case; empty for other nodes."""
    if isinstance(node, exp.Contains):
        return "CONTAINS"
    return node.name.upper() if isinstance(node, exp.Anonymous) else ""


def as_number(node: exp.Expr | None) -> float | None:
    """Value of an expression of numbers only.

    Parameters
    ----------
    node : sqlglot.exp.Expr or None
        The expression.

    Returns
    -------
    float or None
        None if it is no such thing.
    """
    if isinstance(node, exp.Paren):
        return as_number(node.this)
    if isinstance(node, exp.Neg):
        value = as_number(node.this)
        return None if value is None else -value
    if isinstance(node, exp.Literal) and not node.is_string:
        return float(node.this)
    if isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Div):
        one, two = as_number(node.this), as_number(node.expression)
        if one is None or two is None or (isinstance(node, exp.Div) and two == 0.0):
            return None
        if isinstance(node, exp.Add | exp.Sub):
            return one + two if isinstance(node, exp.Add) else one - two
        return one * two if isinstance(node, exp.Mul) else one / two
    return None


def point_of(node: exp.Expr) -> Point:
    """Read a POINT.

    Parameters
    ----------
    node : sqlglot.exp.Expr
        The node.

    Returns
    -------
    Point
        The place.

    Raises
    ------
    QueryError
        If it is no POINT of two coordinates.
    """
    if name_of(node) == "CENTROID":
        (region,) = arguments(node, 1)
        circle = circle_of(region)
        if circle is None:
            raise QueryError(f"query: {node.sql()}: only circles have a CENTROID here")
        return circle.centre
    if name_of(node) != "POINT":
        raise QueryError(f"query: {node.sql()} stands where a POINT(ra, dec) is needed")
    ra, dec = arguments(node, 2)
    return Point(ra, dec)


def circle_of(node: exp.Expr) -> Circle | None:
    """Read a CIRCLE, of three numbers or of a POINT and a radius; None if it is none."""
    if name_of(node) != "CIRCLE":
        return None
    given = arguments(node, 2, 3)
    if len(given) == 2:
        if as_number(given[0]) is not None:
            raise QueryError(
                f"query: {node.sql()}: write CIRCLE(ra, dec, radius) or CIRCLE(POINT(ra, dec), "
                "radius), all in degrees"
            )
        return Circle(point_of(given[0]), given[1])
    return Circle(Point(given[0], given[1]), given[2])


def region_of(node: exp.Expr) -> Area | None:
    """Read a region of constant numbers.

    Parameters
    ----------
    node : sqlglot.exp.Expr
        A CIRCLE, BOX or POLYGON.

    Returns
    -------
    Area or None
        None if it has columns in it.

    Raises
    ------
    QueryError
        If it is no region, or an impossible one.
    """
    make: Callable[[], Area | None] | None
    circle = circle_of(node)
    if circle is not None:
        place, radius = circle.centre.constant, as_number(circle.radius)
        make = partial(Cone, *place, radius) if place and radius is not None else None
    elif name_of(node) in ("BOX", "POLYGON"):
        make = partial(_box if name_of(node) == "BOX" else _polygon, node)
    else:
        raise QueryError(f"query: {node.sql()} stands where a CIRCLE, BOX or POLYGON is needed")
    try:
        return make() if make is not None else None
    except QueryError as err:
        raise QueryError(f"query: {node.sql()}: {str(err).removeprefix('query: ')}") from None


def _box(node: exp.Expr) -> Area | None:
    """BOX(ra, dec, width, height): ranges of both coordinates about a centre."""
    given = arguments(node, 3, 4)
    if len(given) == 3:
        centre = point_of(given[0])
        given = [centre.ra, centre.dec, *given[1:]]
    values = [as_number(g) for g in given]
    if any(v is None for v in values):
        return None
    ra, dec, width, height = (float(v) for v in values if v is not None)
    if not (width >= 0.0 and height >= 0.0 and math.isfinite(ra) and -90.0 <= dec <= 90.0):
        raise QueryError("no box has such a centre or size")
    low, high = max(-90.0, dec - height / 2), min(90.0, dec + height / 2)
    if width >= 360.0:
        return Box(0.0, 360.0, low, high)
    return Box((ra - width / 2) % 360.0, (ra + width / 2) % 360.0, low, high)


def _polygon(node: exp.Expr) -> Area | None:
    given = _without_system(node)
    if given and name_of(given[0]) == "POINT":
        points = [point_of(g) for g in given]
    else:
        if len(given) % 2:
            raise QueryError("vertices are pairs of ra and dec")
        points = [Point(*pair) for pair in zip(given[::2], given[1::2], strict=True)]
    places = [p.constant for p in points]
    if any(p is None for p in places):
        return None
    return Polygon(tuple(p for p in places if p is not None))


def _without_system(node: exp.Expr) -> list[exp.Expr]:
    given = list(node.expressions)
    if given and isinstance(given[0], exp.Literal) and given[0].is_string:
        system = given.pop(0).this.strip().upper()
        if system.split(" ")[0] not in _SYSTEMS:
            raise QueryError(f"query: coordinates are ICRS, not {system}")
    return given


def arguments(node: exp.Expr, *numbers: int) -> list[exp.Expr]:
    """List the arguments of a function of geometry, without a coordinate system.

    Parameters
    ----------
    node : sqlglot.exp.Expr
        The call.
    *numbers : int
        How many there may be.

    Returns
    -------
    list of sqlglot.exp.Expr
        The arguments.

    Raises
    ------
    QueryError
        If there are more or fewer, or the coordinate system is not ICRS.
    """
    given = _without_system(node)
    if len(given) not in numbers:
        wanted = " or ".join(map(str, numbers))
        raise QueryError(f"query: {node.sql()}: takes {wanted} arguments, not {len(given)}")
    return given
