"""Pan-STARRS1 DR2: mean objects of MAST (ObjectThin with MeanObject), VizieR's II/349."""

from __future__ import annotations

from dvo.ingest.surveys.forms import Band, Field, Form, Rule, Survey, has_bits
from dvo.tables.flags import AverageFlag, PhotFlag, SecFiltFlag

__all__ = ["PS1"]

_NULLS = (-999.0,)

PS1 = Survey(
    name="ps1",
    title="Pan-STARRS1 DR2, mean objects",
    bands=tuple(Band(b, f"PS1.{b}", f"{b}, mean psf magnitude of the exposures, AB")
                for b in "grizy"),
    forms=(
        Form(
            "MeanObjectView",
            "Results of MAST (CasJobs, catalogs API) with columns of ObjectThin and MeanObject: "
            "CSV, FITS, VOTable, Parquet",
            (
                Field("ra", "raMean", "deg", is_needed=True, nulls=_NULLS),
                Field("dec", "decMean", "deg", is_needed=True, nulls=_NULLS),
                Field("ra_err", "raMeanErr", "arcsec", nulls=_NULLS),
                Field("dec_err", "decMeanErr", "arcsec", nulls=_NULLS),
                Field("epoch", "epochMean", "mjd", nulls=(-999.0, 0.0)),
                Field("info", "objInfoFlag", nulls=_NULLS),
                Field("mag", "{}MeanPSFMag", "mag", is_needed=True, nulls=_NULLS),
                Field("mag_err", "{}MeanPSFMagErr", "mag", nulls=_NULLS),
                Field("m_kron", "{}MeanKronMag", "mag", nulls=_NULLS),
                Field("m_kron_err", "{}MeanKronMagErr", "mag", nulls=_NULLS),
                Field("m_aper", "{}MeanApMag", "mag", nulls=_NULLS),
                Field("m_aper_err", "{}MeanApMagErr", "mag", nulls=_NULLS),
                Field("psf_qf_perfect", "{}QfPerfect", nulls=_NULLS),
                Field("filter_flags", "{}Flags", nulls=_NULLS),
            ),
            words=tuple("grizy"),
            epoch=2012.0,
        ),
        Form(
            "VizieR II/349/ps1",
            "FITS, VOTable or CSV from VizieR (DR1)",
            (
                Field("ra", "RAJ2000", "deg", is_needed=True),
                Field("dec", "DEJ2000", "deg", is_needed=True),
                Field("ra_err", "e_RAJ2000", "arcsec"),
                Field("dec_err", "e_DEJ2000", "arcsec"),
                Field("epoch", "Epoch", "mjd"),
                Field("info", "f_objID"),
                Field("mag", "{}mag", "mag", is_needed=True, nulls=_NULLS),
                Field("mag_err", "e_{}mag", "mag", nulls=_NULLS),
                Field("m_kron", "{}Kmag", "mag", nulls=_NULLS),
                Field("m_kron_err", "e_{}Kmag", "mag", nulls=_NULLS),
                Field("filter_flags", "{}Flags"),
            ),
            words=tuple("grizy"),
            epoch=2012.0,
        ),
    ),
    rules=(
        Rule("info", has_bits(AverageFlag.EXT | AverageFlag.EXT_ALT), PhotFlag.EXT_LIMIT,
             "`objInfoFlag` EXT or EXT_ALT: extended"),
        Rule("info", has_bits(AverageFlag.NO_MEAN_ASTROM | AverageFlag.STACK_FOR_MEAN),
             PhotFlag.POOR, "`objInfoFlag` NO_MEAN_ASTROM or STACK_FOR_MEAN: the position is that "
             "of the stack"),
        Rule("filter_flags", has_bits(SecFiltFlag.STAR_FEW | SecFiltFlag.STAR_POOR), PhotFlag.POOR,
             "`gFlags` … STAR_FEW or STAR_POOR"),
        Rule("filter_flags", has_bits(SecFiltFlag.OBJ_EXT), PhotFlag.EXT_LIMIT,
             "`gFlags` … OBJ_EXT: extended in the band"),
    ),
    source=(
        ("Flewelling et al. 2020, ApJS 251, 7; MAST: PS1 ObjectThin, MeanObject, ObjectInfoFlags, "
        "ObjectFilterFlags"),
        "Magnier et al. 2020, ApJS 251, 6 (accuracy); CDS II/349",
    ),
    notes=(
        ("-999 stands for a missing value; objects of stacks alone have no mean position and are "
        "left out. Objects seen once (`nDetections` 1) are many, and often false: leave them out "
        "when you ask for the table."),
        "The photcodes (PS1.g …) are those of the published catalogue, not of exposures of GPC1.",
    ),
    pos_err_arcsec=0.05,
    pos_sys_arcsec=0.005,
    mag_sys=0.005,
)  # fmt: skip
"""Pan-STARRS1."""
