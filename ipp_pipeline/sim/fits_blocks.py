"""FITS headers and tables as bytes.

An smf file of 60 chips has 121 small HDUs; building them in memory and writing the file
once is several times faster than calling a FITS library for each.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["CardValue", "header_block", "table_hdu"]

CardValue = bool | int | float | str

_BLOCK = 2880
_FORMATS = {">i2": "I", ">i4": "J", ">i8": "K", ">f4": "E", ">f8": "D"}


def _form(dtype: np.dtype[np.generic]) -> str:
    """TFORM of a column: one number, several, or a word."""
    if dtype.kind == "S":
        return f"{dtype.itemsize}A"
    base, shape = dtype.subdtype or (dtype, ())
    return f"{int(np.prod(shape, dtype=int))}{_FORMATS[base.str]}"


def header_block(cards: Mapping[str, CardValue]) -> bytes:
    """A header of whole blocks.

    Parameters
    ----------
    cards : mapping
        Keywords and values in order; keywords of more than eight characters become
        HIERARCH cards.

    Returns
    -------
    bytes
        The header, ended and padded.
    """
    lines = [_card(keyword, value) for keyword, value in cards.items()]
    text = "".join(lines) + "END".ljust(80)
    return _padded(text.encode("ascii"), b" ")


def table_hdu(rows: NDArray[np.void], cards: Mapping[str, CardValue]) -> bytes:
    """A binary table.

    Parameters
    ----------
    rows : structured ndarray, shape (n,)
        Packed, big-endian columns of 16, 32 or 64 bits, one number a row or several, or words.
    cards : mapping
        Further keywords and values.

    Returns
    -------
    bytes
        Header and data of the HDU.
    """
    structure: dict[str, CardValue] = {
        "XTENSION": "BINTABLE",
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": rows.dtype.itemsize,
        "NAXIS2": rows.size,
        "PCOUNT": 0,
        "GCOUNT": 1,
        "TFIELDS": len(rows.dtype.names or ()),
    }
    for i, name in enumerate(rows.dtype.names or (), start=1):
        structure[f"TTYPE{i}"] = name
        structure[f"TFORM{i}"] = _form(rows.dtype[name])
    return header_block(structure | dict(cards)) + _padded(rows.tobytes(), b"\0")


def _card(keyword: str, value: CardValue) -> str:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, int):
        text = f"{value:>20d}"
    elif isinstance(value, str):
        quoted = value.replace("'", "''")
        text = f"'{quoted:<8}'"
    else:
        # repr gives the shortest text that reads back as the same float64.
        text = f"{repr(float(value)).upper():>20}"
    name = f"{keyword:<8}=" if len(keyword) <= 8 else f"HIERARCH {keyword} ="
    return f"{name} {text}".ljust(80)[:80]


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % _BLOCK)
