"""A whole copy of a database: the same rows, the same history, the same identifier.

Files never change once they have their name, so a copy is made while others read and write:
the manifest is copied as it stands, then the files that it names, each compared with its
digest. The folder gets its name when all of it is on disk.
"""

from __future__ import annotations

import glob
import hashlib
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from dvo.errors import CatdirExistsError, CorruptTableError, StorageError
from dvo.partition import layout
from dvo.partition.history import rollback, vacuum
from dvo.partition.manifest import copy_manifest
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store
from dvo.partition.transaction import sync_folder

log = logging.getLogger(__name__)

__all__ = ["CopyReport", "copy_database"]

_PIECE = 1 << 22


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a copy has.

    Parameters
    ----------
    n_files, n_bytes : int
        Data files and records of commits, and their bytes.
    snapshot : int
        Its newest snapshot.
    counts : dict of str to int
        Images, objects, measures and catalogs in that.
    """

    n_files: int
    n_bytes: int
    snapshot: int
    counts: dict[str, int]


def copy_database(
    source: Store,
    target: Path,
    *,
    snapshot: SnapshotName | None = None,
    link: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CopyReport:
    """Copy a database.

    The copy is the same database: it has its identifier, so dvomerge does not take one into
    the other. What is committed to one of the two is not in the other.

    Parameters
    ----------
    source : Store
        The database; only read. Others may write to it meanwhile.
    target : Path
        Folder to make.
    snapshot : int, str or datetime, optional
        State that the copy is to have, which is then all that it has but the log and tagged
        states; None for the newest one, with all that can be gone back to.
    link : bool
        Whether to give files a second name instead of copying them, on the same file system.
        A file that is damaged is then damaged in both.
    progress : callable, optional
        Called with files done and files in all.

    Returns
    -------
    CopyReport
        What was copied.

    Raises
    ------
    CatdirExistsError
        If there is something at the target, or it lies inside the source.
    CorruptTableError
        If a file of the source is not as it was written.
    StorageError
        If a file is missing, or the disk fails; nothing is left behind then but after a kill:
        a folder whose name begins with a dot and ends in ``.part``.
    """
    if os.path.lexists(target):
        raise CatdirExistsError(f"{target}: exists already; name a folder that does not exist")
    if not target.absolute().parent.is_dir():
        raise StorageError(f"{target}: there is no folder {target.parent}; make it first")
    if target.resolve().is_relative_to(source.catdir.resolve()):
        raise CatdirExistsError(f"{target}: lies inside the database itself; name a place outside")
    number = None if snapshot is None else source.view(snapshot).snapshot.id
    # What a vacuum must not take away meanwhile.
    pinned = [source.view(row.id) for row in source.manifest.log() if row.kept]
    log.debug("copy catdir=%s snapshots=%d", source.catdir, len(pinned))
    _drop_leftovers(target)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        beside.mkdir()
        report = _fill(source, beside, number, link, progress)
        beside.rename(target)
        sync_folder(target.absolute().parent)
    except OSError as err:
        shutil.rmtree(beside, ignore_errors=True)
        if isinstance(err, StorageError):
            raise
        raise StorageError(f"{target}: cannot be written ({err.strerror or err})") from err
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return report


def _drop_leftovers(target: Path) -> None:
    """Remove what a copy to the same place left when it was killed."""
    name = glob.escape(target.name)
    for left in target.absolute().parent.glob(f".{name}.????????????.part"):
        shutil.rmtree(left, ignore_errors=True)


def _fill(
    source: Store,
    folder: Path,
    number: int | None,
    link: bool,
    progress: Callable[[int, int], None] | None,
) -> CopyReport:
    for name in (layout.LOG, layout.SHARED):
        (folder / name).mkdir()
    copy_manifest(source.catdir, folder)
    with Store(folder, writable=True, command="dvo copy") as copy:
        if number is not None:
            # Forgotten first, so that only files of that state are needed.
            rollback(copy, number)
            vacuum(copy, 1)
        files = {f.path: f.digest for f in copy.manifest.files()}
        own = [layout.log_path(token) for token in copy.manifest.tokens()]
        files |= dict.fromkeys([*own, layout.SKY_TABLE], "")
        wanted = [path for path in sorted(files) if not (folder / path).exists()]
        sizes = _copy_files(source.catdir, folder, wanted, files, link, progress)
        last = copy.view().snapshot
    (folder / layout.LOCK).unlink(missing_ok=True)
    for parent, _, _ in os.walk(folder):
        sync_folder(Path(parent))
    return CopyReport(len(wanted), sum(sizes), last.id, last.counts)


def _copy_files(
    source: Path,
    folder: Path,
    paths: list[str],
    digests: dict[str, str],
    link: bool,
    progress: Callable[[int, int], None] | None,
) -> list[int]:
    for parent in sorted({Path(path).parent for path in paths}):
        (folder / parent).mkdir(parents=True, exist_ok=True)

    def copy(path: str) -> int:
        if path == layout.SKY_TABLE and not (source / path).is_file():
            return 0  # dvo does without it
        return _copy_file(source / path, folder / path, digests[path], link)

    sizes = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for size in pool.map(copy, paths):
            sizes.append(size)
            if progress is not None:
                progress(len(sizes), len(paths))
    return sizes


def _copy_file(source: Path, target: Path, wanted: str, link: bool) -> int:
    """Copy or link a file, and compare its digest; gives its size."""
    digest, size = hashlib.blake2b(digest_size=16), 0
    try:
        if link:
            os.link(source, target)
        with source.open("rb") as data, Path(os.devnull if link else target).open("wb") as out:
            while piece := data.read(_PIECE):
                digest.update(piece)
                out.write(piece)
                size += len(piece)
            if not link:
                out.flush()
                os.fsync(out.fileno())
    except FileNotFoundError as err:
        raise StorageError(
            f"{source}: is missing; if a vacuum has just removed it, copy again, else see dvo check"
        ) from err
    if wanted and digest.hexdigest() != wanted:
        raise CorruptTableError(
            f"{source}: its digest is {digest.hexdigest()}, not {wanted}: its bytes have changed; "
            "see dvo check --deep"
        )
    return size
