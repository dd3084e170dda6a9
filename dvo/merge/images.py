"""Images of a source: which of them come, and under which numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dvo.errors import DuplicateImageError
from dvo.partition.manifest import ALL_SKY, ImageRow
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE

__all__ = ["ImageMap", "image_table", "map_images"]


@dataclass(frozen=True, slots=True)
class ImageMap:
    """Numbers that images of a source have in the database.

    Parameters
    ----------
    numbers : ndarray of uint32, shape (greatest number in the source + 1,)
        Number in the database, of images and reference catalogs; 0 where there is none.
    comes : ndarray of bool, shape (greatest number in the source + 1,)
        Whether the measures of an image or catalog are to come; False if they are in already.
    new : list of ImageRow
        Images and catalogs that the database does not know, by their new numbers.
    last : int
        Last number that was given.
    """

    numbers: NDArray[np.uint32]
    comes: NDArray[np.bool_]
    new: list[ImageRow]
    last: int


def map_images(
    ours: Sequence[ImageRow],
    theirs: Sequence[ImageRow],
    last: int,
    coming: tuple[int, int] | None,
    source: str,
    find_image: Callable[[int], tuple[str, float]],
) -> ImageMap:
    """Find or give a number for each image of a source.

    An image is recognised as addstar does it: by its number in the system that it came
    from, or by its name, and by the checksum of its content.

    Parameters
    ----------
    ours, theirs : sequence of ImageRow
        Images of the database and of the source; reference catalogs have negative numbers.
    last : int
        Greatest number that was ever given in the database.
    coming : (int, int) or None
        First and last number of images that an earlier run gave and did not finish.
    source : str
        Name of the source, for messages.
    find_image : callable
        Gives name and start (MJD [d]) of an image of the source by its number, for messages.

    Returns
    -------
    ImageMap
        The translation.

    Raises
    ------
    DuplicateImageError
        If an image is in the database with other content.
    """
    known = {row.identity: row for row in ours}
    n = max((abs(row.image_id) for row in theirs), default=0) + 1
    numbers, comes = np.zeros(max(n, 1), np.uint32), np.zeros(max(n, 1), np.bool_)
    new: list[ImageRow] = []
    for row in sorted(theirs, key=lambda r: abs(r.image_id)):
        is_ref = row.image_id < 0
        mine = known.get(row.identity)
        if mine is None:
            last += 1
            number, is_coming = last, True
            new.append(replace(row, image_id=-last if is_ref else last))
        else:
            if mine.content != row.content:
                raise _unlike(row, source, find_image)
            number = abs(mine.image_id)
            is_coming = coming is not None and coming[0] <= number <= coming[1]
        numbers[abs(row.image_id)], comes[abs(row.image_id)] = number, is_coming
    return ImageMap(numbers, comes, new, last)


def _unlike(
    row: ImageRow, source: str, find_image: Callable[[int], tuple[str, float]]
) -> DuplicateImageError:
    """What to say of an image or catalog that the database has with other content."""
    kind, _, known_as = row.identity.partition(":")
    name = known_as
    hint = "One of the two is to be replaced first, from its catalog (addstar --replace)"
    if row.image_id > 0:
        name, mjd = find_image(row.image_id)
        name = f"{name} (MJD {mjd:.5f})"
    if kind == "extern":
        origin, _, number = known_as.partition(":")
        name += f" of SOURCEID {origin}, IMAGEID {number}"
        hint += "; if they are two images, correct the numbers in the header of one"
    return DuplicateImageError(
        f"{source}: image {name} is in the database with other content. {hint}"
    )


def image_table(
    view: View,
    images: ImageMap,
    codes: NDArray[np.uint16],
    n_measures: NDArray[np.int64],
    *,
    is_selection: bool = False,
) -> ColumnTable:
    """Make the Image rows of the images that are new.

    Parameters
    ----------
    view : View
        The source.
    images : ImageMap
        Which images come.
    codes : ndarray of uint16
        Photcode of the database for each of the source.
    n_measures : ndarray of int64
        Measures that come with them, by their number in the database; it may end early.
    is_selection : bool
        Whether some measures stay behind; rows of Missing do then.

    Returns
    -------
    ColumnTable
        Rows of Image with the numbers of the database; nstar counts what has come.
    """
    table = view.read(IMAGE, ALL_SKY)
    given = {row.image_id for row in images.new if row.image_id > 0}
    ids = table["image_id"].astype(np.int64)
    rows = np.flatnonzero(np.isin(images.numbers[ids], sorted(given)))
    picked = table.take(rows)
    columns = {name: picked[name] for name in picked}
    columns["image_id"] = images.numbers[ids[rows]]
    columns["parent_id"] = images.numbers[picked["parent_id"].astype(np.int64)]
    columns["photcode"] = codes[picked["photcode"]]
    if is_selection and "flags" in columns:
        columns["flags"] = columns["flags"] & ~np.uint32(ImageFlag.LOOKED_MISSING)
    counts = np.zeros(images.last + 1, np.int64)
    counts[: len(n_measures)] = n_measures
    columns["nstar"] = counts[columns["image_id"]].astype(picked["nstar"].dtype)
    return ColumnTable(IMAGE, columns, len(rows))
