"""A simulated survey with galaxies and lensing terms, through the commands, against the truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from dvo.cli.addstar import addstar
from dvo.cli.main import dvo_command
from dvo.partition.check import check
from dvo.partition.store import Store
from dvo.tables.galphot import GALPHOT, GalaxyModel
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING, ksb_columns
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import TableSchema
from ipp_pipeline.cli import main as ipp_sim
from tests.synth_satellites import assert_links

MODELS = {"DEV": GalaxyModel.DEV, "EXP": GalaxyModel.EXP, "SERSIC": GalaxyModel.SER}
Key = tuple[int, ...]


def run(command: Any, *words: object) -> str:
    done = CliRunner().invoke(command, [str(w) for w in words])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three exposures of a small camera, in a database."""
    folder = tmp_path_factory.mktemp("satellites")
    run(ipp_sim, "survey", folder / "sim", "--n-exp", 3, "--density", 1500, "--seed", 5,
        "--satellites")  # fmt: skip
    run(dvo_command, "init", folder / "sky", "--level", 4, "--filters", "g,r,i,z,y")
    run(dvo_command, "photcode", "import", folder / "sky", folder / "sim" / "photcodes.txt")
    files = sorted((folder / "sim" / "smf").glob("*.smf"))
    found = json.loads(run(addstar, folder / "sky", *files, "--json"))
    (folder / "report.json").write_text(json.dumps(found))
    return folder


def rows_of(store: Store, schema: TableSchema) -> dict[str, Any]:
    """All rows, with exposure and chip of their image by its name."""
    view = store.view()
    tables = [view.read(schema, region) for region in view.regions()]
    return {n: np.concatenate([t[n] for t in tables]) for n in schema.stored_names}


def places(folder: Path, store: Store) -> dict[int, tuple[int, int]]:
    """Exposure and chip of each image."""
    truth = folder / "sim" / "truth"
    names = pq.read_table(truth / "exposures.parquet")["name"].to_pylist()
    chips = json.loads((truth / "plan.json").read_text())["chips"]
    images = store.view().read(IMAGE, -1)
    out = {}
    for number, name in zip(images["image_id"].tolist(), images["name"].tolist(), strict=True):
        exposure, bracket, chip = name.decode().partition("[")
        if bracket:
            out[number] = (names.index(exposure), chips.index(chip.rstrip("] ")))
    return out


def truth_by_key(folder: Path, name: str, *more: str) -> dict[Key, dict[str, Any]]:
    table = pq.read_table(folder / "sim" / "truth" / f"{name}.parquet").to_pylist()
    return {tuple(row[n] for n in ("exposure", "chip", "det_id", *more)): row for row in table}


def test_galaxy_models_are_the_truth(survey: Path) -> None:
    truth = truth_by_key(survey, "galaxies", "model")
    with Store(survey / "sky") as store:
        rows, where = rows_of(store, GALPHOT), places(survey, store)
    assert len(rows["mag"]) == len(truth) > 300
    names = {int(number): name for name, number in MODELS.items()}
    keys = zip(rows["image_id"], rows["det_id"], rows["model_type"], strict=True)
    order = [truth[(*where[int(i)], int(d), names[int(m)])] for i, d, m in keys]
    true = {n: np.array([row[n] for row in order]) for n in order[0]}
    shift = 2.5 * np.log10(40.0) + 25.0
    pulls = {
        "mag": (rows["mag"] - true["mag_inst"] - shift) / rows["mag_err"],
        "major": (rows["major_axis"] - true["major_axis"]) / rows["major_axis_err"],
        "minor": (rows["minor_axis"] - true["minor_axis"]) / rows["minor_axis_err"],
        "theta": ((rows["theta"] - true["theta"] + 90) % 180 - 90) / rows["theta_err"],
    }
    for name, pull in pulls.items():
        assert abs(pull.mean()) < 0.2, name
        assert 0.85 < pull.std() < 1.15, name
        assert np.abs(pull).max() < 5.5, name
    assert np.allclose(rows["index"], true["index"], rtol=1e-5)
    assert (rows["flags"] == 0).all()
    # Discs take their axes from the grid of trials: the fit was a tenth too large.
    disc = rows["model_type"] == GalaxyModel.EXP
    assert np.array_equal(rows["npix"] == 400, disc)
    assert np.allclose(rows["chisq"][disc], 1.02, atol=0.03)  # that of the nearest trial


def test_lensing_terms_and_apertures_are_the_truth(survey: Path) -> None:
    truth = truth_by_key(survey, "lensing")
    with Store(survey / "sky") as store:
        rows, where = rows_of(store, LENSING), places(survey, store)
    assert len(rows["det_id"]) == len(truth) > 300
    order = [truth[(*where[int(i)], int(d))]
             for i, d in zip(rows["image_id"], rows["det_id"], strict=True)]  # fmt: skip
    for name in (*(c.name for c in ksb_columns()), "e1_psf", "e2_psf"):
        assert np.allclose(rows[name], [row[name] for row in order], rtol=1e-6), name
    for number in (5, 6, 7):
        true = np.array([row[f"flux_ap_r{number}"] for row in order])
        pull = (rows[f"flux_ap_r{number}"] - true) / rows[f"flux_err_ap_r{number}"]
        assert 0.9 < pull.std() < 1.1
        assert (rows[f"flux_fil_ap_r{number}"] == 1).all()


def test_rows_are_of_the_objects_of_their_measures(survey: Path) -> None:
    report = json.loads((survey / "report.json").read_text())
    with Store(survey / "sky") as store:
        measure = rows_of(store, MEASURE)
        object_of = dict(
            zip(
                zip(measure["image_id"].tolist(), measure["det_id"].tolist(), strict=True),
                zip(measure["cat_id"].tolist(), measure["obj_id"].tolist(), strict=True),
                strict=True,
            )
        )
        for schema in (GALPHOT, LENSING):
            rows = rows_of(store, schema)
            assert report["n_satellites"][schema.name] == len(rows["det_id"])
            keys = zip(rows["image_id"].tolist(), rows["det_id"].tolist(), strict=True)
            ids = zip(rows["cat_id"].tolist(), rows["obj_id"].tolist(), strict=True)
            assert [object_of[key] for key in keys] == list(ids)
        for satellite in SATELLITES:
            assert_links(store.view(), satellite)
        assert not check(store, deep=True).faults


def test_a_survey_without_them_has_none(tmp_path: Path) -> None:
    words = ["--n-exp", 1, "--density", 300, "--seed", 5]
    run(ipp_sim, "survey", tmp_path / "a", *words)
    run(ipp_sim, "survey", tmp_path / "b", *words, "--satellites")
    (plain,) = (tmp_path / "a" / "smf").glob("*.smf")
    (more,) = (tmp_path / "b" / "smf").glob("*.smf")
    assert b"XY00.xfit" not in plain.read_bytes()
    assert b"XY00.xfit" in more.read_bytes()
    # The stars, and what is measured of them, are the same.
    for name in ("stars", "detections"):
        one, two = (pq.read_table(tmp_path / f / "truth" / f"{name}.parquet") for f in "ab")
        assert one.schema == two.schema
        for column in one.column_names:
            values = one[column].to_numpy(), two[column].to_numpy()
            assert np.array_equal(*values, equal_nan=values[0].dtype.kind == "f"), column
