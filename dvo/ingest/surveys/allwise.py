"""AllWISE Source Catalog: IRSA's tables and VizieR's II/328."""

from __future__ import annotations

import numpy as np

from dvo.ingest.surveys.derive import errors_of_ellipse, letter_a_band
from dvo.ingest.surveys.forms import Band, Effect, Field, Form, Rows, Rule, Survey, above, letters
from dvo.tables.flags import PhotFlag

__all__ = ["ALLWISE"]

_MEAN_EPOCH = 2010.5589  # MJD 55400, to which the catalogue refers its motions


def _prepare(rows: Rows) -> None:
    errors_of_ellipse(rows)
    letter_a_band(rows, ("ph_qual", "cc_flags"))
    _mean_time(rows)
    for band in rows.bands:
        if "ph_qual" not in band and "mag_err" in band:
            # Without the quality, it is the missing error that tells an upper limit.
            band["ph_qual"] = np.where(np.isnan(band["mag_err"]), b"U", b"A")


def _mean_time(rows: Rows) -> None:
    """Times of the rows: the mean time of the first band that has one."""
    times = [band.pop("mjd_mean") for band in rows.bands if "mjd_mean" in band]
    if times:
        out = times[0].astype(np.float64)
        for other in times[1:]:
            out = np.where(np.isnan(out), other, out)
        rows.values["epoch"] = out


ALLWISE = Survey(
    name="allwise",
    title="AllWISE Source Catalog",
    bands=tuple(
        Band(f"W{k}", f"WISE.W{k}", f"W{k} ({um} um), profile fit, Vega system")
        for k, um in enumerate(("3.4", "4.6", "12", "22"), start=1)
    ),
    forms=(
        Form(
            "IRSA allwise_p3as_psd",
            "Results of IRSA as VOTable, CSV, FITS or Parquet",
            (
                Field("ra", "ra", "deg", is_needed=True),
                Field("dec", "dec", "deg", is_needed=True),
                Field("ra_err", "sigra", "arcsec"),
                Field("dec_err", "sigdec", "arcsec"),
                Field("ph_qual", "ph_qual", is_text=True),
                Field("cc_flags", "cc_flags", is_text=True),
                Field("ext_flg", "ext_flg"),
                Field("mag", "{}mpro", "mag", is_needed=True),
                Field("mag_err", "{}sigmpro", "mag", is_needed=True),
                Field("psf_chisq", "{}rchi2"),
                Field("sat", "{}sat"),
                Field("mjd_mean", "{}mjdmean"),
            ),
            words=("w1", "w2", "w3", "w4"),
            epoch=_MEAN_EPOCH,
            prepare=_prepare,
        ),
        Form(
            "VizieR II/328/allwise",
            "FITS, VOTable or CSV from VizieR",
            (
                Field("ra", "RAJ2000", "deg", is_needed=True),
                Field("dec", "DEJ2000", "deg", is_needed=True),
                Field("err_maj", "eeMaj"),
                Field("err_min", "eeMin"),
                Field("err_ang", "eePA"),
                Field("ph_qual", "qph", is_text=True),
                Field("cc_flags", "ccf", is_text=True),
                Field("ext_flg", "ex"),
                Field("mag", "{}mag", "mag", is_needed=True),
                Field("mag_err", "e_{}mag", "mag", is_needed=True),
            ),
            words=("W1", "W2", "W3", "W4"),
            epoch=_MEAN_EPOCH,
            prepare=_prepare,
        ),
    ),
    rules=(
        Rule("ph_qual", letters("UX"), Effect.NOT_MEASURED,
             "`ph_qual` U (upper limit) or X (not fitted): no measure in the band; without "
             "`ph_qual`, a magnitude without error is an upper limit"),
        Rule("ph_qual", letters("Z"), PhotFlag.POOR, "`ph_qual` Z: the error is unknown"),
        Rule("cc_flags", letters("DPHO"), PhotFlag.DEFECT,
             "`cc_flags` D, P, H or O: thought to be an artifact of a bright star"),
        Rule("cc_flags", letters("Dd"), PhotFlag.ON_SPIKE, "`cc_flags` D or d: diffraction spike"),
        Rule("cc_flags", letters("HOho"), PhotFlag.ON_GHOST,
             "`cc_flags` H, h, O or o: halo or optical ghost"),
        Rule("cc_flags", letters("p"), PhotFlag.BLEND, "`cc_flags` p: touched by persistence"),
        Rule("ext_flg", above(0), PhotFlag.EXT_LIMIT,
             "`ext_flg` above 0: no point source, or in or near an extended one of 2MASS"),
        Rule("sat", above(0), PhotFlag.SATURATED, "`w?sat` above 0: has saturated pixels"),
    ),
    source=(
        ("Cutri et al. 2013, Explanatory Supplement to the AllWISE Data Release, section II.1 "
        "(columns, nulls and flags)"),
        "CDS II/328",
    ),
    notes=(
        ("Missing values are empty cells, `null` or NaN. The catalogue's motions (`pmra`, `pmdec`) "
        "are not taken: they are apparent ones, with the parallax in them."),
        ("The time of a row is the mean time of its exposures in W1 (`w1mjdmean`), or in the next "
        "band that has one."),
    ),
    pos_err_arcsec=0.1,
)  # fmt: skip
"""AllWISE."""
