"""setastrom: measures go where the new solution says, objects after them; and back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dvo.cli.setastrom
from dvo.astrometry.fits_wcs import fits_wcs
from dvo.astrometry.image_rows import COORD_COLUMNS, read_model
from dvo.astrometry.outlines import Outlines
from dvo.astrometry.residual_maps import ResidualMaps
from dvo.calib.astrometry.given_solutions import (
    read_header,
    solutions_of_headers,
    solutions_of_table,
)
from dvo.calib.astrometry.relastro import relastro
from dvo.calib.astrometry.setastrom import setastrom
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.database.image_wcs import find_image, image_keywords, image_wcs
from dvo.errors import AstrometryError, BadCatalogError
from dvo.ingest.addstar import addstar
from dvo.ingest.photcode_text import read_photcodes
from dvo.ingest.photcodes import import_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.ingest.sources import catalog_sources
from dvo.partition.check import check
from dvo.partition.engines import open_engine
from dvo.partition.history import rollback
from dvo.partition.store import Store, create_store
from dvo.sphere import separation
from dvo.tables.average import AVERAGE
from dvo.tables.fits.header import format_cards
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from ipp_pipeline.sim import SurveyPlan, simulate
from tests.hosts import MODULES
from tests.synth import assert_same, contents

ROUNDING_MAS = 0.1  # of raw pixels, which have 32 bits


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three exposures of a camera with chips."""
    folder = tmp_path_factory.mktemp("mosaic")
    night = simulate(SurveyPlan(n_exposures=3, density_per_deg2=300, seed=3), folder / "night")
    filters = PhotcodeTable()
    for name in "grizy":
        filters = filters.add(name, PhotClass.SEC)
    create_store(folder / "sky", level=4, photcodes=filters)
    with Store(folder / "sky", writable=True) as store:
        import_photcodes(store, read_photcodes(night.photcodes), source="sim")
        addstar(store, catalog_sources(night.exposures, photcode=None), AddstarOptions())
    return folder / "sky"


@pytest.fixture
def catdir(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "sky"))


def measures(store: Store) -> dict:
    view = store.view()
    names = ["ra", "dec", "x_ccd", "y_ccd", "image_id", "cat_id", "obj_id", "det_id"]
    table, _ = view.read_many(MEASURE, view.regions(), names, once=True)
    return {n: table[n] for n in names}


def planes_and_chips(store: Store):
    images = store.view().images
    return images, np.flatnonzero(images["photcode"] == 0), np.flatnonzero(images["photcode"] != 0)


def table(images, rows, **columns) -> GivenColumns:
    return GivenColumns("given", {"image_id": images["image_id"][rows], **columns})


