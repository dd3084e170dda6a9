"""Codecs of a file serve for those after it, until one comes that tells more."""

from __future__ import annotations

import numpy as np

from dvo.partition.packing import Packings
from dvo.tables.fits import Field, TableHDU
from dvo.tables.schema import Codec


def hdu(values, name="x"):
    return TableHDU("T", (Field.from_array(name, values),), {name: values}, tile_rows=8192)


def test_a_choice_serves_files_that_are_not_much_larger(rng):
    smooth = np.cumsum(rng.integers(-99, 99, 40_000)).astype("i4")
    repeated = rng.integers(-(2**31), 2**31, 60).astype("i4")[rng.integers(0, 60, 40_000)]
    packings = Packings()

    def codec(values, table="T", name="x"):
        chosen, levels = packings.of(table, hdu(values, name))
        assert levels.keys() == {name}
        return chosen.fields[0].codec

    assert codec(smooth[:9000]) is Codec.RICE_1
    assert codec(repeated[:36_000]) is Codec.RICE_1
    assert codec(repeated[:9000], table="other") is not Codec.RICE_1
    assert codec(repeated) is not Codec.RICE_1
    assert codec(smooth[:9000]) is not Codec.RICE_1


def test_a_column_that_is_new_is_looked_at(rng):
    packings = Packings()
    packings.of("T", hdu(rng.normal(size=9000)))
    chosen, levels = packings.of("T", hdu(np.zeros(100), "y"))
    assert chosen.fields[0].codec is not None
    assert levels == {"y": levels["y"]}
