"""Stored words of a column to the values users see, and back.

Codecs move flat arrays of unsigned words. This module says which words a column consists
of, lays them over NumPy arrays without a copy, and converts what is not the same in both
worlds: logicals, bits, blanks behind strings, scaled columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError
from dvo.tables.fits.field import Field
from dvo.tables.fits.kernels import strip_strings

__all__ = ["Layout", "finish", "new_column", "new_lists", "words_of"]

Array = NDArray[Any]

_TRUE, _FALSE = ord("T"), ord("F")


@dataclass(frozen=True, slots=True)
class Layout:
    """The words a fixed-width column is stored in.

    Parameters
    ----------
    word_bytes : int
        Bytes of a word.
    n_words : int
        Words in a row.
    flip : int
        Bits in which the values of unsigned columns differ from what is stored.
    shuffle : bool
        Whether GZIP_2 shuffles its bytes (CFITSIO does not for complex columns).
    """

    word_bytes: int
    n_words: int
    flip: int = 0
    shuffle: bool = True

    @classmethod
    def of(cls, field: Field, *, stored: bool = False) -> Layout:
        """Tell the layout of a column.

        Parameters
        ----------
        field : Field
            The column.
        stored : bool
            Whether words are wanted as they are stored, without turning signs over.

        Returns
        -------
        Layout
            Its layout. Descriptors of variable-length columns count as plain bytes.
        """
        if field.pointer or field.letter in "LXBA":
            word_bytes = 1
        elif field.letter in "CM":
            word_bytes = field.item_bytes // 2
        else:
            word_bytes = field.item_bytes
        flip = 1 << (8 * word_bytes - 1) if field.is_offset and not stored else 0
        shuffle = word_bytes > 1 and field.letter not in "CM"
        return cls(word_bytes, field.width // word_bytes, flip, shuffle)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Native type of a word."""
        return np.dtype(f"u{self.word_bytes}")


def new_column(field: Field, n_rows: int) -> tuple[Array, Array]:
    """Make room for a column.

    Parameters
    ----------
    field : Field
        A fixed-width column.
    n_rows : int
        Number of rows.

    Returns
    -------
    values : ndarray
        Array that `finish` turns into what users get.
    words : ndarray of unsigned integers, flat
        The same memory, to be filled.
    """
    layout = Layout.of(field)
    if field.width == 0:
        return np.empty((n_rows, 0), field.dtype), np.empty(0, layout.dtype)
    if field.letter == "X":
        values = np.empty((n_rows, field.width), np.uint8)
    else:
        values = np.empty(field.shape(n_rows), _memory_type(field))
    return values, values.reshape(-1).view(layout.dtype)


def new_lists(field: Field, n_rows: int) -> Array:
    """Make room for a column of variable length.

    Parameters
    ----------
    field : Field
        The column.
    n_rows : int
        Number of rows.

    Returns
    -------
    ndarray of object
        One place a row; none where the rows have not even a descriptor (``0PJ``).
    """
    return np.empty((n_rows,) if field.width else (n_rows, 0), object)


def _memory_type(field: Field) -> np.dtype[Any]:
    return field.dtype if field.is_offset else field.stored_dtype


def finish(field: Field, values: Array) -> Array:
    """Turn filled words into values.

    Parameters
    ----------
    field : Field
        The column.
    values : ndarray
        Array of `new_column`, its words filled.

    Returns
    -------
    ndarray
        Values: the same memory wherever no wider type is needed.
    """
    if field.width == 0:
        return values
    if field.letter == "L":
        raw = values.view(np.uint8)
        np.equal(raw, _TRUE, out=values)
        return values
    if field.letter == "X":
        bits = np.unpackbits(values, axis=1, count=field.repeat).view(np.bool_)
        return np.ascontiguousarray(bits.reshape(field.shape(len(values))))
    if field.letter == "A":
        strip_strings(values.view(np.uint8).reshape(len(values), field.width))
        return values
    if field.is_scaled:
        scaled = values.astype(field.dtype)
        scaled *= 1.0 if field.scale is None else field.scale
        scaled += 0.0 if field.zero is None else float(field.zero)
        if field.null is not None and values.dtype.kind in "iu":
            scaled[values == field.null] = np.nan
        return scaled
    return values


def words_of(field: Field, values: Array, n_rows: int) -> Array:
    """Turn values into the words of a column, without a copy wherever that can be.

    Parameters
    ----------
    field : Field
        The column.
    values : ndarray
        Values, as a reader would get them.
    n_rows : int
        Number of rows of the table.

    Returns
    -------
    ndarray of unsigned integers, flat
        Native words; those of unsigned columns not yet turned over (see `Layout.flip`).

    Raises
    ------
    SchemaError
        If type, shape or length differ from what the field says.
    """
    values = np.asarray(values)
    layout = Layout.of(field)
    if field.width == 0:
        return np.empty(0, layout.dtype)
    _check(field, values, n_rows)
    if field.letter == "A":
        flat = values.astype(f"S{field.width}", order="C", copy=False).reshape(-1)
        return flat.view(np.uint8)
    if field.letter == "L":
        return np.where(values, np.uint8(_TRUE), np.uint8(_FALSE)).reshape(-1)
    if field.letter == "X":
        return np.packbits(values.reshape(n_rows, field.repeat), axis=1).reshape(-1)
    if field.is_scaled:
        values = _unscale(field, values)
    native = np.ascontiguousarray(values, dtype=_memory_type(field))
    return native.reshape(-1).view(layout.dtype)


def _check(field: Field, values: Array, n_rows: int) -> None:
    wanted, found = field.dtype, values.dtype
    if found.kind != wanted.kind or (
        found.itemsize > wanted.itemsize
        if field.letter == "A"
        else found.itemsize != wanted.itemsize
    ):
        raise SchemaError(f"column {field.ttype}: values are {found}, but its type is {wanted}")
    shapes: tuple[tuple[int, ...], ...] = (field.shape(n_rows),)
    if field.repeat == 1 or field.letter == "A":
        shapes += ((n_rows, 1),)
    if values.shape not in shapes:
        raise SchemaError(
            f"column {field.ttype}: values have shape {values.shape}, not {shapes[0]}"
        )


def _unscale(field: Field, values: Array) -> Array:
    stored = (values - (field.zero or 0.0)) / (1.0 if field.scale is None else field.scale)
    if field.stored_dtype.kind not in "iu":
        return np.asarray(stored, field.stored_dtype)
    stored = np.rint(stored)
    if field.null is not None:
        stored = np.where(np.isnan(values), field.null, stored)
    limits = np.iinfo(field.stored_dtype)  # type: ignore[type-var]
    if not np.all((stored >= limits.min) & (stored <= limits.max)):
        raise SchemaError(
            f"column {field.ttype}: values do not fit {field.letter} with TSCAL {field.scale} "
            f"and TZERO {field.zero}"
        )
    return np.asarray(stored, field.stored_dtype)
