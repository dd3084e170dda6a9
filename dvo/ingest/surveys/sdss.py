"""SDSS imaging: tables of SkyServer and CasJobs (PhotoObj and its views), VizieR's V/147."""

from __future__ import annotations

from dvo.ingest.surveys.forms import (
    Band,
    Effect,
    Field,
    Form,
    Rule,
    Survey,
    equals,
    has_bits,
    other_than,
)
from dvo.tables.flags import PhotFlag

__all__ = ["SDSS"]

_NULLS = (-9999.0, -1000.0)  # of PhotoObj, and of old data releases

SDSS = Survey(
    name="sdss",
    title="SDSS photometry",
    bands=tuple(Band(b, f"SDSS.{b}", f"{b}, psf magnitude (asinh, AB)") for b in "ugriz"),
    forms=(
        Form(
            "PhotoObj",
            "Results of SkyServer or CasJobs from PhotoObj, PhotoPrimary, Star or Galaxy (CSV with "
            "or without the line `#Table1`, FITS, VOTable)",
            (
                Field("ra", "ra", "deg", is_needed=True),
                Field("dec", "dec", "deg", is_needed=True),
                Field("ra_err", "raErr", "arcsec", nulls=_NULLS),
                Field("dec_err", "decErr", "arcsec", nulls=_NULLS),
                Field("epoch", "mjd", "mjd", nulls=(0.0,)),
                Field("mode", "mode"),
                Field("clean", "clean"),
                Field("type", "type"),
                Field("object_flags", "flags"),
                Field("mag", "psfMag_{}", "mag", is_needed=True, nulls=_NULLS),
                Field("mag_err", "psfMagErr_{}", "mag", nulls=_NULLS),
                Field("m_kron", "petroMag_{}", "mag", nulls=_NULLS),
                Field("m_kron_err", "petroMagErr_{}", "mag", nulls=_NULLS),
                Field("object_flags", "flags_{}"),
            ),
            words=tuple("ugriz"),
            epoch=2005.0,
        ),
        Form(
            "VizieR V/147/sdss12",
            "FITS, VOTable or CSV from VizieR, with the psf magnitudes (upmag, e_upmag …), which "
            "are not among the columns shown at first",
            (
                Field("ra", "RA_ICRS", "deg", is_needed=True),
                Field("dec", "DE_ICRS", "deg", is_needed=True),
                Field("ra_err", "e_RA_ICRS", "arcsec"),
                Field("dec_err", "e_DE_ICRS", "arcsec"),
                Field("epoch", "ObsDate", "yr"),
                Field("mode", "mode"),
                Field("type", "class"),
                Field("mag", "{}pmag", "mag", is_needed=True, nulls=_NULLS),
                Field("mag_err", "e_{}pmag", "mag", nulls=_NULLS),
            ),
            words=tuple("ugriz"),
            epoch=2005.0,
        ),
    ),
    rules=(
        Rule("mode", other_than(1), Effect.LEFT_OUT,
             "not the primary observation of its object (`mode` not 1)"),
        Rule("clean", equals(0), PhotFlag.POOR, "`clean` 0"),
        Rule("type", equals(3), PhotFlag.EXT_LIMIT, "`type` (`class`) 3: galaxy"),
        Rule("object_flags", has_bits(0x8), PhotFlag.BLEND, "`flags` BLENDED (2^3)"),
        Rule("object_flags", has_bits(0x1000), PhotFlag.CR_LIMIT, "`flags` COSMIC_RAY (2^12)"),
        Rule("object_flags", has_bits(0x40000), PhotFlag.SATURATED, "`flags` SATURATED (2^18)"),
        Rule("object_flags", has_bits(0x4), PhotFlag.DEFECT,
             "`flags` EDGE (2^2): too near the edge of the frame"),
    ),
    source=(
        "SkyServer schema browser: PhotoObjAll, PhotoFlags; SDSS algorithms: magnitudes",
        "Alam et al. 2015, ApJS 219, 12; CDS V/147",
    ),
    notes=(
        ("-9999 (-1000 in old releases) stands for a missing value. Magnitudes are asinh "
        "magnitudes, as published; `m_kron` holds Petrosian ones."),
        "`flags_u` … are taken for their bands where they are there, else `flags` for all.",
    ),
    pos_err_arcsec=0.05,
    pos_sys_arcsec=0.03,
    mag_sys=0.01,
)  # fmt: skip
"""SDSS."""
