"""The bench runs, on its smallest workload, and reports every goal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tools" / "bench" / "run.py"


def run(folder, *words):
    command = [sys.executable, str(RUN), "--size", "tiny", "--folder", str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_tiny_bench_reports_every_measure(tmp_path):
    table = run(tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    found = {figure["key"]: figure for figure in report["figures"]}
    goals = {"fits_read_all", "fits_read_four", "fits_write", "measure_bytes", "association",
             "addstar", "batch_growth", "cone_arcmin_warm", "cone_arcmin_cold",
             "cone_degree_warm", "help_seconds", "shell_prompt", "scale_open", "scale_cone",
             "scale_full_sky"}  # fmt: skip
    assert goals <= found.keys()
    assert report["sizes"] == ["tiny"]
    assert {"start", "end"} <= report["load"].keys()
    for figure in report["figures"]:
        assert figure["what"] in table
        assert figure["value"] is None or figure["value"] > 0
    score = found["addstar"]["details"]
    assert score["score"]["n_rows"] == score["peer_score"]["n_rows"] == 200_000
    assert score["score"]["objects_whole"] > 0.9999
    assert score["score"]["groups_pure"] > 0.9999
    assert not (tmp_path / "scratch").exists()


def test_one_measure_as_json(tmp_path):
    report = json.loads(run(tmp_path, "--only", "help", "--json"))
    (figure,) = report["figures"]
    assert figure["key"] == "help_seconds"
    assert figure["met"] is (figure["value"] <= figure["must"])
