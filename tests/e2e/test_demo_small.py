"""The demo at a small scale: a few exposures of a synthetic sky."""

import json

import pytest

from tools import demo, demo_hatp32, demo_s82

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "demo"
    words = ["--synthetic", "--exposures", "12", "--density", "2000", "--level", "4"]
    assert demo.main([*words, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report.json").read_text())


def test_objects_are_the_true_stars(report):
    truth = report["truth"]
    assert truth["completeness"] >= demo.LEAST_COMPLETENESS
    assert truth["purity"] >= demo.LEAST_PURITY
    assert truth["n_stars"] > 1000
    assert truth["n_objects"] > 1000


def test_every_detection_is_in_once(report):
    n = report["simulation"]["n_detections"]
    assert report["addstar"]["n_detections"] == n
    assert report["addstar"]["n_images"] == 12 * 8
    assert report["info"]["n_measures"] == n
    assert report["truth"]["n_detections"] == n
    assert report["again"]["n_skipped"] == 8
    assert report["again"]["n_detections"] == 0


def test_database_has_no_faults(report):
    assert report["check"]["ok"]


def test_calibrated_magnitudes_are_near_the_truth(report):
    assert report["truth"]["mag_scatter"] < 0.1


def test_light_curve_is_drawn(folder):
    assert (folder / "lightcurve.png").stat().st_size > 10_000


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="not made by this demo"):
        demo.main(["--synthetic", "--out", str(tmp_path)])
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("main", "variable"), [(demo_hatp32.main, "HATP32_DATA"), (demo_s82.main, "S82_DATA")]
)
def test_real_data_are_not_asked_for(tmp_path, capsys, main, variable):
    nowhere = tmp_path / "nowhere"
    assert main(["--data", str(nowhere), "--out", str(tmp_path / "out")]) == 0
    assert variable in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
