"""Headers of the astrometry of images, found by name or number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvo.astrometry.fits_wcs import Card, FitsWcs, dvo_cards, fits_wcs
from dvo.astrometry.image_rows import COORD_COLUMNS, image_coords, read_model
from dvo.errors import AstrometryError, QueryError
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE

__all__ = ["FoundImage", "find_image", "image_keywords", "image_wcs"]

_COLUMNS = ("image_id", "parent_id", "name", "photcode", "nx", "ny", *COORD_COLUMNS)
_MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class FoundImage:
    """An image, and all rows of the table that its astrometry may need.

    Parameters
    ----------
    row : int
        Its row.
    image_id : int
        Its number.
    name : str
        Its name.
    nx, ny : int
        Its size [pix].
    images : ColumnTable
        All images.
    """

    row: int
    image_id: int
    name: str
    nx: int
    ny: int
    images: ColumnTable


def find_image(view: View, image: int | str) -> FoundImage:
    """Find an image by its number or its name.

    Parameters
    ----------
    view : View
        The snapshot.
    image : int or str
        The number, or the name; a name of digits is taken for a number.

    Returns
    -------
    FoundImage
        The image; if an exposure and its chip have one name, the chip.

    Raises
    ------
    QueryError
        If there is no such image, or there are several.
    """
    table = view.read(IMAGE, ALL_SKY, _COLUMNS)
    if isinstance(image, int) or image.isdecimal():
        rows = np.flatnonzero(table["image_id"] == int(image))
    else:
        names = np.char.rstrip(table["name"], b"\0")
        rows = np.flatnonzero(names == image.encode("ascii", "replace"))
        chips = rows[table["photcode"][rows] != 0]
        rows = chips if len(chips) else rows
    if len(rows) == 0:
        raise QueryError(f"no image is called {image}, or has that number; dvo images lists them")
    if len(rows) > 1:
        numbers = ", ".join(str(n) for n in table["image_id"][rows[:_MOST_NAMED]].tolist())
        raise QueryError(
            f"{len(rows)} images are called {image}; give the number of one: {numbers}"
        )
    row = int(rows[0])
    name = table["name"][row].decode("ascii", "replace").rstrip("\0")
    nx, ny = int(table["nx"][row]), int(table["ny"][row])
    return FoundImage(row, int(table["image_id"][row]), name, nx, ny, table)


def image_wcs(found: FoundImage, *, form: str = "sip", limit_mas: float = 1.0) -> FitsWcs:
    """Write the astrometry of an image as a FITS WCS.

    Parameters
    ----------
    found : FoundImage
        The image.
    form : {'sip', 'tpv'}
        How distortions are written.
    limit_mas : float
        Greatest error that is allowed on the image [mas].

    Returns
    -------
    FitsWcs
        The keywords, and how good they are.

    Raises
    ------
    AstrometryError
        If the image is a focal plane, has no astrometry, or it cannot be written as well as that.
    """
    if found.images["photcode"][found.row] == 0:
        raise AstrometryError(
            f"image {found.image_id} ({found.name}) is a focal plane, which has no pixels of its "
            "own; name one of its chips, or write psastro's keywords"
        )
    model = read_model(found.images)
    try:
        return fits_wcs(model, found.row, found.nx, found.ny, form=form, limit_mas=limit_mas)
    except AstrometryError as error:
        raise AstrometryError(f"image {found.image_id} ({found.name}): {error}") from error


def image_keywords(found: FoundImage) -> tuple[tuple[Card, ...], tuple[Card, ...] | None]:
    """Write the astrometry of an image with psastro's keywords, exactly.

    Parameters
    ----------
    found : FoundImage
        The image.

    Returns
    -------
    own : tuple
        Keywords of the image.
    plane : tuple or None
        Those of its focal plane, for the primary header; None if it has none.

    Raises
    ------
    AstrometryError
        If the image has no astrometry, or a residual map.
    """
    if found.images["astrom_map_nx"][found.row] > 0:
        raise AstrometryError(
            f"image {found.image_id} ({found.name}): it has a residual map, which psastro's "
            "keywords cannot hold; write it as SIP or TPV, with the --limit that it needs"
        )
    coords = image_coords(found.images)[found.row]
    if coords is None:
        raise AstrometryError(f"image {found.image_id} ({found.name}): it has no astrometry")
    return dvo_cards(coords), None if coords.mosaic is None else dvo_cards(coords.mosaic)
