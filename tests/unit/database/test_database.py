"""Queries against brute force over whole tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
from astropy import units

import dvo
from dvo.errors import QueryError, StorageError, UnknownColumnError, UnknownSnapshotError
from dvo.partition.bounds import Box, Cone
from dvo.partition.compact import resort
from dvo.partition.store import Store
from tests import reference, synth

ZERO = {"edge": 0, "pole": 1, "wrap": 2}


@pytest.fixture(scope="module", params=["edge", "pole", "wrap"])
def catdir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of one field: half of it compacted, half not."""
    path = synth.make_database(tmp_path_factory.mktemp("db") / "cat")
    images = synth.make_images(ZERO[request.param], 400, 6, field=request.param)
    with Store(path, writable=True) as store:
        synth.add_images(store, images[:4], batch_rows=1)
        regions = store.view().regions()
        resort(store, regions[::2])
        synth.add_images(store, images[4:])
    return path


def whole(db: dvo.Database, table: str) -> dict[str, np.ndarray]:
    """All rows of a table."""
    batches = list(db.scan(table, ["ra", "dec", "obj_id", "cat_id"]))
    return {n: np.concatenate([b[n].to_numpy() for b in batches]) for n in ("ra", "dec", "obj_id")}


@pytest.mark.parametrize("table", ["measure", "average"])
@pytest.mark.parametrize("radius", [0.5, 30.0, 900.0, 7200.0])
def test_cones_hold_what_brute_force_finds(catdir: Path, table: str, radius: float) -> None:
    with dvo.open(catdir) as db:
        rows = whole(db, table)
        rng = np.random.default_rng(5)
        for i in rng.integers(0, len(rows["ra"]), 5):
            ra, dec = rows["ra"][i], rows["dec"][i]
            far = np.array([reference.separation(ra, dec, a, d) for a, d in
                            zip(rows["ra"], rows["dec"], strict=True)])  # fmt: skip
            inside = np.flatnonzero(far * 3600 <= radius)
            found = db.cone(ra, dec, radius, table=table, columns=["ra", "dec"])
            wanted = sorted(zip(rows["ra"][inside], rows["dec"][inside], strict=True))
            got = sorted(zip(found["ra"].to_pylist(), found["dec"].to_pylist(), strict=True))
            assert got == wanted


