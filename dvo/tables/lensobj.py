"""Schema of the LensObj table: mean weak-lensing terms, one row an object and filter.

``AVE_REF`` and the counts ``N_…`` are not in the original: LensObj is linked to objects as the
other tables are, and means are brought up to date without the measurements they were made of.
"""

from __future__ import annotations

from dvo.tables.lensing import (
    APERTURE_RADII_ARCSEC,
    aperture_columns,
    ksb_columns,
    ksb_groups,
)
from dvo.tables.schema import Column, TableSchema

__all__ = ["LENSOBJ"]

LENSOBJ = TableSchema(
    name="LensObj",
    suffix="cpy",
    extname="DVO_LENSOBJ",
    meaning="mean weak-lensing terms and aperture fluxes of one object in one filter",
    columns=(
        *ksb_columns(),
        *aperture_columns(),
        Column("gamma", "f4", "shear of the object, modulus"),
        Column("e1", "f4", "ellipticity corrected for the PSF, term 1"),
        Column("e2", "f4", "ellipticity corrected for the PSF, term 2"),
        Column("obj_id", "u4", "number of the object in its catalog", ucd="meta.id;src"),
        Column("cat_id", "u4", "catalog in which the object was made", ucd="meta.id"),
        Column("ave_ref", "u4", "row of the object in Average", ucd="meta.ref"),
        Column("photcode", "u2", "average filter (SEC photcode)", ucd="meta.id;instr.filter"),
        Column("nmeas", "u4", "number of measurements averaged", ucd="meta.number;obs"),
        *(
            Column(
                f"n_{tensor}",
                "u4",
                f"measurements that count for the terms {tensor}",
                ucd="meta.number;obs",
            )
            for tensor in ksb_groups()
        ),
        *(
            Column(
                f"n_ap_r{n}",
                "u4",
                f"measurements that count in the aperture r{n}",
                ucd="meta.number;obs",
            )
            for n in APERTURE_RADII_ARCSEC
        ),
    ),
    tile_index=("obj_id",),
)
"""Schema of LensObj."""
