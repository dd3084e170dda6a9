"""What two snapshots are made of, as far as they differ."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dvo.partition.manifest import CatalogRow, Manifest, PartTable

__all__ = ["State", "differing", "find_alone", "group_numbers", "table_numbers"]

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
    tables = table_numbers(one, two)
    group = np.concatenate([group_numbers(parts, tables) for parts in (one, two)])
    differs = np.isin(group, group[np.concatenate(find_alone(one, two))])
    return differs[: len(one)], differs[len(one) :]


def find_alone(one: PartTable, two: PartTable, *, in_place: bool = True) -> tuple[Bool, Bool]:
    """Which parts of two states the other one does not have.

    Parts are the same if they are of the same rows of the same file in the table of the same
    region; their numbers differ from state to state.

    Parameters
    ----------
    one, two : PartTable
        Parts of the two states.
    in_place : bool
        Whether they have to be at the same place in their tables, too.

    Returns
    -------
    ndarray of bool, shape (len(one),)
        Which parts of the first.
    ndarray of bool, shape (len(two),)
        Which parts of the second.
    """
    n = len(one)
    tables = table_numbers(one, two)
    group = np.concatenate([group_numbers(parts, tables) for parts in (one, two)])
    facts = np.column_stack(
        [group, *(np.concatenate(pair) for pair in zip(_facts(one, group[:n], in_place),
                                                       _facts(two, group[n:], in_place),
                                                       strict=True))]
    )  # fmt: skip
    state = np.repeat([0, 1], [n, len(two)])
    order = np.lexsort((state, *facts.T[::-1]))
    is_pair = (facts[order[1:]] == facts[order[:-1]]).all(axis=1)
    alone = np.ones(len(group), np.bool_)
    alone[order[1:][is_pair]] = alone[order[:-1][is_pair]] = False
    return alone[:n], alone[n:]


def table_numbers(*states: PartTable) -> dict[str, int]:
    """Numbers from 0 for the tables that some parts are of, in the order of their names."""
    names = {file.table for parts in states for file in parts.rows_of_files.values()}
    return {name: i for i, name in enumerate(sorted(names))}


def group_numbers(parts: PartTable, tables: dict[str, int]) -> I64:
    """Number the tables of regions.

    Parameters
    ----------
    parts : PartTable
        Parts.
    tables : dict of str to int
        What `table_numbers` says of them.

    Returns
    -------
    ndarray of int64, shape (len(parts),)
        For each part the region times the number of tables, plus the number of its own.
    """
    table_of = {number: tables[file.table] for number, file in parts.rows_of_files.items()}
    return np.asarray(parts.regions * len(tables) + _looked_up(parts.files, table_of))


def _looked_up(values: I64, names: dict[int, int]) -> I64:
    keys = np.array(sorted(names), np.int64)
    found = np.array([names[k] for k in keys.tolist()], np.int64)
    return found[np.searchsorted(keys, values)]


def _facts(parts: PartTable, group: I64, in_place: bool) -> tuple[I64, ...]:
    """File and rows of each part and of its target, and the places of both in their table."""
    by_id = np.argsort(parts.ids)
    at = np.searchsorted(parts.ids[by_id], parts.targets)
    at = by_id[np.minimum(at, max(0, len(parts) - 1))] if len(parts) else at
    columns = [parts.files, parts.starts, parts.stops]
    if in_place:
        order = np.lexsort((parts.ids, group))
        place = np.empty(len(parts), np.int64)
        ranked = group[order]
        place[order] = np.arange(len(parts)) - np.searchsorted(ranked, ranked)
        columns.append(place)
    return *columns, *(np.where(parts.targets > 0, column[at], -1) for column in columns)
