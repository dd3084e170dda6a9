"""How a query is answered, as a tree in JSON types and in words, and what each step took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from dvo.counted import counted
from dvo.partition.bounds import Area, Box, Cone
from dvo.partition.engines import Engine
from dvo.partition.manifest import ALL_SKY
from dvo.partition.polygon import Polygon
from dvo.partition.view import View
from dvo.query.analysis import Analysis, Notes
from dvo.query.evaluator import sql_of
from dvo.query.plan import Fragment, Plan
from dvo.query.run import groups_of
from dvo.query.scan import Scan
from dvo.query.sources import sources_of

__all__ = ["Explanation", "explain_plan"]

Tree = dict[str, Any]


@dataclass(frozen=True)
class Explanation:
    """How a query is answered; `print` shows it.

    Parameters
    ----------
    tree : dict
        JSON types: ``snapshot``; ``fragments``, each with its regions, groups, who does them
        (``places``), what is read (``scans``), the SQL of its phases, and what it took
        (``took``, by worker); ``rest``, SQL over the fragments; ``took``, the whole. What
        was not measured is null.
    """

    tree: Tree

    def __str__(self) -> str:
        return "\n".join(_lines(self.tree))


def explain_plan(
    view: View,
    plan: Plan,
    engine: Engine,
    tables: Mapping[str, pa.Table],
    analysis: Analysis | None = None,
) -> Explanation:
    """Describe a plan.

    Parameters
    ----------
    view : View
        The snapshot.
    plan : Plan
        The plan.
    engine : Engine
        Where it would be worked on.
    tables : mapping of str to pyarrow.Table
        Tables that came with the query, by their names in it.
    analysis : Analysis, optional
        What it took.

    Returns
    -------
    Explanation
        The plan, and what it took.
    """
    taken = {} if analysis is None else analysis.fragments
    fragments = []
    for fragment in plan.fragments:
        groups = groups_of(view, fragment, tables) or [[]]
        fragments.append(_fragment(view, fragment, groups, engine, taken.get(fragment.name)))
    return Explanation(
        {
            "snapshot": view.snapshot.id,
            "fragments": fragments,
            "rest": None if plan.rest is None else sql_of(plan.rest),
            "took": None if analysis is None else _whole(analysis),
        }
    )


def _whole(analysis: Analysis) -> Tree:
    names = ("plan_s", "merge_s", "total_s", "n_rows")
    return {name: _short(getattr(analysis, name)) for name in names}


def _fragment(
    view: View,
    fragment: Fragment,
    groups: Sequence[Sequence[int]],
    engine: Engine,
    taken: dict[str, Notes] | None,
) -> Tree:
    regions = [region for group in groups for region in group]
    phases = fragment.phases
    return {
        "name": fragment.name,
        "regions": len(regions),
        "regions_of": len(view.counts()),
        "is_global": fragment.is_global,
        "groups": len(groups),
        "places": dict(sorted(Counter(engine.places_of(groups)).items())),
        "near": [f"{near.table}, within {near.radius} deg" for near in fragment.near],
        "scans": [_scan(view, scan, regions) for scan in fragment.scans],
        "first": sql_of(phases.first),
        "last": None if phases.last is None else sql_of(phases.last),
        "limit": phases.limit,
        "took": None if taken is None else {w: _figures(n) for w, n in sorted(taken.items())},
    }


def _figures(notes: Notes) -> Tree:
    return {name: _short(value) for name, value in asdict(notes).items()}


def _short(value: Any) -> Any:
    """Seconds to the microsecond; counts as they are."""
    return round(value, 6) if isinstance(value, float) else value


def _scan(view: View, scan: Scan, regions: Sequence[int]) -> Tree:
    source = sources_of(view.photcodes).get(scan.table)
    found: Tree = {
        "table": scan.table,
        "alias": scan.alias,
        "columns": list(scan.columns),
        "area": None if scan.area is None else _area_text(scan.area),
        "ranges": [],
        "marks": {mark: _area_text(area) for mark, area in scan.marks},
        "rows": None,
        "parts": None,
        "files": None,
        "bytes": None,
    }
    if source is None or source.schema is None:
        return found
    ranges = scan.tile_ranges(source.schema)
    found["ranges"] = [f"{r.name} {r.low:.8g} to {r.high:.8g}" for r in ranges]
    sizes = view.part_sizes(source.schema, [ALL_SKY] if source.is_global else regions)
    return found | {
        "rows": sizes.n_rows,
        "parts": sizes.n_parts,
        "files": sizes.n_files,
        "bytes": sizes.n_bytes,
    }


def _area_text(area: Area) -> str:
    if isinstance(area, Cone):
        return f"a circle about {area.ra:.8g} {area.dec:.8g} of {area.radius_deg:.8g} deg"
    if isinstance(area, Box):
        return (
            f"ra {area.ra_min:.8g} to {area.ra_max:.8g}, dec {area.dec_min:.8g} to "
            f"{area.dec_max:.8g}"
        )
    assert isinstance(area, Polygon)
    return f"a polygon of {len(area.vertices)} vertices"


def _lines(tree: Tree) -> Iterator[str]:
    """The tree in words."""
    yield f"snapshot {tree['snapshot']}"
    for fragment in tree["fragments"]:
        yield fragment["name"]
        for line in _fragment_lines(fragment):
            yield f"  {line}"
    if tree["rest"] is not None:
        yield "over the results"
        yield f"  {tree['rest']}"
    took = tree["took"]
    if took is not None:
        yield (
            f"took {_time(took['total_s'])} for {counted(took['n_rows'], 'rows')}: plan "
            f"{_time(took['plan_s'])}, merge {_time(took['merge_s'])}, the rest in groups"
        )


def _fragment_lines(fragment: Tree) -> Iterator[str]:
    places = ", ".join(f"{n} at {place}" for place, n in fragment["places"].items())
    if fragment["is_global"]:
        yield f"tables of the whole database, at {next(iter(fragment['places']))}"
    else:
        yield (
            f"{fragment['regions']} of {counted(fragment['regions_of'], 'regions')}, in "
            f"{counted(fragment['groups'], 'groups')}: {places}"
        )
    for near in fragment["near"]:
        yield f"regions near the places of {near}"
    for scan in fragment["scans"]:
        yield from _scan_lines(scan)
    yield f"in each group: {fragment['first']}"
    if fragment["last"] is not None:
        yield f"of all groups: {fragment['last']}"
    if fragment["limit"] is not None:
        yield f"ends after {counted(fragment['limit'], 'rows')}"
    for worker, notes in (fragment["took"] or {}).items():
        yield (
            f"{worker}: {counted(notes['n_groups'], 'groups')}, "
            f"{counted(notes['n_rows_read'], 'rows')} read, {counted(notes['n_rows'], 'rows')} made"
        )
        yield (
            f"  {counted(notes['n_tiles'], 'tiles')} decoded from {notes['n_bytes'] / 1e6:.1f} MB; "
            "others were in memory"
        )
        yield (
            f"  read {_time(notes['read_s'])}, decode {_time(notes['decode_s'])}, arrange "
            f"{_time(notes['arrange_s'])}, evaluate {_time(notes['evaluate_s'])}"
        )


def _scan_lines(scan: Tree) -> Iterator[str]:
    table, alias = scan["table"], scan["alias"]
    name = table if alias == table else f"{table} as {alias}"
    columns = ", ".join(scan["columns"])
    yield f"read {name}: {columns}" if columns else f"count the rows of {name}, reading none"
    if scan["area"] is not None:
        yield f"  rows in {scan['area']}"
    for wanted in scan["ranges"]:
        yield f"  tiles with {wanted}"
    for mark, area in scan["marks"].items():
        yield f"  marked in {area}: {mark}"
    if scan["rows"] is not None:
        yield (
            f"  {counted(scan['rows'], 'rows')} in {counted(scan['parts'], 'parts')} of "
            f"{counted(scan['files'], 'files')}, "
            f"{scan['bytes'] / 1e6:.1f} MB with all columns"
        )


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"
