"""2MASS, the All-Sky Point Source Catalog: its own text, IRSA's tables, VizieR's II/246."""

from __future__ import annotations

import re

from dvo.ingest.surveys.derive import errors_of_ellipse, letter_a_band
from dvo.ingest.surveys.forms import (
    Band,
    Effect,
    Field,
    Form,
    Rows,
    Rule,
    Survey,
    above,
    equals,
    letters,
)
from dvo.ingest.surveys.text_files import bars
from dvo.tables.flags import PhotFlag

__all__ = ["TWOMASS"]

_MEAN_EPOCH = 1999.5  # seen from June 1997 to February 2001

_COLUMNS = (
    *("ra", "dec", "err_maj", "err_min", "err_ang", "designation"),
    *("j_m", "j_cmsig", "j_msigcom", "j_snr", "h_m", "h_cmsig", "h_msigcom", "h_snr"),
    *("k_m", "k_cmsig", "k_msigcom", "k_snr", "ph_qual", "rd_flg", "bl_flg", "cc_flg"),
    *("ndet", "prox", "pxpa", "pxcntr", "gal_contam", "mp_flg", "pts_key", "hemis", "date"),
    *("scan", "glon", "glat", "x_scan", "jdate", "j_psfchi", "h_psfchi", "k_psfchi"),
    *("j_m_stdap", "j_msig_stdap", "h_m_stdap", "h_msig_stdap", "k_m_stdap", "k_msig_stdap"),
    *("dist_edge_ns", "dist_edge_ew", "dist_edge_flg", "dup_src", "use_src", "a", "dist_opt"),
    *("phi_opt", "b_m_opt", "vr_m_opt", "nopt_mchs", "ext_key", "scan_key", "coadd_key"),
    "coadd",
)

_FIELDS = (
    Field("ra", "ra", "deg", is_needed=True),
    Field("dec", "dec", "deg", is_needed=True),
    Field("err_maj", "err_maj"),
    Field("err_min", "err_min"),
    Field("err_ang", "err_ang"),
    Field("epoch", "jdate", "jd"),
    Field("ph_qual", "ph_qual", is_needed=True, is_text=True),
    Field("rd_flg", "rd_flg", is_text=True),
    Field("bl_flg", "bl_flg", is_text=True),
    Field("cc_flg", "cc_flg", is_text=True),
    Field("gal_contam", "gal_contam"),
    Field("mp_flg", "mp_flg"),
    Field("mag", "{}_m", "mag", is_needed=True),
    Field("mag_err", "{}_msigcom", "mag"),
    Field("psf_chisq", "{}_psfchi"),
)


def _prepare(rows: Rows) -> None:
    errors_of_ellipse(rows)
    letter_a_band(rows, ("ph_qual", "rd_flg", "bl_flg", "cc_flg"))
    for band in rows.bands:
        if "mag_err" in band:
            # Above 8 they are marks that there is no error (ph_qual F).
            band["mag_err"][band["mag_err"] > 8.0] = float("nan")


TWOMASS = Survey(
    name="2mass",
    title="2MASS All-Sky Point Source Catalog",
    bands=(
        Band("J", "2MASS.J", "J, default magnitude, Vega system"),
        Band("H", "2MASS.H", "H, default magnitude, Vega system"),
        Band("K", "2MASS.K", "Ks, default magnitude, Vega system"),
    ),
    forms=(
        Form(
            "psc_aaa … psc_baz",
            "The catalogue's own text (psc_aaa.gz …): 60 fields between bars, `\\N` for missing "
            "values",
            _FIELDS,
            words=("j", "h", "k"),
            epoch=_MEAN_EPOCH,
            starts=re.compile(rb" *\d+\.\d+\|[ +-]*\d+\.\d+\|(?:[^|\n]*\|){57}[^|\n]*\n"),
            read=bars(_COLUMNS),
            prepare=_prepare,
        ),
        Form(
            "IRSA fp_psc",
            "Results of IRSA as VOTable, CSV, FITS or Parquet",
            _FIELDS,
            words=("j", "h", "k"),
            epoch=_MEAN_EPOCH,
            prepare=_prepare,
        ),
        Form(
            "VizieR II/246/out",
            "FITS, VOTable or CSV from VizieR",
            (
                Field("ra", "RAJ2000", "deg", is_needed=True),
                Field("dec", "DEJ2000", "deg", is_needed=True),
                Field("err_maj", "errMaj"),
                Field("err_min", "errMin"),
                Field("err_ang", "errPA"),
                Field("epoch", "JD", "jd"),
                Field("ph_qual", "Qflg", is_needed=True, is_text=True),
                Field("rd_flg", "Rflg", is_text=True),
                Field("bl_flg", "Bflg", is_text=True),
                Field("cc_flg", "Cflg", is_text=True),
                Field("gal_contam", "Xflg"),
                Field("mp_flg", "Aflg"),
                Field("mag", "{}mag", "mag", is_needed=True),
                Field("mag_err", "e_{}mag", "mag"),
            ),
            words=("J", "H", "K"),
            epoch=_MEAN_EPOCH,
            prepare=_prepare,
        ),
    ),
    rules=(
        Rule("ph_qual", letters("UX"), Effect.NOT_MEASURED,
             "`ph_qual` U (upper limit) or X (no brightness): no measure in the band"),
        Rule("ph_qual", letters("EF"), PhotFlag.POOR,
             "`ph_qual` E (poor fit) or F (no reliable error)"),
        Rule("rd_flg", letters("3"), PhotFlag.SATSTAR,
             "`rd_flg` 3: saturated even in the short exposures"),
        Rule("bl_flg", letters("23456789"), PhotFlag.BLEND_FIT,
             "`bl_flg` above 1: fitted together with its neighbours"),
        Rule("cc_flg", letters("p"), PhotFlag.DEFECT, "`cc_flg` p: persistence"),
        Rule("cc_flg", letters("d"), PhotFlag.ON_SPIKE, "`cc_flg` d: diffraction spike"),
        Rule("cc_flg", letters("s"), PhotFlag.ON_GHOST, "`cc_flg` s: electronic stripe"),
        Rule("cc_flg", letters("cb"), PhotFlag.BLEND,
             "`cc_flg` c or b: confused with a neighbour"),
        Rule("gal_contam", equals(1), PhotFlag.EXT_LIMIT, "`gal_contam` 1: an extended source"),
        Rule("gal_contam", equals(2), PhotFlag.BLEND,
             "`gal_contam` 2: inside an extended source"),
        Rule("mp_flg", above(0), Effect.LEFT_OUT,
             "minor planet, comet or planet (`mp_flg` 1)"),
    ),
    source=(
        ("Cutri et al. 2003, Explanatory Supplement to the 2MASS All Sky Data Release, sections "
        "I.6.b, II.2.a (columns, nulls and flags) and II.2 (accuracy)"),
        "Skrutskie et al. 2006, AJ 131, 1163; CDS II/246",
    ),
    notes=(
        ("Errors of magnitudes are the total ones (`*_msigcom`). Those above 8 mag are marks that "
        "there is none."),
        "Positions without an error ellipse are taken to be good to 0.08 arcsec.",
    ),
    pos_err_arcsec=0.08,
)  # fmt: skip
"""2MASS."""
