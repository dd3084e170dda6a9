"""Catalogs that say themselves what they are: psphot and FITS-LDAC files, by their content."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dvo.errors import BadCatalogError
from dvo.ingest.detections import InputImage
from dvo.ingest.hdus import HduFile
from dvo.ingest.ldac import is_ldac, ldac_images
from dvo.ingest.smf import is_smf, smf_images

__all__ = ["read_catalog"]


def read_catalog(
    path: Path | str, *, photcode: str | None = None, satellites: bool = True
) -> Iterator[InputImage]:
    """Read the images of a ``.smf``, ``.cmf`` or FITS-LDAC file, one after another.

    Parameters
    ----------
    path : Path or str
        The file; its kind is told by its tables, not by its name.
    photcode : str or None
        Photcode of all its images; None takes PHOTCODE of their headers.
    satellites : bool
        Whether to read the extensions that fill satellite tables, too.

    Yields
    ------
    InputImage
        A chip; chips without detections too.

    Raises
    ------
    BadCatalogError
        If the file is bad, or of another kind.
    """
    with HduFile(path) as file:
        if is_ldac(file):
            yield from ldac_images(file, photcode=photcode)
        elif is_smf(file):
            yield from smf_images(file, photcode=photcode, satellites=satellites)
        else:
            names = ", ".join(hdu.extname or "-" for hdu in file.hdus[:20])
            raise BadCatalogError(
                f"{path}: neither a psphot catalog (*.psf) nor FITS-LDAC (LDAC_OBJECTS); its HDUs "
                f"are {names}; a plain table needs --images LIST or --ref PHOTCODE, and --map"
            )
