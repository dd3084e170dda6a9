"""Which partition host has which catalog: HOST_ID and BACKUP_ID of the SkyTable.

Catalogs are dealt out at random, so that a query of more than one region is spread over many
machines, or by load, so that each host has as many rows as the next. The backup is another
host, which serves what the first cannot. A region that came of a split belongs to the host of
the region that was split.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError, CorruptTableError, StorageError
from dvo.partition.layout import HOST_TABLE, SKY_TABLE
from dvo.partition.sky_table import SkyTable
from dvo.partition.store import Store
from dvo.partition.transaction import sync_folder
from dvo.tables.fits import Field, TableFile, TableHDU, write_fits
from dvo.tables.skyregion import SKY_REGION

__all__ = ["Assignment", "assign", "read_assignment"]

I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]


@dataclass(frozen=True)
class Assignment:
    """Hosts of regions.

    Parameters
    ----------
    host : ndarray of uint16, shape (n,)
        Host of each region of the SkyTable; 0 if none.
    backup : ndarray of uint16, shape (n,)
        Host that has the region too; 0 if none.
    """

    host: U16
    backup: U16

    def hosts_of(self, regions: Sequence[int]) -> list[int]:
        """Choose hosts for a group of regions.

        Parameters
        ----------
        regions : sequence of int
            The group.

        Returns
        -------
        list of int
            The host of most of them, then the backup of most of those; empty if none has a
            host. Every host can read all regions: it is the one that does so often, and has
            them in memory, that is asked first.
        """
        rows = self.rows_of(regions)
        first = _most_common(self.host[rows])
        if first == 0:
            return []
        second = _most_common(self.backup[rows[self.host[rows] == first]])
        return [first, second] if second not in (0, first) else [first]

    def rows_of(self, regions: Sequence[int] | I64) -> I64:
        """Find rows of regions, or of those that they were split from.

        Parameters
        ----------
        regions : sequence of int, or ndarray of int64, shape (n,)
            Regions.

        Returns
        -------
        ndarray of int64, shape (n,)
            Rows of the SkyTable.
        """
        rows = np.asarray(regions, np.int64)
        sky = SkyTable.standard()
        while (deep := rows >= len(self.host)).any():
            rows = np.where(deep, sky.parents(rows), rows)
        return rows


def _most_common(values: U16) -> int:
    counts = np.bincount(values, minlength=1)
    counts[0] = 0
    return int(np.argmax(counts)) if counts.any() else 0


def assign(
    store: Store,
    hosts: Sequence[int],
    *,
    by: Literal["random", "load"] = "random",
    backups: bool = True,
    rng: np.random.Generator,
) -> dict[int, tuple[int, int]]:
    """Assign all catalogs to hosts, and write it to the SkyTable.

    Parameters
    ----------
    store : Store
        The database.
    hosts : sequence of int
        Numbers of the hosts.
    by : {'random', 'load'}
        Equal numbers of catalogs, or equal numbers of rows.
    backups : bool
        Whether each catalog gets a second host, if there are two or more.
    rng : numpy.random.Generator
        Where chance comes from.

    Returns
    -------
    dict of int to (int, int)
        Catalogs that have rows, and rows, of each host.

    Raises
    ------
    ConfigError
        If there is no host.
    StorageError
        If the SkyTable cannot be written.
    """
    if not hosts:
        raise ConfigError(f"{store.catdir / HOST_TABLE}: has no hosts; add some first")
    columns = _read(store.catdir)
    view = store.view()
    rows = np.zeros(len(columns["host_id"]), np.int64)
    found = view.catalogs(view.regions())
    regions = np.fromiter(found, np.int64, len(found))
    sizes = np.array([row.n_average + row.n_measure for row in found.values()], np.int64)
    whole = Assignment(columns["host_id"], columns["backup_id"])
    np.add.at(rows, whole.rows_of(regions), sizes)
    tables = np.flatnonzero(columns["table"])
    order = rng.permutation(tables)
    if by == "load":
        order = order[np.argsort(-rows[order], kind="stable")]
    places = _dealt(len(order), len(hosts))
    numbers = np.asarray(hosts, np.uint16)
    columns["host_id"] = np.zeros(len(rows), np.uint16)
    columns["backup_id"] = np.zeros(len(rows), np.uint16)
    columns["host_id"][order] = numbers[places]
    if backups and len(hosts) > 1:
        steps = rng.integers(1, len(hosts), len(order))
        columns["backup_id"][order] = numbers[(places + steps) % len(hosts)]
    _write(store, columns)
    mine = [columns["host_id"] == n for n in hosts]
    return {
        n: (int(((rows > 0) & m).sum()), int(rows[m].sum()))
        for n, m in zip(hosts, mine, strict=True)
    }


def _dealt(n: int, n_hosts: int) -> I64:
    """To whom each of n cards goes: round and back again, so that the first gains nothing."""
    rounds, places = np.divmod(np.arange(n), n_hosts)
    return np.where(rounds % 2 == 0, places, n_hosts - 1 - places)


def read_assignment(catdir: Path) -> Assignment:
    """Read which host has which catalog.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    Assignment
        Hosts of all regions of the SkyTable.

    Raises
    ------
    StorageError
        If the SkyTable cannot be read.
    """
    columns = _read(catdir, ("host_id", "backup_id"))
    return Assignment(columns["host_id"], columns["backup_id"])


def _read(catdir: Path, names: Sequence[str] = SKY_REGION.names) -> dict[str, Any]:
    path = catdir / SKY_TABLE
    file = TableFile(path, 1)
    try:
        found = file.read([n for n in names if n in file.names])
        n_rows = file.n_rows
    finally:
        file.close()
    columns = {n: found.get(n, SKY_REGION[n].nulls(n_rows)) for n in names}
    if n_rows not in [SkyTable.standard().at_level(k).stop for k in range(6)]:
        raise CorruptTableError(f"{path}: has {n_rows} rows, which is no number of regions")
    return columns


def _write(store: Store, columns: dict[str, Any]) -> None:
    """Put another SkyTable in the place of the old one, at once."""
    path = store.catdir / SKY_TABLE
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    fields = tuple(Field.from_column(SKY_REGION[n]) for n in columns)
    hdu = TableHDU(SKY_REGION.extname, fields, columns)
    primary = {
        "DVO_DBID": (store.db_id, "database of this file"),
        "HOSTS": (HOST_TABLE, "partition hosts"),
    }
    try:
        write_fits(beside, [hdu], primary=primary)
        beside.replace(path)
        sync_folder(store.catdir)
    except OSError as err:
        beside.unlink(missing_ok=True)
        if isinstance(err, StorageError):
            raise
        raise StorageError(f"{path}: cannot be written ({err.strerror})") from err
