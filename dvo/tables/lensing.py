"""Schema of the Lensing table: weak-lensing terms of one warp measurement a row.

The KSB shear and smear tensors (Kaiser, Squires & Broadhurst 1995) of the object and of
the PSF stars around it, and aperture fluxes at the radii numbered 5, 6 and 7 (3.00",
4.63" and 7.43"). The columns that :mod:`dvo.tables.lensobj` averages are made here once.
"""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["APERTURE_RADII_ARCSEC", "LENSING", "aperture_columns", "ksb_columns", "ksb_groups"]

APERTURE_RADII_ARCSEC: dict[int, float] = {5: 3.00, 6: 4.63, 7: 7.43}
"""Aperture radius of each radius number that the lensing tables keep [arcsec]."""

_TENSORS = {
    "sm_obj": "smear polarisability of the object",
    "sh_obj": "shear polarisability of the object",
    "sm_psf": "smear polarisability of the PSF stars",
    "sh_psf": "shear polarisability of the PSF stars",
}
_TERMS = {
    "x11": "tensor term 11",
    "x12": "tensor term 12",
    "x22": "tensor term 22",
    "e1": "vector term 1",
    "e2": "vector term 2",
}
_FLUXES = {
    "flux_ap": ("flux", "phot.count"),
    "flux_err_ap": ("error of the flux", "stat.error;phot.count"),
    "flux_std_ap": ("scatter of the flux over the annulus", "stat.stdev;phot.count"),
}


def ksb_columns() -> tuple[Column, ...]:
    """Make the 20 columns of the KSB tensors, ``x11_sm_obj`` to ``e2_sh_psf``.

    Returns
    -------
    tuple of Column
        float32, without unit, NaN where unknown; term fastest, then tensor.
    """
    return tuple(
        Column(f"{term}_{tensor}", "f4", f"KSB {what}: {which}")
        for tensor, what in _TENSORS.items()
        for term, which in _TERMS.items()
    )


def ksb_groups() -> dict[str, tuple[str, ...]]:
    """List the terms of each KSB tensor.

    Returns
    -------
    dict of str to tuple of str
        Names of columns by ``sm_obj``, ``sh_obj``, ``sm_psf`` and ``sh_psf``.
    """
    return {tensor: tuple(f"{term}_{tensor}" for term in _TERMS) for tensor in _TENSORS}


def aperture_columns() -> tuple[Column, ...]:
    """Make the 12 columns of the aperture fluxes, ``flux_ap_r5`` to ``flux_fil_ap_r7``.

    Returns
    -------
    tuple of Column
        float32, counts a second (the fill factor is a pure number), NaN where unknown.
    """
    columns: list[Column] = []
    for number, radius in APERTURE_RADII_ARCSEC.items():
        where = f"in the aperture of {radius:.2f} arcsec"
        for stem, (what, ucd) in _FLUXES.items():
            columns.append(Column(f"{stem}_r{number}", "f4", f"{what} {where}", "ct/s", ucd))
        columns.append(
            Column(f"flux_fil_ap_r{number}", "f4", f"fraction of good pixels {where}, 0 to 1")
        )
    return tuple(columns)


LENSING = TableSchema(
    name="Lensing",
    suffix="cpx",
    extname="DVO_LENSING",
    meaning="weak-lensing terms and aperture fluxes of one measurement, in PS1 of a warp",
    columns=(
        *ksb_columns(),
        Column("e1_psf", "f4", "ellipticity of the PSF stars, term 1"),
        Column("e2_psf", "f4", "ellipticity of the PSF stars, term 2"),
        *aperture_columns(),
        Column("det_id", "u4", "number of the detection in its image", ucd="meta.id"),
        Column("obj_id", "u4", "number of the object in its catalog", ucd="meta.id;src"),
        Column("cat_id", "u4", "catalog in which the object was made", ucd="meta.id"),
        Column("ave_ref", "u4", "row of the object in Average", ucd="meta.ref"),
        Column("image_id", "u4", "image measured; 0 if none", ucd="meta.ref;obs.image", null=0),
        Column(
            "old_im_id",
            "u4",
            "image_id before the last merge of databases; 0 if never merged",
            ucd="meta.ref;obs.image",
            null=0,
        ),
    ),
    tile_index=("obj_id", "image_id"),
)
"""Schema of Lensing."""
