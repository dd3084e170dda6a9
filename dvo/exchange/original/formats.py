"""Columns of the original's tables, format PS1_V6: names, types, and ours that they hold.

A row is as wide as the original's programs expect, which they check. Unsigned integers are
written bit for bit in signed columns, without TZERO, as the original does.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AVERAGE_V6", "IMAGE_V6", "MEASURE_V6", "PHOTCODE_V6", "SECFILT_V6", "SKY_REGION",
           "OldColumn", "OldTable"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class OldColumn:
    """A column of the original.

    Parameters
    ----------
    name : str
        Its name.
    form : str
        ``D`` and ``E`` floats; ``J``, ``I`` signed and ``U``, ``H`` unsigned integers of 32
        and 16 bits; ``K`` unsigned of 64; ``B`` a byte; ``nA`` text; ``nE`` a vector.
    source : str
        Our column; empty for what we have nothing of, which is filled with zeros.
    scale : float
        Factor to the original's unit.
    unit : str
        The original's unit.
    """

    name: str
    form: str
    source: str = ""
    scale: float = 1.0
    unit: str = ""


@dataclass(frozen=True, slots=True)
class OldTable:
    """A table of the original.

    Parameters
    ----------
    extname : str
        EXTNAME, by which its programs know the format.
    row_bytes : int
        Width of a row.
    columns : tuple of OldColumn
        Its columns.
    """

    extname: str
    row_bytes: int
    columns: tuple[OldColumn, ...]


def _same(text: str, form: str, unit: str = "") -> list[OldColumn]:
    """Columns that have our names in upper case."""
    return [OldColumn(n, form, n.lower(), unit=unit) for n in text.split()]


_HUNDREDTHS = ("I", 100.0, "1/100 pixel")
_TURN = ("I", 65535.0 / 360.0, "360/65535 deg")


def _scaled(text: str, kind: tuple[str, float, str]) -> list[OldColumn]:
    form, scale, unit = kind
    return [OldColumn(n, form, n.lower(), scale, unit) for n in text.split()]


AVERAGE_V6 = OldTable("DVO_AVERAGE_PS1_V6", 192, (
    *_same("RA DEC", "D", "deg"),
    *_same("RA_ERR DEC_ERR", "E", "arcsec"),
    *_same("U_RA U_DEC", "E", "arcsec/yr"),
    OldColumn("V_RA_ERR", "E", "u_ra_err", unit="arcsec/yr"),
    OldColumn("V_DEC_ERR", "E", "u_dec_err", unit="arcsec/yr"),
    *_same("PAR PAR_ERR", "E", "arcsec"),
    *_same("RA_STK DEC_STK", "D", "deg"),
    *_same("RA_STK_ERR DEC_STK_ERR", "E", "arcsec"),
    *_same("CHISQ_POS CHISQ_PM", "E"),
    OldColumn("CHISQ_PLX", "E", "chisq_par"),
    *_same("MEAN_EPOCH TIME_RANGE", "J", "s"),
    *_same("PSF_QF", "E"),
    OldColumn("PSF_QF_PERF", "E", "psf_qf_perfect"),
    *_same("STARGAL_SEP", "E"),
    *_same("NUMBER_POS NMEASURE NMISSING NLENSING NLENSOBJ NGALPHOT", "H"),
    *_same("OFF_MEASURE OFF_MISSING OFF_LENSING OFF_LENSOBJ OFF_STARPAR OFF_GALPHOT", "J"),
    *_same("REF_COLOR_BLUE REF_COLOR_RED", "E", "mag"),
    *_same("TESS_ID SKYCELL_ID", "B"),
    *_same("PROJECTION_ID NSTARPAR NWARP_OK", "I"),
    *_same("FLAGS PHOTFLAGS_U PHOTFLAGS_L OBJ_ID CAT_ID", "U"),
    *_same("EXT_ID", "K"),
    *_same("U_RA_GAL U_DEC_GAL", "E", "arcsec/yr"),
))  # fmt: skip
"""Average."""

SECFILT_V6 = OldTable("DVO_SECFILT_PS1_V6", 176, (
    *_same("MAG MAG_ERR MAG_AP MAG_AP_ERR MAG_AP_STDEV MAG_KRON MAG_KRON_ERR MAG_KRON_STDEV", "E",
           "mag"),
    *_same("PSF_QF_MAX PSF_QF_PERF_MAX", "E"),
    *_same("MAG_STDEV MAG_MIN MAG_MAX", "E", "mag"),
    *_same("MAG_CHI", "E"),
    *_same("NCODE NUSED NUSED_KRON NUSED_AP", "I"),
    *_same("FLAGS", "U"),
    *_same("MAG_PSF_STK FLUX_PSF_STK FLUX_PSF_STK_ERR", "E"),
    *_same("MAG_KRON_STK FLUX_KRON_STK FLUX_KRON_STK_ERR", "E"),
    *_same("MAG_AP_STK FLUX_AP_STK FLUX_AP_STK_ERR", "E"),
    *_same("NSTACK NSTACK_DET", "I"),
    *_same("STACK_PRIMARY_OFF STACK_BEST_OFF", "J"),
    *_same("MAG_PSF_WRP FLUX_PSF_WRP FLUX_PSF_WRP_ERR FLUX_PSF_WRP_STD", "E"),
    *_same("MAG_KRON_WRP FLUX_KRON_WRP FLUX_KRON_WRP_ERR FLUX_KRON_WRP_STD", "E"),
    *_same("MAG_AP_WRP FLUX_AP_WRP FLUX_AP_WRP_ERR FLUX_AP_WRP_STD", "E"),
    *_same("NUSED_WRP NUSED_KRON_WRP NUSED_AP_WRP NWARP NWARP_GOOD UBERCAL_DIST", "I"),
))  # fmt: skip
"""SecFilt."""

MEASURE_V6 = OldTable("DVO_MEASURE_PS1_V6", 240, (
    *_same("RA DEC", "D", "deg"),
    *_same("MAG MAG_ERR M_APER M_APER_ERR M_KRON M_KRON_ERR", "E", "mag"),
    OldColumn("MCAL_PSF", "E", "m_cal", unit="mag"),
    *_same("MAG_CAL_ERR M_TIME", "E", "mag"),
    *_same("FLUX_PSF FLUX_PSF_ERR FLUX_KRON FLUX_KRON_ERR FLUX_AP FLUX_AP_ERR", "E", "ct/s"),
    *_same("AIRMASS", "E"),
    *_same("AZ", "E", "deg"),
    *_same("X_CCD Y_CCD X_FIX Y_FIX X_OFF_KH Y_OFF_KH X_OFF_DCR Y_OFF_DCR X_OFF_CAM Y_OFF_CAM",
           "E", "pixel"),
    *_same("M_FLAT MCAL_APER", "E", "mag"),
    *_same("SKY_FLUX SKY_FLUX_ERR", "E", "ct"),
    *_same("TIME", "J", "s"),
    *_same("AVE_REF DET_ID OBJ_ID CAT_ID", "U"),
    *_same("EXT_ID", "K"),
    *_same("IMAGE_ID", "U"),
    *_same("PSF_QF", "E"),
    OldColumn("PSF_QF_PEFECT", "E", "psf_qf_perfect"),
    *_same("PSF_CHISQ", "E"),
    *_same("PSF_NDOF PSF_NPIX", "J"),
    *_same("PHOT_FLAGS2", "U"),
    *_same("EXT_NSIGMA", "E"),
    *_scaled("FWHM_MAJOR FWHM_MINOR", _HUNDREDTHS),
    *_scaled("PSF_THETA", _TURN),
    *_scaled("MXX MXY MYY", ("I", 100.0, "1/100 pixel**2")),
    *_same("TIME_MSEC", "H", "ms"),
    *_same("PHOTCODE", "H"),
    *_scaled("X_CCD_ERR Y_CCD_ERR POS_SYS_ERR", _HUNDREDTHS),
    *_scaled("POSANGLE", _TURN),
    *_same("PLTSCALE", "E", "arcsec/pixel"),
    *_same("DB_FLAGS PHOT_FLAGS", "U"),
    OldColumn("PADDING", "J"),
))  # fmt: skip
"""Measure."""

IMAGE_V6 = OldTable("DVO_IMAGE_PS1_V6", 368, (
    *_same("CRVAL1 CRVAL2", "D"),
    *_same("CRPIX1 CRPIX2 CDELT1 CDELT2 PC1_1 PC1_2 PC2_1 PC2_2", "E"),
    *_same("POLYTERMS", "14E"),
    *_same("CTYPE", "15A"),
    *_same("NPOLYTERMS", "B"),
    OldColumn("TZERO", "J", "time", unit="s"),
    *_same("NSTAR", "U"),
    *_same("SECZ", "E"),
    *_same("NX NY", "H"),
    *_same("APMIFIT DAPMIFIT MCAL_PSF MCAL_APER DMCAL", "E", "mag"),
    *_same("XM", "E"),
    OldColumn("PADDING", "I"),
    *_same("PHOTCODE", "H"),
    *_same("EXPTIME", "E", "s"),
    *_same("ST", "E", "h"),
    *_same("LAT RA_CENTER DEC_CENTER RADIUS", "E", "deg"),
    *_same("REF_COLOR_BLUE REF_COLOR_RED", "E", "mag"),
    *_same("NAME", "117A"),
    *_scaled("DETECTION_LIMIT SATURATION_LIMIT", ("B", 10.0, "1/10 mag")),
    *_scaled("CERROR", ("B", 50.0, "1/50 arcsec")),
    *_scaled("FWHM_X FWHM_Y", ("B", 25.0, "1/25 arcsec")),
    *_same("TRATE CCDNUM", "B"),
    *_same("FLAGS IMAGE_ID PARENT_ID EXTERN_ID", "U"),
    *_same("SOURCE_ID", "H"),
    *_same("NLINK_ASTROM NLINK_PHOTOM UBERCAL_DIST", "I"),
    *_same("XPIX_SYS_ERR YPIX_SYS_ERR", "E", "pixel"),
    *_same("MAG_SYS_ERR", "E", "mag"),
    *_same("N_FIT_ASTROM N_FIT_PHOTOM", "I"),
    *_same("PHOTOM_MAP_ID ASTROM_MAP_ID", "U"),
))  # fmt: skip
"""Image."""

PHOTCODE_V6 = OldTable("DVO_PHOTCODE_PS1_V6", 112, (
    *_same("CODE", "H"),
    *_same("NAME", "32A"),
    *_same("TYPE", "B"),
    OldColumn("DUMMY", "3A"),
    *_scaled("C_LAM C_LAM_ERR X_ERR", ("I", 1000.0, "mmag")),
    OldColumn("K", "E", "k", -1.0, "mag"),  # there light lost in air counts below 0
    *_same("C1 C2 EQUIV NC", "J"),
    *_same("X", "4E"),
    *_same("ASTROM_ERR_SYS ASTROM_ERR_SCALE ASTROM_ERR_MAG_SCALE", "E"),
    *_same("ASTROM_POOR_MASK ASTROM_BAD_MASK", "U"),
    *_same("PHOTOM_ERR_SYS", "E"),
    *_same("PHOTOM_POOR_MASK PHOTOM_BAD_MASK", "U"),
))  # fmt: skip
"""Photcode."""

SKY_REGION = OldTable("SKY_REGION", 56, (
    *_same("R_MIN R_MAX D_MIN D_MAX", "E", "deg"),
    *_same("CHILD_S CHILD_E PARENT INDEX", "J"),
    *_same("DEPTH CHILD TABLE", "B"),
    *_same("NAME", "18A"),
    *_same("HOST_FLAGS HOST_ID BACKUP_ID", "B"),
))  # fmt: skip
"""SkyTable."""
