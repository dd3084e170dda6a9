"""Schema of the SkyTable: one row a sky region, level after level.

Against the original the bounds are float64 (float32 moves an edge by up to 0.05"), names
may be 32 characters long, host numbers have 16 bits, and the two marks are true booleans.
"""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["SKY_REGION"]

SKY_REGION = TableSchema(
    name="SkyTable",
    suffix="fits",
    extname="SKY_REGION",
    meaning="one region of the sky",
    columns=(
        Column("r_min", "f8", "least right ascension, inside, ICRS", "deg", "pos.eq.ra;stat.min"),
        Column(
            "r_max", "f8", "greatest right ascension, outside, ICRS", "deg", "pos.eq.ra;stat.max"
        ),
        Column("d_min", "f8", "least declination, inside, ICRS", "deg", "pos.eq.dec;stat.min"),
        Column("d_max", "f8", "greatest declination, outside, ICRS", "deg", "pos.eq.dec;stat.max"),
        Column("child_s", "i4", "row of the first child; 0 if none", ucd="meta.ref", null=0),
        Column("child_e", "i4", "row after the last child; 0 if none", ucd="meta.ref", null=0),
        Column("parent", "i4", "row of the parent; -1 for the whole sky", ucd="meta.ref", null=-1),
        Column(
            "index",
            "i4",
            "number of the region; its row, but for children of regions that are split",
            ucd="meta.id",
        ),
        Column("depth", "u1", "level, 0 to 5", ucd="meta.number"),
        Column("child", "b1", "whether the region has children", ucd="meta.code"),
        Column("table", "b1", "whether the region has a catalog", ucd="meta.code"),
        Column("name", "S32", "name, such as n0000/0001.07", ucd="meta.id"),
        Column("host_flags", "u1", "1 on target, 2 on backup, 4 use backup, 128 copy failed"),
        Column("host_id", "u2", "partition host of the catalog; 0 if none", ucd="meta.id", null=0),
        Column("backup_id", "u2", "partition host of the copy; 0 if none", ucd="meta.id", null=0),
    ),
)
"""Schema of the SkyTable."""
