"""dvo check, log, info, rollback, vacuum and resort: what they print, and their exit codes."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner

from dvo.cli.diff import _lines
from dvo.cli.dvomerge import dvomerge
from dvo.cli.main import dvo_command, run
from dvo.ingest.photcodes import put_photcodes
from dvo.partition.history import diff, put_tag
from dvo.partition.store import Store
from dvo.query.session import open_database
from dvo.tables.lensing import LENSING
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass
from tests.synth import filled_database
from tests.synth_satellites import add_to_measures

COUNTS = {"n_images": 3, "n_secfilt": 2, "level": 4, "n_split": 0, "snapshot": 4}


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
    said = dvo("info", catdir)
    assert "n_images   3\n" in said
    assert not {"satellites", "tags"} & set(said.split())
    assert (found["satellites"], found["tags"]) == ({}, [])
    with Store(catdir, writable=True) as store:
        n = len(add_to_measures(store, LENSING, [1, 2]))
    found = dvo_json("info", catdir)["satellites"]
    assert found["lensing"] == n
    assert 0 < found["lensobj"] <= n
    assert f"{n} lensing, {found['lensobj']} lensobj" in dvo("info", catdir)


def test_log(catdir):
    lines = dvo("log", catdir).splitlines()
    assert len(lines) == 4
    assert "init" in lines[0]
    assert "addstar" in lines[3]
    assert dvo("log", catdir, "-n", 1).splitlines() == lines[3:]
    rows = [json.loads(line) for line in dvo("log", catdir, "--json").splitlines()]
    assert [r["id"] for r in rows] == [1, 2, 3, 4]
    assert rows[3]["counts"]["images"] == 3
    with Store(catdir, writable=True) as store:
        put_tag(store, "one", 2)
    for state in (2, "one", rows[1]["time"]):
        found = dvo("log", catdir, "--snapshot", state).splitlines()
        assert found == [lines[0], f"{lines[1]} [one]"]
    assert dvo("log", catdir, "--snapshot", 3, "-n", 1).splitlines() == [lines[2]]
    assert re.search(r" 1 image \d+ objects ", lines[1])


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


def test_tags(catdir, tmp_path):
    assert "no tags" in dvo("tag", catdir)
    found = dvo_json("tag", catdir, "dr1", 2)
    assert (found["name"], found["snapshot"], found["deleted"]) == ("dr1", 2, False)
    assert dvo("tag", catdir, "newer").startswith("newer  snapshot 4 of ")
    # Those of tags are no states of their own.
    assert dvo_json("tag", catdir, "dr2")["snapshot"] == 4
    assert [line.split()[0] for line in dvo("tag", catdir).splitlines()] == ["dr1", "dr2", "newer"]
    assert "tag dr1 is snapshot 2, not 4" in dvo_fails("tag", catdir, "dr1")
    assert dvo_json("tag", catdir, "dr1", "newer", "--force")["snapshot"] == 4
    assert dvo("tag", catdir, "--delete", "newer").startswith("deleted: newer  snapshot 4")
    assert dvo_json("info", catdir)["tags"] == ["dr1", "dr2"]
    lines = dvo("log", catdir).splitlines()
    assert lines[3].endswith(" [dr1] [dr2]")
    assert "tag name=dr1 snapshot=4 was=2" in lines[7]
    rows = [json.loads(line) for line in dvo("log", catdir, "--json").splitlines()]
    assert [r["tags"] for r in rows[2:5]] == [[], ["dr1", "dr2"], []]


def dvo_fails(*words):
    done = CliRunner().invoke(dvo_command, [str(w) for w in words])
    return str(done.exception)


def test_every_reading_command_takes_a_tag_or_a_time(catdir, tmp_path):
    """At the state of two images all of them say other things than at the newest, of three."""
    with Store(catdir, writable=True) as store:
        put_tag(store, "two", 3)
        codes = store.view().photcodes.add("LATER.g", PhotClass.REF)
        put_photcodes(store, codes, "photcode add", {})
        time = store.manifest.snapshot(3).time
        table = store.view().read(MEASURE, store.view().regions()[0], ["ra", "dec"])
        place = [f"{table[n][0]:.9f}" for n in ("ra", "dec")]
    commands = {
        "info": ["info", catdir, "--json"],
        "regions": ["regions", "--of", catdir, "--json"],
        "check": ["check", catdir, "--deep", "--json"],
        "cone": ["cone", catdir, *place, 3600, "--table", "measure", "-f", "json"],
        "images": ["images", catdir, "-f", "json"],
        "lightcurve": ["lightcurve", catdir, *place, "--radius", 3600, "-f", "json"],
        "photcode list": ["photcode", "list", catdir],
        "photcode export": ["photcode", "export", catdir, tmp_path / "codes.txt", "--overwrite"],
        "coverage": ["coverage", catdir, "--order", "18", "--json"],
        "export csv": ["export", "csv", catdir, tmp_path / "out.csv", "--overwrite"],
    }
    for name, words in commands.items():
        found = {}
        for state in ("3", "two", time, "newest"):
            text = dvo(*words, "--snapshot", state)
            for path in (tmp_path / "out.csv", tmp_path / "codes.txt"):
                text += path.read_text() if str(path) in map(str, words) else ""
            found[state] = re.sub(r"[0-9.]+ s\b", "", text)
        assert found["3"] == found["two"] == found[time] != found["newest"], name
    dvo("secfilt", catdir, "--add", "w")
    assert json.loads(dvo("secfilt", catdir, "--json"))["filters"] == ["g", "r", "w"]
    assert [dvo("secfilt", catdir, *more) for more in ([], ["--snapshot", "two"])] == [
        "g,r,w\n", "g,r\n",
    ]  # fmt: skip
    out = dvo_json("extract", catdir, tmp_path / "two", "--snapshot", "two")
    assert out["n_images"] == 2


def test_merge_takes_a_tag_of_its_sources(catdir, tmp_path):
    with Store(catdir, writable=True) as store:
        put_tag(store, "two", 3)
    dvo("init", tmp_path / "all", "--filters", "g,r")
    words = [tmp_path / "all", catdir, "--snapshot", "two", "--json"]
    done = CliRunner().invoke(dvomerge, [str(w) for w in words])
    assert json.loads(done.output)["n_images"] == 2


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
        (["rollback", "{}", "none"], 1, "no tag 'none'; see: dvo tag"),
        (["rollback", "{}", "-4"], 2, ""),
        (["rollback", "{}", "4 5"], 2, "'4 5' is no snapshot; give its number, a tag"),
        (["info", "{}", "--snapshot", "1999-01-01"], 1, "was made at "),
        (["cone", "{}", "1", "2", "3", "--snapshot", "77"], 1, "no snapshot 77"),
        (["tag", "{}", "12"], 1, "'12' cannot be a tag; it begins with a letter"),
        (["tag", "{}", "--delete", "dr1"], 1, "no tag 'dr1'; see: dvo tag"),
        (["diff", "{}", "1", "--rows"], 2, "--rows is about one table"),
        (["diff", "{}", "1", "--columns", "ra"], 2, "are for --rows"),
        (["diff", "{}", "1", "--table", "stars"], 1, "no table 'stars'; there are Average"),
        (
            ["diff", "{}", "1", "--table", "image", "--rows", "--columns", "nme"],
            1,
            "did you mean name?",
        ),
        (["diff", "{}", "dr1"], 1, "no tag 'dr1'"),
        (["regions", "--snapshot", "3"], 2, "give that, too: --of CATDIR"),
        (["secfilt", "{}", "--add", "w", "--snapshot", "3"], 2, "it cannot change"),
        (["tag", "{}", "--force"], 2, "--force moves a tag"),
        (["tag", "{}", "dr1", "--delete", "dr2"], 2, "give no other name"),
        (["vacuum", "{}"], 2, "--keep"),
        (["vacuum", "{}", "--keep", "0"], 2, "--keep"),
        (["resort", "{}", "--region", "n9999/none"], 1, "n9999/none"),
        (["resort", "{}", "--engine", "hosts"], 1, "dvo host start-local"),
        (["resort", "{}", "--workers", "2"], 2, "--workers goes with --engine processes"),
        (["relevel", "{}", "3", "--engine", "hosts", "--workers", "2"], 2, "--workers goes with"),
        (["cone", "{}", "1", "2", "-5"], 1, "radius -5 arcsec is not within 0..648000"),
        (["info", "{}/absent"], 1, "no DVO database here"),
        (["check", "{}/absent"], 1, "no DVO database here"),
        (["host", "status", "{}/absent"], 1, "no DVO database here"),
        (["secfilt", "{}", "--drop", "q"], 1, "--add FILTER` adds one"),
        (["query", "{}", "--file", "{}/absent.sql"], 2, "cannot be read (No such file or"),
        (["cone", "{}", "1", "2", "3", "--columns", "raa"], 1, "did you mean ra?"),
    ],
)
def test_misuse_and_failure(catdir, monkeypatch, capsys, words, code, message):
    monkeypatch.setattr("sys.argv", ["dvo", *(w.format(catdir) for w in words)])
    with pytest.raises(SystemExit) as stop:
        run(dvo_command)
    assert stop.value.code == code
    assert message in capsys.readouterr().err


def test_split_and_relevel(catdir):
    with Store(catdir) as store:
        view = store.view()
        first = view.sky.names(view.regions()[:1])[0]
    assert first in dvo("split", catdir, "--larger-than", 1, "--dry-run")
    planned = dvo_json("split", catdir, first, "--dry-run")
    assert dvo_json("info", catdir)["n_split"] == 0
    done = dvo_json("split", catdir, first)
    assert {k: done[k] for k in planned} == planned
    assert done["regions"] == [first]
    assert dvo_json("info", catdir)["n_split"] == 1
    assert "0 regions split" in dvo("split", catdir, first)
    listed = [json.loads(line) for line in dvo("regions", "--of", catdir, "--json").splitlines()]
    assert {row["level"] for row in listed} == {4, 5}
    counts = dvo_json("info", catdir)
    assert sum(row["n_measures"] for row in listed) == counts["n_measures"]
    inside = dvo("regions", "--of", catdir, "--name", first).splitlines()
    assert inside[0].endswith("level n_objects n_measures")
    assert all(f" {first}." in line for line in inside[1:])
    assert len(inside) > 1
    assert "catalogs compacted" in dvo("resort", catdir, "--region", first)
    assert dvo_json("relevel", catdir, 3)["n_dealt"] == counts["n_catalogs"]
    assert dvo_json("info", catdir)["level"] == 3
    assert "level 3, 0 catalogs dealt out" in dvo("relevel", catdir, 3)
    dvo("check", catdir, "--deep")
    dvo("split", catdir, code=2)
    dvo("regions", "--of", catdir, "--pure-gsc", code=2)
    assert dvo_json("split", catdir, "--split-at", 3)["regions"] == []
    dvo("resort", catdir)
    assert dvo_json("info", catdir)["n_split"] > 0


def test_init_sets_the_limit(tmp_path):
    dvo("init", tmp_path / "sky", "--level", 2, "--split-at", 5)
    with Store(tmp_path / "sky") as store:
        assert store.manifest.meta["split_at"] == "5"


def test_diff(catdir, tmp_path):
    dvo("tag", catdir, "one", 2)
    found = dvo_json("diff", catdir, "one")
    with Store(catdir) as store:
        report = diff(store, 2)
        name = store.sky.region(report.tables[0].regions[0]).name
    assert found == report.as_dict()
    assert (found["old"], found["new"], found["counts"]["images"]) == (2, 5, 2)
    lines = dvo("diff", catdir, "one", "newest").splitlines()
    assert lines[0].startswith("from snapshot 2 (20")
    assert "+2 images" in lines[0]
    assert lines[2].split() == ["table", "added", "changed", "gone", "regions"]
    total = found["tables"]["Measure"]
    assert f"Measure {total['added']}" in re.sub(" +", " ", "\n".join(lines))
    assert any(line.startswith("  Average: dec ") for line in lines)
    assert dvo("diff", catdir, 3, 3).splitlines()[1] == "no row differs"
    some = dvo_json("diff", catdir, "one", "--table", "measure", "--region", name)
    assert {line["region"] for line in some["regions"]} == {name}
    assert set(some["tables"]) == {"Measure"}


def test_diff_rows(catdir, tmp_path):
    words = ["diff", catdir, 2, "--table", "average", "--rows", "--columns", "nmeasure"]
    rows = json.loads(dvo(*words, "-f", "json"))
    totals = dvo_json("diff", catdir, 2, "--table", "average")["tables"]["Average"]
    kinds = Counter(row["change"] for row in rows)
    assert kinds["added"] == totals["added"]
    assert kinds["before"] == kinds["after"] == totals["changed"]
    assert list(rows[0]) == ["change", "region", "cat_id", "obj_id", "nmeasure"]
    dvo(*words, "-o", tmp_path / "rows.parquet")
    assert (tmp_path / "rows.parquet").stat().st_size > 0
    with open_database(catdir) as db:
        assert db.tags == {}
        table = db.diff_rows(2, table="secfilt", columns=["mag"])
        assert table.column_names == ["change", "region", "cat_id", "obj_id", "filter", "mag"]
        assert set(table["filter"].to_pylist()) == {"g", "r"}
        assert table.num_rows == sum(
            n * (1 + (kind == "changed"))
            for kind, n in db.diff(2, tables=["SecFilt"]).tables[0].totals.items()
        )
        assert db.diff_rows(4, table="Measure").num_rows == 0


def test_the_parts_of_a_long_diff(catdir):
    """People see the regions with the most rows; all of them if they ask."""
    with Store(catdir) as store:
        report = diff(store, 1)
    lines = report.as_dict()["regions"]
    shown = _lines(replace(report, tables=report.tables * 9), show_all=False)
    assert shown[-1].startswith("and ")
    text = dvo("diff", catdir, 1, "--all")
    assert sum(line["region"] in text for line in lines if line["region"]) == len(lines) - 1


def test_writes_of_an_engine(catdir):
    n_catalogs = dvo_json("info", catdir)["n_catalogs"]
    found = dvo_json("resort", catdir, "--engine", "processes", "--workers", 2)
    assert found == {"n_catalogs": n_catalogs, "snapshot": 5}
    found = dvo_json("relevel", catdir, 3, "--engine", "processes", "--workers", 1)
    assert (found["n_dealt"], found["snapshot"]) == (n_catalogs, 6)
    assert dvo_json("check", catdir, "--deep")["ok"]
