"""What two snapshots are made of, as far as they differ."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dvo.partition.manifest import CatalogRow, Manifest, PartTable

__all__ = ["State", "differing"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


class State:
    """What one snapshot is made of, as far as it may differ from another.

    Parameters
    ----------
    manifest : Manifest
        The manifest.
    snapshot, other : int
        The snapshot, and the one that it is compared with.
    regions : iterable of int
        Regions that differ.
    """

    def __init__(
        self, manifest: Manifest, snapshot: int, other: int, regions: Iterable[int]
    ) -> None:
        self.parts = manifest.part_table(snapshot, regions)
        self.catalogs = {row.region: row for row in manifest.catalogs(snapshot, regions)}
        self.images = set(manifest.images(snapshot, other=other))

    def catalogs_over(self, newer: State) -> list[CatalogRow]:
        """Counts of the catalogs that differ, as they are to be after `newer`.

        A catalog that is new since then stays, empty: its next_obj_id must not be lost.

        Parameters
        ----------
        newer : State
            What is the newest now.

        Returns
        -------
        list of CatalogRow
            The counts.
        """
        nothing = CatalogRow(0, 0, 0, 0, is_sorted=True)
        rows = []
        for region, now in newer.catalogs.items():
            then = self.catalogs.get(region, nothing)
            next_id = max(then.next_obj_id, now.next_obj_id)
            rows.append(
                CatalogRow(region, then.n_average, next_id, then.n_measure, then.is_sorted,
                           then.n_parts, then.n_largest)
            )  # fmt: skip
        rows += [self.catalogs[r] for r in self.catalogs.keys() - newer.catalogs.keys()]
        return [row for row in rows if row != newer.catalogs.get(row.region)]


def differing(one: PartTable, two: PartTable) -> tuple[Bool, Bool]:
    """Which parts of two states belong to tables of regions that are not made of the same rows.

    Parts are the same if they are of the same rows of the same file at the same place in
    their table; their numbers differ from state to state.

    Parameters
    ----------
    one, two : PartTable
        Parts of the two states.

    Returns
    -------
    ndarray of bool, shape (len(one),)
        Which parts of the first.
    ndarray of bool, shape (len(two),)
        Which parts of the second.
    """
    n = len(one)
    tables = {name: i for i, name in enumerate(sorted({
        file.table for parts in (one, two) for file in parts.rows_of_files.values()
    }))}  # fmt: skip
    group: I64 = np.concatenate([_groups(parts, tables) for parts in (one, two)])
    if len(group) == 0:
        return np.zeros(0, np.bool_), np.zeros(0, np.bool_)
    facts = np.column_stack(
        [group, *(np.concatenate([a, b]) for a, b in zip(_facts(one, group[:n]),
                                                         _facts(two, group[n:]), strict=True))]
    )  # fmt: skip
    state = np.repeat([0, 1], [n, len(two)])
    order = np.lexsort((state, *facts.T[::-1]))
    is_pair = (facts[order[1:]] == facts[order[:-1]]).all(axis=1)
    alone = np.ones(len(group), np.bool_)
    alone[order[1:][is_pair]] = alone[order[:-1][is_pair]] = False
    differs = np.isin(group, group[alone])
    return differs[:n], differs[n:]


def _groups(parts: PartTable, tables: dict[str, int]) -> I64:
    """A number for the table of the region of each part."""
    table_of = {number: tables[file.table] for number, file in parts.rows_of_files.items()}
    return parts.regions * len(tables) + _looked_up(parts.files, table_of)


def _looked_up(values: I64, names: dict[int, int]) -> I64:
    keys = np.array(sorted(names), np.int64)
    found = np.array([names[k] for k in keys.tolist()], np.int64)
    return found[np.searchsorted(keys, values)]


def _facts(parts: PartTable, group: I64) -> tuple[I64, ...]:
    """Place of each part in its table, its file and rows, and the place of its target."""
    order = np.lexsort((parts.ids, group))
    place = np.empty(len(parts), np.int64)
    ranked = group[order]
    place[order] = np.arange(len(parts)) - np.searchsorted(ranked, ranked)
    by_id = np.argsort(parts.ids)
    at = np.searchsorted(parts.ids[by_id], parts.targets)
    at = by_id[np.minimum(at, max(0, len(parts) - 1))] if len(parts) else at
    target = np.where(parts.targets > 0, place[at], -1)
    return place, parts.files, parts.starts, parts.stops, target
