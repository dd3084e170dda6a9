"""Schema of the Missing table: objects that an image should have seen and did not."""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["MISSING"]

MISSING = TableSchema(
    name="Missing",
    suffix="cpn",
    extname="DVO_MISSING",
    meaning="one object inside the field of an image that has no measure of it",
    columns=(
        Column("ra", "f8", "right ascension of the object when exposed, ICRS", "deg", "pos.eq.ra"),
        Column("dec", "f8", "declination of the object when exposed, ICRS", "deg", "pos.eq.dec"),
        Column("x_ccd", "f4", "where the object should be, x", "pix", "pos.cartesian.x;instr.det"),
        Column("y_ccd", "f4", "where the object should be, y", "pix", "pos.cartesian.y;instr.det"),
        Column("mag", "f4", "mean magnitude of the object in the filter", "mag", "phot.mag"),
        Column("mag_limit", "f4", "detection limit of the image", "mag", "phot.mag;stat.max"),
        Column(
            "time",
            "i8",
            "start of the exposure, seconds since 1970 UTC",
            "s",
            "time.start;obs.exposure",
            null=-(2**63),
        ),
        Column("time_msec", "u2", "thousandths of a second of time", "ms", "time.start"),
        Column("ave_ref", "u4", "row of the object in Average", ucd="meta.ref"),
        Column("obj_id", "u4", "number of the object in its catalog", ucd="meta.id;src"),
        Column("cat_id", "u4", "catalog in which the object was made", ucd="meta.id"),
        Column("image_id", "u4", "image looked at", ucd="meta.ref;obs.image", null=0),
        Column("photcode", "u2", "photcode of the image", ucd="meta.id;instr.filter"),
    ),
    tile_index=("ra", "dec", "time", "image_id", "obj_id"),
)
"""Schema of Missing."""
