"""Files packed by gzip or bzip2, as archives publish them, unpacked while they are read."""

from __future__ import annotations

import bz2
import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvo.errors import BadCatalogError

__all__ = ["unpacked"]

# Tables of numbers pack to a third or a tenth; what grows beyond this is no table.
_MOST_GROWTH = 200
_FREE_BYTES = 1 << 24
_PIECE = 1 << 22


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give a file that can be read as it is.

    Parameters
    ----------
    path : Path
        Any file.

    Yields
    ------
    Path
        The file itself, or a temporary one with what was packed in it.

    Raises
    ------
    BadCatalogError
        If it cannot be read, is damaged, or grows beyond all measure.
    """
    try:
        with path.open("rb") as file:
            start = file.read(3)
    except OSError as error:
        raise BadCatalogError(f"{path}: cannot be read ({error.strerror or error})") from error
    if start[:2] != b"\x1f\x8b" and start != b"BZh":
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="dvo-unpack-") as folder:
        out = Path(folder, path.stem)
        try:
            with gzip.open(path) if start[:2] == b"\x1f\x8b" else bz2.open(path) as packed:
                _copy(packed, out, path)
        except (OSError, EOFError, zlib.error) as error:
            free = shutil.disk_usage(folder).free
            raise BadCatalogError(
                f"{path}: cannot be unpacked: {error} ({free >> 20} MB are free in {folder}; "
                "TMPDIR chooses another place)"
            ) from error
        yield out


def _copy(packed: gzip.GzipFile | bz2.BZ2File, out: Path, path: Path) -> None:
    left = _FREE_BYTES + _MOST_GROWTH * path.stat().st_size
    with out.open("wb") as file:
        while piece := packed.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise BadCatalogError(
                    f"{path}: unpacks to more than {_MOST_GROWTH} times its size; if it is sound, "
                    "unpack it yourself"
                )
            file.write(piece)
