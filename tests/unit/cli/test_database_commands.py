"""dvo check, log, info, rollback, vacuum and resort: what they print, and their exit codes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from dvo.cli.main import dvo_command, run
from dvo.partition.store import Store
from tests.synth import filled_database

COUNTS = {"n_images": 3, "n_secfilt": 2, "level": 4, "snapshot": 4}


@pytest.fixture
def catdir(tmp_path):
    return filled_database(tmp_path / "sky", n_images=3)


def dvo(*words, code=0):
    done = CliRunner().invoke(dvo_command, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return done.output


def dvo_json(*words, code=0):
    return json.loads(dvo(*words, "--json", code=code))


def test_info(catdir):
    found = dvo_json("info", catdir)
    assert {k: found[k] for k in COUNTS} == COUNTS
    with Store(catdir) as store:
        counts = store.view().snapshot.counts
        assert found["bytes"] == sum(f.n_bytes for f in store.manifest.files())
    assert [found[f"n_{k}"] for k in ("objects", "measures", "catalogs")] == [
        counts[k] for k in ("objects", "measures", "catalogs")
    ]
    assert found["filters"] == ["g", "r"]
    assert "n_images" in dvo("info", catdir)


def test_log(catdir):
    lines = dvo("log", catdir).splitlines()
    assert len(lines) == 4
    assert "init" in lines[0]
    assert "addstar" in lines[3]
    assert dvo("log", catdir, "-n", 1).splitlines() == lines[3:]
    rows = [json.loads(line) for line in dvo("log", catdir, "--json").splitlines()]
    assert [r["id"] for r in rows] == [1, 2, 3, 4]
    assert rows[3]["counts"]["images"] == 3


def test_rollback(catdir):
    found = dvo_json("rollback", catdir, 2)
    assert (found["snapshot"], found["changed"], found["images"]) == (5, True, 1)
    assert "already" in dvo("rollback", catdir, 2)
    assert dvo_json("info", catdir)["n_images"] == 1
    assert "snapshot 6 is as snapshot 4 was" in dvo("rollback", catdir, 4)


def test_resort_and_vacuum(catdir):
    n_catalogs = dvo_json("info", catdir)["n_catalogs"]
    with Store(catdir) as store:
        view = store.view()
        name = view.sky.region(view.regions()[0]).name
    assert dvo_json("resort", catdir, "--region", name)["n_catalogs"] == 1
    assert f"{n_catalogs - 1} catalogs compacted" in dvo("resort", catdir)
    found = dvo_json("vacuum", catdir, "--keep", 1)
    assert found["forgotten"] == [1, 2, 3, 4, 5]
    assert found["n_files"] > 0
    assert "0 snapshots forgotten" in dvo("vacuum", catdir, "--keep", 1)
    assert dvo("log", catdir).splitlines()[0].split()[0].startswith("1")
    assert dvo_json("check", catdir, "--deep")["ok"]


def test_check(catdir):
    assert "no faults" in dvo("check", catdir)
    assert dvo_json("check", catdir, "--deep")["ok"] is True
    path = next(catdir.glob("shared/*.cps"))
    path.unlink()
    text = dvo("check", catdir, code=1)
    assert f"fault: shared/{path.name}: is missing" in text
    found = dvo_json("check", catdir, code=1)
    assert found["ok"] is False
    assert found["faults"][0]["path"] == f"shared/{path.name}"
    assert "backup" in found["faults"][0]["remedy"]


def test_check_rebuild(catdir):
    before = dvo_json("info", catdir)
    (catdir / "dvo.sqlite").unlink()
    assert "--rebuild" in dvo("check", catdir, code=1)
    found = dvo_json("check", catdir, "--rebuild", "--deep")
    assert "made anew from the records of 4 commits" in found["notes"][0]
    assert dvo_json("info", catdir) == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["rollback", "{}", "99"], 1, "no snapshot 99; the newest is 4"),
        (["rollback", "{}", "none"], 2, ""),
        (["vacuum", "{}"], 2, "--keep"),
        (["vacuum", "{}", "--keep", "0"], 2, "--keep"),
        (["resort", "{}", "--region", "n9999/none"], 1, "n9999/none"),
        (["cone", "{}", "1", "2", "-5"], 1, "radius -5 arcsec is not within 0..648000"),
        (["info", "{}/absent"], 1, "no DVO database here"),
        (["check", "{}/absent"], 1, "no DVO database here"),
    ],
)
def test_misuse_and_failure(catdir, monkeypatch, capsys, words, code, message):
    monkeypatch.setattr("sys.argv", ["dvo", *(w.format(catdir) for w in words)])
    with pytest.raises(SystemExit) as stop:
        run(dvo_command)
    assert stop.value.code == code
    assert message in capsys.readouterr().err
