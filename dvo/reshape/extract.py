"""A part of a database, as a database of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dvo.errors import CatdirExistsError
from dvo.merge.merge import MergeOptions, MergeReport, merge
from dvo.merge.progress import find_progress
from dvo.merge.selection import Selection
from dvo.partition import layout
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store, create_store

__all__ = ["extract"]


def extract(
    source: Store,
    target: Path,
    selection: Selection,
    *,
    level: int | None = None,
    snapshot: SnapshotName | None = None,
    progress: Callable[[MergeReport], None] | None = None,
) -> MergeReport:
    """Make a database of some rows of another.

    Objects of which all measures come keep all that is known of them; where only some come,
    means are made of these. An extraction that was cut short goes on when it is asked for
    again with the same target.

    Parameters
    ----------
    source : Store
        The database; only read.
    target : Path
        Folder to make.
    selection : Selection
        Which rows.
    level : int, optional
        Level of the new database; None for that of the source.
    snapshot : int, str or datetime, optional
        State of the source: number, tag or time; None for the newest.
    progress : callable, optional
        Called with the report after every commit.

    Returns
    -------
    MergeReport
        What came.

    Raises
    ------
    CatdirExistsError
        If the target exists, and is not an extraction of the source that was cut short.
    """
    view = source.view(snapshot)
    # Each region of the source is there in whole or not at all, so objects stay apart: the
    # radius is of no account in an empty database, but near the edges of batches.
    options = MergeOptions(
        radius_arcsec=0.001,
        selection=selection,
        snapshot=snapshot,
        regions=None if selection.area is None else tuple(view.regions(selection.area)),
    )
    if not (target / layout.MANIFEST).exists():
        create_store(
            target, level=view.partition.level if level is None else level, photcodes=view.photcodes
        )
    with Store(target, writable=True, command="dvo extract") as store:
        state = find_progress(store.manifest.log(), source.db_id)
        if len(store.manifest.log()) > 1 and (state is None or state.finished):
            raise CatdirExistsError(f"{target}: is a database already; name another folder")
        return merge(store, source, options, progress=progress)
