"""Which joins of a SELECT can be made region by region, and which rows they need.

All rows of an object are in one region, so tables joined by ``cat_id`` and ``obj_id`` are
joined there; tables of the whole database go along, as long as no row of theirs that finds
no partner is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlglot import exp

from dvo.query.places import conjuncts
from dvo.query.sources import KEYS, Source

__all__ = ["is_local", "required_aliases"]


def required_aliases(select: exp.Select) -> list[str]:
    """Aliases of the tables of which every row of the join has a row.

    Parameters
    ----------
    select : sqlglot.exp.Select
        A SELECT whose names are resolved.

    Returns
    -------
    list of str
        Those that no outer join fills up with nulls.
    """
    found = [select.args["from_"].this.alias_or_name]
    for join in select.args.get("joins") or []:
        side = str(join.args.get("side") or "").upper()
        if side in ("RIGHT", "FULL"):
            found = []
        if side not in ("LEFT", "FULL"):
            found.append(join.this.alias_or_name)
    return found


def is_local(select: exp.Select, sources: Mapping[str, Source]) -> bool:
    """Tell whether a SELECT gives the same rows when it is made region by region.

    Parameters
    ----------
    select : sqlglot.exp.Select
        A SELECT of plain tables whose names are resolved.
    sources : mapping of str to Source
        The tables by their aliases.

    Returns
    -------
    bool
        True if it does, before anything is grouped, ordered or limited.
    """
    spread = [alias for alias, source in sources.items() if not source.is_global]
    if not spread:
        return False
    where = select.args.get("where")
    links = list(conjuncts(where.this if where is not None else None))
    left = [select.args["from_"].this.alias_or_name]
    for join in select.args.get("joins") or []:
        alias = join.this.alias_or_name
        side = str(join.args.get("side") or "").upper()
        # Rows without a partner must not be those of a table that every region has.
        keeps_left, keeps_right = side in ("LEFT", "FULL"), side in ("RIGHT", "FULL")
        if keeps_left and not any(a in spread for a in left):
            return False
        if keeps_right and alias not in spread:
            return False
        on = conjuncts(join.args.get("on"))
        if side:
            if alias in spread and not _is_linked(alias, [a for a in left if a in spread], on):
                return False
        else:
            links += on
        if side and alias in spread:
            links += on
        left.append(alias)
    return _are_joined(spread, links)


def _is_linked(alias: str, others: Iterable[str], conditions: list[exp.Expr]) -> bool:
    return any(_are_joined([alias, other], conditions) for other in others)


def _are_joined(aliases: list[str], conditions: Iterable[exp.Expr]) -> bool:
    """Whether equal ids tie all the tables together."""
    equal: dict[frozenset[str], set[str]] = {}
    for condition in conditions:
        one, two = condition.args.get("this"), condition.args.get("expression")
        if not (
            isinstance(condition, exp.EQ)
            and isinstance(one, exp.Column)
            and isinstance(two, exp.Column)
            and one.name.lower() == two.name.lower()
            and one.name.lower() in KEYS
        ):
            continue
        equal.setdefault(frozenset((one.table, two.table)), set()).add(one.name.lower())
    tied = {aliases[0]}
    grown = True
    while grown:
        grown = False
        for pair, names in equal.items():
            if names == set(KEYS) and len(pair & tied) == 1:
                tied |= pair
                grown = True
    return set(aliases) <= tied
