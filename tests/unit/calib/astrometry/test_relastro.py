"""relastro on databases whose stars move as is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from dvo.calib.astrometry.motions import MotionModel
from dvo.calib.astrometry.objects import ObjectOptions
from dvo.calib.astrometry.relastro import RelastroOptions, relastro
from dvo.cli.relastro import relastro as command
from dvo.partition.bounds import Cone
from dvo.partition.check import check
from dvo.partition.history import rollback
from dvo.partition.manifest import ALL_SKY
from dvo.partition.partition import overhang_deg
from dvo.partition.store import Store
from dvo.proper_motion import move_to_epoch
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import AverageFlag, ImageFlag, MeasureFlag
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from tests.synth import (
    Stars,
    add_images,
    assert_same,
    contents,
    make_database,
    make_image,
    make_images,
)

N_IMAGES, N_STARS = 12, 90
YEAR_D = 365.25
MOTION = RelastroOptions(ObjectOptions(MotionModel.MOTION))


def moving_images(rng, field="edge"):
    """Exposures of stars that move, half a year apart; with their motions [mas/yr] by number."""
    images = make_images(5, N_STARS, N_IMAGES, field)
    east, north = rng.normal(0, 40, (2, N_STARS))
    out = []
    for k, image in enumerate(images):
        found = image.detections
        star = nearest(images[0].detections, found)
        ra, dec = move_to_epoch(
            found.ra, found.dec, east[star % N_STARS], north[star % N_STARS], 0.0, 0.5 * k
        )
        meta = replace(image.meta, mjd=55000.0 + 0.5 * YEAR_D * k)
        out.append(replace(image, meta=meta, detections=replace(found, ra=ra, dec=dec)))
    return out, (east, north)


def nearest(one, two):
    """Row in `one` of the nearest to each of `two`."""
    return np.array([
        np.argmin(np.hypot((one.ra - r + 180) % 360 - 180, one.dec - d))
        for r, d in zip(two.ra, two.dec, strict=True)
    ])  # fmt: skip


@pytest.fixture
def catdir(tmp_path, rng):
    images, _ = moving_images(rng)
    path = make_database(tmp_path / "sky")
    with Store(path, writable=True) as store:
        add_images(store, images, radius_arcsec=2.0)
    return path


def objects(view):
    names = AVERAGE.names
    tables = [view.read(AVERAGE, region) for region in view.regions()]
    return {n: np.concatenate([t[n] for t in tables]) for n in names}


@pytest.fixture
def store(catdir):
    with Store(catdir, writable=True) as opened:
        yield opened


def run(store, options=MOTION):
    return relastro(store, options), store.view()


def test_motions_come_out_with_their_errors(store):
    report, view = run(store)
    found = objects(view)
    moving = (found["flags"] & AverageFlag.USE_PM) != 0
    assert report.n_pm == moving.sum() > 50
    assert (found["u_ra_err"][moving] > 0).all()
    # Errors of 0.05" in each direction, whatever the motions are; compare the two directions
    # with a straight line through all measures.
    for region in view.regions():
        average, measure = view.read(AVERAGE, region), view.read(MEASURE, region)
        for row in np.flatnonzero(average["flags"] & AverageFlag.USE_PM):
            of = (measure["ave_ref"] == row) & (
                (measure["db_flags"] & MeasureFlag.UNMASKED_ASTRO) != 0
            )
            t = measure["time"][of] / 31557600.0
            slope, _ = np.polyfit(t - t.mean(), measure["dec"][of] * 3600, 1)
            assert abs(slope - average["u_dec"][row]) < 0.5 * average["u_dec_err"][row]
    assert check(store, deep=True).ok


def test_a_dry_run_says_the_same_and_writes_nothing(store):
    before = contents(store.view())
    dry, view = run(store, replace(MOTION, dry_run=True))
    assert_same(contents(view), before)
    wet, _ = run(store)
    same = ("n_images", "n_objects", "n_pm", "n_par", "n_measures", "n_masked", "rounds")
    assert {n: getattr(dry, n) for n in same} == {n: getattr(wet, n) for n in same}


def test_rollback_takes_it_back(store):
    before, snapshot = contents(store.view()), store.view().snapshot.id
    relastro(store, MOTION)
    rollback(store, snapshot)
    assert_same(contents(store.view()), before)


def test_twice_is_as_once(store):
    _, view = run(store)
    once = contents(view)
    _, view = run(store)
    twice = contents(view)
    for name, table in once.items():
        if name.endswith("Average"):
            for column in ("ra", "dec", "u_ra", "u_dec", "flags", "mean_epoch", "number_pos"):
                np.testing.assert_allclose(twice[name][column], table[column], rtol=1e-9, atol=1e-9)


def test_places_alone_forget_the_motions_that_were_fitted(store):
    run(store)
    report, view = run(store, RelastroOptions())
    found = objects(view)
    assert report.n_pm == 0
    assert np.isnan(found["u_ra"]).all()
    assert ((found["flags"] & AverageFlag.USE_AVE) != 0).sum() == report.n_objects


@pytest.mark.parametrize("level", [0, 2, 3])
def test_the_partition_changes_nothing(tmp_path, rng, level):
    images, _ = moving_images(rng)
    found = []
    for k in (level, 4):
        path = make_database(tmp_path / f"level{k}", level=k)
        with Store(path, writable=True) as store:
            add_images(store, images, radius_arcsec=2.0)
            _, view = run(store, RelastroOptions(ObjectOptions(MotionModel.PARALLAX)))
            table = objects(view)
        order = np.lexsort([table["ra"].round(5), table["dec"].round(5)])
        found.append({n: table[n][order] for n in ("ra", "dec", "u_ra", "u_dec", "par")})
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-6, atol=1e-10)


def test_measures_of_poor_images_count_only_where_there_are_no_others(store):
    images = store.view().read(IMAGE, ALL_SKY)
    flags = images["flags"].copy()
    flags[0] |= ImageFlag.ASTROM_POOR
    poor = np.arange(len(flags)) == 0
    with store.begin("test", {}) as change:
        table = ColumnTable(IMAGE, {"flags": flags}, len(flags))
        change.overlay_rows(table, [ALL_SKY], np.array([0, len(flags)]), poor)
        change.commit()
    _, view = run(store)
    for region in view.regions():
        measure = view.read(MEASURE, region)
        alone = np.bincount(measure["ave_ref"])[measure["ave_ref"]] == 1
        used = (measure["db_flags"] & MeasureFlag.USED_OBJ) != 0
        on_poor = measure["image_id"] == images["image_id"][0]
        assert not used[on_poor & ~alone].any()
        assert used[alone | ~on_poor].all()


def test_queries_by_place_know_how_fast_objects_move(store):
    _, view = run(store)
    found = objects(view)
    fastest = np.nanmax(np.hypot(found["u_ra"], found["u_dec"]))
    assert view.snapshot.reach.max_motion_arcsec_yr >= 0.999 * fastest


def test_objects_whose_mean_crosses_an_edge_are_found(tmp_path, rng):
    # All stars lie along a parallel between regions: some means end on its other side.
    n = 60
    stars = Stars(112.4 + np.arange(n) * 10 / 3600, np.full(n, 15.0), np.full(n, 17.0))
    images = [make_image(rng, stars, k) for k in range(6)]
    with Store(make_database(tmp_path / "sky", level=5), writable=True) as store:
        add_images(store, images, radius_arcsec=2.0)
        _, view = run(store)
        n_beyond = 0
        for region in view.regions():
            average = view.read(AVERAGE, region)
            bounds = np.repeat(view.sky.bounds(np.array([region])), len(average), axis=0)
            n_beyond += int((overhang_deg(bounds, average["ra"], average["dec"]) > 0).sum())
            for ra, dec in zip(average["ra"], average["dec"], strict=True):
                assert region in view.regions(Cone(float(ra), float(dec), 0.01 / 3600))
        assert check(store, deep=True).ok
    assert n_beyond > 0


def test_an_area_leaves_other_catalogs_alone(store):
    before, regions = contents(store.view()), store.view().regions()
    first = store.view().read(AVERAGE, regions[0])
    area = Cone(float(first["ra"][0]), float(first["dec"][0]), 1 / 3600)
    touched = store.view().regions(area)
    assert 0 < len(touched) < len(regions)
    _, view = run(store, replace(MOTION, area=area))
    after = contents(view)
    others = [n for n in before if n.split()[0].isdigit() and int(n.split()[0]) not in touched]
    assert others
    assert_same({n: after[n] for n in others}, {n: before[n] for n in others})
    assert any((view.read(AVERAGE, r)["flags"] & AverageFlag.FIT_AVE).any() for r in touched)


def test_an_empty_database_is_no_error(tmp_path):
    with Store(make_database(tmp_path / "sky"), writable=True) as store:
        report, _ = run(store)
    assert report.n_objects == 0
    assert np.isnan(report.rms_mas)


def test_the_command(catdir):
    done = CliRunner().invoke(command, [str(catdir), "--pm", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert {"n_images", "n_objects", "n_pm", "n_par", "rms_mas", "rounds", "seconds"} <= set(found)
    done = CliRunner().invoke(command, [str(catdir), "--pmpar", "--bootstrap", "30"])
    assert "have a proper motion" in done.stdout
