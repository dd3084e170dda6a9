"""A function of the user's over the regions: here and in worker processes, nowhere else."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

import dvo
from dvo.errors import OperationError, QueryError, UnknownColumnError, UnknownOperationError
from dvo.partition.engines import open_engine
from dvo.partition.operations import MODULES, Job
from dvo.partition.store import Store
from dvo.query import session
from dvo.query.mapping import MAP, MODULE, request_of
from dvo.query.scan import Scan
from tests.hosts import Hosts
from tests.synth import filled_database


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    with dvo.open(filled_database(tmp_path_factory.mktemp("map") / "sky", n_stars=300)) as found:
        yield found


def brightest(rows):
    return rows.sort_by("mag").slice(0, 2)


def count(rows):
    return {"n": len(rows), "least": min(rows["mag"].to_pylist())}


def differing(rows):
    return {f"c{len(rows)}": len(rows)}


def broken(rows):
    raise ValueError("no such star")


class Holder:
    @staticmethod
    def count(rows):
        return {"n": len(rows)}


def expected(db):
    tables = [pa.Table.from_batches([b]) for b in db.scan("measure", ["ra", "mag"])]
    return [t for t in tables if len(t)]


ENGINES = pytest.mark.parametrize("engine", ["inline", "processes"])


@ENGINES
@pytest.mark.parametrize("rows_at_a_time", [1, 10**9])
def test_each_region_is_given_once_and_in_order(db, monkeypatch, engine, rows_at_a_time):
    monkeypatch.setattr(session, "_MAP_ROWS", rows_at_a_time)
    options = {"table": "measure", "columns": ["ra", "mag"], "engine": engine}
    regions = expected(db)
    assert len(regions) > 2
    found = list(db.map(count, **options))
    assert [f.to_pylist() for f in found] == [
        [{"n": len(t), "least": min(t["mag"].to_pylist())}] for t in regions
    ]
    found = list(db.map(brightest, **options))
    assert [f.to_pylist() for f in found] == [
        t.sort_by("mag").slice(0, 2).to_pylist() for t in regions
    ]
    numbers = pa.concat_tables(db.map(Holder.count, **options))["n"].to_pylist()
    assert numbers == [len(t) for t in regions]


@ENGINES
def test_only_rows_in_an_area(db, engine):
    (row,) = db.sql("SELECT TOP 1 ra, dec FROM average ORDER BY ra").to_pylist()
    n = db.cone(row["ra"], row["dec"], 600, table="measure", columns=["mag"]).num_rows
    assert 0 < n < db.snapshot.counts["measures"]
    area = (SkyCoord(row["ra"], row["dec"], unit="deg"), 10 * u.arcmin)
    found = db.map(count, area, table="measure", columns=["mag"], engine=engine)
    assert sum(t["n"][0].as_py() for t in found) == n


@pytest.mark.parametrize(
    "make",
    [
        lambda rows: rows,
        lambda rows: rows.to_pandas(),
        lambda rows: Table({"ra": rows["ra"].to_numpy()}),
        lambda rows: {"ra": rows["ra"].to_numpy()},
    ],
)
def test_tables_of_any_kind_come_back(db, make):
    found = pa.concat_tables(db.map(make, columns=["ra"]))
    given = np.concatenate([b["ra"].to_numpy() for b in db.scan("average", ["ra"])])
    np.testing.assert_array_equal(found["ra"].to_numpy(), given)


def test_names_of_filters_and_magnitude_words_are_columns(db):
    words = pa.concat_tables(db.map(lambda rows: rows, columns=["g", "g:err"]))
    assert words.column_names == ["g", "g:err"]
    wide = pa.concat_tables(db.map(lambda rows: rows, table="object", columns=["g_mag"]))
    assert wide["g_mag"].to_pylist() == words["g"].to_pylist()
    frame = pd.concat(t.to_pandas() for t in db.map(lambda rows: rows))
    assert len(frame) == db.snapshot.counts["objects"]


def test_what_cannot_be_mapped_is_refused(db):
    def inner(rows):
        return rows

    for function, message in (
        (lambda rows: rows, "no module, or inside a function"),
        (inner, "no module, or inside a function"),
        (len, "cannot be imported|is not this function|gave a int"),
    ):
        with pytest.raises(QueryError, match=message):
            list(db.map(function, engine="processes"))
    inner.__module__, inner.__qualname__ = "__main__", "inner"
    with pytest.raises(QueryError, match="the main program"):
        db.map(inner, engine="processes")
    with pytest.raises(QueryError, match="nobody's functions"):
        db.map(count, engine="hosts")
    with pytest.raises(QueryError, match="gave a int"):
        list(db.map(len))
    with pytest.raises(QueryError, match="no table 'image'"):
        db.map(count, table="image")
    with pytest.raises(UnknownColumnError, match="no column 'mg'"):
        db.map(count, columns=["mg"])
    with pytest.raises(QueryError, match="no place of their own"):
        db.map(count, dvo.Cone(1, 2, 3), table="secfilt")
    with pytest.raises(QueryError, match="different columns"):
        list(db.map(differing, columns=["ra"], engine="processes"))


def test_what_a_function_raises_is_told(db):
    with pytest.raises(ValueError, match="no such star"):
        list(db.map(broken))
    with pytest.raises(OperationError, match="ValueError: no such star"):
        list(db.map(broken, engine="processes"))
    assert len(list(db.map(Holder.count, engine="processes"))) > 2


def test_hosts_do_not_know_it(tmp_path):
    assert MODULE == session._MAP_MODULE
    catdir = filled_database(tmp_path / "sky", n_stars=50)
    with Hosts(catdir, 1, modules=MODULES), Store(catdir) as store:
        request = request_of(count, Scan("average", "average", ("ra",)))
        with (
            open_engine("hosts", store) as engine,
            pytest.raises(UnknownOperationError, match="no operation 'map'"),
        ):
            list(engine.run(Job(MAP, request, [store.view().regions()[:1]])))
