"""Which regions hold what is near the places of a table that came with a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sqlglot import exp

from dvo.partition.nearby import regions_near
from dvo.partition.view import View
from dvo.query.near_joins import greatest_radius, near_condition, places_of
from dvo.query.places import conjuncts
from dvo.query.sources import Source

__all__ = ["NearUpload", "near_uploads"]

_FARTHEST_DEG = 10.0
"""Radius beyond which nearly all regions are near [deg]."""


@dataclass(frozen=True)
class NearUpload:
    """Rows are wanted only near the places of a table that came with the query.

    Parameters
    ----------
    table : str
        Its name in the query.
    place : tuple of str
        Its columns of right ascension and declination.
    radius : float or str
        How near [deg]: a number, or a column of the table.
    """

    table: str
    place: tuple[str, str]
    radius: float | str

    def regions(self, view: View, tables: Mapping[str, pa.Table]) -> list[int] | None:
        """Find the regions that hold such rows.

        Parameters
        ----------
        view : View
            The snapshot.
        tables : mapping of str to pyarrow.Table
            Tables that came with the query.

        Returns
        -------
        list of int or None
            Regions, ascending, maybe some too many; None if there is no telling.
        """
        table = tables.get(self.table)
        if table is None:
            return None
        places = places_of(table, self.place)
        radius = self.radius
        if isinstance(radius, str):
            found = greatest_radius({self.table: table}, (self.table, radius))
            if found is None:
                return None
            radius = found
        if places is None or radius > _FARTHEST_DEG:
            return None
        good = np.isfinite(places[0]) & np.isfinite(places[1])
        ra, dec = places[0][good] % 360.0, places[1][good]
        if len(ra) == 0:
            return []
        own = view.partition.locate(ra, dec)
        return regions_near(ra, dec, own, view, max(radius, 0.0) + view.pad_deg + 1e-9)


def near_uploads(
    select: exp.Select, alias: str, sources: Mapping[str, Source], *, is_whole: bool
) -> tuple[NearUpload, ...]:
    """Find what rows of a table have to be near to have a part in a SELECT.

    Parameters
    ----------
    select : sqlglot.exp.Select
        A SELECT whose geometry has become distances.
    alias : str
        The table.
    sources : mapping of str to Source
        All its tables by their aliases.
    is_whole : bool
        Whether the regions of the other tables are left out with those of this one.

    Returns
    -------
    tuple of NearUpload
        Rows that are far from one of them change nothing.
    """
    where = select.args.get("where")
    asked = conjuncts(where.this if where is not None else None)
    found = []
    for condition in asked + _joined_by(select, alias, is_whole=is_whole):
        near = near_condition(condition)
        if near is None:
            continue
        one, two = (near.one, near.two) if near.one[0] == alias else (near.two, near.one)
        source, other = sources.get(one[0]), sources.get(two[0])
        if one[0] != alias or source is None or other is None or not other.is_upload:
            continue
        if source.position != tuple(name.lower() for name in one[1:]):
            continue
        radius = near.radius
        if isinstance(radius, float):
            found.append(NearUpload(other.name, two[1:], radius))
        elif radius[0] == two[0]:
            found.append(NearUpload(other.name, two[1:], radius[1]))
    return tuple(found)


def _joined_by(select: exp.Select, alias: str, *, is_whole: bool) -> list[exp.Expr]:
    """Conditions of joins that rows of a table have to meet to have a part in a SELECT."""
    found: list[exp.Expr] = []
    for join in select.args.get("joins") or []:
        side, is_right = str(join.args.get("side") or "").upper(), join.this.alias_or_name == alias
        if is_whole and side in ("RIGHT", "FULL"):
            found = []  # rows of the table that is joined are wanted, whatever was asked before
        # Rows of this table without a partner must not be wanted; nor those of others in its
        # regions, where these are left out for all.
        is_filled_up = (side == "LEFT" and is_right) or (side == "RIGHT" and not is_right)
        if side == "" or (is_filled_up and not is_whole):
            found += conjuncts(join.args.get("on"))
    return found
