"""From the tree of a query to a plan: what is made region by region, and what of the results.

A SELECT of tables that are joined by their objects is a fragment: it is made in each group
of regions, and put together (`dvo.query.phases`). Of any other SELECT only the rows of its
tables are fragments. What is left of the query is evaluated over the results of the
fragments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from dvo.partition.bounds import Area
from dvo.query.adql import parse_query
from dvo.query.joins import is_local, required_aliases
from dvo.query.meanings import meaning_of, meanings_of_results
from dvo.query.names import resolve_names
from dvo.query.near_regions import NearUpload, near_uploads
from dvo.query.phases import Phases, split
from dvo.query.places import Places, conjuncts, rewrite_geometry
from dvo.query.ranges import ranges_of
from dvo.query.scan import Scan
from dvo.query.signed import give_signs
from dvo.query.sources import KEYS, Source
from dvo.tables.schema import Column

__all__ = ["Fragment", "Plan", "plan_query"]


@dataclass(frozen=True)
class Fragment:
    """A part of a query that is made region by region.

    Parameters
    ----------
    name : str
        Name of its result in the rest of the query.
    scans : tuple of Scan
        What is read of its tables.
    phases : Phases
        What is done with it.
    results : tuple of str
        Names of the columns of the result.
    like : tuple of Column or None
        Columns with their units and meanings; None for those of which nothing is known.
    within : tuple of Area
        Areas that every region which is needed touches.
    near : tuple of NearUpload
        Places that every region which is needed is near to.
    is_global : bool
        Whether no table of it has regions.
    """

    name: str
    scans: tuple[Scan, ...]
    phases: Phases
    results: tuple[str, ...]
    like: tuple[Column | None, ...]
    within: tuple[Area, ...]
    near: tuple[NearUpload, ...]
    is_global: bool


@dataclass(frozen=True)
class Plan:
    """How a query is answered.

    Parameters
    ----------
    fragments : tuple of Fragment
        What is made first.
    rest : sqlglot.exp.Query or None
        What is evaluated over the results of the fragments; None if that of the only one
        is the answer.
    results : tuple of str
        Names of the columns of the answer.
    like : tuple of Column or None
        Columns with their units and meanings; None for those of which nothing is known.
    """

    fragments: tuple[Fragment, ...]
    rest: exp.Query | None
    results: tuple[str, ...]
    like: tuple[Column | None, ...]


@dataclass
class _Planner:
    sources: Mapping[str, Source]
    taken: frozenset[str]
    fragments: list[Fragment] = field(default_factory=list)

    def plan(self, query: exp.Query) -> exp.Query | None:
        """Make fragments of parts of a query; gives what is left of it."""
        for scope in traverse_scope(query):
            select = scope.expression
            if not isinstance(select, exp.Select):
                continue
            here = _tables(scope, self.sources)
            places = rewrite_geometry(select, here, _required(scope))
            if not here:
                continue
            if self._is_whole(scope, here):
                name = self._add_select(select, here, places)
                if select is query:
                    return None
                select.replace(_select_of(name, select.named_selects))
            else:
                self._add_tables(scope, here, places)
        return query

    def _is_whole(self, scope: Scope, here: Mapping[str, Source]) -> bool:
        select = scope.expression
        plain = len(here) == len(scope.sources) and not scope.subquery_scopes
        if not plain or scope.external_columns or not isinstance(select, exp.Select):
            return False
        return is_local(select, here)

    def _add_select(self, select: exp.Select, here: Mapping[str, Source], places: Places) -> str:
        within = _settle_areas(select, here, places)
        phases = split(_named_by_alias(select))
        like = tuple(
            meaning_of(p, lambda c: here[c.table].column(c.name) if c.table in here else None)
            for p in select.expressions
        )
        near = tuple(n for a, s in here.items() if not s.is_global
                     for n in near_uploads(select, a, here, is_whole=True))  # fmt: skip
        return self._add(phases, here, places, tuple(select.named_selects), like, within, near)

    def _add_tables(self, scope: Scope, here: Mapping[str, Source], places: Places) -> None:
        """Make fragments of the rows of single tables."""
        select = scope.expression
        assert isinstance(select, exp.Select)
        required = _required(scope)
        where = select.args.get("where")
        conditions = conjuncts(where.this if where is not None else None)
        for table in list(select.find_all(exp.Table)):
            alias = table.alias_or_name
            if scope.sources.get(alias) is not table:
                continue
            source = {alias: here[alias]}
            used = {c.name.lower() for c in select.find_all(exp.Column) if c.table == alias}
            marks = places.marks.get(alias, {})
            names = [n for n in used if here[alias].column(n) or n in marks]
            rows = exp.select(
                *(exp.column(n, table=alias) for n in sorted(names) or [_least(here[alias])])
            ).from_(exp.alias_(exp.to_table(alias), alias, table=True))
            own = Places(
                {alias: places.areas.get(alias, [])}, {alias: places.near.get(alias, [])},
                {alias: marks},
            )  # fmt: skip
            for condition in conditions if alias in required else ():
                if _is_about(condition, alias):
                    rows = rows.where(condition.copy())
            within = _settle_areas(rows, source, own)
            results = tuple(p.name for p in rows.expressions)
            like = tuple(here[alias].column(n) for n in results)
            near: tuple[NearUpload, ...] = ()
            if not here[alias].is_global:
                near = near_uploads(select, alias, here, is_whole=False)
            name = self._add(split(rows), source, own, results, like, within, near)
            table.set("this", exp.to_identifier(name))

    def _add(
        self,
        phases: Phases,
        here: Mapping[str, Source],
        places: Places,
        results: tuple[str, ...],
        like: tuple[Column | None, ...],
        within: tuple[Area, ...],
        near: tuple[NearUpload, ...],
    ) -> str:
        made = {fragment.name for fragment in self.fragments}
        names = (f"fragment_{k}" for k in count())
        name = next(n for n in names if n not in made and n not in self.taken)
        scans = tuple(_scan(alias, source, phases, places) for alias, source in here.items())
        is_global = all(source.is_global for source in here.values())
        self.fragments.append(Fragment(name, scans, phases, results, like, within, near, is_global))
        return name


def plan_query(text: str, sources: Mapping[str, Source]) -> Plan:
    """Plan a query.

    Parameters
    ----------
    text : str
        SQL or ADQL, one SELECT (see `dvo.query.adql`).
    sources : mapping of str to Source
        The tables there are.

    Returns
    -------
    Plan
        How to answer it; nothing has been read.

    Raises
    ------
    QueryError
        If it is no query, or cannot be answered; the message says why, and where.
    """
    query = resolve_names(parse_query(text), sources, text)
    give_signs(query, sources)
    results = tuple(query.named_selects)
    like = meanings_of_results(query, sources)
    planner = _Planner(sources, frozenset(i.name.lower() for i in query.find_all(exp.Identifier)))
    rest = planner.plan(query)
    return Plan(tuple(planner.fragments), rest, results, like)


def _tables(scope: Scope, sources: Mapping[str, Source]) -> dict[str, Source]:
    found = {a: t for a, t in scope.sources.items() if isinstance(t, exp.Table)}
    return {a: sources[t.name.replace("__", ".")] for a, t in found.items()
            if t.name.replace("__", ".") in sources}  # fmt: skip


def _required(scope: Scope) -> list[str]:
    select = scope.expression
    if not isinstance(select, exp.Select) or not select.args.get("from_"):
        return []
    return required_aliases(select)


def _select_of(name: str, results: list[str]) -> exp.Select:
    columns = [exp.column(exp.to_identifier(r, quoted=True), table=name) for r in results]
    return exp.select(*columns).from_(name)


def _named_by_alias(select: exp.Select) -> exp.Select:
    """Call each table by its alias: the evaluator gets one table for each."""
    changed = select.copy()
    for table in changed.find_all(exp.Table):
        table.set("this", exp.to_identifier(table.alias_or_name))
    return changed


def _settle_areas(
    select: exp.Select, here: Mapping[str, Source], places: Places
) -> tuple[Area, ...]:
    """Have one area of each table applied at reading, the others as conditions on its rows."""
    within = []
    for alias, areas in places.areas.items():
        for area in areas[1:]:
            select.where(places.mark(alias, area), copy=False)
        del areas[1:]
        within += [(alias, area) for area in areas]
    within += [(alias, area) for alias, areas in places.near.items() for area in areas]
    return tuple(area for alias, area in within if alias in here and not here[alias].is_global)


def _scan(alias: str, source: Source, phases: Phases, places: Places) -> Scan:
    marks = places.marks.get(alias, {})
    used = dict.fromkeys(c.name for c in phases.first.find_all(exp.Column) if c.table == alias)
    names = [n for n in used if n not in marks]
    wanted = {n: a for n, a in marks.items() if n in used}
    areas = places.areas.get(alias)
    area = areas[0] if areas else None
    if not names and (area is not None or wanted or source.is_global or source.is_upload):
        names = [_least(source)]
    where = phases.first.args.get("where")
    is_required = alias in required_aliases(phases.first)
    conditions = conjuncts(where.this if where is not None and is_required else None)
    ranges = ranges_of(conditions, alias, source)
    return Scan(alias, source.name, tuple(names), area, tuple(wanted.items()), ranges)


def _least(source: Source) -> str:
    """A column that is quickly read, where any will do."""
    return KEYS[0] if KEYS[0] in source.columns else next(iter(source.columns))


def _is_about(condition: exp.Expr, alias: str) -> bool:
    """Whether a condition is about rows of one table only."""
    if condition.find(exp.Query):
        return False
    return {c.table for c in condition.find_all(exp.Column)} == {alias}
