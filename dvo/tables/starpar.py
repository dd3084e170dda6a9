"""Schema of the StarPar table: fitted stellar parameters (Green et al. 2014, 2015)."""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["STARPAR"]

STARPAR = TableSchema(
    name="StarPar",
    suffix="cpz",
    extname="DVO_STELLAR_PARAMS",
    meaning="distance, extinction and kind of one star, from the fit of its colours",
    columns=(
        Column("ra", "f8", "right ascension of the star, ICRS", "deg", "pos.eq.ra"),
        Column("dec", "f8", "declination of the star, ICRS", "deg", "pos.eq.dec"),
        Column("gal_lat", "f4", "galactic latitude", "deg", "pos.galactic.lat"),
        Column("gal_lon", "f4", "galactic longitude", "deg", "pos.galactic.lon"),
        Column("e_bv", "f4", "reddening E(B-V)", "mag", "phot.color.excess"),
        Column("e_bv_err", "f4", "error of e_bv", "mag", "stat.error;phot.color.excess"),
        Column("distance_mod", "f4", "distance modulus", "mag", "phot.mag.distMod"),
        Column(
            "distance_mod_err", "f4", "error of distance_mod", "mag", "stat.error;phot.mag.distMod"
        ),
        Column("m_r_abs", "f4", "absolute magnitude in r", "mag", "phys.magAbs;em.opt.R"),
        Column("m_r_abs_err", "f4", "error of m_r_abs", "mag", "stat.error;phys.magAbs;em.opt.R"),
        Column("f_e_h", "f4", "metallicity [Fe/H]", ucd="phys.abund.Fe"),
        Column("f_e_h_err", "f4", "error of f_e_h", ucd="stat.error;phys.abund.Fe"),
        Column(
            "u_ra",
            "f4",
            "proper motion in right ascension times cos(dec) expected of galactic rotation",
            "arcsec/yr",
            "pos.pm;pos.eq.ra",
        ),
        Column(
            "u_dec",
            "f4",
            "proper motion in declination expected of galactic rotation",
            "arcsec/yr",
            "pos.pm;pos.eq.dec",
        ),
        Column("ave_ref", "u4", "row of the object in Average", ucd="meta.ref"),
        Column("obj_id", "u4", "number of the object in its catalog", ucd="meta.id;src"),
        Column("cat_id", "u4", "catalog in which the object was made", ucd="meta.id"),
    ),
    tile_index=("ra", "dec", "obj_id"),
)
"""Schema of StarPar."""
