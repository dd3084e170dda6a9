"""Surveys of three epochs, as databases of their own, merged: counts against brute force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, InputImage, RefSource
from dvo.ingest.photcodes import add_photcode
from dvo.ingest.report import AddstarOptions
from dvo.merge.merge import MergeOptions, merge
from dvo.partition.check import check
from dvo.partition.store import Store
from dvo.proper_motion import epoch_to_mjd, move_to_epoch
from dvo.tables.photcode import PhotClass
from tests import synth
from tools.brute_merge import Catalog, make_catalog, merge_by_force

FIELDS = Path(__file__).resolve().parents[3] / "shared" / "data" / "four_surveys"
RADIUS = 1.5

# Columns of the fields of each survey: epoch [yr], position error [arcsec] (a number, or a
# column in mas), motions [mas/yr] and their errors.
SURVEYS: dict[str, tuple[float, Any, tuple[str, ...]]] = {
    "gaia_dr3_bright": (2016.0, 0.001, ()),
    "hip2": (1991.25, "era", ("pmra", "pmdec", "epmra", "epmde")),
    "bigsky_tycho1": (2000.0, 0.1, ("ra_mas_per_year", "dec_mas_per_year")),
    "tycho2": (2000.0, 0.06, ()),
}
MOTIONS = ("u_ra", "u_dec", "u_ra_err", "u_dec_err")


def make_source(name: str, epoch: float, columns: dict[str, Any], error: Any) -> InputImage:
    """A catalog; columns are ra, dec and some of the motions."""
    n = len(columns["ra"])
    made = {"det_id": np.arange(n, dtype=np.uint32), "mag": np.full(n, 9.0, np.float32)}
    made |= {key: columns[key].astype(np.float32) for key in MOTIONS if key in columns}
    errors = np.full(n, error, np.float32)
    found = Detections(columns["ra"].copy(), columns["dec"].copy(), made, errors, errors.copy())
    meta = RefSource(f"{name}.V", float(epoch_to_mjd(epoch)), name, name.rjust(32, "0"))
    return InputImage(meta, found, {})


def as_catalog(source: InputImage) -> Catalog:
    found, meta = source.detections, source.meta
    assert isinstance(meta, RefSource)
    unknown = np.full(len(found), np.nan)
    pm = [found.columns.get(key, unknown).astype(float) for key in MOTIONS]
    assert found.ra_err is not None
    return make_catalog(
        found.ra, found.dec, 2000.0 + (meta.epoch_mjd - 51544.5) / 365.25,
        found.ra_err.astype(float), pm_ra=pm[0], pm_dec=pm[1],
        pm_error=np.sqrt((pm[2] ** 2 + pm[3] ** 2) / 2),
    )  # fmt: skip


def merged_counts(folder: Path, sources: Sequence[InputImage], level: int) -> list[int]:
    """Objects after each survey, every one a database of its own that is taken in."""
    counts = []
    target = synth.make_database(folder / "merged", level)
    with Store(target, writable=True) as store:
        for source in sources:
            part = synth.make_database(folder / source.meta.name, 3)
            with Store(part, writable=True) as small:
                add_photcode(small, source.meta.photcode, PhotClass.REF)
                addstar(small, [lambda s=source: [s]], AddstarOptions(radius_arcsec=RADIUS))
                merge(store, small, MergeOptions(radius_arcsec=RADIUS))
            counts.append(store.view().snapshot.counts["objects"])
        assert store.view().snapshot.counts["measures"] == sum(len(s.detections) for s in sources)
        assert check(store, deep=True).ok
    return counts


def brute_counts(sources: Sequence[InputImage]) -> list[int]:
    whole = as_catalog(sources[0])
    counts = [len(whole)]
    for source in sources[1:]:
        whole, _ = merge_by_force(whole, as_catalog(source), RADIUS)
        counts.append(len(whole))
    return counts


def synthetic(field: str) -> list[InputImage]:
    """1500 stars with motions of up to 2 arcsec a year, in three surveys of different years."""
    rng = np.random.default_rng(["pole", "wrap", "plain"].index(field))
    n = 1500
    dec = {"pole": 90 - 2 * np.sqrt(rng.random(n)), "wrap": rng.uniform(-1, 1, n)}.get(
        field, rng.uniform(40, 42, n)
    )
    ra = {"pole": rng.uniform(0, 360, n), "wrap": rng.uniform(-1, 1, n) % 360}.get(
        field, rng.uniform(100, 102, n)
    )
    pm = rng.normal(0, 100, (2, n)) * rng.choice([0.0, 1.0, 5.0], n)
    sources = []
    for name, epoch, error, share in (("new", 2016.0, 0.002, 0.0), ("old", 1991.25, 0.01, 1.0),
                                      ("mid", 2000.0, 0.1, 0.7)):  # fmt: skip
        seen = rng.random(n) < 0.8
        place = move_to_epoch(ra, dec, *pm, 2000.0, epoch)
        told = rng.random(n) < share
        noise = rng.normal(0, error / 3600, (2, n))
        columns = {
            "ra": (place[0] + noise[0] / np.cos(np.radians(place[1]))) % 360,
            "dec": np.clip(place[1] + noise[1], -90, 90),
        }
        if share:
            given = zip(MOTIONS, (*pm, np.ones(n), np.ones(n)), strict=True)
            columns |= {key: np.where(told, values, np.nan) for key, values in given}
        picked = {key: values[seen] for key, values in columns.items()}
        sources.append(make_source(name, epoch, picked, error))
    return sources


@pytest.mark.parametrize("field", ["pole", "wrap", "plain"])
def test_moving_stars_of_three_surveys(tmp_path: Path, field: str) -> None:
    sources = synthetic(field)
    assert merged_counts(tmp_path, sources, 4) == brute_counts(sources)


@pytest.mark.parametrize("field", ["npole", "pleiades", "ra_wrap"])
def test_real_fields(tmp_path: Path, field: str) -> None:
    if not FIELDS.is_dir():
        pytest.skip("no ../shared/data/four_surveys here")
    sources = []
    for name, (epoch, error, motions) in SURVEYS.items():
        table = pq.read_table(FIELDS / f"{field}_{name}.parquet")
        columns = {key: table[key].to_numpy().astype(float) for key in ("ra", "dec")}
        columns |= {key: table[column].to_numpy(zero_copy_only=False).astype(float)
                    for key, column in zip(MOTIONS, motions, strict=False)}  # fmt: skip
        errors = table[error].to_numpy() / 1e3 if isinstance(error, str) else error
        sources.append(make_source(name, epoch, columns, errors))
    got, expected = merged_counts(tmp_path, sources, 4), brute_counts(sources)
    assert np.array_equal(got, expected), (got, expected)
