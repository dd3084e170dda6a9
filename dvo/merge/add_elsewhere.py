"""Batches of a merge added where an engine works: in partition hosts, in other processes.

The process that commits reads little of a batch: where objects are, and which of them get
something. It matches them, gives new ones their public ids, and cuts the *database's* regions
into groups. What is most of the work is done by the engine, group by group: the rows of the
source are read, means are brought up to date, and tables are written. So a border between
two groups decides nothing, and the rows come out as if one process had made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import DvoError, OperationError, StorageError
from dvo.ingest.associate import unique_ext_ids
from dvo.ingest.limits import motion_reach, widen_pad
from dvo.ingest.objects import ObjectSet
from dvo.merge.images import ImageMap
from dvo.merge.pairs import Matching, find_pairs
from dvo.merge.photcodes import map_photcodes
from dvo.merge.rows import Added, Translation, add_batch, coming_measures, kinds_of
from dvo.merge.source import SourceBatch, read_rows
from dvo.partition.manifest import Reach
from dvo.partition.nearby import marked
from dvo.partition.operations import current_work
from dvo.partition.staged import pack_columns, read_lent_columns
from dvo.partition.store import Store
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.partition.write_operations import Facts, Runner, register_write, write_groups
from dvo.partition.writing import Writing

__all__ = ["GROUP_ROWS", "add_elsewhere"]

GROUP_ROWS = 200_000
"""Measures of a group, about: each group writes files of its own."""

_OPERATION = "merge"

Array = NDArray[Any]


def add_elsewhere(
    change: Transaction,
    batch: SourceBatch,
    coming: Array,
    names: Translation,
    rule: Matching,
    source: View,
    engine: Runner,
) -> Added:
    """Have the rows of a batch added by an engine.

    Parameters
    ----------
    change : Transaction
        The change; it builds on the newest snapshot of the database.
    batch : SourceBatch
        The batch; an outline of it is enough.
    coming : ndarray of int64
        Measures that are to come.
    names : Translation
        Numbers of the source in terms of the database.
    rule : Matching
        How objects are matched.
    source : View
        The source.
    engine : Runner
        What does it.

    Returns
    -------
    Added
        What was added. How far measures lie outside their regions has been noted already, and
        so have motions.
    """
    objects, rows = find_pairs(batch, rule, change.base, [])
    table = _places(objects, batch, coming, rows, names.images, change.base)
    groups, inputs = [], {}
    for regions, n_rows, some in _groups(table):
        groups.append((regions, n_rows))
        inputs[str(regions[0])] = change.lend(pack_columns(some))
    images: dict[str, Array] = {
        "number": names.images.numbers, "comes": names.images.comes.astype(np.uint8)
    }  # fmt: skip
    request = {
        "source": str(source.catdir.resolve()),
        "db_id": source.db_id,
        "snapshot": source.snapshot.id,
        "epoch": rule.epoch,
        "images": change.lend(pack_columns(images)),
        "inputs": inputs,
    }
    facts = write_groups(change, _OPERATION, request, groups, engine=engine)
    if any(found["has_motion"] for found in facts):
        _widen_motion(change, objects, groups, facts, rule.epoch)
    per_image = np.zeros(int(names.images.numbers.max(initial=0)) + 1, np.int64)
    for found in facts:
        per_image[found["images"]] += np.array(found["counts"], np.int64)
    n_measures, n_matched, n_new = (
        sum(found[name] for found in facts) for name in ("n_measures", "n_matched", "n_new")
    )
    return Added(n_measures, n_matched, n_new, per_image, 0.0, has_motion=False)


def _places(
    objects: ObjectSet,
    batch: SourceBatch,
    coming: Array,
    rows: NDArray[np.int32],
    images: ImageMap,
    view: View,
) -> dict[str, Array]:
    """Where the objects of a batch go that get something, and how many measures come with each."""
    n = len(rows)
    n_coming = np.bincount(batch.measure["ave_ref"][coming], minlength=n)
    gets = n_coming > 0
    new, old = np.flatnonzero(gets & (rows < 0)), np.flatnonzero(rows >= 0)
    for found in batch.satellites:
        comes = images.comes[found.images] & (found.images > 0)
        gets[found.table["ave_ref"][comes]] = True
    region, place = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    region[old] = np.array(objects.regions, np.int64)[objects.slot[rows[old]]]
    place[old] = objects.ave_ref[rows[old]]
    region[new] = view.partition.locate(batch.average["ra"][new], batch.average["dec"][new])
    objects.load(marked(region[new], len(view.sky)), ())
    ext_id = np.zeros(n, np.uint64)
    ext_id[new] = unique_ext_ids(batch.average["ext_id"][new], objects.ext_id[: objects.n])
    # Objects that get rows of satellites only have to be there.
    picked = np.flatnonzero(gets & ((rows >= 0) | (n_coming > 0)))
    of = np.searchsorted(batch.edges, picked, side="right") - 1
    return {
        "source_region": np.array(batch.regions, np.int64)[of],
        "source_row": picked - batch.edges[of],
        "region": region[picked],
        "place": place[picked],
        "ext_id": ext_id[picked],
        "n_measure": n_coming[picked],
    }


def _groups(table: dict[str, Array]) -> Iterator[tuple[list[int], int, dict[str, Array]]]:
    """Cut objects into groups by their regions of the database: regions, measures, objects."""
    regions, of = np.unique(table["region"], return_inverse=True)
    counts = np.bincount(of, weights=table["n_measure"]).astype(np.int64)
    group = (np.cumsum(counts) - counts) // GROUP_ROWS
    order = np.argsort(group[of], kind="stable")
    numbers, first = np.unique(group[of][order], return_index=True)
    for number, rows in zip(numbers.tolist(), np.split(order, first)[1:], strict=True):
        mine = group == number
        some = {name: values[rows] for name, values in table.items() if name != "n_measure"}
        yield regions[mine].tolist(), int(counts[mine].sum()), some


def _widen_motion(
    change: Transaction,
    objects: ObjectSet,
    groups: Sequence[tuple[list[int], int]],
    facts: Sequence[Facts],
    epoch: float,
) -> None:
    """Note how fast the objects near a batch move: those of the groups, and those around."""
    for found in facts:
        change.widen(Reach(**found["reach"]))
    is_written = np.zeros(len(change.base.sky), np.bool_)
    is_written[[region for regions, _ in groups for region in regions]] = True
    moving = objects.moving
    around = moving[~is_written[np.array(objects.regions, np.int64)[objects.slot[moving]]]]
    change.widen(motion_reach(objects, around, np.array([epoch])))


def _unpack(change: Writing, name: object) -> dict[str, Array]:
    """Columns that the commit has lent."""
    if not isinstance(name, str):
        raise OperationError("a group of a merge was asked for without its objects")
    return read_lent_columns(change.base.catdir, change.token, name)


# ---- where the engine works


@contextmanager
def _opened(request: Mapping[str, Any]) -> Iterator[View]:
    """Open the source as it was when the merge began."""
    work, wanted = current_work(), request["db_id"]
    path = work.find_source(str(request["source"]))
    advice = (
        "whoever writes for a merge has to reach its source under this path: put it on a disk "
        "that all share, or merge without --engine"
    )
    worker = work.worker
    try:
        store = Store(path)
    except (DvoError, OSError) as err:
        why = f"{worker} cannot open the source of the merge: {err}"
        raise StorageError(f"{why}; {advice}") from err
    with store:
        if store.db_id != wanted:
            raise StorageError(
                f"{worker} has another database at {path} (db_id {store.db_id}, not {wanted}) than "
                f"the one that is merged; {advice}"
            )
        try:
            view = store.view(int(request["snapshot"]))
        except DvoError as err:
            raise StorageError(f"{worker}: the source of the merge: {err}; {advice}") from err
        yield view


def _merge(change: Writing, regions: Sequence[int], request: Mapping[str, Any]) -> dict[str, Any]:
    """Add the rows of a source that go to some regions: a write operation."""
    table = _unpack(change, request["inputs"].get(str(regions[0]) if regions else ""))
    images = _unpack(change, request["images"])
    with _opened(request) as source:
        names = Translation(
            ImageMap(images["number"], images["comes"].astype(np.bool_), [], 0),
            map_photcodes(change.base.photcodes, source.photcodes, str(source.catdir)),
        )
        batch = read_rows(source, np.unique(table["source_region"]).tolist())
    epoch = float(request["epoch"])
    return _add(change, list(regions), batch, table, names, epoch)


def _add(
    change: Writing,
    regions: list[int],
    batch: SourceBatch,
    table: dict[str, Array],
    names: Translation,
    epoch: float,
) -> dict[str, Any]:
    """Add those objects of a batch that a table names."""
    view, n = change.base, len(batch.average)
    at = batch.edges[np.searchsorted(batch.regions, table["source_region"])] + table["source_row"]
    objects = ObjectSet(view)
    objects.load(regions, kinds_of(batch.measure))
    # The objects of a region lie together, in the order of their catalog.
    sizes = np.array([objects.catalogs[r].n_average for r in regions], np.int64)
    first = (np.cumsum(sizes) - sizes)[np.searchsorted(regions, table["region"])]
    is_old = table["place"] >= 0
    rows, ext_ids = np.full(n, -1, np.int32), np.zeros(n, np.uint64)
    rows[at[is_old]] = (first + table["place"])[is_old]
    ext_ids[at] = table["ext_id"]
    is_mine = np.zeros(n, np.bool_)
    is_mine[at] = True
    coming = coming_measures(batch, names)
    coming = coming[is_mine[batch.measure["ave_ref"][coming]]]
    added = add_batch(change, view, objects, batch, coming, rows, names, ext_ids=ext_ids)
    widen_pad(change, added.pad_deg)
    of = np.flatnonzero(added.per_image)
    return {
        "n_measures": added.n_measures,
        "n_matched": added.n_matched,
        "n_new": added.n_new,
        "images": of.tolist(),
        "counts": added.per_image[of].tolist(),
        "has_motion": added.has_motion,
        "reach": asdict(motion_reach(objects, objects.moving, np.array([epoch]))),
    }


register_write(_OPERATION, _merge)
