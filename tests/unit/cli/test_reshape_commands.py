"""dvo delete, copy, photcode set and repair: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dvo.cli.main import dvo_command
from dvo.errors import StorageError
from dvo.partition.store import Store
from tests.planted import spoil
from tests.synth import FIELDS, filled_database


@pytest.fixture
def catdir(tmp_path: Path) -> Path:
    return filled_database(tmp_path / "sky", n_images=3)


def dvo(*words: Any, code: int = 0) -> str:
    done = CliRunner().invoke(dvo_command, [str(w) for w in words])
    assert done.exit_code == code, done.output
    return done.output


def dvo_json(*words: Any, code: int = 0) -> Any:
    return json.loads(dvo(*words, "--json", code=code))


def counts(catdir: Path) -> dict[str, int]:
    with Store(catdir) as store:
        return store.view().snapshot.counts


@pytest.mark.parametrize(
    ("words", "n_images"),
    [
        (("images", "synth-0001"), 1),
        (("measures", "--image", "synth-0001", "--image", "synth-0002", "--mjd", 57001, 57002), 0),
        (("measures", "--photcode", "SYNTH.g.C00", "--mag", "g", 15, 19), 0),
        (("region", "--cone", *FIELDS["edge"], 500), 0),
        (("region", "--region", 112.3, 112.5, 14.8, 15.2), 0),
    ],
)  # fmt: skip
def test_a_dry_run_says_what_delete_does(catdir: Path, words: tuple[Any, ...], n_images: int):
    what, *rest = words
    before = counts(catdir)
    would = dvo_json("delete", what, catdir, *rest, "--dry-run")
    assert "would go" in dvo("delete", what, catdir, *rest, "--dry-run")
    assert counts(catdir) == before
    done = dvo_json("delete", what, catdir, *rest)
    assert would | {"dry_run": False, "snapshot": done["snapshot"]} == done
    after = counts(catdir)
    assert 0 < done["n_measures"] == before["measures"] - after["measures"]
    assert done["n_objects"] == before["objects"] - after["objects"]
    assert n_images == before["images"] - after["images"] == done.get("n_images", 0)
    assert "nothing has changed" in dvo("delete", what, catdir, *rest)
    dvo("check", catdir, "--deep")


def test_delete_without_conditions(catdir: Path):
    assert "say which images" in dvo("delete", "images", catdir, code=2)
    assert "say which measures" in dvo("delete", "measures", catdir, code=2)
    assert "say where" in dvo("delete", "region", catdir, code=2)
    assert "'NAMES...'" in dvo("delete", "catalog", catdir, code=2)
    assert "There are catalog, images, measures, region." in dvo("delete", "night", code=2)
    assert "exclude each other" in dvo(
        "delete", "region", catdir, "--cone", 1, 2, 3, "--region", 1, 2, 3, 4, code=2
    )
    assert "no set of bits" in dvo("delete", "measures", catdir, "--flags", "many", code=2)


def test_repair(catdir: Path):
    assert "nothing to do" in dvo("repair", catdir)
    spoil(catdir, "Average", "nmeasure", 1, 99)
    (catdir / "SkyTable.fits").unlink()
    would = dvo_json("repair", catdir, "--dry-run")
    assert (would["ok"], would["mended"], would["dry_run"]) == (True, {"n-measure": 1}, True)
    assert not (catdir / "SkyTable.fits").exists()
    assert "would be mended: n-measure, 1" in dvo("repair", catdir, "--dry-run")
    text = dvo("repair", catdir)
    assert "mended: n-measure, 1" in text
    assert "no faults are left" in text
    assert dvo_json("repair", catdir)["found"] == 0


def test_what_repair_leaves(catdir: Path):
    path = next(catdir.glob("shared/*.cpm"))
    path.unlink()
    left = dvo_json("repair", catdir, code=1)["left"]
    assert left[0]["path"] == f"shared/{path.name}"
    assert "backup" in left[0]["remedy"]
    assert f"left: shared/{path.name}" in dvo("repair", catdir, code=1)


def test_copy(catdir: Path, tmp_path: Path):
    done = dvo_json("copy", catdir, tmp_path / "new")
    with Store(catdir) as store:
        assert done["bytes"] > sum(f.n_bytes for f in store.manifest.files())
        assert done["measures"] == store.view().snapshot.counts["measures"]
    assert "files" in dvo("copy", catdir, tmp_path / "other", "--link", "--snapshot", 2)
    assert counts(tmp_path / "other")["images"] == 1
    dvo("check", tmp_path / "other", "--deep")


def test_photcode_set(catdir: Path):
    done = dvo_json("photcode", "set", catdir, "SYNTH.g.C00", "zero=24.5", "airmass=-0.1")
    assert (done["photcode"]["zero_point"], done["photcode"]["airmass_slope"]) == (24.5, 0.1)
    assert done["changed"]
    assert done["n_objects"] > 0
    assert "just so already" in dvo("photcode", "set", catdir, "SYNTH.g.C00", "zero=24.5")
    assert "is set; means of" in dvo("photcode", "set", catdir, "SYNTH.g.C00", "zero=25")
    assert "KEY=VALUE" in dvo("photcode", "set", catdir, "SYNTH.g.C00", "zero", code=2)
    assert " 25.0 -0.1 " in dvo("photcode", "list", catdir)


def test_files_are_replaced_only_when_asked(catdir: Path, tmp_path: Path):
    path = tmp_path / "found.csv"
    words = ("cone", catdir, *FIELDS["edge"], 300, "-o", path)
    dvo(*words)
    before = path.read_bytes()
    path.write_bytes(b"x")
    with pytest.raises(StorageError, match="say --overwrite"):
        dvo_command([str(w) for w in words], standalone_mode=False)
    assert path.read_bytes() == b"x"
    for more in (("--overwrite", *words[5:]), (*words[5:], "--overwrite")):
        path.write_bytes(b"x")
        dvo(*words[:5], *more)
        assert path.read_bytes() == before
    codes = tmp_path / "codes.txt"
    dvo("photcode", "export", catdir, codes)
    dvo("photcode", "export", catdir, codes, "--overwrite")
    with pytest.raises(StorageError, match="say --overwrite"):
        dvo_command(["photcode", "export", str(catdir), str(codes)], standalone_mode=False)