def test_the_same_solution_changes_nothing(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        images, planes, _ = planes_and_chips(store)
        given = table(images, planes, **{n: images[n][planes] for n in ("crval1", "polyterms")},
                      npolyterms=images["npolyterms"][planes])  # fmt: skip
        last = store.view().snapshot.id
        done = setastrom(store, solutions_of_table(given, images))
        assert (done.n_given, done.n_planes, done.n_images, done.snapshot) == (3, 0, 0, last)


def test_places_are_those_of_pixels_but_for_rounding(catdir: Path) -> None:
    """All but the same solution: pixels are stored with 32 bits."""
    with Store(catdir, writable=True) as store:
        before = measures(store)
        images, planes, chips = planes_and_chips(store)
        given = table(images, planes, crval2=images["crval2"][planes] + 1e-13)
        done = setastrom(store, solutions_of_table(given, images))
        after = measures(store)
        assert (done.n_planes, done.n_images, done.n_left) == (3, len(chips), 0)
        assert done.n_measures == len(before["ra"])
        assert done.most_shift_mas < ROUNDING_MAS
        assert done.median_shift_mas < 1e-6
        off = separation(before["ra"], before["dec"], after["ra"], after["dec"])
        assert off.max() * 3.6e6 == pytest.approx(done.most_shift_mas)
    assert not check(catdir, deep=True).faults


def test_a_focal_plane_takes_its_chips_along(catdir: Path) -> None:
    """One exposure moves by 0.3 arcsec and is distorted; the others stay to the bit."""
    with Store(catdir, writable=True) as store:
        relastro(store)
        first = contents(store.view())
        before = measures(store)
        images, planes, _ = planes_and_chips(store)
        one = planes[1:2]
        terms = images["polyterms"][one] + 1e-5
        given = table(images, one, crval1=images["crval1"][one] + 0.3 / 3600, polyterms=terms,
                      npolyterms=np.array([3]))  # fmt: skip
        dry = setastrom(store, solutions_of_table(given, images), dry_run=True)
        assert_same(contents(store.view()), first)
        done = setastrom(store, solutions_of_table(given, images))
        assert dry.median_shift_mas == done.median_shift_mas > 100.0
        after, new_images = measures(store), store.view().images
        assert np.array_equal(new_images["polyterms"][one], terms)
        model = read_model(new_images)
        row = {n: k for k, n in enumerate(new_images["image_id"].tolist())}
        of = np.array([row[n] for n in after["image_id"].tolist()])
        is_moved = new_images["parent_id"][of] == images["image_id"][one[0]]
        assert is_moved.sum() == done.n_measures > 100
        assert np.array_equal(after["ra"][~is_moved], before["ra"][~is_moved])
        want = model.to_sky(of[is_moved], *(after[n][is_moved].astype(float)
                                            for n in ("x_ccd", "y_ccd")))  # fmt: skip
        assert np.array_equal(after["ra"][is_moved], want[0])
        assert np.array_equal(after["dec"][is_moved], want[1])
        far = separation(*want, before["ra"][is_moved], before["dec"][is_moved]) * 3.6e6
        assert done.rms_shift_mas == pytest.approx(np.sqrt(np.mean(far**2)))
        # Circles of images hold their measures still, and are hardly wider.
        middle = separation(after["ra"], after["dec"], new_images["ra_center"][of],
                            new_images["dec_center"][of])  # fmt: skip
        assert np.all(middle <= new_images["radius"][of])
        chips = new_images["parent_id"] != 0
        assert np.all(new_images["radius"][chips] < images["radius"][chips] + 1e-3)
        means = ordered_average(store)
        relastro(store)
        assert means == ordered_average(store), "objects are what relastro makes of the measures"
        rollback(store, store.view().snapshot.id - 2)
        assert_same(contents(store.view()), first)


def ordered_average(store: Store) -> dict:
    view = store.view()
    average, _ = view.read_many(AVERAGE, view.regions(), ["ra", "dec", "ra_err", "obj_id"],
                                once=True)  # fmt: skip
    return {n: average[n].tolist() for n in ("ra", "dec", "ra_err", "obj_id")}


@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_headers_of_chips(catdir: Path, tmp_path: Path, form: str) -> None:
    """Chips written as SIP or TPV, with a shift, come back as cubics in their focal planes."""
    with Store(catdir, writable=True) as store:
        images, _, chips = planes_and_chips(store)
        model = read_model(images)
        headers, shift = [], 0.05 / 3600
        for row in chips[::5].tolist():
            nx, ny = int(images["nx"][row]), int(images["ny"][row])
            cards = dict(fits_wcs(model, row, nx, ny, form=form).cards)
            cards["CRVAL2"] = (cards["CRVAL2"][0] + shift, "")
            path = tmp_path / f"{row}.head"
            path.write_text("\n".join(format_cards(cards)) + "\nEND\n")
            headers.append((images["name"][row].decode().rstrip("\0"), read_header(path)))
        nobody = ("nobody", headers[0][1])
        given = solutions_of_headers([*headers, nobody], images, limit_arcsec=1e-3)
        assert given.unmatched == ("nobody",)
        assert given.error_arcsec < 1e-4
        before = measures(store)
        done = setastrom(store, given)
        assert done.n_images == len(headers)
        assert done.rms_shift_mas == pytest.approx(50.0, abs=0.1)
        after = measures(store)
        is_moved = np.isin(after["image_id"], images["image_id"][chips[::5]])
        assert np.max(np.abs(after["dec"] - before["dec"] - np.where(is_moved, shift, 0.0))) \
            < 2 * ROUNDING_MAS / 3.6e6  # fmt: skip
        kinds = store.view().images["ctype"]
        assert np.array_equal(kinds, images["ctype"])
        with pytest.raises(AstrometryError, match="limit of 1e-06 mas"):
            solutions_of_headers(headers[:1], images, limit_arcsec=1e-9)


def test_outlines_follow(catdir: Path) -> None:
    with Store(catdir, writable=True) as store:
        images, planes, chips = planes_and_chips(store)
        given = table(images, planes, crval2=images["crval2"][planes] + 0.01)
        setastrom(store, solutions_of_table(given, images))
        found = [
            Outlines.of(read_model(t), t["nx"], t["ny"]) for t in (images, store.view().images)
        ]
        moved = found[1].dec[chips] - found[0].dec[chips]
        assert moved == pytest.approx(0.01, abs=1e-4)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"crval1": [np.nan]}, "row 1: crval1 is nan"),
        ({}, "no column of a solution"),
        ({"npolyterms": [2]}, "go together"),
        ({"pca1x2y0": [1e-9]}, "go together"),
        ({"cdelt1": [0.0]}, "singular"),
        ({"polyterms": np.zeros((1, 3)), "npolyterms": [2]}, "14 numbers a row"),
        ({"npolyterms": [4], "pca1x2y0": [0.0]}, "from 0 to 3"),
    ],
)
def test_tables_that_are_refused(catdir: Path, columns: dict, message: str) -> None:
    with Store(catdir) as store:
        images = store.view().images
        given = table(images, [0], **{n: np.asarray(v) for n, v in columns.items()})
        with pytest.raises(BadCatalogError, match=message):
            solutions_of_table(given, images)


