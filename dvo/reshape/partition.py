"""Splitting crowded catalogs, and a whole database brought to another level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dvo.errors import ConfigError, PartitionError
from dvo.partition.deal import SHOWN, SPLIT, crowded_regions, deal_out, plan_splits
from dvo.partition.partition import Partition
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import Runner

__all__ = ["Reshaped", "choose_splits", "relevel", "set_split_limit", "split_regions"]


@dataclass(frozen=True, slots=True)
class Reshaped:
    """What became of the partition.

    Parameters
    ----------
    regions : list of str
        Names of the regions that were split; of the catalogs that were dealt out, after a
        change of level.
    n_objects, n_measures : int
        Objects and measures that are in other catalogs now.
    n_catalogs : int
        Catalogs that there are.
    snapshot : int
        The newest snapshot now.
    """

    regions: list[str]
    n_objects: int
    n_measures: int
    n_catalogs: int
    snapshot: int


def choose_splits(view: View, names: Sequence[str], larger_than: int) -> list[int]:
    """Find out what to split.

    Parameters
    ----------
    view : View
        The newest snapshot.
    names : sequence of str
        Regions to split in any case.
    larger_than : int
        Split all catalogs with more measures, and their parts, until none has more or the
        deepest level is reached; 0 for none.

    Returns
    -------
    list of int
        Regions to split, those of which parts have catalogs already left out.

    Raises
    ------
    UnknownRegionError
        If there is no region of that name.
    PartitionError
        If a region is part of a catalog or of the deepest level.
    """
    asked = []
    for name in dict.fromkeys(names):
        region = view.sky.by_name(name)
        (leaf, *others) = view.partition.overlapping([region.index]).tolist()
        if leaf == region.index and region.depth == view.sky.max_level:
            raise PartitionError(f"region {name} is of the deepest level and cannot be split")
        if leaf == region.index:
            asked.append(leaf)
        elif not others and view.sky.depths([leaf])[0] < region.depth:
            whole = view.sky.names([leaf])[0]
            raise PartitionError(f"region {name} is part of the catalog {whole}: split that first")
    crowded = crowded_regions(view, view.regions(), larger_than)
    in_any_case = [r for r in asked if r not in set(crowded)]
    return sorted([*in_any_case, *plan_splits(view, crowded, larger_than)])


def split_regions(
    store: Store,
    names: Sequence[str],
    *,
    larger_than: int = 0,
    engine: Runner | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reshaped:
    """Split regions: their children have catalogs in their place. One commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    names : sequence of str
        Regions to split.
    larger_than : int
        Split also all catalogs with more measures; 0 for none.
    engine : Runner, optional
        Where catalogs are read and written; None for the threads of this process.
    progress : callable, optional
        Called with catalogs dealt out and catalogs in all.

    Returns
    -------
    Reshaped
        What was done; no commit is made if all of it is so already.

    Raises
    ------
    UnknownRegionError
        If there is no region of that name.
    PartitionError
        If a region cannot be split.
    """
    view = store.view()
    splits = choose_splits(view, names, larger_than)
    shown = view.sky.names(splits)
    params = {"larger_than": larger_than, "regions": shown[:SHOWN], "n": len(splits)}
    partition = view.partition.with_splits(splits)
    return _reshape(store, view, partition, SPLIT, params, shown, engine, progress)


def relevel(
    store: Store,
    level: int,
    *,
    engine: Runner | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reshaped:
    """Bring a database to another level, all of it; nothing is split after that. One commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    level : int
        The new level, 0 to 5.
    engine : Runner, optional
        Where catalogs are read and written; None for the threads of this process.
    progress : callable, optional
        Called with catalogs dealt out and catalogs in all.

    Returns
    -------
    Reshaped
        What was done; no commit is made if the database has that level, and nothing split.

    Raises
    ------
    ConfigError
        If there is no such level.
    """
    view = store.view()
    if not 0 <= level <= view.sky.max_level:
        raise ConfigError(f"level {level}: a partition has levels 0 to {view.sky.max_level}")
    partition = Partition(view.sky, level)
    params = {"level": level, "from": view.partition.level, "n_split": len(view.partition.splits)}
    return _reshape(store, view, partition, "relevel", params, None, engine, progress)


def set_split_limit(store: Store, measures: int) -> int:
    """Set the number of measures above which catalogs are split when they are compacted.

    Parameters
    ----------
    store : Store
        Open for writing.
    measures : int
        The limit; 0 for never.

    Returns
    -------
    int
        The newest snapshot now; no commit is made if it is so already.

    Raises
    ------
    ConfigError
        If it is negative.
    """
    if measures < 0:
        raise ConfigError(f"catalogs split above {measures} measures: give 0 (never) or more")
    view = store.view()
    if store.manifest.meta.get("split_at") == str(measures):
        return view.snapshot.id
    with store.begin("split", {"split_at": measures}, view) as change:
        change.set_meta("split_at", str(measures))
        return change.commit().id


def _reshape(
    store: Store,
    view: View,
    partition: Partition,
    command: str,
    params: Mapping[str, object],
    names: list[str] | None,
    engine: Runner | None,
    progress: Callable[[int, int], None] | None,
) -> Reshaped:
    filled = np.array(view.regions(), np.int64)
    moved = filled[~partition.is_leaf(filled)].tolist()
    counts = view.catalogs(moved)
    snapshot = deal_out(store, view, partition, command, params, engine=engine, progress=progress)
    return Reshaped(
        view.sky.names(moved) if names is None else names,
        sum(row.n_average for row in counts.values()),
        sum(row.n_measure for row in counts.values()),
        snapshot.counts["catalogs"],
        snapshot.id,
    )
