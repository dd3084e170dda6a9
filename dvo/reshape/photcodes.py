"""Parameters of a photcode set anew, and the means that rest on them made anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from dvo.errors import PhotcodeError
from dvo.ingest.photcode_text import changed_photcode
from dvo.ingest.remaking import redo_magnitudes, redo_positions
from dvo.ingest.replay import Replay
from dvo.ingest.satellite_removal import with_new_means
from dvo.ingest.whole_catalogs import WholeCatalogs, fresh, read_catalogs, write_catalogs
from dvo.partition.manifest import ALL_SKY
from dvo.partition.moving import moving_reach
from dvo.partition.region_batches import region_batches
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.lensing_means import filters_of_images
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE, PhotClass, Photcode, PhotcodeTable
from dvo.tables.photsource import source_of

__all__ = ["PhotcodeChange", "set_photcode"]

_OF_MAGNITUDES = ("zero_point", "zero_point_offset", "airmass_slope", "equiv")
_OF_POSITIONS = ("astrom_err_sys", "astrom_err_scale", "astrom_err_mag_scale")


@dataclass(frozen=True, slots=True)
class PhotcodeChange:
    """What came of a change.

    Parameters
    ----------
    photcode : Photcode
        The photcode now.
    is_new : bool
        Whether anything is other than before.
    n_objects : int
        Objects whose means were made anew.
    snapshot : int
        The newest snapshot now.
    """

    photcode: Photcode
    is_new: bool
    n_objects: int
    snapshot: int


def set_photcode(store: Store, name: str, changes: Mapping[str, str]) -> PhotcodeChange:
    """Give a photcode other parameters, in one commit.

    Measures keep their photcode by its number. Magnitudes are calibrated when they are read,
    with the parameters of then; means are stored, and are made anew of the measures where the
    zero point, airmass term, filter or error model changes.

    Parameters
    ----------
    store : Store
        Open for writing.
    name : str
        Name of the photcode.
    changes : mapping of str to str
        Words of the text form by their names, such as ``zero`` or ``airmass``.

    Returns
    -------
    PhotcodeChange
        What was done; no commit is made if nothing is other than before.

    Raises
    ------
    PhotcodeError
        If a parameter is unknown or cannot be, or would make what is stored wrong.
    """
    view = store.view()
    old = view.photcodes.get(name)
    new = changed_photcode(view.photcodes, old, changes)
    if repr(new) == repr(old):
        return PhotcodeChange(old, False, 0, view.snapshot.id)
    table = PhotcodeTable(tuple(new if p is old else p for p in view.photcodes))
    _assert_allowed(view, old, new)
    with store.begin("photcode set", {"name": name, "set": dict(changes)}, view) as change:
        columns = {n.lower(): v for n, v in table.to_columns().items()}
        change.put_global(ColumnTable(PHOTCODE, columns), "Photcodes", replace_all=True)
        n_objects = _redo_means(change, view, old, new, table)
        snapshot = change.commit().id
    return PhotcodeChange(new, True, n_objects, snapshot)


def _assert_allowed(view: View, old: Photcode, new: Photcode) -> None:
    if new.name != old.name:
        if source_of(new.name) is not source_of(old.name):
            raise PhotcodeError(
                f"{old.name} is of {source_of(old.name).name} measures by its name, {new.name} "
                f"would be of {source_of(new.name).name}; choose a name of the same kind"
            )
        known = [row.identity for row in view.reference_catalogs()]
        by_name = [i for i in known if i.startswith(f"ref:{old.name}:")]
        if by_name:
            raise PhotcodeError(
                f"{old.name} cannot be renamed: the reference catalog {by_name[0][4:]} is known "
                "by it. Delete that (dvo delete catalog), rename, and add it again"
            )
    if old.kind is PhotClass.SEC and new.equiv != old.equiv:
        raise PhotcodeError(f"{old.name} is an average filter, and belongs to no other")


def _differs(old: Photcode, new: Photcode, names: tuple[str, ...]) -> bool:
    return any(repr(getattr(old, n)) != repr(getattr(new, n)) for n in names)


def _redo_means(
    change: Transaction, view: View, old: Photcode, new: Photcode, table: PhotcodeTable
) -> int:
    """Make means of the objects that have measures of the photcode anew; counts them."""
    has_positions = _differs(old, new, _OF_POSITIONS)
    if old.kind in (PhotClass.SEC, PhotClass.ALT):
        return 0
    if not has_positions and not _differs(old, new, _OF_MAGNITUDES):
        return 0
    replay, done = Replay.of(view), Counter[str]()
    by_image = None
    if new.equiv != old.equiv:
        by_image = filters_of_images(view.read(IMAGE, ALL_SKY, ["image_id", "photcode"]), table)
    for label, some in enumerate(region_batches(view, view.regions())):
        codes, runs = view.read_many(MEASURE, some, ["photcode"])
        rows = np.flatnonzero(codes["photcode"] == old.code)
        places = np.unique(np.searchsorted(runs, rows, side="right") - 1)
        if len(places) == 0:
            continue
        found = read_catalogs(view, [some[k] for k in places.tolist()])
        change.wait()  # for the batch before: what is held in memory stays bounded
        remade, n = _remade(found, old.code, replay, table, with_positions=has_positions)
        if by_image is not None:
            satellites = with_new_means(found, remade.average, by_image)
            remade = replace(remade, satellites=satellites)
        change.widen(moving_reach(remade.average))
        write_catalogs(change, remade, label=f"p{label}")
        done["objects"] += n
    return done["objects"]


def _remade(
    found: WholeCatalogs, code: int, replay: Replay, table: PhotcodeTable, *, with_positions: bool
) -> tuple[WholeCatalogs, int]:
    measure = found.measure
    ref = measure["ave_ref"].astype(np.int64)
    changed = np.zeros(len(found.average), np.bool_)
    changed[ref[measure["photcode"] == code]] = True
    ours = measure.take(replay.order(measure, np.flatnonzero(changed[ref])))
    average, secfilt = fresh(found.average), fresh(found.secfilt)
    if with_positions:
        redo_positions(average, ours, changed, replay, table)
    redo_magnitudes(secfilt, ours, changed, found.n_secfilt, table)
    return replace(found, average=average, secfilt=secfilt), int(np.count_nonzero(changed))
