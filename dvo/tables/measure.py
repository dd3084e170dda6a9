"""Measure: one row for every measurement of an object, with or without an image.

Names are those of the original DVO (format PS1_V5) where they were not slips. Shapes and
angles are kept in their natural units as floats instead of scaled 16-bit integers.
"""

from __future__ import annotations

from dvo.tables.schema import Codec, Column, TableSchema

__all__ = ["MEASURE"]

_POS_ERR = "stat.error;pos.eq"

MEASURE = TableSchema(
    name="Measure",
    suffix="cpm",
    extname="DVO_MEASURE",
    meaning="measurements: every detection of everything, linked to its object and image",
    tile_index=("ra", "dec", "time", "mag", "image_id", "photcode", "obj_id", "ave_ref"),
    columns=(
        Column(
            "ra", "f8", "right ascension at the time of the measurement, ICRS", "deg", "pos.eq.ra"
        ),
        Column(
            "dec", "f8", "declination at the time of the measurement, ICRS", "deg", "pos.eq.dec"
        ),
        Column("ra_err", "f4", "error of ra, times cos(dec)", "arcsec", "stat.error;pos.eq.ra"),
        Column("dec_err", "f4", "error of dec", "arcsec", "stat.error;pos.eq.dec"),
        Column(
            "mag",
            "f4",
            "PSF magnitude: instrumental + 2.5 log10(exptime) + 25 (DEP), or as published (REF)",
            "mag",
            "phot.mag",
        ),
        Column("mag_err", "f4", "error of mag", "mag", "stat.error;phot.mag"),
        Column("m_aper", "f4", "aperture magnitude, as mag", "mag", "phot.mag"),
        Column("m_aper_err", "f4", "error of m_aper", "mag", "stat.error;phot.mag"),
        Column("m_kron", "f4", "Kron magnitude, as mag", "mag", "phot.mag"),
        Column("m_kron_err", "f4", "error of m_kron", "mag", "stat.error;phot.mag"),
        Column(
            "m_cal",
            "f4",
            "zero-point offset of the image (PSF); subtracted. Null: 0",
            "mag",
            "phot.calib",
        ),
        Column("mag_cal_err", "f4", "error of m_cal", "mag", "stat.error;phot.calib"),
        Column(
            "mcal_aper",
            "f4",
            "zero-point offset of the image (aperture and Kron). Null: 0",
            "mag",
            "phot.calib",
        ),
        Column("m_flat", "f4", "flat-field correction; subtracted. Null: 0", "mag", "phot.calib"),
        Column(
            "m_time",
            "f4",
            "2.5 log10 of the exposure time in seconds",
            "mag",
            "time.duration;obs.exposure",
        ),
        Column("flux_psf", "f4", "PSF flux", "ct/s", "phot.count"),
        Column("flux_psf_err", "f4", "error of flux_psf", "ct/s", "stat.error;phot.count"),
        Column("flux_kron", "f4", "Kron flux", "ct/s", "phot.count"),
        Column("flux_kron_err", "f4", "error of flux_kron", "ct/s", "stat.error;phot.count"),
        Column("flux_ap", "f4", "aperture flux", "ct/s", "phot.count"),
        Column("flux_ap_err", "f4", "error of flux_ap", "ct/s", "stat.error;phot.count"),
        Column("airmass", "f4", "airmass of the measurement", "", "obs.airMass"),
        Column("az", "f4", "azimuth of the measurement", "deg", "pos.az.azi"),
        Column("x_ccd", "f4", "raw x on the chip", "pixel", "pos.cartesian.x;instr.det"),
        Column("y_ccd", "f4", "raw y on the chip", "pixel", "pos.cartesian.y;instr.det"),
        Column("x_ccd_err", "f4", "error of x_ccd", "pixel", "stat.error;pos.cartesian.x"),
        Column("y_ccd_err", "f4", "error of y_ccd", "pixel", "stat.error;pos.cartesian.y"),
        Column(
            "x_fix",
            "f4",
            "x_ccd plus its corrections. Null: x_ccd",
            "pixel",
            "pos.cartesian.x;instr.det",
        ),
        Column(
            "y_fix",
            "f4",
            "y_ccd plus its corrections. Null: y_ccd",
            "pixel",
            "pos.cartesian.y;instr.det",
        ),
        Column("x_off_kh", "f4", "correction of x for brightness (Koppenhoefer)", "pixel"),
        Column("y_off_kh", "f4", "correction of y for brightness (Koppenhoefer)", "pixel"),
        Column("x_off_dcr", "f4", "correction of x for differential chromatic refraction", "pixel"),
        Column("y_off_dcr", "f4", "correction of y for differential chromatic refraction", "pixel"),
        Column("x_off_cam", "f4", "correction of x from the camera's astrometric flat", "pixel"),
        Column("y_off_cam", "f4", "correction of y from the camera's astrometric flat", "pixel"),
        Column("pos_sys_err", "f4", "systematic position error", "pixel", _POS_ERR),
        Column("sky_flux", "f4", "local sky level", "ct", "instr.background"),
        Column("sky_flux_err", "f4", "error of sky_flux", "ct", "stat.error;instr.background"),
        Column(
            "time",
            "i8",
            "time of the measurement, whole seconds since 1970 UTC",
            "s",
            "time.epoch",
            null=-(2**63),
        ),
        Column("time_msec", "u2", "thousandths of a second to add to time", "ms", "time.epoch"),
        Column("ave_ref", "u4", "row of its object in Average", "", "meta.record"),
        Column("det_id", "u4", "number of the detection in its image", "", "meta.id"),
        Column("obj_id", "u4", "number of its object in catalog cat_id", "", "meta.id;src"),
        Column("cat_id", "u4", "catalog where its object was first made", "", "meta.id"),
        Column(
            "ext_id",
            "u8",
            "public detection id (PSPS detectID); 0 if none; made when read, not stored",
            "",
            "meta.id",
            null=0,
            derived=True,
        ),
        Column(
            "image_id",
            "u4",
            "its image; 0 if it came from no image",
            "",
            "meta.id;obs.image",
            null=0,
        ),
        Column(
            "ref_id",
            "u4",
            "reference catalog that it came from; 0 if it came from an image",
            "",
            "meta.id",
            null=0,
            codec=Codec.GZIP_2,  # one value in all rows, or a few among zeros
        ),
        Column(
            "u_ra",
            "f4",
            "proper motion that its catalog gives, in ra times cos(dec)",
            "arcsec/yr",
            "pos.pm;pos.eq.ra",
        ),
        Column(
            "u_dec",
            "f4",
            "proper motion that its catalog gives, in dec",
            "arcsec/yr",
            "pos.pm;pos.eq.dec",
        ),
        Column("u_ra_err", "f4", "error of u_ra", "arcsec/yr", "stat.error;pos.pm;pos.eq.ra"),
        Column("u_dec_err", "f4", "error of u_dec", "arcsec/yr", "stat.error;pos.pm;pos.eq.dec"),
        Column("par", "f4", "parallax that its catalog gives", "arcsec", "pos.parallax.trig"),
        Column("par_err", "f4", "error of par", "arcsec", "stat.error;pos.parallax.trig"),
        Column("psf_qf", "f4", "fraction of the PSF on unmasked pixels", "", "meta.code.qual"),
        Column(
            "psf_qf_perfect",
            "f4",
            "fraction of the PSF on wholly good pixels",
            "",
            "meta.code.qual",
        ),
        Column("psf_chisq", "f4", "chi-square of the PSF fit", "", "stat.fit.chi2"),
        Column("psf_ndof", "i4", "degrees of freedom of the PSF fit", "", "stat.fit.dof", null=-1),
        Column("psf_npix", "i4", "pixels in the PSF fit", "", "meta.number", null=-1),
        Column("ext_nsigma", "f4", "how extended it is, in sigma", "", "src.morph"),
        Column("fwhm_major", "f4", "PSF width, major axis", "pixel", "phys.angSize;instr.det.psf"),
        Column("fwhm_minor", "f4", "PSF width, minor axis", "pixel", "phys.angSize;instr.det.psf"),
        Column("psf_theta", "f4", "angle of the PSF's major axis", "deg", "pos.posAng"),
        Column("mxx", "f4", "second moment xx", "pixel**2", "src.morph.param"),
        Column("mxy", "f4", "second moment xy", "pixel**2", "src.morph.param"),
        Column("myy", "f4", "second moment yy", "pixel**2", "src.morph.param"),
        Column("posangle", "f4", "position angle of the chip's y axis", "deg", "pos.posAng"),
        Column("pltscale", "f4", "plate scale", "arcsec/pixel", "instr.scale"),
        Column("photcode", "u2", "photcode of the measurement", "", "meta.id;instr.filter", null=0),
        Column("phot_flags", "u4", "flags of the photometry program (PhotFlag)", "", "meta.code"),
        Column(
            "phot_flags2", "u4", "more flags of the photometry program (PhotFlag2)", "", "meta.code"
        ),
        Column("db_flags", "u4", "flags of the database (MeasureFlag)", "", "meta.code"),
    ),
)
