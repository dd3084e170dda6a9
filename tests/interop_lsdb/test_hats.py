"""LSDB opens our collections, finds all rows and all matches; we read what LSDB writes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dvo
from dvo.exchange.described_table import as_survey, describe, sources_of
from dvo.exchange.extract import Extract
from dvo.exchange.hats.export import HatsOptions, export_hats
from dvo.exchange.selection import select
from dvo.ingest.addstar import addstar
from dvo.ingest.photcodes import add_survey_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.partition.store import Store
from dvo.sphere import separation
from tests import synth

PYTHON = os.environ.get("DVO_LSDB_PYTHON", "")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="issue 3: LSDB has an environment of its own: make interop-lsdb"
)
READER = Path(__file__).with_name("reader.py")
FIELDS = ["edge", "wrap", "pole"]


def lsdb(task: str, *words: Any) -> Any:
    done = subprocess.run(
        [PYTHON, READER, task, *map(str, words)], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def catdirs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two databases of the same stars, seen at other times."""
    folder = tmp_path_factory.mktemp("databases")
    paths = []
    for k in range(2):
        path = synth.make_database(folder / f"sky{k}")
        with Store(path, writable=True) as store:
            for i, field in enumerate(FIELDS):
                images = synth.make_images(10 + i, 150, 4, field, first=4 * i)
                synth.add_images(store, images[2 * k : 2 * k + 2])
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def collections(catdirs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("collections")
    for k, catdir in enumerate(catdirs):
        # Small pixels with many edges; those of the two do not agree.
        options = HatsOptions(max_rows=30 + 40 * k, margin_arcsec=5.0)
        with Store(catdir) as store:
            extract = select(store, store.view(), "object", with_position=True)
            export_hats(extract, folder / f"stars{k}", options)
    return [folder / f"stars{k}" for k in range(2)]


def values_of(catdir: Path, table: str = "object") -> tuple[Extract, dict[str, Any]]:
    with Store(catdir) as store:
        extract = select(store, store.view(), table, with_position=True)
        pieces = [extract.read(g) for g in extract.groups()]
    return extract, {n: np.concatenate([p[n] for p in pieces]) for n in extract.names}


def test_collections_are_strictly_valid(catdirs: list[Path], collections: list[Path]) -> None:
    _, values = values_of(catdirs[0])
    found = lsdb("validate", collections[0])
    assert found["is_valid"]
    assert found["warnings"] == ["Looking for catalog - found collection."]
    assert found["type"] == "object"
    assert found["rows"] == found["skymap"] == len(values["ra"])
    assert found["pixels"] > 10
    assert found["margins"] == ["stars0_margin_5arcsec"]


@pytest.mark.parametrize("table", ["object", "measure", "secfilt"])
def test_all_rows_and_values_are_there(catdirs: list[Path], tmp_path: Path, table: str) -> None:
    extract, ours = values_of(catdirs[0], table)
    with Store(catdirs[0]) as store:
        again = select(store, store.view(), table, with_position=True)
        export_hats(again, tmp_path / "out", HatsOptions(max_rows=100))
    found = lsdb("rows", tmp_path / "out", tmp_path / "rows.parquet")
    assert found["rows"] == found["computed"] == len(ours["ra"])
    assert found["index"] == "_healpix_29"
    assert found["margin"] is not None
    theirs = pq.read_table(tmp_path / "rows.parquet")
    keys = {"object": ["ext_id"], "measure": ["det_id", "image_id"],
            "secfilt": ["filter", "ext_id"]}[table]  # fmt: skip
    plain = {n: theirs[n].to_numpy(zero_copy_only=False) for n in extract.names}
    rank = np.lexsort([plain[k].astype(str) if k == "filter" else plain[k] for k in keys])
    order = np.lexsort([ours[k].astype(str) if k == "filter" else ours[k] for k in keys])
    for column in extract.columns:
        mine = ours[column.name][order]
        if column.like.dtype[0] == "S":
            assert plain[column.name][rank].tolist() == np.char.decode(mine, "ascii").tolist()
        elif column.like.dtype[0] == "f":
            there = np.array(plain[column.name][rank], column.like.dtype)
            np.testing.assert_array_equal(there, mine, column.name)
        else:
            null = column.like.is_null(mine)
            there = np.array([v is None or v != v for v in plain[column.name][rank].tolist()])
            np.testing.assert_array_equal(there, null, column.name)
            known = plain[column.name][rank][~null].astype(column.like.dtype)
            np.testing.assert_array_equal(known, mine[~null], column.name)


def test_matches_across_pixels_are_found(
    catdirs: list[Path], collections: list[Path], tmp_path: Path
) -> None:
    """Nearest neighbours within 1 arcsec, by LSDB with our margins and by brute force."""
    n = lsdb("crossmatch", *collections, 1.0, tmp_path / "pairs.parquet")
    (_, one), (_, two) = (values_of(c) for c in catdirs)
    expected = set()
    for i in range(len(one["ra"])):
        size = len(two["ra"])
        far = separation(
            np.full(size, one["ra"][i]), np.full(size, one["dec"][i]), two["ra"], two["dec"]
        )
        j = int(far.argmin())
        if far[j] * 3600.0 <= 1.0:
            expected.add((int(one["ext_id"][i]), int(two["ext_id"][j])))
    found = pq.read_table(tmp_path / "pairs.parquet")
    pairs = zip(found["ext_id_a"].to_pylist(), found["ext_id_b"].to_pylist(), strict=True)
    assert set(pairs) == expected
    assert n == len(expected) > 300


def test_cones_find_what_ours_find(catdirs: list[Path], collections: list[Path]) -> None:
    with dvo.open(catdirs[0]) as db:
        for ra, dec in [(112.5, 15.0), (0.02, 7.5), (359.99, 7.4), (40.0, 89.6)]:
            ours = db.cone(ra, dec, 500.0, columns=["ext_id"]).num_rows
            assert lsdb("cone", collections[0], ra, dec, 500.0) == ours > 0


def test_units_and_ucds_are_there(catdirs: list[Path], collections: list[Path]) -> None:
    extract, _ = values_of(catdirs[0])
    found = lsdb("units", collections[0] / "stars0")
    assert list(found) == ["_healpix_29", *extract.names]
    for column in extract.columns:
        unit, ucd = found[column.name]
        assert unit.replace(" ", "") == column.like.unit
        assert ucd == column.like.ucd


def test_empty_margins_and_single_pixels_open(catdirs: list[Path], tmp_path: Path) -> None:
    from dvo.partition.bounds import Box

    with Store(catdirs[0]) as store:
        extract = select(store, store.view(), "object", area=Box(112.3, 112.31, 14.8, 15.2),
                         with_position=True)  # fmt: skip
        report = export_hats(extract, tmp_path / "few", HatsOptions())
    assert report.more["margin_rows"] == 0
    assert lsdb("validate", tmp_path / "few")["is_valid"]
    assert lsdb("rows", tmp_path / "few", tmp_path / "r.parquet")["rows"] == report.rows > 0


def test_a_catalog_that_lsdb_wrote_comes_in(
    catdirs: list[Path], collections: list[Path], tmp_path: Path
) -> None:
    lsdb("write", collections[0], tmp_path / "again")
    table = describe("hats", tmp_path / "again")
    survey = as_survey(table, "PS1")
    other = synth.make_database(tmp_path / "sky", 2)
    with Store(other, writable=True) as store:
        add_survey_photcodes(store, survey)
        report = addstar(store, sources_of(table, survey), AddstarOptions())
    _, ours = values_of(catdirs[0])
    assert report.n_detections == len(ours["ra"])
    with dvo.open(other) as db:
        found = pa.Table.from_batches(list(db.scan("measure", ["mag", "photcode_name"])))
    mine = pa.compute.equal(found["photcode_name"], "PS1.g")
    there = np.sort(found.filter(mine)["mag"].to_numpy())
    np.testing.assert_array_equal(there, np.sort(ours["g_mag"][np.isfinite(ours["g_mag"])]))
