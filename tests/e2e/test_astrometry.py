"""relastro on a simulated survey whose astrometry was disturbed: images, objects, and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dvo.partition.manifest import ALL_SKY
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE

BIN = Path(sys.executable).parent


def run(*words):
    done = subprocess.run(
        [BIN / str(words[0]), *map(str, words[1:])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("astrometry")
    run("ipp-sim", "survey", folder / "sim", "--n-exp", 14, "--density", 3000, "--seed", 5)
    catdir = folder / "sky"
    run("dvo", "init", catdir, "--level", 3, "--filters", "g,r,i,z,y")
    run("dvo", "photcode", "import", catdir, folder / "sim" / "photcodes.txt")
    run("addstar", catdir, *sorted((folder / "sim" / "smf").glob("*.smf")))
    return catdir


def scatter_mas(catdir):
    """Of measures about the means of their objects, robustly, in declination."""
    found = []
    with Store(catdir) as store:
        view = store.view()
        for region in view.regions():
            average = view.read(AVERAGE, region, ["dec"])
            measure = view.read(MEASURE, region, ["dec", "ave_ref", "mag_err"])
            counts = np.bincount(measure["ave_ref"], minlength=len(average))
            some = (counts[measure["ave_ref"]] > 4) & (measure["mag_err"] < 0.02)
            found.append((measure["dec"] - average["dec"][measure["ave_ref"]])[some])
    off = np.concatenate(found) * 3.6e6
    return 1.4826 * float(np.median(np.abs(off - np.median(off))))


def disturb(catdir, folder, rng):
    """Turn and shift the chips of each exposure by up to half an arcsec."""
    import pandas as pd

    with Store(catdir) as store:
        images = store.view().read(IMAGE, ALL_SKY)
    chips = np.flatnonzero(np.char.endswith(images["ctype"], b"WRP"))
    table = {n: images[n][chips].copy() for n in ("crval1", "crval2", "pc1_2", "pc2_1")}
    table["image_id"] = images["image_id"][chips]
    _, exposure = np.unique(images["parent_id"][chips], return_inverse=True)
    for name in ("crval1", "crval2"):
        table[name] += rng.normal(0, 1.0, exposure.max() + 1)[exposure]  # pixels
        table[name] += rng.normal(0, 0.3, len(chips))
    for name in ("pc1_2", "pc2_1"):
        table[name] += rng.normal(0, 1e-4, len(chips))
    path = folder / "disturbed.parquet"
    pd.DataFrame(table).to_parquet(path)
    return path


def test_disturbed_images_come_back(sky, tmp_path):
    run("relastro", sky)
    before = scatter_mas(sky)
    run("setastrom", sky, disturb(sky, tmp_path, np.random.default_rng(3)))
    disturbed = scatter_mas(sky)
    assert disturbed > 5 * before
    said = json.loads(run("relastro", sky, "--images", "--json"))
    assert said["is_converged"]
    assert said["n_images"] > 100
    assert said["n_refused"] == 0
    after = scatter_mas(sky)
    assert after < 1.03 * before
    run("dvo", "check", sky, "--deep")
    again = json.loads(run("relastro", sky, "--images", "--json"))
    assert again["median_shift_mas"] is None or again["median_shift_mas"] < 0.1 * before
