"""A FITS file as a row of HDUs: where headers and data units lie, checked against its size.

Reads by ``pread``, never by mmap: a file cut short under a mapping would end the process.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dvo.errors import CorruptTableError, StorageError
from dvo.tables.fits.header import BLOCK, Header, find_end
from dvo.tables.fits.meter import METER

__all__ = ["MAX_ROWS", "FitsFile", "Hdu"]

MAX_ROWS = 2**48  # more cannot be: it keeps what is computed from rows below 2**63

_FIRST_READ = 1 << 16  # the headers of most tables, in one pread
_MAX_HEADER = 1 << 24
_MAX_HDUS = 100_000


@dataclass(frozen=True, slots=True)
class Hdu:
    """One HDU of a file.

    Parameters
    ----------
    index : int
        Number in the file; 0 is the primary one.
    header : Header
        Its cards.
    start, data : int
        Offsets of its header and of its data unit.
    size : int
        Bytes of the data unit, without the filling up to whole blocks.
    """

    index: int
    header: Header
    start: int
    data: int
    size: int

    @property
    def stop(self) -> int:
        """Offset of the HDU that follows."""
        return self.data + -(-self.size // BLOCK) * BLOCK

    @property
    def where(self) -> str:
        """File and number, for messages."""
        return self.header.where

    @property
    def extname(self) -> str:
        """EXTNAME, upper case; empty if there is none."""
        name = self.header.get("EXTNAME")
        return name.strip().upper() if isinstance(name, str) else ""

    @property
    def is_table(self) -> bool:
        """Whether it is a binary table, compressed or not."""
        return self.header.get("XTENSION") in ("BINTABLE", "A3DTABLE")

    @property
    def is_compressed(self) -> bool:
        """Whether it is a tile-compressed table."""
        return self.is_table and self.header.get("ZTABLE") is True


class FitsFile:
    """A FITS file open for reading.

    Parameters
    ----------
    path : path-like
        The file.

    Raises
    ------
    StorageError
        If it cannot be opened.
    CorruptTableError
        If it does not begin as FITS files do.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise StorageError(f"{path}: cannot be opened: {error.strerror}") from error
        try:
            self.size = os.fstat(self._fd).st_size
            self._first = os.pread(self._fd, _FIRST_READ, 0)
            if not self._first.startswith(b"SIMPLE  ="):
                raise CorruptTableError(
                    f"{path}: begins with {self._first[:9]!r}, not SIMPLE: no FITS file"
                )
            self._hdus = [self._parse(0, 0)]
        except OSError as error:
            self.close()
            if isinstance(error, StorageError):
                raise
            raise StorageError(f"{path}: cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Close the file; more than once does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, offset: int, size: int) -> bytes:
        """Read a range of bytes.

        Parameters
        ----------
        offset, size : int
            The range; callers have checked it against the file's size.

        Returns
        -------
        bytes
            Exactly ``size`` bytes.

        Raises
        ------
        CorruptTableError
            If the file has become shorter.
        StorageError
            If the disk fails.
        """
        meter = METER.get()
        if meter is None:
            return self._read(offset, size)
        begun = time.perf_counter()
        data = self._read(offset, size)
        meter.add(n_bytes=size, read_s=time.perf_counter() - begun)
        return data

    def expect(self, offset: int, size: int) -> None:
        """Have the system fetch a range of bytes in the background, if it knows how to.

        Parameters
        ----------
        offset, size : int
            The range.
        """
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, offset, size, os.POSIX_FADV_WILLNEED)

    def _read(self, offset: int, size: int) -> bytes:
        if offset + size <= len(self._first):
            return self._first[offset : offset + size]
        try:
            data = os.pread(self._fd, size, offset)
            while len(data) < size:
                more = os.pread(self._fd, size - len(data), offset + len(data))
                if not more:
                    raise CorruptTableError(
                        f"{self.path}: ends at byte {offset + len(data)}, in the middle of data"
                    )
                data += more
        except CorruptTableError:
            raise
        except OSError as error:
            raise StorageError(f"{self.path}: cannot be read: {error.strerror}") from error
        return data

    def __iter__(self) -> Iterator[Hdu]:
        index = 0
        while (hdu := self.find(index)) is not None:
            yield hdu
            index += 1

    def find(self, which: int | str) -> Hdu | None:
        """Find an HDU by number or EXTNAME.

        Parameters
        ----------
        which : int or str
            Number, 0 for the primary one, or name in any case.

        Returns
        -------
        Hdu or None
            None if the file has no such HDU.
        """
        name = which.strip().upper() if isinstance(which, str) else None
        index = 0
        while True:
            if index == len(self._hdus) and not self._parse_next():
                return None
            hdu = self._hdus[index]
            if index == which or (name is not None and hdu.extname == name):
                return hdu
            index += 1

    def get(self, which: int | str) -> Hdu:
        """Get an HDU by number or EXTNAME.

        Parameters
        ----------
        which : int or str
            Number or name.

        Returns
        -------
        Hdu
            It.

        Raises
        ------
        CorruptTableError
            If the file has no such HDU.
        """
        hdu = self.find(which)
        if hdu is None:
            raise CorruptTableError(
                f"{self.path}: has no HDU {which!r}, only {len(self._hdus)} HDUs; is it complete?"
            )
        return hdu

    def _parse_next(self) -> bool:
        at = self._hdus[-1].stop
        if at >= self.size:
            return False
        index = len(self._hdus)
        head = self.read(at, min(BLOCK, self.size - at))
        if not head.startswith(b"XTENSION="):
            if head.strip(b"\0 "):
                raise CorruptTableError(
                    f"{self.path}: what follows HDU {index - 1} at byte {at} is no HDU "
                    f"but {head[:9]!r}"
                )
            return False
        if index >= _MAX_HDUS:
            raise CorruptTableError(f"{self.path}: has more than {_MAX_HDUS} HDUs")
        self._hdus.append(self._parse(index, at))
        return True

    def _parse(self, index: int, start: int) -> Hdu:
        where = f"{self.path}, HDU {index}"
        limit = min(self.size - start, _MAX_HEADER)
        size = min(limit, max(_FIRST_READ - start, _FIRST_READ // 2))
        while True:
            text = self.read(start, size)
            end = find_end(text)
            if end >= 0:
                break
            if size >= limit:
                raise CorruptTableError(f"{where}: its header has no END card; is it complete?")
            size = min(limit, 4 * size)
        header = Header(text[:end].decode("latin-1"), where)
        data = start + (end // BLOCK + 1) * BLOCK
        data_size = _data_size(header)
        if data_size and data + data_size > self.size:
            raise CorruptTableError(
                f"{where}: cut short: its data end at byte {data + data_size}, "
                f"the file at byte {self.size}"
            )
        return Hdu(index, header, start, data, data_size)


def _data_size(header: Header) -> int:
    bitpix = header.integer("BITPIX", low=-64, high=64)
    if abs(bitpix) not in (8, 16, 32, 64):
        raise CorruptTableError(f"{header.where}: BITPIX = {bitpix} is none that FITS has")
    n_axes = header.integer("NAXIS", high=999)
    if n_axes == 0:
        return 0
    axes = [header.integer(f"NAXIS{i}") for i in range(1, n_axes + 1)]
    if header.get("GROUPS") is True and axes[0] == 0:
        axes = axes[1:]
    n_items = 1
    for axis in axes:
        n_items *= axis
    n_items = (n_items + header.integer("PCOUNT", 0)) * header.integer("GCOUNT", 1)
    return n_items * abs(bitpix) // 8
