"""Columns of the original's satellite tables, format PS1_V6: names, types, and ours that they hold.

The original's Missing (DVO_MISSING) is no more than a time for each; it has no format of V6.
"""

from __future__ import annotations

from dvo.exchange.original.formats import OldColumn, OldTable
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING, aperture_columns, ksb_columns
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.missing import MISSING
from dvo.tables.schema import Column
from dvo.tables.starpar import STARPAR

__all__ = ["HEADER_KEYS", "SATELLITES_V6"]


def _floats(columns: tuple[Column, ...]) -> list[OldColumn]:
    return [OldColumn(c.fits_name, "E", c.name, unit=c.unit) for c in columns]


def _as(text: str, form: str, unit: str = "") -> list[OldColumn]:
    return [OldColumn(n, form, n.lower(), unit=unit) for n in text.split()]


_TERMS = (*_floats(ksb_columns()),)
_FLUXES = (*_floats(aperture_columns()),)

SATELLITES_V6 = {
    LENSING.name: OldTable("DVO_LENSING_PS1_V6", 160, (
        *_TERMS,
        *_as("E1_PSF E2_PSF", "E"),
        *_FLUXES,
        *_as("DET_ID OBJ_ID CAT_ID AVE_REF IMAGE_ID", "U"),
        *_as("OLD_IM_ID", "J"),
    )),
    LENSOBJ.name: OldTable("DVO_LENSOBJ_PS1_V6", 152, (
        *_TERMS,
        *_FLUXES,
        *_as("GAMMA E1 E2", "E"),
        *_as("OBJ_ID CAT_ID", "U"),
        *_as("PHOTCODE NMEAS", "I"),
    )),
    STARPAR.name: OldTable("DVO_STARPAR_PS1_V6", 80, (
        *_as("RA DEC", "D", "deg"),
        *_as("GAL_LAT GAL_LON", "E", "deg"),
        *_as("E_BV E_BV_ERR DISTANCE_MOD DISTANCE_MOD_ERR M_R_ABS M_R_ABS_ERR", "E", "mag"),
        *_as("F_E_H F_E_H_ERR", "E"),
        *_as("U_RA U_DEC", "E", "arcsec/yr"),
        *_as("AVE_REF OBJ_ID CAT_ID", "U"),
        OldColumn("DUMMY", "U"),
    )),
    GALPHOT.name: OldTable("DVO_GALPHOT_PS1_V6", 80, (
        *_as("XFIT YFIT", "E", "pixel"),
        *_as("MAG MAG_ERR", "E", "mag"),
        *_as("MAJOR_AXIS MINOR_AXIS MAJOR_AXIS_ERR MINOR_AXIS_ERR", "E", "arcsec"),
        *_as("THETA THETA_ERR", "E", "deg"),
        *_as("INDEX CHISQ NPIX", "E"),
        *_as("OBJ_ID CAT_ID DET_ID IMAGE_ID", "U"),
        OldColumn("AVEREF", "U", "ave_ref"),
        *_as("FLAGS", "U"),
        *_as("PHOTCODE MODEL_TYPE", "I"),
    )),
    MISSING.name: OldTable("DVO_MISSING", 4, (OldColumn("TIME", "U", "time", unit="s"),)),
}  # fmt: skip
"""Tables of the original by the names of ours."""

HEADER_KEYS = {
    LENSING.name: ("LENSING", "NLENSING"),
    LENSOBJ.name: ("LENSOBJ", "NLENSOBJ"),
    STARPAR.name: ("STARPAR", "NSTARPAR"),
    GALPHOT.name: ("GALPHOT", "NGALPHOT"),
    MISSING.name: ("MISSING", "NMISS"),
}
"""Keywords of a .cpt file that name the file of a table and count its rows."""
