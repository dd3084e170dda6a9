"""Files that lie: a good compressed table with a few bytes changed."""

from __future__ import annotations

import struct
import zlib

from tests.unit.tables.fits.all_types import GOLDEN

_HEADER = 2880  # of the table, behind that of the primary HDU


def _set(file: bytes, key: str, value: str) -> bytes:
    at = file.index(f"{key:<8}=".encode(), _HEADER)
    card = f"{key:<8}= {value:>20}".ljust(80).encode()
    return file[:at] + card + file[at + 80 :]


def _number(file: bytes, key: str) -> int:
    at = file.index(f"{key:<8}=".encode(), _HEADER)
    return int(file[at + 10 : at + 30])


def _data(file: bytes) -> int:
    end = file.index(b"END".ljust(80), _HEADER)
    return (end // 2880 + 1) * 2880


def _descriptor(file: bytes, tile: int, column: int, *, size: int, offset: int) -> bytes:
    at = _data(file) + tile * _number(file, "NAXIS1") + 16 * column
    return file[:at] + struct.pack(">qq", size, offset) + file[at + 16 :]


def without_sums(file: bytes) -> bytes:
    """Rename DATASUM and CHECKSUM, so that only the other checks are left."""
    head, rest = file[: _data(file)], file[_data(file) :]
    return head.replace(b"CHECKSUM=", b"XHECKSUM=").replace(b"DATASUM =", b"XATASUM =") + rest


def hostile_files() -> dict[str, bytes]:
    """Bad files by what is wrong with them, none with a DATASUM that gives it away."""
    good = without_sums((GOLDEN / "small_tiles.fits.fz").read_bytes())
    heap, size = (
        _data(good) + _number(good, "NAXIS1") * _number(good, "NAXIS2"),
        _number(good, "PCOUNT"),
    )
    bomb = zlib.compress(bytes(200_000_000), 9, 31)
    grown = good[: heap + size] + bomb
    grown = _descriptor(grown, 0, 1, size=len(bomb), offset=size)
    grown = _set(grown + bytes(-len(grown) % 2880), "PCOUNT", str(size + len(bomb)))
    middle = heap + size // 2
    flipped = bytes(b ^ 0x5A for b in good[middle : middle + 40])
    return {
        "truncated": good[: heap + size // 3],
        "truncated in the header": good[:5000],
        "truncated at a block": good[: len(good) - 2880],
        "outside": _descriptor(good, 1, 0, size=364, offset=2**40),
        "overflow": _descriptor(good, 1, 0, size=2**62, offset=2**62),
        "negative": _descriptor(good, 0, 2, size=-5, offset=-64),
        "empty tile": _descriptor(good, 0, 2, size=0, offset=0),
        "all the heap": _descriptor(good, 0, 1, size=size, offset=0),
        "tile length twice": _set(good, "ZTILELEN", "194"),
        "tile length a third": _set(good, "ZTILELEN", "33"),
        "tile length zero": _set(good, "ZTILELEN", "0"),
        "tile length 2**62": _set(
            _set(_set(good, "ZTILELEN", str(2**62)), "NAXIS2", "1"), "ZNAXIS2", "520000"
        ),
        "arrays 2**40": _set(
            _set(_set(_set(good, "ZNAXIS2", str(2**40)), "ZTILELEN", str(2**40)), "NAXIS2", "1"),
            "ZFORM2",
            "'1PD(9)  '",
        ),
        "rows 2**40": _set(good, "ZNAXIS2", str(2**40)),
        "rows 2**62": _set(good, "ZNAXIS2", str(2**62)),
        "rows negative": _set(good, "ZNAXIS2", "-1"),
        "rows and tile 2**40": _set(
            _set(_set(good, "ZNAXIS2", str(2**40)), "ZTILELEN", str(2**40)), "NAXIS2", "1"
        ),
        "tiles 2**60": _set(good, "NAXIS2", str(2**60)),
        "no fields": _set(good, "TFIELDS", "0"),
        "form shorter": _set(good, "ZFORM2", "'1J      '"),
        "form huge": _set(good, "ZFORM2", "'99999999D'"),
        "form nonsense": _set(good, "ZFORM2", "'hello   '"),
        "form array": _set(good, "ZFORM2", "'1PD(9)  '"),
        "codec unknown": _set(good, "ZCTYP1", "'ZSTD_9  '"),
        "codec a number": _set(good, "ZCTYP1", "7"),
        "rice on floats": _set(good, "ZCTYP1", "'RICE_1  '"),
        "rice on gzip": _set(good, "ZCTYP3", "'RICE_1  '"),
        "gzip on rice": _set(good, "ZCTYP4", "'GZIP_2  '"),
        "heap start": _set(good, "TZERO7", "0").replace(b"TZERO7  =", b"THEAP   =", 1),
        "width": _set(good, "NAXIS1", "337"),
        "bomb": grown,
        "flipped": good[:middle] + flipped + good[middle + 40 :],
    }
