"""Average: one row for every object; what its measurements say of it.

``off_*`` and ``n*`` index the rows of the linked tables, which are contiguous once the
catalog is sorted; until then the offsets are null. ``U_RA_ERR`` and ``U_DEC_ERR`` were
misnamed ``V_RA_ERR`` and ``V_DEC_ERR`` in the original; counts have 32 bits, offsets 64.
"""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["AVERAGE"]


def _link(table: str, count: str, offset: str) -> tuple[Column, Column]:
    return (
        Column(count, "u4", f"rows of this object in {table}", "", "meta.number"),
        Column(
            offset, "i8", f"first of its rows in {table} when sorted", "", "meta.record", null=-1
        ),
    )


AVERAGE = TableSchema(
    name="Average",
    suffix="cpt",
    extname="DVO_AVERAGE",
    meaning="objects: position, motion, links and flags",
    tile_index=("ra", "dec", "obj_id"),
    columns=(
        Column(
            "ra", "f8", "mean right ascension at mean_epoch, ICRS", "deg", "pos.eq.ra;meta.main"
        ),
        Column("dec", "f8", "mean declination at mean_epoch, ICRS", "deg", "pos.eq.dec;meta.main"),
        Column("ra_err", "f4", "error of ra, times cos(dec)", "arcsec", "stat.error;pos.eq.ra"),
        Column("dec_err", "f4", "error of dec", "arcsec", "stat.error;pos.eq.dec"),
        Column(
            "u_ra", "f4", "proper motion in ra, times cos(dec)", "arcsec/yr", "pos.pm;pos.eq.ra"
        ),
        Column("u_dec", "f4", "proper motion in dec", "arcsec/yr", "pos.pm;pos.eq.dec"),
        Column("u_ra_err", "f4", "error of u_ra", "arcsec/yr", "stat.error;pos.pm;pos.eq.ra"),
        Column("u_dec_err", "f4", "error of u_dec", "arcsec/yr", "stat.error;pos.pm;pos.eq.dec"),
        Column("par", "f4", "parallax", "arcsec", "pos.parallax.trig"),
        Column("par_err", "f4", "error of par", "arcsec", "stat.error;pos.parallax.trig"),
        Column("ra_stk", "f8", "right ascension from stacks, ICRS", "deg", "pos.eq.ra"),
        Column("dec_stk", "f8", "declination from stacks, ICRS", "deg", "pos.eq.dec"),
        Column("ra_stk_err", "f4", "error of ra_stk", "arcsec", "stat.error;pos.eq.ra"),
        Column("dec_stk_err", "f4", "error of dec_stk", "arcsec", "stat.error;pos.eq.dec"),
        Column("chisq_pos", "f4", "chi-square of the mean position", "", "stat.fit.chi2"),
        Column("chisq_pm", "f4", "chi-square of the proper-motion fit", "", "stat.fit.chi2"),
        Column("chisq_par", "f4", "chi-square of the parallax fit", "", "stat.fit.chi2"),
        Column(
            "mean_epoch",
            "i8",
            "epoch of ra and dec, seconds since 1970 UTC",
            "s",
            "time.epoch",
            null=-(2**63),
        ),
        Column(
            "time_range",
            "i8",
            "time between first and last measurement",
            "s",
            "time.duration",
            null=-1,
        ),
        Column("psf_qf", "f4", "best psf_qf of its measurements", "", "meta.code.qual"),
        Column(
            "psf_qf_perfect", "f4", "best psf_qf_perfect of its measurements", "", "meta.code.qual"
        ),
        Column(
            "stargal_sep",
            "f4",
            "star/galaxy separator: median ext_nsigma",
            "",
            "src.class.starGalaxy",
        ),
        Column("number_pos", "u4", "measurements that made the mean position", "", "meta.number"),
        *_link("Measure", "nmeasure", "off_measure"),
        *_link("Missing", "nmissing", "off_missing"),
        *_link("Lensing", "nlensing", "off_lensing"),
        *_link("LensObj", "nlensobj", "off_lensobj"),
        *_link("StarPar", "nstarpar", "off_starpar"),
        *_link("GalPhot", "ngalphot", "off_galphot"),
        Column("ref_color_blue", "f4", "colour used for refraction, blue", "mag", "phot.color"),
        Column("ref_color_red", "f4", "colour used for refraction, red", "mag", "phot.color"),
        Column("tess_id", "i4", "tessellation of the primary stack", "", "meta.id", null=-1),
        Column("skycell_id", "i4", "skycell of the primary stack", "", "meta.id", null=-1),
        Column(
            "projection_id", "i4", "projection cell of the primary stack", "", "meta.id", null=-1
        ),
        Column("nwarp_ok", "u4", "warps with good coverage", "", "meta.number"),
        Column("flags", "u4", "object flags (AverageFlag)", "", "meta.code"),
        Column(
            "photflags_u",
            "u4",
            "upper bit of the share of measurements with each photFlag",
            "",
            "meta.code",
        ),
        Column(
            "photflags_l",
            "u4",
            "lower bit of the share of measurements with each photFlag",
            "",
            "meta.code",
        ),
        Column(
            "obj_id",
            "u4",
            "number of the object in catalog cat_id; never used again",
            "",
            "meta.id;src",
        ),
        Column("cat_id", "u4", "catalog where the object was first made", "", "meta.id"),
        Column(
            "ext_id",
            "u8",
            "public object id (PSPS objID), frozen at creation",
            "",
            "meta.id;meta.main",
        ),
        Column(
            "u_ra_gal",
            "f4",
            "modelled galactic motion in ra, times cos(dec)",
            "arcsec/yr",
            "pos.pm;pos.eq.ra",
        ),
        Column(
            "u_dec_gal", "f4", "modelled galactic motion in dec", "arcsec/yr", "pos.pm;pos.eq.dec"
        ),
    ),
)
