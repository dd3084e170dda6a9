"""Plain DuckDB over whole tables, with a geometry of its own: what answers should be."""

from __future__ import annotations

import re

import duckdb
import numpy as np
import pyarrow as pa

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.partition.manifest import ALL_SKY
from dvo.query.adql import ADQL
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE
from dvo.tables.secfilt import SECFILT

# Great-circle distance by the cross and the dot product; ours is by haversines.
MACROS = """
CREATE MACRO o_x(ra, de) AS cos(radians(de)) * cos(radians(ra));
CREATE MACRO o_y(ra, de) AS cos(radians(de)) * sin(radians(ra));
CREATE MACRO o_z(ra, de) AS sin(radians(de));
CREATE MACRO o_cross(ax, ay, az, bx, by_, bz) AS
    sqrt(pow(ay*bz - az*by_, 2) + pow(az*bx - ax*bz, 2) + pow(ax*by_ - ay*bx, 2));
CREATE MACRO o_dist(a, b, c, d) AS degrees(atan2(
    o_cross(o_x(a,b), o_y(a,b), o_z(a,b), o_x(c,d), o_y(c,d), o_z(c,d)),
    o_x(a,b)*o_x(c,d) + o_y(a,b)*o_y(c,d) + o_z(a,b)*o_z(c,d)));
CREATE MACRO o_in_circle(a, b, c, d, r) AS CAST(o_dist(a, b, c, d) <= r AS INTEGER);
CREATE MACRO o_in_box(a, b, c, d, w, h) AS
    CAST(abs(b - d) <= h / 2 AND abs(((a - c + 900.0) % 360.0) - 180.0) <= w / 2 AS INTEGER);
CREATE MACRO o_touch(a, b, r, c, d, s) AS CAST(o_dist(a, b, c, d) <= r + s AS INTEGER);
CREATE MACRO q3c_join(a, b, c, d, r) AS o_dist(a, b, c, d) <= r;
CREATE MACRO q3c_radial_query(a, b, c, d, r) AS o_dist(a, b, c, d) <= r;
"""
_N = r"([^,()]+)"
_POINT = rf"POINT\((?:'ICRS', )?{_N}, {_N}\)"
_CIRCLE = rf"CIRCLE\((?:'ICRS', )?(?:POINT\()?{_N}, {_N}\)?, {_N}\)"
_REWRITES = (
    (rf"CONTAINS\({_POINT}, {_CIRCLE}\)", r"o_in_circle(\1, \2, \3, \4, \5)"),
    (rf"CONTAINS\({_POINT}, BOX\({_N}, {_N}, {_N}, {_N}\)\)", r"o_in_box(\1, \2, \3, \4, \5, \6)"),
    (rf"INTERSECTS\({_CIRCLE}, {_CIRCLE}\)", r"o_touch(\1, \2, \3, \4, \5, \6)"),
    (rf"DISTANCE\({_POINT}, {_POINT}\)", r"o_dist(\1, \2, \3, \4)"),
    (rf"DISTANCE\({_N}, {_N}, {_N}, {_N}\)", r"o_dist(\1, \2, \3, \4)"),
    (rf"COORD1\({_POINT}\)", r"\1"),
    (rf"COORD2\({_POINT}\)", r"\2"),
    (r"upload\.places", "places"),
)


class Oracle:
    """All tables of a snapshot, each in one piece, in plain DuckDB."""

    def __init__(self, view, uploads):
        self._con = duckdb.connect(":memory:", config={"threads": 1})
        for line in MACROS.split(";"):
            if line.strip():
                self._con.execute(line)
        tables = {schema.name.lower(): whole(view, schema) for schema in (AVERAGE, MEASURE)}
        tables["image"] = arrow(view.read(IMAGE, ALL_SKY))
        tables["photcode"] = arrow(view.read(PHOTCODE, ALL_SKY))
        tables["secfilt"] = secfilt(view)
        for name, table in (tables | uploads).items():
            # Tables of its own: it does not read those of Arrow as it does ours.
            self._con.register("given", table)
            self._con.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
            self._con.unregister("given")

    def answer(self, query):
        """Rows of the answer, as tuples."""
        for pattern, plain in _REWRITES:
            query = re.sub(pattern, plain, query)
        (tree,) = ADQL().parse(query)
        return self._con.execute(tree.sql("duckdb")).fetchall()


def arrow(table: ColumnTable) -> pa.Table:
    columns = [OutputColumn(c.name, c) for c in table.schema.columns]
    return to_arrow(columns, {c.name: table[c.name] for c in columns})


def whole(view, schema):
    tables = [view.read(schema, region) for region in view.regions()]
    return arrow(ColumnTable.concatenate(schema, tables))


def secfilt(view):
    tables = [view.read(SECFILT, region) for region in view.regions()]
    table = arrow(ColumnTable.concatenate(SECFILT, tables))
    average = whole(view, AVERAGE)
    codes = view.photcodes.sec
    for name in ("cat_id", "obj_id"):
        values = np.repeat(average[name].to_numpy(), len(codes))
        table = table.append_column(name, pa.array(values))
    n = len(average)
    table = table.append_column("photcode", pa.array([p.code for p in codes] * n))
    return table.append_column("filter", pa.array([p.name for p in codes] * n))
