"""A table written piece by piece is the table written at once, to the last byte."""

import numpy as np
import pytest

from dvo.errors import SchemaError
from dvo.tables.fits import Field, PlainStream, TableHDU, verify, write_fits
from tests.unit.tables.fits.all_types import all_table


@pytest.mark.parametrize("n_rows", [0, 1, 997])
@pytest.mark.parametrize("step", [1, 100, 1000])
def test_pieces_make_the_same_file_as_one_table(tmp_path, rng, n_rows, step):
    if step == 1 and n_rows > 100:
        n_rows = 97
    table = all_table(rng, n_rows)
    header = {"SNAPSHOT": (7, "number of the snapshot")}
    whole = TableHDU("ALL", table.fields, table.columns, header, tile_rows=None)
    write_fits(tmp_path / "whole.fits", [whole])
    with (tmp_path / "pieces.fits").open("xb") as file:
        stream = PlainStream(file, "ALL", table.fields, header)
        for start in range(0, n_rows, step):
            stream.write({n: v[start : start + step] for n, v in table.columns.items()})
        stream.finish()
        assert stream.n_rows == n_rows
    assert (tmp_path / "pieces.fits").read_bytes() == (tmp_path / "whole.fits").read_bytes()
    verify(tmp_path / "pieces.fits")


def test_a_column_named_twice_is_refused(tmp_path):
    fields = [Field.from_array(n, np.zeros(1)) for n in ("RA", "ra")]
    with (tmp_path / "t.fits").open("xb") as file, pytest.raises(SchemaError, match="twice: ra"):
        PlainStream(file, "T", fields)