def test_boxes_hold_what_brute_force_finds(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        rows = whole(db, "measure")
        ra, dec = np.median(rows["ra"]), np.median(rows["dec"])
        for low, high in ((ra - 0.1, ra + 0.1), (359.9, 0.1), (0.0, 360.0)):
            found = db.box(low % 360, high % 360 or 360.0, dec - 0.1, min(90.0, dec + 0.1),
                           table="measure", columns=["ra", "dec"])  # fmt: skip
            a, b = low % 360, high % 360 or 360.0
            in_ra = (rows["ra"] >= a) & (rows["ra"] <= b) if a <= b else (
                (rows["ra"] >= a) | (rows["ra"] <= b))  # fmt: skip
            wanted = in_ra & (rows["dec"] >= dec - 0.1) & (rows["dec"] <= min(90.0, dec + 0.1))
            assert found.num_rows == np.count_nonzero(wanted)


def test_magnitude_words_on_objects_are_secfilt(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        batches = list(db.scan("average", ["g", "g:err", "r:nphot", "nmeasure"]))
        assert sum(b.num_rows for b in batches) == db.snapshot.counts["objects"]
        for batch in batches:
            g, err = batch["g"].to_numpy(False), batch["g:err"].to_numpy(False)
            assert np.array_equal(np.isnan(g), np.isnan(err))
            assert np.nanmin(g) > 14


def test_magnitude_words_on_measures_follow_the_equations(catdir: Path) -> None:
    words = ["mag", "mag:rel", "mag:inst", "m_time", "g:rel", "photcode", "mag:ave"]
    with dvo.open(catdir) as db:
        g = db.photcodes.get("SYNTH.g.C00").code
        for batch in db.scan("measure", words):
            mag = batch["mag"].to_numpy()
            np.testing.assert_allclose(batch["mag:rel"].to_numpy(), mag, atol=2e-6)
            inst = mag - batch["m_time"].to_numpy() - 25
            np.testing.assert_allclose(batch["mag:inst"].to_numpy(), inst, atol=4e-6)
            is_g = batch["photcode"].to_numpy() == g
            assert np.array_equal(batch["g:rel"].is_null().to_numpy(False), ~is_g)
            assert batch["mag:ave"].null_count == 0


def test_light_curves_are_the_measures_of_one_object_in_time(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        batch = next(b for b in db.scan("average", ["ra", "dec", "nmeasure"]) if b.num_rows)
        for i in range(0, batch.num_rows, max(1, batch.num_rows // 5)):
            curve = db.lightcurve(batch["ra"][i].as_py(), batch["dec"][i].as_py())
            assert curve.num_rows == batch["nmeasure"][i].as_py()
            assert (np.diff(curve["mjd"].to_numpy()) >= 0).all()


def test_light_curves_tell_time_filter_and_object(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        batch = next(b for b in db.scan("average", ["ra", "dec", "obj_id", "ext_id"]) if b.num_rows)
        star = {name: batch[name][0].as_py() for name in batch.schema.names}
        near = (star["ra"], star["dec"] - 0.3 / 3600)
        curve = db.lightcurve(*near)
        raw = db.lightcurve(*near, columns=["time", "time_msec", "photcode"])
        seconds = raw["time"].to_numpy() + raw["time_msec"].to_numpy() / 1000
        np.testing.assert_allclose(curve["mjd"].to_numpy(), seconds / 86400 + 40587, atol=1e-10)
        names = [db.photcodes.get_code(code).name for code in raw["photcode"].to_pylist()]
        assert curve["photcode_name"].to_pylist() == names
        facts = dvo.to_astropy(curve).meta
        assert (facts["obj_id"], facts["ext_id"]) == (star["obj_id"], star["ext_id"])
        assert (facts["obj_ra"], facts["obj_dec"]) == (star["ra"], star["dec"])
        assert facts["distance"] == pytest.approx(0.3, abs=1e-4)
        nothing = db.lightcurve(star["ra"], -star["dec"])
        assert (nothing.num_rows, nothing.column_names) == (0, curve.column_names)


def test_scans_filter(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        every = sum(b.num_rows for b in db.scan("measure", ["mag"]))
        bright = sum(b.num_rows for b in db.scan("measure", ["mag"], where=pc.field("mag") < 18))
        mags = np.concatenate([b["mag"].to_numpy() for b in db.scan("measure", ["mag"])])
        assert (every, bright) == (len(mags), np.count_nonzero(mags < 18))


def test_old_snapshots_stay_as_they_were(catdir: Path) -> None:
    with dvo.open(catdir, snapshot=1) as db:
        assert list(db.scan("measure", ["ra"])) == []
    with pytest.raises(UnknownSnapshotError, match="dvo log"):
        dvo.open(catdir, snapshot=999)


def test_images_over_a_position(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        every = db.images(columns=["image_id", "ra_center", "dec_center", "name"])
        assert every.num_rows == 6
        ra, dec = every["ra_center"][0].as_py(), every["dec_center"][0].as_py()
        assert db.images(ra, dec).num_rows == 6
        assert db.images(ra, -dec).num_rows == 0
        assert set(every["name"].to_pylist()) == {f"synth-{k:04d}" for k in range(6)}


def test_units_and_meanings_go_along(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        table = db.cone(112.5, 15.0, 10, table="measure", columns=["ra", "mag"])
        assert table.schema.field("ra").metadata[b"unit"] == b"deg"
        assert table.schema.field("mag").metadata[b"ucd"] == b"phot.mag"
        quantities = dvo.to_astropy(table)
        assert quantities["ra"].unit == "deg"


@pytest.mark.parametrize(
    ("columns", "message"),
    [(["rra"], "did you mean ra"), (["g:kronn"], "kronn"), (["g:rel:inst"], "level twice")],
)
def test_unknown_columns_are_named(catdir: Path, columns: list[str], message: str) -> None:
    with dvo.open(catdir) as db, pytest.raises(UnknownColumnError, match=message):
        db.cone(10, 10, 10, columns=columns)


def test_impossible_areas_are_refused(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        for ra, dec, radius in ((10, 91, 1), (10, 10, -1), (float("nan"), 0, 1)):
            with pytest.raises(QueryError):
                db.cone(ra, dec, radius)
        with pytest.raises(QueryError, match="no table"):
            db.cone(10, 10, 1, table="stars")
        with pytest.raises(QueryError, match="no order 'ra'"):
            db.cone(10, 10, 1, sort="ra")
        with pytest.raises(QueryError, match="no boxes of images"):
            db.box(10, 20, 10, 20, table="image")
    with pytest.raises(QueryError):
        Box(10, 20, 30, 20)


@pytest.mark.parametrize("bad", ["a", "10", None, [10.0], [3] * units.deg])
def test_what_is_no_number_is_named(catdir: Path, bad: object) -> None:
    with dvo.open(catdir) as db:
        with pytest.raises(QueryError, match=r"^ra is .*give one number"):
            db.cone(bad, 10, 10)  # type: ignore[arg-type]
        with pytest.raises(QueryError, match=r"^dec_max is .*give one number"):
            db.box(10, 20, 10, bad)  # type: ignore[arg-type]
        with pytest.raises(QueryError, match="give a list"):
            db.cone(10, 10, 10, columns="ra,dec")


@pytest.mark.parametrize("table", ["average", "measure", "image"])
def test_cones_by_distance(catdir: Path, table: str) -> None:
    names = ("ra_center", "dec_center") if table == "image" else ("ra", "dec")
    with dvo.open(catdir) as db:
        place = [db.images(0, 90, 648000, columns=[n])[n][0].as_py() for n in
                 ("ra_center", "dec_center")]  # fmt: skip
        stored = db.cone(*place, 1200, table=table, columns=names)
        found = db.cone(*place, 1200, table=table, columns=[*names, "distance"])
        far = [3600 * reference.separation(*place, *row.values()) for row in stored.to_pylist()]
        np.testing.assert_allclose(found["distance"].to_numpy(), sorted(far), atol=1e-6)
        assert found.schema.field("distance").metadata[b"unit"] == b"arcsec"
        order = np.argsort(far, kind="stable")
        ordered = db.cone(*place, 1200, table=table, columns=names, sort="distance")
        assert ordered.column_names == list(names)
        assert ordered.equals(stored.take(order))
        told = db.cone(*place, 1200, table=table, columns=["DISTANCE"], sort="stored")
        np.testing.assert_allclose(told["distance"].to_numpy(), far, atol=1e-6)
        assert db.cone(*place, 1200, table=table).column_names == list(db._schema(table).names)


def test_a_distance_needs_a_place(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        for ask in (lambda **k: db.box(1, 2, 3, 4, **k), lambda **k: next(db.scan(**k)), db.images):
            with pytest.raises(UnknownColumnError, match="distance from where"):
                ask(columns=["distance"])


def test_objects_have_no_time_and_no_photcode(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        for name in ("mjd", "photcode_name"):
            with pytest.raises(UnknownColumnError, match=f"Average has no column '{name}'"):
                db.cone(10, 10, 10, columns=[name])


def test_tiles_are_never_wrongly_left_out() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        ra0, dec0 = rng.uniform(0, 360), rng.choice([-90, -89.9, 0, 45, 89.99, 90])
        radius = 10 ** rng.uniform(-4, 1.5)
        area = Cone(ra0, dec0, radius)
        ra, dec = reference.cone_positions(rng, ra0, dec0, radius * 0.999, 50)
        assert area.may_hold(ra, ra, dec, dec).all()


def test_a_column_asked_for_twice_comes_once(catdir: Path) -> None:
    with dvo.open(catdir) as db:
        table = db.cone(10, 10, 10, columns=["ra", "RA", "dec", "ra", "g", "g"], table="average")
        assert table.column_names == ["ra", "dec", "g"]


def test_a_closed_database_says_so_and_suggests_no_repair(catdir):
    db = dvo.open(catdir)
    db.close()
    with pytest.raises(StorageError, match="was closed; open it again") as caught:
        db.sql("SELECT COUNT(*) AS n FROM average")
    assert "rebuild" not in str(caught.value)
