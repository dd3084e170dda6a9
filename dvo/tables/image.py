"""Image: one row for every chip image, and one for the focal plane of a mosaic exposure.

A chip row (ctype ``....-WRP``) names its mosaic row (ctype ``....-DIS``) by parent_id.
Limits and widths are kept as plain floats instead of scaled bytes, and names have 128
characters. ``content`` is the checksum by which a repeated image is recognised.
"""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["IMAGE", "N_MAP_VALUES", "N_POLYTERMS"]

N_POLYTERMS = 14
"""Seven polynomial terms of second and third order (xx xy yy xxx xxy xyy yyy) for each axis."""

N_MAP_VALUES = 72
"""Shifts of x and of y in 6 by 6 cells; those that a map does not have are null."""

IMAGE = TableSchema(
    name="Image",
    suffix="fits",
    extname="DVO_IMAGE",
    meaning="images: the chip images and exposures that made the measurements",
    tile_index=("time", "image_id", "ra_center", "dec_center"),
    columns=(
        Column(
            "image_id",
            "u4",
            "running number of the image in this database",
            "",
            "meta.id;obs.image",
        ),
        Column("name", "S128", "name of the image", "", "meta.id;obs.image"),
        Column(
            "photcode",
            "u2",
            "photcode of its measurements; 0 for a mosaic row",
            "",
            "meta.id;instr.filter",
            null=0,
        ),
        Column(
            "time",
            "i8",
            "start of the exposure, whole seconds since 1970 UTC",
            "s",
            "time.start;obs.exposure",
            null=-(2**63),
        ),
        Column("time_msec", "u2", "thousandths of a second to add to time", "ms", "time.start"),
        Column("exptime", "f4", "exposure time", "s", "time.duration;obs.exposure"),
        Column("secz", "f4", "airmass", "", "obs.airMass"),
        Column("nstar", "u4", "detections added from this image", "", "meta.number"),
        Column("crval1", "f8", "reference value, axis 1", "deg", "pos.wcs.crval"),
        Column("crval2", "f8", "reference value, axis 2", "deg", "pos.wcs.crval"),
        Column("crpix1", "f8", "reference pixel, axis 1", "pixel", "pos.wcs.crpix"),
        Column("crpix2", "f8", "reference pixel, axis 2", "pixel", "pos.wcs.crpix"),
        Column("cdelt1", "f8", "scale, axis 1 (see ctype)", "", "pos.wcs.scale"),
        Column("cdelt2", "f8", "scale, axis 2 (see ctype)", "", "pos.wcs.scale"),
        Column("pc1_1", "f8", "rotation term", "", "pos.wcs.cdmatrix"),
        Column("pc1_2", "f8", "rotation term", "", "pos.wcs.cdmatrix"),
        Column("pc2_1", "f8", "rotation term", "", "pos.wcs.cdmatrix"),
        Column("pc2_2", "f8", "rotation term", "", "pos.wcs.cdmatrix"),
        Column(
            "polyterms",
            "f8",
            "polynomial terms xx xy yy xxx xxy xyy yyy of axis 1, then axis 2",
            "",
            "pos.wcs",
            shape=N_POLYTERMS,
        ),
        Column(
            "ctype", "S16", "kind of astrometry: RA---TAN, RA---DIS, RA---WRP", "", "pos.wcs.ctype"
        ),
        Column(
            "npolyterms",
            "i4",
            "order of the polynomial (0 and 1: linear)",
            "",
            "meta.number",
            null=-1,
        ),
        Column("nx", "u4", "width", "pixel", "meta.number"),
        Column("ny", "u4", "height", "pixel", "meta.number"),
        Column(
            "mcal_psf",
            "f4",
            "zero-point offset, PSF; subtracted from magnitudes",
            "mag",
            "phot.calib",
        ),
        Column("mcal_aper", "f4", "zero-point offset, aperture and Kron", "mag", "phot.calib"),
        Column("dmcal", "f4", "error of mcal_psf", "mag", "stat.error;phot.calib"),
        Column("xm", "f4", "chi-square of mcal_psf", "", "stat.fit.chi2"),
        Column("apmifit", "f4", "aperture correction", "mag", "phot.calib"),
        Column("dapmifit", "f4", "error of apmifit", "mag", "stat.error;phot.calib"),
        Column("st", "f4", "sidereal time", "h", "time"),
        Column("lat", "f4", "latitude of the observatory", "deg", "pos.earth.lat"),
        Column("ra_center", "f8", "right ascension of the centre, ICRS", "deg", "pos.eq.ra"),
        Column("dec_center", "f8", "declination of the centre, ICRS", "deg", "pos.eq.dec"),
        Column(
            "radius",
            "f4",
            "radius of the circle that holds its measurements",
            "deg",
            "phys.angSize",
        ),
        Column("ref_color_blue", "f4", "median colour of its stars, blue", "mag", "phot.color"),
        Column("ref_color_red", "f4", "median colour of its stars, red", "mag", "phot.color"),
        Column(
            "detection_limit", "f4", "magnitude limit of detections", "mag", "phot.mag;stat.max"
        ),
        Column(
            "saturation_limit", "f4", "magnitude where stars saturate", "mag", "phot.mag;stat.min"
        ),
        Column(
            "cerror",
            "f4",
            "astrometric error of the header's solution",
            "arcsec",
            "stat.error;pos.eq",
        ),
        Column("fwhm_x", "f4", "PSF width, x", "pixel", "phys.angSize;instr.det.psf"),
        Column("fwhm_y", "f4", "PSF width, y", "pixel", "phys.angSize;instr.det.psf"),
        Column("trate", "f4", "tracking rate", "", ""),
        Column("ccdnum", "i4", "number of the chip", "", "meta.id;instr.det", null=-1),
        Column("flags", "u4", "image flags (ImageFlag)", "", "meta.code"),
        Column("parent_id", "u4", "image_id of its mosaic row; 0 if none", "", "meta.id", null=0),
        Column(
            "extern_id", "i8", "id of the image in the system it came from", "", "meta.id", null=-1
        ),
        Column("source_id", "u4", "which table of that system: chip, warp, stack", "", "meta.id"),
        Column(
            "content",
            "S32",
            "checksum of what was added; tells a repeated image",
            "",
            "meta.checksum",
        ),
        Column(
            "nlink_astrom",
            "u4",
            "stars that link its astrometry to other images",
            "",
            "meta.number",
        ),
        Column(
            "nlink_photom",
            "u4",
            "stars that link its photometry to other images",
            "",
            "meta.number",
        ),
        Column(
            "ubercal_dist",
            "i4",
            "steps to an image with an ubercal zero point",
            "",
            "meta.number",
            null=-1,
        ),
        Column("xpix_sys_err", "f4", "systematic position error, x", "pixel", "stat.error"),
        Column("ypix_sys_err", "f4", "systematic position error, y", "pixel", "stat.error"),
        Column("mag_sys_err", "f4", "systematic magnitude error", "mag", "stat.error"),
        Column("n_fit_astrom", "u4", "stars in the astrometric fit", "", "meta.number"),
        Column("n_fit_photom", "u4", "stars in the photometric fit", "", "meta.number"),
        Column(
            "photom_map_id", "u4", "its flat-field correction; 0 if none", "", "meta.id", null=0
        ),
        Column(
            "astrom_map_id",
            "u4",
            "number of its astrometric map in the original; 0 if none",
            "",
            "meta.id",
            null=0,
        ),
        Column("astrom_map_nx", "i4", "cells of its residual map in x; 0: no map", null=0),
        Column("astrom_map_ny", "i4", "cells of its residual map in y; 0: no map", null=0),
        Column(
            "astrom_map",
            "f8",
            "residual map: shifts of x, then of y, in 6 rows of 6 cells each",
            "pixel",
            "pos.wcs",
            shape=N_MAP_VALUES,
        ),
    ),
)
