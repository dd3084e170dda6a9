"""Schema of the GalPhot table: galaxy models, one row a measurement and model.

Magnitudes are at the level of ``Measure.mag``: the offset of the image (``m_cal``) is not yet
applied.
"""

from __future__ import annotations

import enum

from dvo.tables.schema import Column, TableSchema

__all__ = ["GALPHOT", "GalPhotFlag", "GalaxyModel"]


class GalaxyModel(enum.IntEnum):
    """Galaxy profiles; the values of ``GalPhot.model_type``."""

    DEV = 1
    """de Vaucouleurs"""
    EXP = 2
    """exponential disc"""
    SER = 3
    """Sersic with a free index"""


class GalPhotFlag(enum.IntFlag):
    """How the fit of a galaxy model went; the bits of ``GalPhot.flags``."""

    FIT_FAILED = 0x1
    """the fit did not converge"""
    TOO_FEW_POINTS = 0x2
    """too few pixels to fit"""
    OUT_OF_RANGE = 0x4
    """the best grid point is on the edge of the grid"""
    BAD_ERROR = 0x8
    """the error of the fit is not usable"""


GALPHOT = TableSchema(
    name="GalPhot",
    suffix="cpq",
    extname="DVO_GALPHOT",
    meaning="one galaxy model of one measurement, or of an object in one filter",
    columns=(
        Column("xfit", "f4", "centre of the model, x", "pix", "pos.cartesian.x;instr.det"),
        Column("yfit", "f4", "centre of the model, y", "pix", "pos.cartesian.y;instr.det"),
        Column("mag", "f4", "magnitude of the model, not calibrated", "mag", "phot.mag"),
        Column("mag_err", "f4", "error of mag", "mag", "stat.error;phot.mag"),
        Column(
            "major_axis",
            "f4",
            "half-light radius along the major axis",
            "arcsec",
            "phys.angSize.smajAxis",
        ),
        Column(
            "minor_axis",
            "f4",
            "half-light radius along the minor axis",
            "arcsec",
            "phys.angSize.sminAxis",
        ),
        Column(
            "major_axis_err",
            "f4",
            "error of major_axis",
            "arcsec",
            "stat.error;phys.angSize.smajAxis",
        ),
        Column(
            "minor_axis_err",
            "f4",
            "error of minor_axis",
            "arcsec",
            "stat.error;phys.angSize.sminAxis",
        ),
        Column(
            "theta", "f4", "position angle of the major axis, north to east", "deg", "pos.posAng"
        ),
        Column("theta_err", "f4", "error of theta", "deg", "stat.error;pos.posAng"),
        Column("index", "f4", "Sersic index n; 4 for DEV, 1 for EXP"),
        Column("chisq", "f4", "chi squared of the fit per degree of freedom", ucd="stat.fit.chi2"),
        Column("npix", "f4", "number of pixels fitted, weighted by their masks", "pix"),
        Column("obj_id", "u4", "number of the object in its catalog", ucd="meta.id;src"),
        Column("cat_id", "u4", "catalog in which the object was made", ucd="meta.id"),
        Column("det_id", "u4", "number of the detection in its image", ucd="meta.id"),
        Column("image_id", "u4", "image measured; 0 if none", ucd="meta.ref;obs.image", null=0),
        Column("ave_ref", "u4", "row of the object in Average", ucd="meta.ref"),
        Column("flags", "u4", "how the fit went (GalPhotFlag)", ucd="meta.code.qual"),
        Column("photcode", "u2", "photcode of the image", ucd="meta.id;instr.filter"),
        Column("model_type", "i2", "profile (GalaxyModel)", ucd="meta.code.class"),
    ),
    tile_index=("obj_id",),
)
"""Schema of GalPhot."""
