"""Schemas of the flat-field corrections: sparse grids, one a photcode and season.

Against the original the times are 64-bit (32-bit unix seconds end in 2038).
"""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["FLAT_CORRECTION", "FLAT_CORRECTION_IMAGE"]

FLAT_CORRECTION_IMAGE = TableSchema(
    name="FlatCorrectionImage",
    suffix="fits",
    extname="FLAT_CORRECTION_IMAGE",
    meaning="one flat-field correction: the photcode and season it holds for, and its grid",
    columns=(
        Column("tstart", "i8", "first second it holds for, unix time UTC", "s", "time.start"),
        Column(
            "tstop", "i8", "first second it no longer holds for, unix time UTC", "s", "time.end"
        ),
        Column("id", "i4", "number of the correction", ucd="meta.id"),
        Column("nx", "i4", "cells of the grid in x", ucd="meta.number"),
        Column("ny", "i4", "cells of the grid in y", ucd="meta.number"),
        Column("dx", "i4", "size of a cell in x", "pix"),
        Column("dy", "i4", "size of a cell in y", "pix"),
        Column("photcode", "u2", "photcode it holds for", ucd="meta.id;instr.filter"),
    ),
)
"""Schema of the list of flat-field corrections."""

FLAT_CORRECTION = TableSchema(
    name="FlatCorrection",
    suffix="fits",
    extname="FLAT_CORRECTION",
    meaning="one filled cell of a flat-field correction; cells that are absent are zero",
    columns=(
        Column("id", "i4", "number of the correction", ucd="meta.ref"),
        Column("x", "i4", "cell in x, from 0", ucd="pos.cartesian.x"),
        Column("y", "i4", "cell in y, from 0", ucd="pos.cartesian.y"),
        Column("offset", "f4", "correction (M_FLAT) of the cell", "mag", "phot.mag;arith.diff"),
    ),
)
"""Schema of the cells of flat-field corrections."""
