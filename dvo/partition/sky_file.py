"""SkyTable.fits: the partition of the newest snapshot, for other programs, and its hosts.

dvo itself does without it, so it is no part of any snapshot: it is written anew when the
partition has changed, and by the next writer if that was cut short or the file is lost.
Which hosts catalogs are assigned to is kept then, as far as it can be read.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from dvo.errors import StorageError
from dvo.partition import layout
from dvo.partition.assignment import Assignment, read_assignment
from dvo.partition.partition import Partition
from dvo.tables.fits import Field, TableFile, TableHDU, write_fits
from dvo.tables.skyregion import SKY_REGION

__all__ = ["is_sky_file_of", "renew_sky_file", "write_sky_file"]

log = logging.getLogger(__name__)

_KEY = "DVO_PART"


def is_sky_file_of(catdir: Path, partition: Partition) -> bool:
    """Tell whether SkyTable.fits is there, whole, and of a partition; reads its headers.

    Parameters
    ----------
    catdir : Path
        The database directory.
    partition : Partition
        The partition of the newest snapshot.

    Returns
    -------
    bool
        False also if it is damaged so that its headers tell.
    """
    try:
        with TableFile(catdir / layout.SKY_TABLE, SKY_REGION.extname) as file:
            return bool(file.primary.get(_KEY) == partition.digest)
    except (OSError, StorageError):
        return False


def write_sky_file(
    catdir: Path, partition: Partition, db_id: str, assignment: Assignment | None = None
) -> None:
    """Write SkyTable.fits, in place of an older one.

    Parameters
    ----------
    catdir : Path
        The database directory.
    partition : Partition
        The regions.
    db_id : str
        Identifier of the database.
    assignment : Assignment, optional
        The partition hosts of the regions.

    Raises
    ------
    StorageError
        If it cannot be written; then the older one stays.
    """
    columns = {n.lower(): np.asarray(v) for n, v in partition.columns().items()}
    if assignment is not None and assignment.host.any():
        host, backup = assignment.of(columns["index"].astype(np.int64))
        for name, values in (("host_id", host), ("backup_id", backup)):
            columns[name] = np.where(columns["table"], values, 0).astype(np.uint16)
    fields = tuple(Field.from_column(SKY_REGION[n]) for n in SKY_REGION.names if n in columns)
    primary = {
        "DVO_DBID": (db_id, "database of this file"),
        _KEY: (partition.digest, "which partition these regions are"),
        "HOSTS": (layout.HOST_TABLE, "partition hosts"),
    }
    new = catdir / f"{layout.SKY_TABLE}.new"
    new.unlink(missing_ok=True)
    write_fits(new, [TableHDU(SKY_REGION.extname, fields, columns)], primary=primary)
    new.rename(catdir / layout.SKY_TABLE)


def renew_sky_file(catdir: Path, partition: Partition, db_id: str) -> None:
    """Write SkyTable.fits anew unless it is of the partition; failing that is no error.

    Parameters
    ----------
    catdir : Path
        The database directory.
    partition : Partition
        The partition of the newest snapshot.
    db_id : str
        Identifier of the database.
    """
    if is_sky_file_of(catdir, partition):
        return
    try:
        write_sky_file(catdir, partition, db_id, _kept_assignment(catdir))
    except (OSError, StorageError) as err:
        # The commit is made; the next writer tries again.
        log.warning("cannot write path=%s reason=%s", layout.SKY_TABLE, err)


def _kept_assignment(catdir: Path) -> Assignment | None:
    try:
        return read_assignment(catdir)
    except (OSError, StorageError):
        return None
