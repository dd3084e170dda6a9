"""Which images, or which reference catalogs, are meant: by name, photcode and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from dvo.errors import QueryError
from dvo.mjd import mjd_of
from dvo.partition.manifest import ALL_SKY, ImageRow
from dvo.partition.view import View
from dvo.tables.image import IMAGE

__all__ = ["ImageChoice", "choose_catalogs", "choose_images", "image_names"]

_COLUMNS = ["image_id", "name", "photcode", "time", "time_msec", "parent_id"]


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """Which images are meant; all conditions that are given have to hold.

    Parameters
    ----------
    names : tuple of str
        Names of images or of their exposures, with ``*`` and ``?``; empty for any.
    photcode : str or None
        Name of their photcode.
    mjd : (float, float) or None
        First and last start of exposure, MJD UTC [d].
    """

    names: tuple[str, ...] = ()
    photcode: str | None = None
    mjd: tuple[float, float] | None = None


def choose_images(view: View, choice: ImageChoice) -> NDArray[np.int64]:
    """Find images, and the focal planes that would be left without chips.

    Parameters
    ----------
    view : View
        A snapshot.
    choice : ImageChoice
        Which images.

    Returns
    -------
    ndarray of int64
        Their numbers.

    Raises
    ------
    QueryError
        If no condition is given.
    """
    if choice == ImageChoice():
        raise QueryError("name the images: by name, photcode or time")
    table = view.read(IMAGE, ALL_SKY, _COLUMNS)
    ids = table["image_id"].astype(np.int64)
    is_chip = table["photcode"] != 0
    wanted = is_chip.copy()
    if choice.names:
        names = [name.decode("ascii", "replace").rstrip("\0") for name in table["name"].tolist()]
        hit = np.array([any(_fits(n, p) for p in choice.names) for n in names], np.bool_)
        wanted &= hit | np.isin(table["parent_id"], ids[hit & ~is_chip])
    if choice.photcode is not None:
        wanted &= table["photcode"] == view.photcodes.get(choice.photcode).code
    if choice.mjd is not None:
        mjd = mjd_of(table["time"], table["time_msec"])
        wanted &= (mjd >= choice.mjd[0]) & (mjd <= choice.mjd[1])
    stays = is_chip & ~wanted
    had = np.isin(ids, table["parent_id"][wanted])
    bare = ~is_chip & had & ~np.isin(ids, table["parent_id"][stays])
    return np.asarray(ids[wanted | bare])


def image_names(view: View, image_ids: NDArray[np.int64]) -> list[str]:
    """Find the names of images; those of focal planes are left out.

    Parameters
    ----------
    view : View
        A snapshot.
    image_ids : ndarray of int64
        Their numbers.

    Returns
    -------
    list of str
        The names, in the order of the Image table.
    """
    table = view.read(IMAGE, ALL_SKY, ["image_id", "name", "photcode"])
    rows = np.flatnonzero(np.isin(table["image_id"], image_ids) & (table["photcode"] != 0))
    return [n.decode("ascii", "replace").rstrip("\0") for n in table["name"][rows].tolist()]


def choose_catalogs(view: View, names: Sequence[str]) -> list[ImageRow]:
    """Find reference catalogs, with all their bands.

    Parameters
    ----------
    view : View
        A snapshot.
    names : sequence of str
        Names of catalogs, or ``PHOTCODE:NAME``, with ``*`` and ``?``.

    Returns
    -------
    list of ImageRow
        The catalogs, one for each band.

    Raises
    ------
    QueryError
        If a name is that of no catalog; the message lists those that there are.
    """
    known = {row.image_id: row.identity.removeprefix("ref:") for row in view.reference_catalogs()}
    rows = view.reference_catalogs()
    chosen: set[tuple[str, str]] = set()
    for name in names:
        hits = [row for row in rows if _is_called(known[row.image_id], name)]
        if not hits:
            there = ", ".join(sorted(known.values())[:10]) or "none"
            raise QueryError(
                f"no reference catalog is called {name}; there are (photcode:name): {there}"
            )
        # The bands of a catalog have its name and its content, and photcodes of their own.
        chosen |= {_catalog_of(row) for row in hits}
    return [row for row in rows if _catalog_of(row) in chosen]


def _is_called(identity: str, pattern: str) -> bool:
    return _fits(identity, pattern) or _fits(identity.partition(":")[2], pattern)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name is a pattern's; a bracket is a letter, for names of images have some."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _catalog_of(row: ImageRow) -> tuple[str, str]:
    return row.identity.removeprefix("ref:").partition(":")[2], row.content