def test_rows_that_name_no_image_or_one_twice(catdir: Path) -> None:
    with Store(catdir) as store:
        images = store.view().images
        zero = np.zeros(2)
        twice = GivenColumns("given", {"image_id": np.array([1, 1]), "crval1": zero})
        with pytest.raises(BadCatalogError, match="two rows mean image 1"):
            solutions_of_table(twice, images)
        with pytest.raises(BadCatalogError, match="no columns that name images"):
            solutions_of_table(GivenColumns("given", {"crval1": zero}), images)
        names = np.array([images["name"][1].decode().rstrip("\0"), "nobody"])
        found = solutions_of_table(GivenColumns("given", {"name": names, "crval1": zero}), images)
        assert found.rows.tolist() == [1]
        assert found.unmatched == ("nobody",)


def test_command(catdir: Path, tmp_path: Path) -> None:
    with Store(catdir) as store:
        images, planes, chips = planes_and_chips(store)
    path = tmp_path / "solutions.csv"
    rows = [f"{images['image_id'][r]},{float(images['crval2'][r]) + 1e-4!r}" for r in planes]
    path.write_text("image_id,crval2\n" + "\n".join(rows) + "\n4000000,1.0\n")

    def run(*words: object, code: int = 0) -> str:
        done = CliRunner().invoke(dvo.cli.setastrom.setastrom, [str(w) for w in words])
        assert done.exit_code == code, done.output
        return done.stdout

    text = run(catdir, path, "--dry-run")
    assert "would get new astrometry" in text
    assert "no image is called 4000000" in text
    run(catdir, path, "--strict", code=1)
    run(catdir, code=2)
    facts = json.loads(run(catdir, path, "--json"))
    assert facts["n_images"] == len(chips)
    assert facts["model"] == "mean"
    assert 350 < facts["rms_shift_mas"] < 370
    assert set(COORD_COLUMNS) <= set(images.schema.names)


def test_another_process_writes_the_same(catdir: Path, made: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(made, tmp_path / "other"))
    found = []
    with (
        Store(catdir, writable=True) as store,
        Store(other, writable=True) as second,
        open_engine("processes", second, workers=1, modules=MODULES) as engine,
    ):
        for one, runner in ((store, None), (second, engine)):
            images, planes, _ = planes_and_chips(one)
            given = table(images, planes, crval2=images["crval2"][planes] + 1e-4)
            done = setastrom(one, solutions_of_table(given, images), engine=runner)
            found.append((contents(one.view()), replace(done, seconds=0.0)))
    assert_same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_residual_maps(catdir: Path) -> None:
    """A map moves measures of its chip, is in all models, and is refused where it cannot be."""
    with Store(catdir, writable=True) as store:
        images, _, chips = planes_and_chips(store)
        one = chips[2:3]
        values = np.full((1, 2, 6, 6), np.nan)
        values[:, :, :2, :3] = np.random.default_rng(1).normal(size=(1, 2, 2, 3)) * 0.3
        cells = {"astrom_map_nx": np.array([3]), "astrom_map_ny": np.array([2])}
        given = table(images, one, astrom_map=values.reshape(1, 72), **cells)
        before = measures(store)
        done = setastrom(store, solutions_of_table(given, images))
        assert done.n_images == 1
        assert 50.0 < done.rms_shift_mas < 500.0  # of 0.3 pixels
        after, new_images = measures(store), store.view().images
        own = after["image_id"] == images["image_id"][one[0]]
        assert np.array_equal(after["ra"][~own], before["ra"][~own])
        place = [after[n][own].astype(float) for n in ("x_ccd", "y_ccd")]
        image = np.full(own.sum(), one[0])
        size = [int(images[n][one[0]]) for n in ("nx", "ny")]
        of_chip = np.full(len(images), -1)
        of_chip[one] = 0
        model = read_model(images).with_maps(ResidualMaps.of(values[:, :, :2, :3], *size), of_chip)
        assert np.array_equal(after["ra"][own], model.to_sky(image, *place)[0])
        found = find_image(store.view(), int(images["image_id"][one[0]]))
        with pytest.raises(AstrometryError, match="residual map"):
            image_keywords(found)
        assert image_wcs(found, limit_mas=1000.0).error_mas > 0.1
        for wrong, message in (
            ({"astrom_map": values.reshape(1, 72)}, "give all"),
            (cells | {"astrom_map": np.full((1, 72), np.nan)}, "no number"),
            (cells | {"astrom_map": np.zeros((1, 5))}, "72 numbers a row"),
        ):
            with pytest.raises(BadCatalogError, match=message):
                solutions_of_table(table(images, one, **wrong), new_images)
