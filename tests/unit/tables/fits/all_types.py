"""A table with a column of every type that FITS tables hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.tables.fits import Field, TableHDU
from dvo.tables.schema import Codec

GOLDEN = Path(__file__).parents[3] / "golden"


def all_columns(rng: np.random.Generator, n: int) -> dict[str, NDArray[Any]]:
    """Columns with the values that break codecs: NaN payloads, -0.0, extremes, blanks."""

    def integers(kind: str, shape: Any = n) -> NDArray[Any]:
        limits = np.iinfo(kind)
        values = rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
        values.reshape(-1)[: 2 * min(n, 2)] = [limits.min, limits.max][: values.size] * min(n, 2)
        return values

    f4 = rng.normal(20, 2, n).astype("f4")
    f4.view("u4")[::7] = 0x7FC12345  # a NaN with a payload
    f4[1::9] = -0.0
    f8 = rng.uniform(0, 360, n)
    f8.view("u8")[::5] = 0xFFF8000000001234
    f8[2::11] = -np.inf
    words = np.array([b"ab", b"", b"  lead", b"x\0y", b"eightchr", b"~tilde~"])
    columns: dict[str, NDArray[Any]] = {
        "f4": f4,
        "f8": f8,
        "i2": integers("i2"),
        "i4": integers("i4"),
        "i8": integers("i8"),
        "u1": integers("u1"),
        "i1": integers("i1"),
        "u2": integers("u2"),
        "u4": integers("u4"),
        "u8": integers("u8"),
        "b1": rng.random(n) < 0.7,
        "text": words[rng.integers(0, len(words), n)],
        "c8": (rng.normal(size=n) + 1j * rng.normal(size=n)).astype("c8"),
        "v_f4": rng.normal(size=(n, 3)).astype("f4"),
        "v_i2": integers("i2", (n, 5)),
        "v_u4": integers("u4", (n, 2)),
        "v_b1": rng.random((n, 3)) < 0.5,
        "smooth": np.cumsum(rng.integers(-9, 9, n)).astype("i4"),
        "constant": np.full(n, 3.5, "f4"),
    }
    return columns


def all_fields(columns: dict[str, NDArray[Any]], codec: Codec | None = None) -> tuple[Field, ...]:
    """Fields of such columns, all with one codec wherever the type allows it."""
    return tuple(
        Field.from_array(name.upper(), values, codec=codec, unit="mag", meaning=f"Column {name}")
        for name, values in columns.items()
    )


def all_table(
    rng: np.random.Generator, n: int, *, tile_rows: int | None = 100, codec: Codec | None = None
) -> TableHDU:
    """The table itself."""
    columns = all_columns(rng, n)
    return TableHDU("ALL", all_fields(columns, codec), columns, tile_rows=tile_rows)


def assert_same(found: dict[str, NDArray[Any]], wanted: dict[str, NDArray[Any]]) -> None:
    """Bit for bit the same columns."""
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        assert found[name].shape == values.shape, name
        assert found[name].tobytes() == values.tobytes(), name
        assert found[name].flags.c_contiguous, name
        assert found[name].flags.writeable, name


def data_unit(file: bytes) -> bytes:
    """What follows the first extension's header, with later HDUs."""
    head = file.index(b"XTENSION")
    end = file.index(b"END".ljust(80), head)
    return file[(end // 2880 + 1) * 2880 :]
