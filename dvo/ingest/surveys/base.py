"""What the survey readers share: from columns to an InputImage, and files of packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.detections import (
    Detections,
    InputImage,
    RefSource,
    check_det_ids,
    clean_positions,
    content_digest,
)
from dvo.ingest.surveys.motion import epoch_to_mjd

__all__ = ["package_file", "read_bytes", "reference_image"]


def package_file(package: str, file: str, install: str) -> Path:
    """Find a data file of an installed package, without importing it.

    Parameters
    ----------
    package : str
        Name of the package in Python.
    file : str
        Path of the file inside the package.
    install : str
        How to get it, for the message.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    BadCatalogError
        If the package or its file is not there.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / file
        if path.is_file():
            return path
    raise BadCatalogError(f"no file {file} of package {package}: {install}, or give its path")


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Read a whole file that should have a known size.

    Parameters
    ----------
    path : Path
        The file.
    max_bytes : int
        Size beyond which it is not the catalog.

    Returns
    -------
    bytes
        Its contents.

    Raises
    ------
    BadCatalogError
        If it cannot be read or is too long.
    """
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise BadCatalogError(f"{path}: {size} bytes, but the catalog has at most {max_bytes}")
        return path.read_bytes()
    except OSError as error:
        raise BadCatalogError(f"{path}: cannot be read: {error}") from error


def reference_image(
    *,
    path: Path,
    photcode: str,
    epoch: float,
    ra: NDArray[np.float64],
    dec: NDArray[np.float64],
    columns: Mapping[str, NDArray[Any]],
    errors_arcsec: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> InputImage:
    """Make the batch of a reference catalog.

    Parameters
    ----------
    path : Path
        The file it came from.
    photcode : str
        Name of the REF photcode of its magnitudes.
    epoch : float
        Julian epoch of the positions [yr].
    ra, dec : ndarray of float64, shape (n,)
        Positions as read, ICRS [deg].
    columns : mapping of str to ndarray
        Columns of Detections; det_id is the row number if it is not there.
    errors_arcsec : tuple of ndarray or None
        Errors of ra (times cos(dec)) and dec [arcsec].

    Returns
    -------
    InputImage
        Rows with a position; the others are counted in the report.

    Raises
    ------
    BadCatalogError
        If a number of the catalog stands twice.
    """
    made = dict(columns)
    made.setdefault("det_id", np.arange(len(ra), dtype=np.uint32))
    check_det_ids(made["det_id"], str(path), "det_id")
    epoch_mjd = epoch_to_mjd(epoch)
    content = content_digest((photcode, epoch_mjd), {"ra": ra, "dec": dec, **made})
    ra, dec, good, dropped = clean_positions(ra, dec)
    ra_err, dec_err = errors_arcsec or (None, None)
    detections = Detections(ra, dec, made, ra_err, dec_err)
    return InputImage(
        RefSource(photcode, epoch_mjd, path.name, content),
        detections.take(good) if dropped else detections,
        {"dropped": dropped, "missing": []},
    )
