"""Choose the codec of each column by trying those its type allows on a sample.

Rice coding wins where neighbours are alike, GZIP_2 where the first bytes are, GZIP_1
where few values come back again and again, like those of an exposure: up to twice as
small as the others. Which it is, only the data can tell; ZCTYPn holds for a whole column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.fits import codecs
from dvo.tables.fits.codecs import Level
from dvo.tables.fits.field import Field
from dvo.tables.fits.values import Layout
from dvo.tables.schema import Codec

__all__ = ["best_codec", "choose_codecs", "choose_packing", "sample_rows"]

Array = NDArray[Any]

_GZIP = (Codec.GZIP_2, Codec.GZIP_1)
_CHOICES: dict[str, tuple[Codec, ...]] = {
    "B": (Codec.RICE_1, Codec.GZIP_1),
    "I": (Codec.RICE_1, *_GZIP),
    "J": (Codec.RICE_1, *_GZIP),
    "K": _GZIP,
    "E": _GZIP,
    "D": _GZIP,
}

_WORTH_IT = 0.05
"""Part of the bytes of a column that ``small`` has to save."""


def sample_rows(n_rows: int, tile_rows: int, n_tiles: int = 3) -> list[slice]:
    """Rows to try codecs on: a few tiles, spread evenly.

    Parameters
    ----------
    n_rows, tile_rows : int
        Rows of the table and of a tile.
    n_tiles : int
        Tiles to take.

    Returns
    -------
    list of slice
        Ranges of rows.
    """
    last = max(0, -(-n_rows // tile_rows) - 1)
    tiles = sorted({round(k * last / max(1, n_tiles - 1)) for k in range(n_tiles)})
    return [slice(t * tile_rows, min((t + 1) * tile_rows, n_rows)) for t in tiles]


def best_codec(field: Field, samples: Sequence[Array], level: Level = "fast") -> Codec:
    """Find the codec that makes samples of a column smallest.

    Parameters
    ----------
    field : Field
        The column.
    samples : sequence of ndarray of unsigned integers, flat
        Its stored words in some tiles.
    level : {"fast", "small"}
        Level that gzip will have.

    Returns
    -------
    Codec
        The smallest; the type's default where there is no choice.
    """
    choices = _CHOICES.get(field.letter, ())
    samples = [s for s in samples if s.size]
    if field.pointer or not choices or not samples:
        return replace(field, codec=None).zctyp
    return min(choices, key=lambda codec: _size(samples, codec, level))


def _size(samples: Sequence[Array], codec: Codec, level: Level) -> int:
    return sum(len(codecs.encode(s, codec, level=level)[0]) for s in samples)


def choose_codecs(
    fields: Sequence[Field],
    columns: Mapping[Any, Array],
    level: Level = "fast",
    *,
    tile_rows: int = 8192,
) -> list[Field]:
    """Choose the codec of every column on a sample of a few tiles.

    Parameters
    ----------
    fields : sequence of Field
        Columns of a table.
    columns : mapping of str to ndarray, or of int to ndarray
        Values by name, or stored words by number from 0. Columns that are absent
        take the default of their type.
    level : {"fast", "small"}
        Level that gzip will have.
    tile_rows : int
        Rows in a tile.

    Returns
    -------
    list of Field
        The same columns with their codecs.
    """
    return [
        replace(field, codec=best_codec(field, _samples(i, field, columns, tile_rows), level))
        for i, field in enumerate(fields)
    ]


def choose_packing(
    fields: Sequence[Field], columns: Mapping[Any, Array], *, tile_rows: int = 8192
) -> tuple[dict[str, Codec], dict[str, Level]]:
    """Choose the codec of every column, and the level: ``small`` only where it is worth it.

    ``small`` takes four times as long, and on coordinates and magnitudes, most of the bytes
    of a catalogue, it saves 0 to 3 %.

    Parameters
    ----------
    fields : sequence of Field
        Columns of a table.
    columns : mapping of str to ndarray, or of int to ndarray
        Values by name, or stored words by number from 0.
    tile_rows : int
        Rows in a tile.

    Returns
    -------
    codecs : dict of str to Codec
        By column.
    levels : dict of str to Level
        By column.
    """
    chosen: dict[str, Codec] = {}
    levels: dict[str, Level] = {}
    for i, field in enumerate(fields):
        samples = _samples(i, field, columns, tile_rows)
        codec = chosen[field.name] = best_codec(field, samples)
        fast, small = (_size(samples, codec, level) for level in ("fast", "small"))
        levels[field.name] = "small" if small <= (1 - _WORTH_IT) * fast else "fast"
    return chosen, levels


def _samples(i: int, field: Field, columns: Mapping[Any, Array], tile_rows: int) -> list[Array]:
    """Stored words of a column in a few tiles; none if there is no choice."""
    values = columns.get(field.name, columns.get(i))
    if values is None or field.width == 0 or field.pointer or field.letter not in _CHOICES:
        return []
    layout = Layout.of(field)
    rows = np.asarray(values).reshape(-1, layout.n_words)
    is_value = values.dtype != layout.dtype or field.name in columns
    turn = layout.dtype.type(layout.flip if is_value else 0)
    return [
        np.ascontiguousarray(rows[part]).reshape(-1).view(layout.dtype) ^ turn
        for part in sample_rows(len(rows), tile_rows)
        if len(rows[part])
    ]
