"""What a plan would do, in words: regions, files, bytes, columns, and the queries."""

from __future__ import annotations

from collections.abc import Sequence

from dvo.partition.bounds import Area, Box, Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.polygon import Polygon
from dvo.partition.view import View
from dvo.query.evaluator import sql_of
from dvo.query.plan import Fragment, Plan
from dvo.query.run import groups_of
from dvo.query.scan import Scan
from dvo.query.sources import sources_of

__all__ = ["explain_plan"]


def explain_plan(view: View, plan: Plan) -> str:
    """Describe a plan.

    Parameters
    ----------
    view : View
        The snapshot.
    plan : Plan
        The plan.

    Returns
    -------
    str
        Several lines.
    """
    lines = [f"snapshot {view.snapshot.id}"]
    for fragment in plan.fragments:
        lines += _fragment_lines(view, fragment)
    if plan.rest is not None:
        lines += ["over the results", f"  {sql_of(plan.rest)}"]
    return "\n".join(lines)


def _fragment_lines(view: View, fragment: Fragment) -> list[str]:
    groups = groups_of(view, fragment)
    regions = [region for group in groups for region in group]
    lines = [fragment.name]
    if not fragment.is_global:
        lines.append(f"  regions {len(regions)} of {len(view.counts())}, in {len(groups)} groups")
    for scan in fragment.scans:
        lines += _scan_lines(view, scan, regions)
    lines.append(f"  in each group: {sql_of(fragment.phases.first)}")
    if fragment.phases.last is not None:
        lines.append(f"  of all groups: {sql_of(fragment.phases.last)}")
    if fragment.phases.limit is not None:
        lines.append(f"  ends after {fragment.phases.limit} rows")
    return lines


def _scan_lines(view: View, scan: Scan, regions: Sequence[int]) -> list[str]:
    source = sources_of(view.photcodes).get(scan.table)
    name = scan.table if scan.alias == scan.table else f"{scan.table} as {scan.alias}"
    lines = [f"  read {name}: {', '.join(scan.columns)}"]
    if scan.area is not None:
        lines.append(f"    rows in {_area_text(scan.area)}")
    lines += [f"    marked in {_area_text(area)}: {mark}" for mark, area in scan.marks]
    if source is None or source.schema is None:
        return lines
    found = view.part_sizes(source.schema, [ALL_SKY] if source.is_global else regions)
    lines.append(
        f"    {found.n_rows} rows in {found.n_parts} parts of {found.n_files} files, "
        f"{found.n_bytes / 1e6:.1f} MB with all columns"
    )
    return lines


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
