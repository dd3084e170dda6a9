"""Columns as Arrow: text, nulls and what the fields say of themselves."""

import numpy as np
import pytest

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.tables.schema import Column


@pytest.mark.parametrize(
    "words",
    [[], [b""], [b"g", b"", b"GPC1.r.XY33"], [b"full", b"four"], [b"caf\xe9", b"g"], [b"a\0b"]],
)
def test_words_are_those_of_python(words):
    column = Column("name", "S16", "a name")
    table = to_arrow([OutputColumn("name", column)], {"name": np.array(words, "S16")})
    assert table["name"].to_pylist() == [w.decode("ascii", "replace") for w in words]


def test_words_of_a_piece_of_an_array():
    names = np.array([b"g", b"r", b"i", b"z"], "S4")[::2]
    table = to_arrow([OutputColumn("n", Column("n", "S4", "a name"))], {"n": names})
    assert table["n"].to_pylist() == ["g", "i"]
