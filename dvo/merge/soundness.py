"""Whether the files of a source are as they were written, before anything is made of them.

A tile may decode to other numbers than were packed into it and nobody would notice; in a
merge such numbers would be copied, averaged, and kept.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dvo.errors import CorruptTableError, StorageError
from dvo.partition.file_rules import file_digest
from dvo.partition.manifest import ALL_SKY, FileRow
from dvo.partition.view import View

__all__ = ["require_sound"]


def require_sound(catdir: Path, view: View, regions: list[int]) -> None:
    """Refuse a source of which a file is damaged.

    Parameters
    ----------
    catdir : Path
        The source's directory.
    view : View
        Its snapshot that is merged.
    regions : list of int
        Regions that will be read; files of images and photcodes are looked at in any case.

    Raises
    ------
    CorruptTableError
        If a file is not, byte for byte, what was written.
    StorageError
        If one cannot be read.
    """
    files = view.part_table([ALL_SKY, *regions]).rows_of_files
    # Most of the time goes to the disk, and the digest lets other threads run.
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="dvo-verify") as pool:
        for file, fault in zip(
            files.values(), pool.map(lambda f: _fault(catdir, f), files.values()), strict=True
        ):
            if fault is not None:
                pool.shutdown(cancel_futures=True)
                advice = f"nothing of it was taken; run: dvo check --deep {catdir}"
                kind = CorruptTableError if fault.startswith("is not") else StorageError
                raise kind(f"{catdir / file.path}: {fault}; {advice}")


def _fault(catdir: Path, file: FileRow) -> str | None:
    try:
        digest = file_digest(catdir / file.path)
    except OSError as err:
        return f"cannot be read ({err.strerror or err})"
    if digest == file.digest:
        return None
    return f"is not what was written: its digest is {digest}, not {file.digest}"
