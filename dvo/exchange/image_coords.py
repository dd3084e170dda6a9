"""Astrometry of images from the rows of the Image table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.astrometry import AstromCoords, Solution, pixel_to_sky, scale_matrix
from dvo.tables.column_table import ColumnTable

__all__ = ["image_coords", "outline", "pixel_scale"]

F64 = NDArray[np.float64]

_PAIRS = {"crval": ("crval1", "crval2"), "crpix": ("crpix1", "crpix2"),
          "cdelt": ("cdelt1", "cdelt2"), "pc": ("pc1_1", "pc1_2", "pc2_1", "pc2_2")}  # fmt: skip
_POINTS = 5  # on each side of an outline


def image_coords(images: ColumnTable) -> list[AstromCoords | None]:
    """Astrometry of each row.

    Parameters
    ----------
    images : ColumnTable
        Rows of Image; those of focal planes are among them.

    Returns
    -------
    list of AstromCoords or None
        None where a row has none, or names a focal plane that is not there.
    """
    rows = {name: images[name] for names in _PAIRS.values() for name in names}
    own = [_coords(images, rows, i) for i in range(len(images))]
    by_id = dict(zip(images["image_id"].tolist(), own, strict=True))
    found: list[AstromCoords | None] = []
    for coords, parent in zip(own, images["parent_id"].tolist(), strict=True):
        if coords is None or coords.kind != "WRP":
            found.append(coords)
            continue
        plane = by_id.get(parent)
        found.append(None if plane is None else _with_plane(coords, plane))
    return found


def _coords(images: ColumnTable, rows: dict[str, F64], i: int) -> AstromCoords | None:
    ctype = images["ctype"][i].decode("ascii", "replace")
    numbers = {key: tuple(float(rows[n][i]) for n in names) for key, names in _PAIRS.items()}
    if not ctype or not all(np.isfinite(v).all() for v in numbers.values()):
        return None
    crval, crpix, cdelt, pc = (numbers[k] for k in ("crval", "crpix", "cdelt", "pc"))
    terms = np.nan_to_num(images["polyterms"][i])
    return AstromCoords(
        ctype,
        (crval[0], crval[1]),
        (crpix[0], crpix[1]),
        (cdelt[0], cdelt[1]),
        (pc[0], pc[1], pc[2], pc[3]),
        max(0, int(images["npolyterms"][i])),
        tuple(terms.tolist()),
    )


def _with_plane(chip: AstromCoords, plane: AstromCoords) -> AstromCoords:
    return AstromCoords(chip.ctype, chip.crval, chip.crpix, chip.cdelt, chip.pc, chip.npolyterms,
                        chip.polyterms, plane)  # fmt: skip


def outline(coords: AstromCoords, nx: int, ny: int) -> F64:
    """Corners of an image on the sky, and points between them.

    Parameters
    ----------
    coords : AstromCoords
        Its astrometry.
    nx, ny : int
        Its size [pix].

    Returns
    -------
    ndarray of float64, shape (n, 2)
        ra and dec, ICRS [deg], once around the image; NaN where the astrometry ends.
    """
    step = np.linspace(0.0, 1.0, _POINTS)[:-1]
    x = np.concatenate([step, np.ones_like(step), 1.0 - step, np.zeros_like(step)]) * nx + 0.5
    y = np.concatenate([np.zeros_like(step), step, np.ones_like(step), 1.0 - step]) * ny + 0.5
    return np.column_stack(pixel_to_sky(coords, x, y))


def pixel_scale(coords: AstromCoords, nx: int, ny: int) -> float:
    """Size of the pixels in the middle of an image.

    Parameters
    ----------
    coords : AstromCoords
        Its astrometry.
    nx, ny : int
        Its size [pix].

    Returns
    -------
    float
        Side of a square as large as a pixel [arcsec]; NaN if unknown.
    """
    a, b, c, d = scale_matrix(Solution(coords), 0.5 * nx, 0.5 * ny)
    return float(np.sqrt(abs(a * d - b * c)))
