"""Coverage: the cells that rows are in, and those that images touch."""

from __future__ import annotations

from pathlib import Path

import healpy
import numpy as np
import pytest
from astropy import units
from mocpy import MOC

from dvo.astrometry.image_rows import image_coords
from dvo.astrometry.outlines import outline
from dvo.astrometry.solution import pixel_scale
from dvo.errors import ConfigError, StorageError
from dvo.exchange.coverage import cover_images, cover_rows, save_moc
from dvo.exchange.selection import select
from dvo.ingest.addstar import addstar
from dvo.ingest.photcode_text import read_photcodes
from dvo.ingest.photcodes import import_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.ingest.sources import catalog_sources
from dvo.partition.store import Store, create_store
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from ipp_pipeline.sim import SurveyPlan, simulate
from tests import synth


@pytest.fixture(scope="module")
def catdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth.filled_database(tmp_path_factory.mktemp("coverage") / "sky", n_stars=100)


@pytest.mark.parametrize("table", ["measure", "average"])
@pytest.mark.parametrize("order", [0, 7, 12, 29])
def test_cells_are_those_that_hold_rows(catdir: Path, table: str, order: int) -> None:
    with Store(catdir) as store:
        extract = select(store, store.view(), table, ["ra", "dec"])
        found = cover_rows(extract, order)
        values = [extract.read(g) for g in extract.groups()]
    ra, dec = (np.concatenate([v[n] for v in values]) for n in ("ra", "dec"))
    cells = np.unique(healpy.ang2pix(1 << order, ra, dec, nest=True, lonlat=True))
    np.testing.assert_array_equal(np.sort(found.moc.flatten()), cells)
    facts = found.as_dict()
    assert (facts["rows"], facts["cells"], facts["order"]) == (len(ra), len(cells), order)
    share = len(cells) / (12 * 4.0**order)
    assert facts["sky_fraction"] == pytest.approx(share)
    assert facts["area_deg2"] == pytest.approx(share * 41252.96, rel=1e-6)


def test_images_without_astrometry_are_circles(catdir: Path) -> None:
    with Store(catdir) as store:
        view = store.view()
        found = cover_images(view, 11)
        rows = cover_rows(select(store, view, "measure", ["ra", "dec"]), 11)
        images = view.images
    assert found.n_rows == len(images) == 4
    assert rows.moc.intersection(found.moc) == rows.moc, "a measure lies in no image"
    expected = np.pi * float(images["radius"].max()) ** 2
    assert found.as_dict()["area_deg2"] == pytest.approx(expected, rel=0.3)


def test_an_empty_database_covers_nothing(tmp_path: Path) -> None:
    with Store(synth.make_database(tmp_path / "sky")) as store:
        view = store.view()
        for found in (cover_images(view, 8), cover_rows(select(store, view, "measure"), 8)):
            assert found.as_dict() == {
                "order": 8, "rows": 0, "cells": 0, "sky_fraction": 0.0, "area_deg2": 0.0,
            }  # fmt: skip


@pytest.mark.parametrize("ending", ["fits", "json", "txt"])
def test_maps_come_back_from_files(catdir: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"moc.{ending}"
    with Store(catdir) as store:
        found = cover_rows(select(store, store.view(), "measure"), 9)
    save_moc(found, path, overwrite=False)
    again = MOC.load(path, "ascii" if ending == "txt" else ending)
    assert again == found.moc
    with pytest.raises(StorageError, match="say --overwrite"):
        save_moc(found, path, overwrite=False)
    save_moc(found, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_ending_must_say_the_form(catdir: Path, tmp_path: Path) -> None:
    with Store(catdir) as store:
        found = cover_images(store.view(), 5)
    with pytest.raises(ConfigError, match=r"use .fits .json .txt"):
        save_moc(found, tmp_path / "moc.png", overwrite=False)


@pytest.fixture(scope="module")
def mosaic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of one exposure of a camera with chips, with its astrometry."""
    folder = tmp_path_factory.mktemp("mosaic")
    made = simulate(SurveyPlan(n_exposures=1, density_per_deg2=800, seed=3), folder / "night")
    filters = PhotcodeTable()
    for name in "grizy":
        filters = filters.add(name, PhotClass.SEC)
    create_store(folder / "sky", level=3, photcodes=filters)
    with Store(folder / "sky", writable=True) as store:
        import_photcodes(store, read_photcodes(made.photcodes), source="sim")
        sources = catalog_sources(made.exposures, photcode=None)
        addstar(store, sources, AddstarOptions(radius_arcsec=1.0))
    return folder / "sky"


def test_images_are_as_large_as_their_chips(mosaic: Path) -> None:
    with Store(mosaic) as store:
        view = store.view()
        found = cover_images(view, 13)
        rows = cover_rows(select(store, view, "measure", ["ra", "dec"]), 13)
        images = view.images
        coords = image_coords(images)
    assert rows.moc.intersection(found.moc) == rows.moc, "a measure lies in no image"
    area = 0.0
    for i, one in enumerate(coords):
        nx, ny = int(images["nx"][i]), int(images["ny"][i])
        if nx and ny:
            assert one is not None
            area += nx * ny * (pixel_scale(one, nx, ny) / 3600.0) ** 2
    # Cells at the edge count whole, so a little is added; chips do not overlap.
    assert area < found.as_dict()["area_deg2"] < 1.06 * area
    assert found.n_rows == np.count_nonzero(images["nx"] > 0)


def test_outlines_hold_what_was_measured(mosaic: Path) -> None:
    with Store(mosaic) as store:
        view = store.view()
        images, coords = view.images, image_coords(view.images)
        measures = [view.read(MEASURE, r, ["ra", "dec", "image_id"]) for r in view.regions()]
    row = int(np.flatnonzero(images["nx"] > 0)[0])
    one = coords[row]
    assert one is not None
    corners = outline(one, int(images["nx"][row]), int(images["ny"][row]))
    chip = MOC.from_polygon(corners[:, 0] * units.deg, corners[:, 1] * units.deg, max_depth=16)
    for table in measures:
        mine = table["image_id"] == images["image_id"][row]
        inside = chip.contains_lonlat(table["ra"][mine] * units.deg, table["dec"][mine] * units.deg)
        assert inside.all()
