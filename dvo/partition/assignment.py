"""Which partition host has which catalog: HOST_ID and BACKUP_ID of the SkyTable.

It is advice, not law: every host can read all of its database, and the one that a region is
assigned to is the one that has it in memory. What is split belongs to the hosts of what it
was; what was never assigned belongs to nobody, and any host may do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvo.errors import CorruptTableError
from dvo.partition.layout import SKY_TABLE
from dvo.partition.sky_table import SkyTable
from dvo.tables.fits import TableFile
from dvo.tables.skyregion import SKY_REGION

__all__ = ["Assignment", "read_assignment"]

I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]

_HOSTS = 1 << 16
"""More than there are numbers of hosts."""


@dataclass(frozen=True)
class Assignment:
    """Hosts of regions.

    Parameters
    ----------
    index : ndarray of int64, shape (n,)
        Regions, ascending.
    host : ndarray of uint16, shape (n,)
        Host of each; 0 if none.
    backup : ndarray of uint16, shape (n,)
        Host that has it too; 0 if none.
    """

    index: I64
    host: U16
    backup: U16

    def rows_of(self, regions: I64) -> I64:
        """Find the rows that say which hosts regions have.

        Parameters
        ----------
        regions : ndarray of int64, shape (n,)
            Regions.

        Returns
        -------
        ndarray of int64, shape (n,)
            Row of each, or of the nearest region above it that has a host; -1 if none has.
        """
        sky = SkyTable.standard()
        rows = np.full(len(regions), -1, np.int64)
        left, above = np.arange(len(regions)), np.asarray(regions, np.int64)
        while len(left) and len(self.index):
            at = np.minimum(np.searchsorted(self.index, above), len(self.index) - 1)
            is_found = (self.index[at] == above) & (self.host[at] != 0)
            rows[left[is_found]] = at[is_found]
            above = sky.parents(above[~is_found])
            left, above = left[~is_found][above >= 0], above[above >= 0]
        return rows

    def of(self, regions: I64) -> tuple[U16, U16]:
        """Hosts and backups of regions.

        Parameters
        ----------
        regions : ndarray of int64, shape (n,)
            Regions.

        Returns
        -------
        host, backup : ndarray of uint16, shape (n,)
            The hosts; 0 if none.
        """
        rows = self.rows_of(regions)
        if not len(self.index):
            return np.zeros(len(rows), np.uint16), np.zeros(len(rows), np.uint16)
        return (
            np.where(rows < 0, 0, self.host[rows]).astype(np.uint16),
            np.where(rows < 0, 0, self.backup[rows]).astype(np.uint16),
        )

    def hosts_of(self, groups: Sequence[Sequence[int]]) -> tuple[I64, I64]:
        """Choose hosts for groups of regions.

        Parameters
        ----------
        groups : sequence of sequence of int
            The groups.

        Returns
        -------
        first, second : ndarray of int64, shape (len(groups),)
            The host of most regions of each group, and the backup of most of these; 0 if
            there is none. The second is never the first.
        """
        sizes = np.fromiter(map(len, groups), np.int64, len(groups))
        regions = np.fromiter(chain.from_iterable(groups), np.int64, int(sizes.sum()))
        group = np.repeat(np.arange(len(groups)), sizes)
        hosts, backups = self.of(regions)
        first = _most_common(group, hosts, len(groups))
        is_there = hosts == first[group]
        second = _most_common(group[is_there], backups[is_there], len(groups))
        return first, np.where((second == first) | (first == 0), 0, second)


def _most_common(group: I64, hosts: U16, n_groups: int) -> I64:
    """The host that occurs most in each group, of several the least; 0 if none does."""
    pairs, counts = np.unique(
        group[hosts > 0] * _HOSTS + hosts[hosts > 0].astype(np.int64), return_counts=True
    )
    of, host = np.divmod(pairs, _HOSTS)
    order = np.lexsort((-host, counts, of))  # the last of each group is the one
    found = np.zeros(n_groups, np.int64)
    found[of[order]] = host[order]
    return found


def read_assignment(catdir: Path) -> Assignment:
    """Read which host has which catalog.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    Assignment
        Hosts of the regions of the SkyTable.

    Raises
    ------
    StorageError
        If the SkyTable cannot be read.
    """
    path = catdir / SKY_TABLE
    with TableFile(path, SKY_REGION.extname) as file:
        n_rows = file.n_rows
        if "host_id" not in file.names:
            none = np.zeros(0, np.uint16)
            return Assignment(np.zeros(0, np.int64), none, none)
        found = file.read(["index", "host_id", "backup_id"])
    index = found["index"].astype(np.int64)
    n_regions = len(SkyTable.standard())
    if n_rows and (index[0] < 0 or index[-1] >= n_regions or (np.diff(index) <= 0).any()):
        raise CorruptTableError(f"{path}: its regions are not in the order of their numbers")
    return Assignment(index, found["host_id"], found["backup_id"])
