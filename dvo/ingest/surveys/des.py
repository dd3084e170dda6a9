"""DES, and surveys like it: a column of each kind for each band, with the names of SExtractor."""

from __future__ import annotations

from dvo.ingest.surveys.forms import (
    Band,
    Field,
    Form,
    Rule,
    Survey,
    above,
    equals,
    has_bits,
    other_than,
)
from dvo.tables.flags import PhotFlag

__all__ = ["DES"]

_NULLS = (99.0, -99.0, -999.0, -9999.0)
_WORDS = ("U", "G", "R", "I", "Z", "Y")

_POSITION = (
    Field("ra", "RA", "deg", is_needed=True),
    Field("dec", "DEC", "deg", is_needed=True),
    Field("class", "EXTENDED_COADD"),
    Field("class", "EXTENDED_CLASS_COADD"),
    Field("sextractor", "FLAGS_{}"),
    Field("image_flags", "IMAFLAGS_ISO_{}"),
    Field("m_kron", "MAG_AUTO_{}", "mag", nulls=_NULLS),
    Field("m_kron_err", "MAGERR_AUTO_{}", "mag", nulls=_NULLS),
)


def _psf(mag: str, error: str) -> tuple[Field, ...]:
    return (
        *_POSITION,
        Field("mag", mag, "mag", is_needed=True, nulls=_NULLS),
        Field("mag_err", error, "mag", nulls=_NULLS),
    )


DES = Survey(
    name="des",
    title="DES DR1 and DR2, and catalogues like them",
    bands=tuple(Band(w if w == "Y" else w.lower(), f"DES.{w if w == 'Y' else w.lower()}",
                     f"{w}, psf magnitude, AB") for w in _WORDS),
    forms=(
        Form(
            "DES DR1, DR2 main",
            "Tables with the means of the psf magnitudes of the exposures (WAVG_MAG_PSF_G …): "
            "FITS, CSV, VOTable, Parquet",
            _psf("WAVG_MAG_PSF_{}", "WAVG_MAGERR_PSF_{}"),
            words=_WORDS,
            epoch=2016.0,
        ),
        Form(
            "psf magnitudes",
            "Tables with psf magnitudes of coadds (MAG_PSF_G …), such as DELVE",
            _psf("MAG_PSF_{}", "MAGERR_PSF_{}"),
            words=_WORDS,
            epoch=2016.0,
        ),
        Form(
            "Kron magnitudes alone",
            "Tables with MAG_AUTO_G … and no psf magnitudes; these go to `m_kron`",
            tuple(
                Field(f.key, f.name, f.unit, f.name in ("RA", "DEC", "MAG_AUTO_{}"), f.nulls)
                for f in _POSITION
            ),
            words=_WORDS,
            epoch=2016.0,
        ),
    ),
    rules=(
        Rule("sextractor", has_bits(0x2), PhotFlag.BLEND, "`FLAGS` 2: blended"),
        Rule("sextractor", has_bits(0x4), PhotFlag.SATURATED, "`FLAGS` 4: saturated"),
        Rule("sextractor", has_bits(0xF8), PhotFlag.POOR,
             "`FLAGS` 8 and above: cut off at an edge, or not wholly measured"),
        Rule("image_flags", other_than(0), PhotFlag.DEFECT,
             "`IMAFLAGS_ISO` not 0: on bad pixels of the coadd"),
        Rule("class", above(1.5), PhotFlag.EXT_LIMIT,
             "`EXTENDED_COADD` (`EXTENDED_CLASS_COADD`) 2 or 3: likely or surely a galaxy"),
        Rule("class", equals(-9), PhotFlag.POOR, "`EXTENDED_COADD` -9: no data to tell"),
    ),
    source=(
        "Abbott et al. 2021, ApJS 255, 20 (DES DR2, appendix: columns); SExtractor manual (FLAGS)",
    ),
    notes=(
        "99 (-99, -999, -9999) stands for a missing value.",
        ("For another survey of such columns give its name with `--system`: `--system DELVE` makes "
        "the photcodes DELVE.g …; and the epoch of its positions with `--epoch`."),
        "Bands are those that the file has.",
    ),
    pos_err_arcsec=0.03,
    pos_sys_arcsec=0.01,
    mag_sys=0.005,
)  # fmt: skip
"""DES and its like."""
