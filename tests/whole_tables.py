"""Two snapshots compared by brute force: whole tables, row by row, in plain dicts."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE
from dvo.tables.satellites import SATELLITES
from dvo.tables.secfilt import SECFILT

LINKS = {"ave_ref", "off_measure", *(s.offset for s in SATELLITES)}
Row = tuple[int, dict[str, bytes]]
Rows = dict[str, dict[Any, Row]]


def plain(view: View) -> Rows:
    """Every row of every table: its region, and the bytes of each of its values."""
    out: Rows = {"Image": {}, "Photcode": {}}
    for schema, key in ((IMAGE, "image_id"), (PHOTCODE, "name")):
        table = view.read(schema, ALL_SKY)
        for i, name in enumerate(table[key].tolist()):
            out[schema.name][name] = (ALL_SKY, values(table, schema, i))
    for region in view.regions():
        average = view.read(AVERAGE, region)
        objects = list(zip(average["cat_id"].tolist(), average["obj_id"].tolist(), strict=True))
        secfilt = view.read(SECFILT, region)
        filters = [p.code for p in view.photcodes.sec]
        measure = view.read(MEASURE, region)
        ids = [measure[n].tolist() for n in ("image_id", "ref_id", "det_id")]
        for schema, table, keys in (
            (AVERAGE, average, objects),
            (SECFILT, secfilt, [(*o, f) for o in objects for f in filters]),
            (MEASURE, measure, list(zip(*ids, strict=True))),
        ):
            rows = out.setdefault(schema.name, {})
            for i, key in enumerate(keys):
                assert key not in rows, f"{schema.name}: {key} is there twice"
                rows[key] = (region, values(table, schema, i))
        for satellite in SATELLITES:
            table = view.read(satellite.schema, region)
            names = ("cat_id", "obj_id", *satellite.key)
            rows = out.setdefault(satellite.schema.name, {})
            for i, key in enumerate(zip(*(table[n].tolist() for n in names), strict=True)):
                assert key not in rows, f"{satellite.schema.name}: {key} is there twice"
                rows[key] = (region, values(table, satellite.schema, i))
    return out


def values(table, schema, row):
    out = {}
    for name in schema.stored_names:
        if name not in LINKS:
            value = table[name][row]
            # All NaN are one value.
            is_nan = schema[name].dtype[0] == "f" and schema[name].shape == 1 and value != value
            out[name] = b"nan" if is_nan else value.tobytes()
    return out


def brute_diff(before: Rows, after: Rows) -> dict[str, dict[str, Any]]:
    """By table: rows added, changed and gone by region, and how often each column differs."""
    found = {}
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name, {}), after.get(name, {})
        changed = {k for k in one.keys() & two.keys() if one[k][1] != two[k][1]}
        table = {
            "added": Counter(two[k][0] for k in two.keys() - one.keys()),
            "changed": Counter(two[k][0] for k in changed),
            "gone": Counter(one[k][0] for k in one.keys() - two.keys()),
            "columns": Counter(
                c for k in changed for c in one[k][1] if one[k][1][c] != two[k][1][c]
            ),
        }
        if any(table.values()):
            found[name] = table
    return found


def as_counters(report) -> dict[str, dict[str, Any]]:
    """A SnapshotDiff in the form of `brute_diff`."""
    found = {}
    for t in report.tables:
        regions = t.regions.tolist()
        found[t.table] = {
            kind: Counter({
                r: n for r, n in zip(regions, getattr(t, kind).tolist(), strict=True) if n
            })
            for kind in ("added", "changed", "gone")
        } | {"columns": Counter(t.columns)}  # fmt: skip
    return found
