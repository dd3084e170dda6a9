"""Tiles in memory: within the budget, and right for many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dvo.errors import CorruptTableError, StorageError
from dvo.partition import cache as cache_module
from dvo.partition import open_files as module
from dvo.partition.bounds import Cone
from dvo.partition.cache import TileCache
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.partition.tile_block import PieceRun
from dvo.tables.fits import Field, TableHDU, write_fits
from dvo.tables.measure import MEASURE
from dvo.tables.schema import Column
from tests.synth import filled_database

N_ROWS, TILE = 1000, 50


@pytest.fixture
def values(tmp_path, rng):
    """A column of twenty tiles, in a file called table."""
    found = rng.random(N_ROWS)
    field = Field.from_column(Column("x", "f8", ""))
    write_fits(tmp_path / "table", [TableHDU("T", (field,), {"x": found}, tile_rows=TILE)])
    return found


def open_cache(folder, n_tiles):
    return TileCache(folder, budget=n_tiles * TILE * 8, threads=1)


def test_rows_of_any_place(tmp_path, values, rng):
    cache = open_cache(tmp_path, 4)
    for _ in range(50):
        start, stop = np.sort(rng.integers(0, N_ROWS + 1, 2)).tolist()
        np.testing.assert_array_equal(cache.rows("table", ["x"], start, stop)["x"],
                                      values[start:stop])  # fmt: skip
        rows = np.flatnonzero(rng.random(N_ROWS) < rng.choice([0.01, 0.5]))
        places, found = rng.permutation(N_ROWS)[: len(rows)], {"x": np.zeros(N_ROWS)}
        once = bool(rng.random() < 0.5)
        cache.deal_out("table", ["x", "absent"], rows, places, found.__getitem__, once=once)
        expected = np.zeros(N_ROWS)
        expected[places] = values[rows]
        np.testing.assert_array_equal(found["x"], expected)
    cache.close()


def test_what_is_kept_is_no_more_than_allowed(tmp_path, values):
    """One tile of a long read must not hold the whole of it in memory."""
    cache = open_cache(tmp_path, 3)
    cache.rows("table", ["x"], 0, N_ROWS)
    arrays = [block.values for block in cache._tiles.values()]
    held = {id(v.base if v.base is not None else v): v.base if v.base is not None else v
            for v in arrays}  # fmt: skip
    assert 0 < sum(v.nbytes for v in held.values()) <= 3 * TILE * 8
    with pytest.raises(ValueError, match="read-only"):
        cache.rows("table", ["x"], 0, 10)["x"][0] = 1.0
    cache.close()


def test_what_is_read_once_is_not_kept_but_its_last_tile(tmp_path, values):
    cache, found = open_cache(tmp_path, 20), {"x": np.zeros(N_ROWS)}
    rows = np.arange(5 * TILE + 7, 9 * TILE + 3)
    cache.deal_out("table", ["x"], rows, rows, found.__getitem__, once=True)
    np.testing.assert_array_equal(found["x"][rows], values[rows])
    assert list(cache._tiles) == [("table", "x", 9)]


@pytest.mark.parametrize("once", [False, True])
def test_rows_that_do_not_ascend_are_refused_or_found(tmp_path, values, once):
    """Whatever a damaged manifest asks for, memory outside the tiles is never touched."""
    cache, found = open_cache(tmp_path, 20), {"x": np.zeros(N_ROWS)}
    rows = np.array([0, 700, 3, 480, 999])
    cache.deal_out("table", ["x"], rows, rows, found.__getitem__, once=once)
    np.testing.assert_array_equal(found["x"][rows], values[rows])
    with pytest.raises(CorruptTableError, match="has 1000 rows"):
        cache.deal_out("table", ["x"], np.array([5, 1000]), np.arange(2), found.__getitem__)
    with pytest.raises(CorruptTableError, match="has 1000 rows"):
        cache.deal_out("table", ["x"], np.array([-1, 5]), np.arange(2), found.__getitem__)


def test_many_threads_and_few_open_files(tmp_path, rng, monkeypatch):
    """A file is read to the end even if meanwhile others take its place among the open ones."""
    monkeypatch.setattr(module, "_MAX_OPEN", 2)
    field = Field.from_column(Column("x", "f8", ""))
    expected = [rng.random(N_ROWS) for _ in range(8)]
    for k, x in enumerate(expected):
        write_fits(tmp_path / str(k), [TableHDU("T", (field,), {"x": x}, tile_rows=TILE)])
    cache = open_cache(tmp_path, 3)

    def read(k):
        return all(
            np.array_equal(cache.rows(str(n % 8), ["x"], 0, N_ROWS)["x"], expected[n % 8])
            for n in range(k, k + 40)
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(4)))
    n_open = len(list(Path("/proc/self/fd").iterdir()))
    cache.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == n_open - 2


def test_threads_share_a_database(tmp_path, monkeypatch):
    """Files are closed and opened again all the time; nobody reads from a closed one."""
    from dvo.partition import writing

    monkeypatch.setattr(module, "_MAX_OPEN", 1)
    monkeypatch.setattr(writing, "TILE_ROWS", 16)
    catdir = filled_database(tmp_path / "sky", n_images=3)
    with Store(catdir, writable=True) as store:
        resort(store, own_file_rows=1)
    area = Cone(112.5, 15.0, 0.2)

    def count(store):
        view = store.view()
        found = [view.read_area(MEASURE, r, ["mag"], area) for r in view.regions(area)]
        return sum(map(len, found))

    with Store(catdir) as store, ThreadPoolExecutor(8) as pool:
        expected = count(store)
        assert expected > 0
        assert set(pool.map(lambda _: count(store), range(200))) == {expected}


def test_pieces_are_made_once_and_cut_to_the_rows(tmp_path, values, rng):
    cache, made = open_cache(tmp_path, 1000), []

    def make(tile):
        made.append(len(tile))
        return pa.array(tile)

    cache.rows("table", ["x"], 370, 430)  # which is in other blocks
    for k in range(30):
        start, stop = np.sort(rng.integers(0, N_ROWS + 1, 2)).tolist() if k else (0, N_ROWS)
        (found,) = cache.pieces([PieceRun("table", start, stop, {"x": make})])
        pieces = found["x"]
        found = np.concatenate([p.to_numpy() for p in pieces]) if pieces else values[:0]
        np.testing.assert_array_equal(found, values[start:stop])
    assert made == [N_ROWS]
    cache.close()


def test_what_is_made_of_tiles_goes_with_them(tmp_path, values):
    cache = open_cache(tmp_path, 3)
    for start in range(0, N_ROWS, TILE):
        cache.pieces([PieceRun("table", start, start + TILE, {"x": pa.array})])
    assert len(cache._blocks) == len(cache._tiles) == 3
    assert all(block.made is not None for block in cache._blocks)
    cache.close()


@pytest.mark.parametrize("budget", [3, 40, 300, 1000, 4000])
def test_tiles_that_are_read_together_go_together(tmp_path, values, rng, budget, monkeypatch):
    """No tile is in two blocks; whatever came before, pieces begin at the same rows."""
    monkeypatch.setattr(cache_module, "_BLOCK_ROWS", 7 * TILE + 3)
    cache = open_cache(tmp_path, budget)
    for _ in range(200):
        start, stop = np.sort(rng.integers(0, N_ROWS + 1, 2)).tolist()
        if rng.random() < 0.5:
            stop = min(stop, start + 2 * TILE)
        if rng.random() < 0.5:
            found = cache.rows("table", ["x"], start, stop)["x"]
        else:
            (pieces,) = cache.pieces([PieceRun("table", start, stop, {"x": pa.array})])
            found = np.concatenate([values[:0], *(p.to_numpy() for p in pieces["x"])])
            edges = [start, *range(start // 350 * 350 + 350, stop, 350), stop]
            sizes = [b - a for a, b in pairwise(edges) if a < b]
            assert [len(p) for p in pieces["x"]] == sizes
        np.testing.assert_array_equal(found, values[start:stop])
        if rng.random() < 0.05:  # as if there were no room
            cache._forget(next(iter(cache._blocks)))
        tiles = [t for b in cache._blocks for t in range(b.first, b.stop)]
        assert sorted(tiles) == sorted(t for _, _, t in cache._tiles)
        assert set(cache._tiles.values()) == set(cache._blocks)
        assert cache._n_bytes == sum(b.values.nbytes for b in cache._blocks) <= N_ROWS * 8
    cache.close()


def test_a_long_read_makes_few_blocks(tmp_path, values):
    cache = open_cache(tmp_path, 250)
    cache.rows("table", ["x"], 0, N_ROWS)
    assert len(cache._blocks) == 2  # of the 15 tiles that one may have
    cache.close()


def test_pieces_larger_than_the_budget_are_not_kept(tmp_path, values):
    cache = open_cache(tmp_path, 3)
    for _ in range(2):
        ((found,),) = (pieces["x"] for pieces in
                       cache.pieces([PieceRun("table", 0, N_ROWS, {"x": pa.array})]))  # fmt: skip
        np.testing.assert_array_equal(found.to_numpy(), values)
        assert sum(b.values.nbytes for b in cache._blocks) <= 3 * TILE * 8
    cache.close()


def test_what_is_used_again_and_again_stays(tmp_path, values):
    """Whether it is asked for as values or as what is made of them."""
    cache = open_cache(tmp_path, 3)
    first = PieceRun("table", 0, TILE, {"x": pa.array})
    cache.pieces([first])
    for k in range(1, N_ROWS // TILE):
        cache.pieces([first])
        cache.pieces([PieceRun("table", k * TILE, (k + 1) * TILE, {"x": pa.array})])
        assert cache._tiles["table", "x", 0].made is not None
    cache.close()


def test_columns_of_many_files_at_once(tmp_path, rng):
    """Those that are in memory and those that are not, in the order in which they are asked for."""
    columns = {}
    for k in range(8):
        found = {name: rng.random(TILE * (k + 1) + k) for name in "xy"}
        fields = tuple(Field.from_column(Column(name, "f8", "")) for name in "xy")
        write_fits(tmp_path / f"t{k}", [TableHDU("T", fields, found, tile_rows=TILE)])
        columns[f"t{k}"] = found
    cache = TileCache(tmp_path, budget=40 * TILE * 8, threads=3)
    for _ in range(20):
        runs = []
        for path in rng.permutation(list(columns))[:5].tolist():
            n_rows = len(columns[path]["x"])
            start, stop = np.sort(rng.integers(0, n_rows + 1, 2)).tolist()
            names = ["x"] if rng.random() < 0.3 else ["x", "y"]
            runs.append(PieceRun(path, start, stop, dict.fromkeys(names, pa.array)))
        for run, pieces in zip(runs, cache.pieces(runs), strict=True):
            assert list(pieces) == list(run.makes)
            for name, of in pieces.items():
                values = np.concatenate([np.zeros(0), *(p.to_numpy() for p in of)])
                expected = columns[run.path][name][run.start : run.stop]
                np.testing.assert_array_equal(values, expected)
    cache.close()


def test_a_file_that_is_read_stays_open(tmp_path, values, rng, monkeypatch):
    """However many others are opened meanwhile; it is closed when nobody reads it any more."""
    monkeypatch.setattr(module, "_MAX_OPEN", 1)
    long = rng.random(50_000)  # the beginning of a file is read when it is opened
    field = Field.from_column(Column("x", "f8", ""))
    write_fits(tmp_path / "long", [TableHDU("T", (field,), {"x": long}, tile_rows=1000)])
    files = module.OpenFiles(tmp_path)
    with files.use("long") as file:
        assert files.shape("table").n_rows == N_ROWS
        files.close()
        np.testing.assert_array_equal(file.read(["x"])["x"], long)
    with pytest.raises(StorageError):
        file.read(["x"])
