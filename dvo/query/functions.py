"""The functions that a query can use, by kind."""

from __future__ import annotations

__all__ = ["AGGREGATES", "DISTANCE", "FUNCTIONS", "GEOMETRY", "KNOWN"]

AGGREGATES = frozenset(
    [
        "COUNT",
        "SUM",
        "AVG",
        "MIN",
        "MAX",
        "STDDEV",
        "STDDEV_POP",
        "STDDEV_SAMP",
        "VARIANCE",
        "VAR_POP",
        "VAR_SAMP",
        "MEDIAN",
        "QUANTILE_CONT",
        "QUANTILE_DISC",
        "CORR",
        "COVAR_POP",
        "COVAR_SAMP",
        "ANY_VALUE",
        "ARG_MIN",
        "ARG_MAX",
    ]
)
"""Aggregate functions."""

FUNCTIONS = frozenset(
    [
        "ABS",
        "ACOS",
        "ASIN",
        "ATAN",
        "ATAN2",
        "CBRT",
        "CEIL",
        "CEILING",
        "COS",
        "COT",
        "DEGREES",
        "EXP",
        "FLOOR",
        "LN",
        "LOG",
        "LOG10",
        "LOG2",
        "MOD",
        "PI",
        "POWER",
        "POW",
        "RADIANS",
        "ROUND",
        "SIGN",
        "SIN",
        "SQRT",
        "TAN",
        "TRUNCATE",
        "TRUNC",
        "GREATEST",
        "LEAST",
        "COALESCE",
        "NULLIF",
        "IFNULL",
        "LOWER",
        "UPPER",
        "LENGTH",
        "SUBSTRING",
        "TRIM",
        "CONCAT",
        "CAST",
        "ROW_NUMBER",
        "RANK",
        "DENSE_RANK",
        "LAG",
        "LEAD",
        "BIT_COUNT",
        "ISNULL",
        "NVL",
    ]
)
"""Functions of one row, and of windows."""

GEOMETRY = frozenset(
    [
        "POINT",
        "CIRCLE",
        "BOX",
        "POLYGON",
        "CONTAINS",
        "INTERSECTS",
        "DISTANCE",
        "AREA",
        "COORD1",
        "COORD2",
        "COORDSYS",
        "CENTROID",
        "Q3C_RADIAL_QUERY",
        "Q3C_JOIN",
        "Q3C_DIST",
    ]
)
"""Functions of places and regions of sky."""

DISTANCE = "DVO_DISTANCE"
"""Function of the evaluator: great-circle distance of (ra, dec) from (ra, dec) [deg]."""

KNOWN = AGGREGATES | FUNCTIONS | GEOMETRY
"""All that a query can name."""
