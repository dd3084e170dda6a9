"""Files and folders that appear under their name only when they are whole.

They are written beside it, under a name that begins with a dot and ends in ``.part``, made
durable, and renamed. What was cut short leaves that and nothing else; it can be deleted.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from dvo.errors import StorageError

__all__ = ["folder_bytes", "new_file", "new_folder"]


@contextlib.contextmanager
def new_file(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Write a file beside its name and rename it at the end.

    Parameters
    ----------
    target : Path
        Where the file is to be.
    overwrite : bool
        Whether it may replace a file.

    Yields
    ------
    Path
        The name to write under. If the block raises, nothing is left of it.

    Raises
    ------
    StorageError
        If the target exists and may not be replaced, or the disk fails.
    """
    _check_place(target, overwrite=overwrite)
    if target.is_dir():
        raise StorageError(f"{target}: is a folder; give the name of a file")
    beside = _beside(target)
    with _told(target):
        try:
            yield beside
            _sync(beside)
            beside.replace(target)
            _sync(target.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def new_folder(target: Path, marks: Sequence[str], *, overwrite: bool) -> Iterator[Path]:
    """Fill a folder beside its name and rename it at the end.

    Parameters
    ----------
    target : Path
        Where the folder is to be.
    marks : sequence of str
        Files that a folder of this kind has: nothing else is ever replaced.
    overwrite : bool
        Whether it may replace such a folder, or an empty one.

    Yields
    ------
    Path
        The folder to fill, empty. If the block raises, nothing is left of it.

    Raises
    ------
    StorageError
        If the target exists and may not be replaced, or the disk fails.
    """
    _check_place(target, overwrite=overwrite)
    if target.exists() and not _may_go(target, marks):
        raise StorageError(
            f"{target}: is no earlier export (it has no {marks[0]}), and is not replaced; name "
            "another folder"
        )
    beside, aside = _beside(target), _beside(target)
    with _told(target):
        try:
            beside.mkdir()
            yield beside
            _sync_below(beside)
            if target.exists():
                target.rename(aside)
            beside.rename(target)
            _sync(target.parent)
        except BaseException:
            if aside.exists() and not target.exists():
                aside.rename(target)
            shutil.rmtree(beside, ignore_errors=True)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def folder_bytes(folder: Path) -> int:
    """Size of all files of a folder."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def _check_place(target: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise StorageError(f"{target}: there is no folder {target.parent}; make it first")
    if os.path.lexists(target) and not overwrite:
        raise StorageError(f"{target}: exists already; say --overwrite to replace it")


def _may_go(folder: Path, marks: Sequence[str]) -> bool:
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all((folder / m).is_file() for m in marks) or not any(folder.iterdir())


def _beside(target: Path) -> Path:
    return target.parent / f".{target.name}.{secrets.token_hex(6)}.part"


@contextlib.contextmanager
def _told(target: Path) -> Iterator[None]:
    """Turn what the disk says into one error that names the target."""
    try:
        yield
    except OSError as err:
        if isinstance(err, StorageError):
            raise
        raise StorageError(f"{target}: cannot be written ({err.strerror or err})") from err


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_below(folder: Path) -> None:
    for path in folder.rglob("*"):
        _sync(path)
    _sync(folder)
