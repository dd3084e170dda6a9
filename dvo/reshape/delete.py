"""Deleting images, with their measures and what rested on them."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from dvo.errors import QueryError
from dvo.ingest.removal import remove_images
from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.image import IMAGE

__all__ = ["Deleted", "ImageChoice", "choose_images", "delete_images"]

_MJD_1970 = 40587.0
_COLUMNS = ["image_id", "name", "photcode", "time", "time_msec", "parent_id", "nstar"]


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


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted.

    Parameters
    ----------
    names : list of str
        Names of the images.
    n_measures, n_objects : int
        Measures that went with them, and objects that were left without any.
    snapshot : int
        The newest snapshot now.
    """

    names: list[str]
    n_measures: int
    n_objects: int
    snapshot: int


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
        raise QueryError("name the images to delete: by name, photcode or time")
    table = view.read(IMAGE, ALL_SKY, _COLUMNS)
    ids = table["image_id"].astype(np.int64)
    is_chip = table["photcode"] != 0
    wanted = is_chip.copy()
    if choice.names:
        names = [name.decode("ascii", "replace").rstrip("\0") for name in table["name"].tolist()]
        hit = np.array([any(fnmatchcase(n, p) for p in choice.names) for n in names], np.bool_)
        wanted &= hit | np.isin(table["parent_id"], ids[hit & ~is_chip])
    if choice.photcode is not None:
        wanted &= table["photcode"] == view.photcodes.get(choice.photcode).code
    if choice.mjd is not None:
        mjd = _MJD_1970 + (table["time"] + table["time_msec"] / 1000.0) / 86400.0
        wanted &= (mjd >= choice.mjd[0]) & (mjd <= choice.mjd[1])
    stays = is_chip & ~wanted
    had = np.isin(ids, table["parent_id"][wanted])
    bare = ~is_chip & had & ~np.isin(ids, table["parent_id"][stays])
    return np.asarray(ids[wanted | bare])


def delete_images(store: Store, choice: ImageChoice) -> Deleted:
    """Delete images with their measures, in one commit.

    Objects that keep measures get means made anew of these; objects left without any are
    gone. A rollback brings everything back.

    Parameters
    ----------
    store : Store
        Open for writing.
    choice : ImageChoice
        Which images.

    Returns
    -------
    Deleted
        What was deleted; no commit is made if there is no such image.
    """
    view = store.view()
    ids = choose_images(view, choice)
    table = view.read(IMAGE, ALL_SKY, _COLUMNS)
    rows = np.flatnonzero(np.isin(table["image_id"], ids) & (table["photcode"] != 0))
    names = [n.decode("ascii", "replace").rstrip("\0") for n in table["name"][rows].tolist()]
    if len(rows) == 0:
        return Deleted([], 0, 0, view.snapshot.id)
    before = view.snapshot.counts
    with store.begin("delete", {"images": names}, view) as change:
        remove_images(change, view, ids.tolist())
        after = change.commit()
    return Deleted(
        names,
        before["measures"] - after.counts["measures"],
        before["objects"] - after.counts["objects"],
        after.id,
    )
