"""The tools of the page on scale: records without data, and what 70 TB would take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dvo
from dvo.errors import StorageError
from dvo.partition.assignment import read_assignment
from dvo.partition.host_table import read_host_table
from dvo.query.run import groups_of
from tools.scale.cost import OPERATIONS, Cluster, Rates, estimate, read_rates
from tools.scale.survey_records import TABLES, Survey, make_records

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    catdir = tmp_path_factory.mktemp("survey") / "records"
    make_records(catdir, Survey(n_catalogs=3000, n_hosts=64))
    return catdir


def test_records_say_what_a_survey_would(survey):
    with dvo.open(survey) as db:
        counts = db.view.counts()
        assert len(counts) == 3000
        assert db.snapshot.counts["measures"] == counts.n_measure.sum() > 1.9e11
        parts = db.view.part_table(counts.regions[:5].tolist())
        assert len(parts) == 5 * len(TABLES) == 40
        assert len({f.table for f in parts.rows_of_files.values()}) == 8
        with pytest.raises(StorageError, match=r"No such file|cannot be read|gone"):
            db.sql("SELECT COUNT(ra) FROM average")


def test_every_group_of_the_full_sky_has_a_host_and_the_load_is_even(survey):
    numbers = {host.number for host in read_host_table(survey)}
    with dvo.open(survey) as db:
        groups = groups_of(db.view, db.plan("SELECT COUNT(*) FROM measure").fragments[0])
        counts = db.view.counts()
    rows = dict(zip(counts.regions.tolist(), counts.n_measure.tolist(), strict=True))
    assert sorted(r for group in groups for r in group) == sorted(rows)
    first, second = read_assignment(survey).hosts_of(groups)
    assert set(first.tolist()) == numbers == set(range(1, 65))
    assert (second > 0).all()
    assert (first != second).all()
    load = np.bincount(first, [sum(rows[r] for r in group) for group in groups])[1:]
    assert load.max() < 1.1 * load.mean()


def test_costs_fall_with_hosts_until_one_process_is_all():
    rates = Rates()
    for name in OPERATIONS:
        times = [estimate(name, rates, Cluster(n_hosts=n)).seconds for n in (1, 64, 10**9)]
        assert times[0] > 50 * times[1]
        alone = estimate(name, rates, Cluster(n_hosts=10**9))
        assert alone.seconds == pytest.approx(alone.shares["one process"], abs=0.01)


def test_the_slowest_part_is_named():
    slow = {"processors": Cluster(cores=1), "disks": Cluster(cores=10_000, network=1e12),
            "network": Cluster(cores=10_000, disk=1e12, network=1e6)}  # fmt: skip
    for limit, cluster in slow.items():
        assert estimate("ingest everything", Rates(), cluster).limit == limit


def test_rates_come_from_a_report():
    figures = [
        {"key": "addstar", "ours": "1.00 M rows/s"}, {"key": "addstar", "ours": "2.50 M rows/s"},
        {"key": "host_stream", "ours": "250 MB/s"}, {"key": "check_deep", "ours": "no figure"},
        {"key": "scale_manifest", "ours": "", "details": {"files": 100.0, "commits_s": 2.0}},
    ]  # fmt: skip
    rates = read_rates({"figures": figures, "machine": {"cores": 4}})
    assert (rates.ingest, rates.stream, rates.files_per_s, rates.cores) == (2.5e6, 250e6, 50.0, 4)
    assert set(rates.unmeasured) == {"merge", "compaction", "check", "scan", "plan_s"}
    assert read_rates({}).merge == Rates.merge


def run(*words, **options):
    command = [sys.executable, str(ROOT / "tools" / "scale" / "cost.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_the_command_prints_a_table_numbers_and_a_picture(tmp_path):
    done = run("--hosts", "1", "64", "--png", "cost.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| ingest everything |" in done.stdout
    assert "not in the report, assumed" in done.stdout
    assert (tmp_path / "cost.png").stat().st_size > 10_000
    found = json.loads(run("--hosts", "1", "--json", cwd=tmp_path).stdout)
    assert found["seconds"].keys() == OPERATIONS.keys()


@pytest.mark.parametrize("words", [["--hosts", "0"], ["--disk", "-1"], ["--terabytes", "0"]])
def test_impossible_clusters_are_refused(words):
    done = run(*words)
    assert done.returncode == 2
    assert "greater than 0" in done.stderr


def test_a_report_that_is_none_is_an_error(tmp_path):
    (tmp_path / "report.json").write_text("{")
    done = run("--report", str(tmp_path / "report.json"))
    assert done.returncode == 1
    assert "cannot be read" in done.stderr
