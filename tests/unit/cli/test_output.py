"""Results written in every form: what is read back is what was asked for."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

import dvo
from dvo.cli.output import write_result
from tests.synth import filled_database


@pytest.fixture(scope="module")
def catdir(tmp_path_factory):
    return filled_database(tmp_path_factory.mktemp("output") / "sky", seed=3)


def read_back(path, form):
    if form == "json":
        rows = json.loads(path.read_text())
        return {name: [row[name] for row in rows] for name in rows[0]}
    if form == "csv":
        return pyarrow.csv.read_csv(path).to_pydict()
    if form == "parquet":
        return pq.read_table(path).to_pydict()
    table = Table.read(path, format=form)
    return {name: table[name].tolist() for name in table.colnames}


@pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")
@pytest.mark.parametrize("table", ["average", "measure", "image"])
@pytest.mark.parametrize("form", ["csv", "json", "fits", "votable", "parquet"])
def test_all_columns_come_back(catdir, tmp_path, form, table):
    with dvo.open(catdir) as db:
        found = pa.Table.from_batches([next(db.scan(table))])
    write_result(found, form, tmp_path / "result")
    back = read_back(tmp_path / "result", form)
    assert list(back) == found.column_names
    whole = [f.name for f in found.schema if pa.types.is_integer(f.type)]
    for name in whole:
        if found[name].null_count == 0:
            assert back[name] == found[name].to_pylist(), name
    if table != "image":
        np.testing.assert_array_equal(back["ra"], found["ra"].to_numpy())
