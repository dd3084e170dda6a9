"""Scripts in the language of the original shell run as they are, and give the right numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dvo

HERE = Path(__file__).with_name("opihi")
PROGRAMS = Path(sys.executable).parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opihi")
    for line in (
        "ipp-sim survey night --n-exp 10 --density 1500 --seed 7",
        "dvo init sky --level 3 --filters g,r,i,z,y",
        "dvo photcode import sky night/photcodes.txt",
    ):
        words = line.split()
        subprocess.run([PROGRAMS / words[0], *words[1:]], cwd=folder, check=True)
    files = sorted(str(p) for p in (folder / "night" / "smf").glob("*.smf"))
    subprocess.run([PROGRAMS / "addstar", "sky", *files], cwd=folder, check=True)
    return folder / "sky"


@pytest.fixture
def run(sky, tmp_path):
    """Run a script as a user would; gives what it checked, by name, and where it ran."""
    for script in HERE.glob("*.dvo"):
        (tmp_path / script.name).write_bytes(script.read_bytes())

    def go(name):
        done = subprocess.run(
            [PROGRAMS / "dvo", "shell", sky, "-f", f"{name}.dvo"],
            cwd=tmp_path, capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line.split() for line in done.stdout.splitlines()]
        return {words[1]: words[2:] for words in lines if words[:1] == ["check"]}, done.stdout

    return go


@pytest.fixture(scope="module")
def db(sky):
    with dvo.open(sky) as found:
        yield found


def columns(table):
    return [np.asarray(table[name].to_numpy()) for name in table.column_names]


def assert_picture(path):
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5000


def test_colours(run, db, tmp_path):
    found, _ = run("colours")
    g, r, n = columns(db.box(56, 57, 23.5, 24.5, columns=["g", "r", "nmeasure"]))
    rows = (r < 16) & (n > 2)
    colour = (g - r)[rows]
    assert found["stars"] == [str(rows.sum())]
    assert float(found["colour"][0]) == pytest.approx(np.nanmedian(colour), rel=1e-6)
    assert found["red"] == [str((colour > 0.8).sum())]
    assert found["measures"][0] == found["measures"][1]
    assert_picture(tmp_path / "colours.png")


def test_residuals(run, db):
    found, said = run("residuals")
    assert said.startswith("usage: sigclip")
    half = np.degrees(np.arcsin(np.sin(np.radians(0.5)) / np.cos(np.radians(24.1))))
    for band in "gri":
        names = [f"{band}:rel", f"{band}:ave"]
        rel, ave = columns(db.box(56.75 - half, 56.75 + half, 23.6, 24.6, table="measure",
                                  columns=names))  # fmt: skip
        off = (rel.astype(float) - ave)[np.isfinite(rel) & np.isfinite(ave)]
        assert found[f"before_{band}"] == [str(len(off))]
        for _ in range(3):
            off = off[np.abs(off - off.mean()) <= 3 * off.std()]
        assert float(found[f"scatter_{band}"][0]) == pytest.approx(off.std(), rel=1e-4)
        assert f"filter {band} is good" in said


def test_images(run, db, tmp_path):
    found, said = run("images")
    images = db.images().to_pandas()
    codes = [p.code for p in db.photcodes if p.equiv == db.photcodes.get("r").code]
    of_r = images[images.photcode.isin(codes)]
    assert float(found["mcal"][0]) == pytest.approx(of_r.mcal_psf.mean(), rel=1e-6)
    assert found["low"] == [str((images.secz < 1.3).sum())]
    assert 0 < int(found["seen"][0]) < len(images)
    assert "outside" not in said
    assert int(found["near"][0]) > int(found["seen"][0])
    assert_picture(tmp_path / "images.png")


def test_match(run, db):
    found, _ = run("match")
    ra, dec, n = columns(db.box(56.65, 56.85, 24.0, 24.2, columns=["ra", "dec", "nmeasure"]))
    inside = (ra > 56.65) & (ra < 56.85) & (dec > 24.0) & (dec < 24.2)
    assert found["places"] == [str(inside.sum())]
    assert found["matched"] == found["measures"] == [str(n[inside].sum())]
    assert 0 < int(found["of_chip"][0]) < int(found["measures"][0])
    assert 1.0 < float(found["airmass"][0]) < 3.0


def test_curve(run, tmp_path):
    found, said = run("curve")
    for k in range(3):
        points, counted = found[f"points_{k}"]
        assert points == counted
        assert f"star {k}: {points} points in 0." in said
    assert_picture(tmp_path / "curve.png")


def test_language(run):
    found, said = run("language")
    assert "there should be nothing" not in said
    assert found == {
        "sum": ["5"], "a": ["7"], "ref": ["5"], "z": ["5", "14.25"], "factorial": ["720"],
        "joined": ["start,g,r,z"], "n": ["6"], "bins": ["5", "4"],
    }  # fmt: skip


def test_every_script_has_a_test():
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {p.stem for p in HERE.glob("*.dvo")} - {"macros"} <= tested
