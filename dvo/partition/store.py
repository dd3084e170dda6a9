"""Store: a catdir opened for reading or for writing.

Here a database is made, a snapshot is chosen, and changes begin. What a table looks like
after all its parts are put together is `view.View`; what a change does is
`transaction.Transaction`.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

import dvo
from dvo.errors import CatdirExistsError, CatdirLockedError, ConfigError, StorageError
from dvo.partition import layout
from dvo.partition.cache import TileCache
from dvo.partition.lock import WriterLock
from dvo.partition.manifest import (
    ALL_SKY,
    Change,
    FileRow,
    Manifest,
    PartRun,
    SnapshotRow,
    build_manifest,
    place_manifest,
)
from dvo.partition.partition import Partition, partition_of
from dvo.partition.pins import ReaderPins, make_pin_file
from dvo.partition.records import write_record
from dvo.partition.sky_file import renew_sky_file, write_sky_file
from dvo.partition.sky_table import SkyTable
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.staged import clear_staged
from dvo.partition.transaction import Transaction, sync_folder
from dvo.partition.view import View
from dvo.tables.fits import Field, TableHDU, write_fits
from dvo.tables.photcode import PHOTCODE, PhotcodeTable

__all__ = [
    "DEFAULT_CACHE_BYTES",
    "DEFAULT_SPLIT_AT",
    "Store",
    "create_store",
]

log = logging.getLogger(__name__)

DEFAULT_CACHE_BYTES = 2**30
"""Decoded tiles that an open database keeps in memory."""

DEFAULT_SPLIT_AT = 4_000_000
"""Measures above which a catalog is split when it is compacted: about 1 GB in memory."""

_PIN_TRIES = 100


def create_store(
    catdir: Path, *, level: int, photcodes: PhotcodeTable, split_at: int = DEFAULT_SPLIT_AT
) -> None:
    """Make an empty database.

    Parameters
    ----------
    catdir : Path
        Folder to make; it may exist if it is empty.
    level : int
        Level of the sky partition, 0 to 5.
    photcodes : PhotcodeTable
        The photcodes to begin with; its SEC photcodes are the average filters.
    split_at : int
        Measures above which a catalog is split when it is compacted; 0 for never.

    Raises
    ------
    CatdirExistsError
        If something is there already.
    ConfigError
        If the level is not 0..5, the limit is negative, or there is no average filter.
    """
    if not 0 <= level <= 5:
        raise ConfigError(f"level {level}: a partition has levels 0 to 5; 4 suits a survey")
    if split_at < 0:
        raise ConfigError(f"catalogs split above {split_at} measures: give 0 (never) or more")
    if not photcodes.sec:
        raise ConfigError("a database needs at least one average filter, such as --filters g,r,i")
    try:
        catdir.mkdir(parents=True, exist_ok=True)
        _assert_vacant(catdir)
        with WriterLock(catdir, "dvo init"):
            _assert_vacant(catdir)
            _fill(catdir, level, photcodes, split_at)
    except OSError as err:
        if isinstance(err, StorageError):
            raise
        raise StorageError(f"{catdir}: cannot be made ({err.strerror or err})") from err


def _assert_vacant(catdir: Path) -> None:
    """Refuse a folder with anything in it but what an init that was cut short left."""
    for path in catdir.rglob("*"):
        # The lock file may stay behind from a reader that looked too early.
        is_left = path.name in (layout.LOCK, layout.PINS, layout.LOG, layout.SHARED)
        is_left |= path.name.startswith((layout.SKY_TABLE, f"{layout.MANIFEST}.new"))
        token = layout.token_of(path.relative_to(catdir).as_posix())
        if not is_left and (token is None or int(token[:8]) > 1):
            raise CatdirExistsError(f"{catdir}: is not empty; name a folder that does not exist")


def _fill(catdir: Path, level: int, photcodes: PhotcodeTable, split_at: int) -> None:
    db_id = secrets.token_hex(16)
    token = layout.make_token(1)
    for left in list(catdir.rglob("*")):
        if layout.token_of(left.relative_to(catdir).as_posix()) is not None:
            left.unlink()  # of an init that was cut short
    for folder in (layout.SHARED, layout.LOG):
        (catdir / folder).mkdir(exist_ok=True)
    write_sky_file(catdir, Partition(SkyTable.standard(), level), db_id)
    path = layout.global_path("Photcodes", token)
    columns = {n.lower(): v for n, v in photcodes.to_columns().items()}
    digest, n_bytes = _write_plainly(catdir / path, PHOTCODE, columns, db_id)
    part = PartRun(path, *(np.array([n]) for n in (1, ALL_SKY, 0, len(photcodes), 0)))
    meta = {"db_id": db_id, "split_at": str(split_at)}
    file = FileRow(path, PHOTCODE.name, "rows", tuple(columns), n_bytes, digest)
    change = Change(files=[file], parts=[part], meta=meta)
    first = SnapshotRow(
        id=1,
        token=token,
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        command="init",
        params={"level": level, "filters": [p.name for p in photcodes.sec]},
        version=dvo.__version__,
        counts={"images": 0, "objects": 0, "measures": 0, "catalogs": 0},
        level=level,
    )
    write_record(catdir / layout.log_path(token), first, change, db_id=db_id, base="")
    sync_folder(catdir / layout.LOG)
    make_pin_file(catdir)
    # Until the manifest has its name there is no database: a cut-off init leaves none.
    build_manifest(catdir, meta, [(first, change)])
    place_manifest(catdir)


def _write_plainly(
    path: Path, schema: Any, columns: Mapping[str, Any], db_id: str
) -> tuple[str, int]:
    present = {n: np.asarray(v) for n, v in columns.items() if n in schema}
    fields = tuple(Field.from_column(schema[n]) for n in schema.names if n in present)
    hdu = TableHDU(schema.extname, fields, present)
    written = write_fits(path, [hdu], primary={"DVO_DBID": (db_id, "database of this file")})
    return written.digest, written.n_bytes


class Store:
    """A catdir, open.

    Parameters
    ----------
    catdir : path
        The database directory.
    writable : bool
        Whether it will be changed; takes the writer's lock and sweeps what a crash left.
    command : str
        What is being done, for the lock.
    cache_bytes : int
        Memory for decoded tiles.

    Raises
    ------
    NotACatdirError
        If there is no database.
    CatdirLockedError
        If another writer is at work (only with `writable`).
    """

    def __init__(
        self,
        catdir: str | os.PathLike[str],
        *,
        writable: bool = False,
        command: str = "dvo",
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.catdir = Path(catdir)
        self._lock: WriterLock | None = None
        with ExitStack() as opened:
            if writable:
                Manifest(self.catdir).close()  # a clear message before a lock file is made
                self._lock = opened.enter_context(WriterLock(self.catdir, command))
            self.manifest = opened.enter_context(closing(Manifest(self.catdir, writable=writable)))
            self.sky = SkyTable.standard()
            self.kept: dict[str, Any] = {}  # what callers keep for as long as the store is open
            threads = os.cpu_count() or 1
            self.cache = TileCache(self.catdir, budget=cache_bytes, threads=threads)
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dvo-write")
            # The one writer needs no pins: nobody else can run a vacuum.
            self._pins = None if writable else ReaderPins(self.catdir)
            if writable:
                make_pin_file(self.catdir)
                self.sweep()
                self.renew_sky_file()
            opened.pop_all()  # nothing has failed: `close` does it

    @property
    def db_id(self) -> str:
        """Identifier of the database."""
        return str(self.manifest.meta["db_id"])

    def view(self, snapshot: SnapshotName | None = None) -> View:
        """Open a snapshot.

        Parameters
        ----------
        snapshot : int, str or datetime, optional
            Which: its number, a tag, or a time (UTC); None for the newest.

        Returns
        -------
        View
            The snapshot; later commits do not change it, and of a store that is open for
            reading no vacuum takes it away, as long as the view is there and the store open.

        Raises
        ------
        UnknownSnapshotError
            If there is no such snapshot, or it has been vacuumed away.
        CatdirLockedError
            If a vacuum is just forgetting it.
        """
        if self._pins is None:
            found = self.manifest.snapshot(snapshot)
            return View(self.manifest, self.cache, self.sky, found)
        for _ in range(_PIN_TRIES):
            self.manifest.renew()
            found = self.manifest.snapshot(snapshot)
            pin = self._pins.pin(found.id)
            # Between the answer and the pin a vacuum may have forgotten what was the newest.
            self.manifest.renew()
            if pin is not None and self.manifest.is_kept(found.id):
                return View(self.manifest, self.cache, self.sky, found, pin)
        raise CatdirLockedError(
            f"{self.catdir}: a vacuum is just forgetting snapshot {found.id}; try again"
        )

    def begin(
        self, command: str, params: Mapping[str, Any], base: View | None = None
    ) -> Transaction:
        """Begin a change.

        Parameters
        ----------
        command : str
            Name of the command, for the log.
        params : mapping
            What to record of its parameters and inputs; JSON types only.
        base : View, optional
            The newest snapshot, if it is open already.

        Returns
        -------
        Transaction
            The change; use it with ``with`` and end it with ``commit``.
        """
        if self._lock is None:
            raise StorageError(f"{self.catdir}: is open for reading only")
        return Transaction(
            self.catdir, self.manifest, base or self.view(), self._pool, command, params
        )

    def sweep(self) -> int:
        """Remove files that a commit cut short, or a vacuum, left behind.

        Returns
        -------
        int
            How many there were.
        """
        # This writer has the lock: whoever was to commit what is there is gone.
        clear_staged(self.catdir)
        pending = self.manifest.pending()
        if not pending:
            return 0
        known = self.known_paths()
        gone = [path for path in pending if path not in known]
        stuck = 0
        for path in gone:
            try:
                (self.catdir / path).unlink(missing_ok=True)
            except OSError as err:
                # In nobody's way: the next writer tries again.
                stuck += 1
                log.warning("cannot remove path=%s reason=%s", path, err.strerror)
        if not stuck:
            self.manifest.forget_pending()
        return len(gone) - stuck

    def renew_sky_file(self) -> None:
        """Write SkyTable.fits anew if it is not that of the newest snapshot."""
        newest = self.manifest.snapshot()
        partition = partition_of(self.sky, newest.level, self.manifest.splits(newest.id))
        renew_sky_file(self.catdir, partition, self.db_id)

    def known_paths(self) -> set[str]:
        """Paths of all files that the database needs, relative to the catdir."""
        known = {f.path for f in self.manifest.files()}
        return known | {layout.log_path(token) for token in self.manifest.tokens()}

    def close(self) -> None:
        """Close files and let go of the lock; safe to call twice."""
        if self._pins is not None:
            self._pins.close()
        self._pool.shutdown(wait=True)
        self.cache.close()
        self.manifest.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
