"""Queries and exports of satellite tables against brute force."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from click.testing import CliRunner

import dvo
from dvo.cli.main import dvo_command
from dvo.errors import UnknownColumnError
from dvo.exchange.selection import ALL, select
from dvo.partition.bounds import Box
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.missing import MISSING
from dvo.tables.satellites import SATELLITES
from dvo.tables.starpar import STARPAR
from tests import reference, synth
from tests.synth_satellites import add_to_measures

NAMES = [s.schema.name.lower() for s in SATELLITES]


@pytest.fixture(scope="module", params=["edge", "pole", "wrap"])
def catdir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half of the regions are compacted, half not."""
    path = synth.make_database(tmp_path_factory.mktemp("db") / "cat")
    with Store(path, writable=True) as store:
        synth.add_images(store, synth.make_images(3, 150, 4, field=request.param))
        for schema in (GALPHOT, LENSING, STARPAR, MISSING):
            add_to_measures(store, schema, [1, 2] if schema is STARPAR else [1, 2, 3])
        resort(store, store.view().regions()[::2])
        add_to_measures(store, GALPHOT, [4])
    return path


def joined(db: dvo.Database, name: str) -> list[tuple[float, float, int, int]]:
    """Place of the object of every row, and its numbers, one by one."""
    satellite = next(s for s in SATELLITES if s.schema.name.lower() == name)
    out = []
    for region in db.view.regions():
        average, table = db.view.read(AVERAGE, region), db.view.read(satellite.schema, region)
        for ref, cat, obj in zip(*(table[n] for n in ("ave_ref", "cat_id", "obj_id")), strict=True):
            assert (average["cat_id"][ref], average["obj_id"][ref]) == (cat, obj)
            out.append((average["ra"][ref], average["dec"][ref], int(cat), int(obj)))
    return out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("radius", [0.5, 300.0, 7200.0])
def test_cones_hold_the_rows_of_the_objects_in_them(catdir: Path, name: str, radius: float) -> None:
    with dvo.open(catdir) as db:
        rows = joined(db, name)
        assert rows
        rng = np.random.default_rng(2)
        for i in rng.integers(0, len(rows), 4):
            ra, dec = rows[i][:2]
            far = [reference.separation(ra, dec, a, d) * 3600 for a, d, _, _ in rows]
            wanted = sorted(r[2:] for r, d in zip(rows, far, strict=True) if d <= radius)
            columns = ["distance", "cat_id", "obj_id", "ext_id"]
            found = db.cone(ra, dec, radius, table=name, columns=columns)
            got = sorted(zip(*(found[n].to_pylist() for n in ("cat_id", "obj_id")), strict=True))
            assert got == wanted
            distances = found["distance"].to_numpy()
            assert (np.diff(distances) >= 0).all()
            np.testing.assert_allclose(distances, sorted(d for d in far if d <= radius), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_scans_have_all_rows_and_columns(catdir: Path, name: str) -> None:
    with dvo.open(catdir) as db:
        found = [b for b in db.scan(name) if b.num_rows]
        assert sum(b.num_rows for b in found) == len(joined(db, name))
        schema = next(s.schema for s in SATELLITES if s.schema.name.lower() == name)
        assert found[0].schema.names == list(schema.names)
        some = list(db.scan(name, ["obj_id"], where=pc.field("obj_id") < 2))
        wanted = sum(row[3] < 2 for row in joined(db, name))
        assert sum(b.num_rows for b in some) == wanted


def test_rows_are_where_their_objects_are(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        rows = joined(db, "galphot")
        found = db.box(0, 360, -90, 90, table="galphot", columns=["ra", "dec", "cat_id", "obj_id"])
        assert sorted(zip(*(c.to_pylist() for c in found.columns), strict=True)) == sorted(rows)
        with pytest.raises(UnknownColumnError, match="Lensing has no column 'photcode_name'"):
            db.cone(*rows[0][:2], 5, table="lensing", columns=["photcode_name"])


@pytest.mark.parametrize("name", NAMES)
def test_the_command_lists_them(catdir: Path, name: str) -> None:
    with dvo.open(catdir) as db:
        ra, dec, cat_id, obj_id = joined(db, name)[0]
    words = ["cone", str(catdir), str(ra), str(dec), "0.5", "--table", name, "-f", "csv"]
    done = CliRunner().invoke(dvo_command, words)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows
    assert {(int(r["cat_id"]), int(r["obj_id"])) for r in rows} == {(cat_id, obj_id)}


@pytest.mark.parametrize("name", NAMES)
def test_exports_have_place_and_name_of_the_object(catdir: Path, name: str) -> None:
    with Store(catdir) as store, dvo.open(catdir) as db:
        view = store.view()
        extract = select(store, view, name)
        assert {"ra", "dec", "ext_id", "cat_id", "obj_id"} <= set(extract.names)
        assert extract.count() == len(joined(db, name))
        whole = [extract.read(group) for group in extract.groups(most_rows=7)]
        n = sum(len(p["cat_id"]) for p in whole)
        assert n == extract.count()
        for piece, group in zip(whole, extract.groups(most_rows=7), strict=True):
            ra, _ = extract.positions(group)
            np.testing.assert_array_equal(piece["ra"], ra)
        assert len(select(store, view, name, ALL).names) > len(extract.names)


def test_exports_of_an_area_have_the_rows_of_its_objects(catdir: Path) -> None:
    with Store(catdir) as store, dvo.open(catdir) as db:
        rows = joined(db, "lensing")
        ra, dec, _, _ = rows[0]
        low, high = max(0.0, ra - 0.05), min(360.0, ra + 0.05)
        area = Box(low, high, max(-90.0, dec - 0.05), min(90.0, dec + 0.05))
        extract = select(store, store.view(), "lensing", area=area)
        wanted = sum(bool(area.holds(np.array([a]), np.array([d]))[0]) for a, d, _, _ in rows)
        assert extract.count() == wanted > 0
        found = [extract.read(group) for group in extract.groups()]
        assert sum(len(p["ra"]) for p in found) == wanted


@pytest.mark.parametrize("name", ["galphot", "lensobj", "starpar"])
def test_files_are_read_by_others(catdir: Path, tmp_path: Path, name: str) -> None:
    with dvo.open(catdir) as db:
        n = len(joined(db, name))
    for kind in ("parquet", "fits", "csv"):
        out = tmp_path / f"{name}.{kind}"
        words = ["export", kind, str(catdir), str(out), "--table", name, "--json"]
        done = CliRunner().invoke(dvo_command, words)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["rows"] == n
    assert pq.read_metadata(tmp_path / f"{name}.parquet").num_rows == n
    table = Table.read(tmp_path / f"{name}.fits")
    assert len(table) == n
    assert str(table["ra"].unit) == "deg"


def test_hats_catalogs_of_them_are_of_sources(catdir: Path, tmp_path: Path) -> None:
    out = tmp_path / "galphot_hats"
    words = ["export", "hats", str(catdir), str(out), "--table", "galphot", "--json"]
    done = CliRunner().invoke(dvo_command, words)
    assert done.exit_code == 0, done.output
    with dvo.open(catdir) as db:
        assert json.loads(done.stdout)["rows"] == len(joined(db, "galphot"))
    facts = "".join(p.read_text() for p in out.rglob("*.properties"))
    assert "dataproduct_type=source" in facts.replace(" ", "")
