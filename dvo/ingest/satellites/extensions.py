"""The extensions that belong to a psphot table of detections, found and read.

They are called after their chip, as its table is: ``XY01.psf`` goes with ``XY01.xfit``,
``XY01.xrad`` and ``XY01.xgal``. One without rows is an HDU without data. What is used:

=========  =====================================  ===========
extension  what                                   fills
=========  =====================================  ===========
``.xfit``  models fitted to extended sources      GalPhot
``.xgal``  grids of forced galaxy models          GalPhot
``.xrad``  fluxes in round apertures              Lensing
``.psf``   its LENS_ columns: KSB tensors         Lensing
=========  =====================================  ===========

In PS1 stacks have .xfit and .xrad, forced warps LENS_ columns, .xrad and .xgal, and chips
none of it. Any image is taken by what it has. ``.xsrc`` (Petrosian) and
``.deteff`` have no table in DVO.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dvo.astrometry.solution import Solution
from dvo.errors import BadCatalogError
from dvo.ingest.detections import ImageMeta
from dvo.ingest.hdus import HduFile
from dvo.ingest.satellite_input import SatelliteRows
from dvo.ingest.satellites.columns import Chip, Extension
from dvo.ingest.satellites.galphot import read_galphot
from dvo.ingest.satellites.lensing import has_terms, read_lensing
from dvo.ingest.satellites.sky_axes import sky_axes
from dvo.tables.fits.hdu import Hdu

__all__ = ["ChipSatellites", "find_extensions", "read_satellites"]

_SUFFIXES = (".XFIT", ".XGAL", ".XRAD")


@dataclass(frozen=True, slots=True)
class ChipSatellites:
    """What the extensions of one image give.

    Parameters
    ----------
    rows : list of SatelliteRows
        Rows by table; none is empty.
    data : dict of str to bytes
        What was read, for the checksum of the image; empty if there was nothing.
    dropped : dict of str to int
        Rows left out, by reason.
    notes : list of str
        What is worth telling.
    """

    rows: list[SatelliteRows] = field(default_factory=list)
    data: dict[str, bytes] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def find_extensions(file: HduFile) -> dict[str, Hdu]:
    """Find the extensions of a file that fill satellite tables.

    Parameters
    ----------
    file : HduFile
        The file.

    Returns
    -------
    dict of str to Hdu
        Tables by their name in upper case, such as ``XY01.XFIT``.

    Raises
    ------
    BadCatalogError
        If two have one name.
    """
    found: dict[str, Hdu] = {}
    for hdu in file.hdus:
        name = hdu.extname.upper()
        if not name.endswith(_SUFFIXES) or not hdu.is_table:
            continue
        if name in found:
            raise BadCatalogError(
                f"{hdu.header.where}: a second extension {hdu.extname}; each chip has one, so "
                "mend the file, or leave the satellite tables out with --no-satellites"
            )
        found[name] = hdu
    return found


def read_satellites(
    file: HduFile,
    extensions: Mapping[str, Hdu],
    psf: Extension,
    meta: ImageMeta,
    solution: Solution | None,
) -> ChipSatellites:
    """Read the satellite rows of an image.

    Parameters
    ----------
    file : HduFile
        The file.
    extensions : mapping of str to Hdu
        What `find_extensions` found in it.
    psf : Extension
        The table of detections of the image.
    meta : ImageMeta
        Facts of the image.
    solution : Solution or None
        Its astrometry.

    Returns
    -------
    ChipSatellites
        Nothing at all for an image without such extensions.

    Raises
    ------
    BadCatalogError
        If an extension contradicts itself, or lacks what its rows are told apart by.
    """
    stem = psf.name.upper().removesuffix(".PSF")
    opened: dict[str, Extension] = {}
    for suffix in _SUFFIXES:
        hdu = extensions.get(stem + suffix)
        extension = Extension(hdu, file.table(hdu)) if hdu is not None else None
        if extension is not None and extension.n_rows:
            opened[suffix] = extension
    terms = has_terms(psf)
    if not opened and not terms:
        return ChipSatellites()
    chip = Chip(meta, solution, _pixel_scale(psf, meta, solution))
    rows = [
        read_galphot(opened.get(".XFIT"), opened.get(".XGAL"), chip),
        read_lensing(psf, opened.get(".XRAD"), chip),
    ]
    data = {suffix: extension.data for suffix, extension in opened.items()}
    if terms:
        data["LENS"] = b""  # they are part of the table of detections, and its checksum
    return ChipSatellites([r for r in rows if len(r)], data, chip.dropped, chip.notes)


def _pixel_scale(psf: Extension, meta: ImageMeta, solution: Solution | None) -> float:
    """Size of a pixel in the middle of an image [arcsec]; NaN if nothing tells it."""
    if solution is not None:
        x, y = np.array([meta.nx / 2.0]), np.array([meta.ny / 2.0])
        along_x, along_y, _ = sky_axes(solution, x, y, np.zeros(1))
        return math.sqrt(float(along_x[0]) * float(along_y[0]))
    scales = psf.floats("PLTSCALE")
    good = scales[np.isfinite(scales) & (scales > 0)]
    return float(np.median(good)) if len(good) else math.nan
