"""Deleting images, measures, objects of a part of the sky, and reference catalogs.

Whatever is deleted, means of the objects are made anew of the measures that stay, and
objects left without any are gone. Each deletion is one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import QueryError
from dvo.ingest.image_rows import add_to_nstar
from dvo.ingest.removal import (
    Choice,
    Loss,
    drop_images,
    find_losses,
    losses_of_images,
    of_images,
    remove_measures,
)
from dvo.ingest.replay import Replay
from dvo.merge.selection import Selection
from dvo.partition.bounds import Area
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.reshape.sources import ImageChoice, choose_catalogs, choose_images, image_names
from dvo.tables.column_table import ColumnTable

__all__ = ["Deleted", "delete_catalogs", "delete_images", "delete_measures", "delete_region"]

Progress = Callable[[int, int], None]
I64 = NDArray[np.int64]

_MEASURE_COLUMNS = ("image_id", "photcode", "time", "time_msec", "phot_flags")


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted, or would be.

    Parameters
    ----------
    names : list of str
        Names of the images or reference catalogs.
    n_measures, n_objects : int
        Measures that went, and objects that were left without any.
    snapshot : int
        The newest snapshot now.
    """

    names: list[str]
    n_measures: int
    n_objects: int
    snapshot: int


def delete_images(
    store: Store, choice: ImageChoice, *, dry_run: bool = False, progress: Progress | None = None
) -> Deleted:
    """Delete images with their measures, in one commit.

    They can be added again afterwards.

    Parameters
    ----------
    store : Store
        Open for writing, but for a dry run.
    choice : ImageChoice
        Which images.
    dry_run : bool
        Find out what would go, and change nothing.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    Deleted
        What was deleted; no commit is made if there is no such image.

    Raises
    ------
    QueryError
        If no condition is given.
    """
    view = store.view()
    ids = choose_images(view, choice)
    names = image_names(view, ids)
    work = _Deletion(store, view, of_images(ids), {"images": names}, progress)
    losses = losses_of_images(view, ids) if len(ids) else []
    return work.run(losses, names, sources=ids, dry_run=dry_run)


def delete_catalogs(
    store: Store, names: Sequence[str], *, dry_run: bool = False, progress: Progress | None = None
) -> Deleted:
    """Delete reference catalogs with their measures, all bands of each, in one commit.

    Objects that had their proper motion from it get that of the next catalog that gives one,
    or none. The catalog can be added again afterwards.

    Parameters
    ----------
    store : Store
        Open for writing, but for a dry run.
    names : sequence of str
        Names of catalogs, or ``PHOTCODE:NAME``, with ``*`` and ``?``.
    dry_run : bool
        Find out what would go, and change nothing.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    Deleted
        What was deleted.

    Raises
    ------
    QueryError
        If there is no such catalog.
    """
    view = store.view()
    rows = choose_catalogs(view, names)
    ids = np.array([row.image_id for row in rows], np.int64)
    known = [row.identity.removeprefix("ref:") for row in rows]
    work = _Deletion(store, view, of_images(ids), {"catalogs": known}, progress)
    losses = find_losses(view, view.regions(), work.choice)
    return work.run(losses, known, sources=ids, dry_run=dry_run)


def delete_measures(
    store: Store, selection: Selection, *, dry_run: bool = False, progress: Progress | None = None
) -> Deleted:
    """Delete measures of images and of reference catalogs, in one commit.

    The images and catalogs stay known, with the number of measures that are left: added
    again, they are passed over.

    Parameters
    ----------
    store : Store
        Open for writing, but for a dry run.
    selection : Selection
        Which measures; objects lie where their mean position is.
    dry_run : bool
        Find out what would go, and change nothing.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    Deleted
        What was deleted; no commit is made if there is no such measure.

    Raises
    ------
    QueryError
        If no condition is given.
    """
    if selection == Selection():
        raise QueryError("say which measures: by photcode, time, image, flags, magnitude or place")
    view = store.view()

    def chosen(
        average: ColumnTable, secfilt: ColumnTable, measure: ColumnTable
    ) -> NDArray[np.bool_]:
        return selection.measures(average, secfilt, measure, view.n_secfilt)

    by_object = selection.area is not None or selection.mag_filter >= 0
    choice = Choice(chosen, _MEASURE_COLUMNS, by_object)
    work = _Deletion(store, view, choice, {"measures": _told(selection)}, progress)
    losses = find_losses(view, view.regions(selection.area), choice)
    return work.run(losses, [], dry_run=dry_run)


def delete_region(
    store: Store, area: Area, *, dry_run: bool = False, progress: Progress | None = None
) -> Deleted:
    """Delete the objects of a part of the sky with all their measures, in one commit.

    Images stay known, with the number of measures that are left.

    Parameters
    ----------
    store : Store
        Open for writing, but for a dry run.
    area : Area
        Where the mean positions of the objects lie.
    dry_run : bool
        Find out what would go, and change nothing.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    Deleted
        What was deleted; no commit is made if there is no such object.
    """
    return delete_measures(store, Selection(area), dry_run=dry_run, progress=progress)


def _told(selection: Selection) -> dict[str, Any]:
    """The conditions as the log keeps them."""
    plain = Selection()
    names = ("area", "mjd", "photcodes", "mag", "mag_filter", "images", "flags")
    found = {name: getattr(selection, name) for name in names}
    return {
        name: str(value) if name == "area" else value
        for name, value in found.items()
        if value != getattr(plain, name)
    }


class _Deletion:
    """A deletion on its way."""

    def __init__(
        self,
        store: Store,
        view: View,
        choice: Choice,
        params: dict[str, Any],
        progress: Progress | None,
    ) -> None:
        self.store, self.view, self.choice = store, view, choice
        self.params, self.progress = params, progress

    def run(
        self,
        losses: Iterable[Loss],
        names: list[str],
        *,
        sources: I64 | None = None,
        dry_run: bool,
    ) -> Deleted:
        """Delete what regions are to lose, and the images or catalogs themselves."""
        view, found = self.view, list(losses)
        n_measures = sum(loss.n_measures for loss in found)
        n_objects = sum(loss.n_objects for loss in found)
        is_nothing = n_measures == 0 and (sources is None or len(sources) == 0)
        if dry_run or is_nothing:
            return Deleted(names, n_measures, n_objects, view.snapshot.id)
        regions = [region for loss in found for region in loss.regions]
        with self.store.begin("delete", self.params, view) as change:
            done = 0
            for kept in remove_measures(change, view, regions, self.choice, Replay.of(view)):
                done += len(kept.regions)
                if self.progress is not None:
                    self.progress(done, len(regions))
            if sources is None:
                add_to_nstar(change, view, -_added([loss.per_image for loss in found]))
            else:
                drop_images(change, view, sources)
            snapshot = change.commit().id
        return Deleted(names, n_measures, n_objects, snapshot)


def _added(counts: list[I64]) -> I64:
    """The sum of counts of different lengths."""
    out = np.zeros(max([0, *(len(c) for c in counts)]), np.int64)
    for some in counts:
        out[: len(some)] += some
    return out
