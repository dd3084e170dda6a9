"""How HATS cuts the sky: against plain counting, and what margins must hold."""

from __future__ import annotations

from pathlib import Path

import healpy
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from dvo.errors import ConfigError
from dvo.exchange.hats.margin import _neighbours, find_margin, margin_order, uniq, uniq_pixel
from dvo.exchange.hats.shards import Shards
from dvo.exchange.hats.tiling import ORDER, RowCounts, Tiling, cut_sky, healpix_29, pixel_size
from dvo.sphere import separation

PLACES = [(0.0, 0.0), (359.999, 41.8), (45.0, 41.8103), (123.0, 90.0), (10.0, -89.99), (180.0, 5.0)]
"""Nothing special, RA 0, a corner of base pixels, the poles."""


def field(seed: int, place: tuple[float, float], size_deg: float, n: int) -> tuple[NDArray, ...]:
    """Positions about a place, evenly over a square."""
    rng = np.random.default_rng(seed)
    dec = np.clip(place[1] + rng.uniform(-1, 1, n) * size_deg, -90, 90)
    ra = (
        place[0] + rng.uniform(-1, 1, n) * size_deg / np.maximum(np.cos(np.radians(dec)), 1e-6)
    ) % 360
    return ra, dec


def tiling_of(places: NDArray, max_rows: int, finest: int = 10) -> Tiling:
    counts = RowCounts(finest)
    for piece in np.array_split(places, 3):
        counts.add(piece)
    return cut_sky(counts, max_rows)


@given(
    seed=st.integers(0, 2**31),
    place=st.sampled_from(PLACES),
    size=st.sampled_from([1e-4, 0.1, 3.0, 60.0]),
    n=st.integers(1, 400),
    max_rows=st.sampled_from([1, 7, 50, 1000]),
)
def test_pixels_are_as_large_as_they_may_be(seed, place, size, n, max_rows):
    places = healpix_29(*field(seed, place, size, n))
    found = tiling_of(places, max_rows)
    assert found.n_rows.sum() == n
    assert (found.starts[1:] >= found.stops[:-1]).all(), "pixels overlap, or are out of order"
    for order, pixel, n_rows in zip(found.orders, found.pixels, found.n_rows, strict=True):
        inside = places >> 2 * (ORDER - order) == pixel
        assert np.count_nonzero(inside) == n_rows > 0
        assert n_rows <= max_rows or order == 10
        # It is the smallest pixel around its rows …
        if order < 10:
            assert len(np.unique(places[inside] >> 2 * (ORDER - order - 1))) > 1
        # … and its parents hold too many, or no others.
        for k in range(order):
            around = places >> 2 * (ORDER - k) == pixel >> 2 * (order - k)
            assert np.count_nonzero(around) > max_rows or np.count_nonzero(around) == n_rows


def test_counting_in_pieces_changes_nothing(rng, monkeypatch):
    places = healpix_29(*field(1, (20.0, 30.0), 20.0, 5000))
    at_once = RowCounts(8)
    at_once.add(places)
    pieces = RowCounts(8)
    for piece in np.array_split(places, 40):
        pieces.add(piece)
        pieces._n_held = 10**9  # as after very many cells
    for one, two in zip(at_once.totals(), pieces.totals(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_no_rows_need_no_pixels():
    assert len(cut_sky(RowCounts(10), 100)) == 0


@given(
    seed=st.integers(0, 2**31),
    place=st.sampled_from(PLACES),
    threshold=st.sampled_from([1.0, 5.0, 60.0]),
)
def test_pairs_across_an_edge_meet_in_a_margin(seed, place, threshold):
    """Whatever lies within the threshold of a row of another pixel is in that pixel's margin."""
    n = 300
    ra, dec = field(seed, place, 25 * threshold / 3600.0, n)
    places = healpix_29(ra, dec)
    order = margin_order(threshold)
    tiling = tiling_of(places, 20, finest=order - 1)
    rows, targets = find_margin(places, tiling, order)
    found = set(zip(rows.tolist(), targets.tolist(), strict=True))
    assert len(found) == len(rows), "a row stands twice in a margin"
    own = np.searchsorted(tiling.starts, places, "right") - 1
    numbers = uniq(tiling.orders[own], tiling.pixels[own])
    assert all(numbers[row] != target for row, target in found)
    i, j = np.triu_indices(n, 1)
    near = separation(ra[i], dec[i], ra[j], dec[j]) * 3600.0 <= threshold
    for a, b in [*zip(i[near], j[near], strict=True), *zip(j[near], i[near], strict=True)]:
        if numbers[a] != numbers[b]:
            assert (int(a), int(numbers[b])) in found


@given(seed=st.integers(0, 2**31), place=st.sampled_from(PLACES))
def test_margins_are_kept_for_empty_sky_too(seed, place):
    """A place without rows that is near to one finds it in the margin of its empty pixel."""
    threshold = 5.0
    ra, dec = field(seed, place, 0.02, 100)
    places = healpix_29(ra, dec)
    tiling = tiling_of(places, 5)
    rows, targets = find_margin(places, tiling, margin_order(threshold))
    probe_ra, probe_dec = field(seed + 1, place, 0.03, 300)
    probes = healpix_29(probe_ra, probe_dec)
    k = np.searchsorted(tiling.starts, probes, "right") - 1
    is_empty = (k < 0) | (probes >= tiling.stops[np.maximum(k, 0)])
    margins: dict[int, set[int]] = {}
    for row, target in zip(rows.tolist(), targets.tolist(), strict=True):
        margins.setdefault(target, set()).add(row)
    pixels = {number: uniq_pixel(number) for number in margins}
    for p in np.flatnonzero(is_empty):
        n = len(ra)
        far = separation(np.full(n, probe_ra[p]), np.full(n, probe_dec[p]), ra, dec) * 3600.0
        for row in np.flatnonzero(far <= threshold):
            around = [
                number
                for number, (order, pixel) in pixels.items()
                if probes[p] >> 2 * (ORDER - order) == pixel
            ]
            assert any(int(row) in margins[number] for number in around)


@given(order=st.integers(0, 29), share=st.floats(0, 1, exclude_max=True))
def test_pixel_numbers_tell_order_and_pixel(order, share):
    pixel = int(share * 12 * 4**order)
    assert uniq_pixel(int(uniq(order, pixel))) == (order, pixel)


def test_places_are_those_of_healpy(rng):
    ra, dec = rng.uniform(0, 360, 50), rng.uniform(-90, 90, 50)
    np.testing.assert_array_equal(
        healpix_29(ra, dec), healpy.ang2pix(2**29, ra, dec, nest=True, lonlat=True)
    )
    assert healpix_29(ra[:0], dec[:0]).shape == (0,)


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan, 1e7])
def test_impossible_margins_are_refused(threshold):
    with pytest.raises(ConfigError, match="give a width above 0"):
        margin_order(threshold)


def test_margins_are_no_wider_than_they_must_be():
    for threshold in (0.5, 5.0, 60.0, 1000.0):
        order = margin_order(threshold)
        assert pixel_size(order) >= threshold > pixel_size(order + 1)


@pytest.mark.parametrize("budget", [0, 4000, 10**9])
def test_heaps_on_disk_are_heaps(tmp_path: Path, rng: np.random.Generator, budget: int) -> None:
    names = ("place", "word", "vector")
    shards = Shards(tmp_path / "rows", names, budget)
    every: dict[int, list[dict[str, NDArray]]] = {}
    for k in rng.integers(0, 5, 60).tolist():
        n = int(rng.integers(1, 30))
        piece = {
            "place": rng.integers(0, 10**6, n),
            "word": rng.choice(np.array([b"g", b"longer"]), n),
            "vector": rng.random((n, 2)),
        }
        heap = shards.add(k, piece)
        every.setdefault(k, []).append(piece)
        assert heap.n_rows == sum(len(p["place"]) for p in every[k])
    assert bool(list(tmp_path.rglob("*.rows"))) == (budget < 10**9)
    assert sorted(shards.keys()) == sorted(every)
    for k, pieces in every.items():
        found = shards.take(k).join("place")
        expected = {n: np.concatenate([p[n] for p in pieces]) for n in names}
        assert (np.diff(found["place"]) >= 0).all()
        one, two = (np.lexsort((t["vector"][:, 0], t["place"])) for t in (found, expected))
        for n in names:
            np.testing.assert_array_equal(found[n][one], expected[n][two])
    assert not list(tmp_path.rglob("*.rows")), "files stay behind"


@given(order=st.integers(1, 19), seed=st.integers(0, 2**31))
def test_neighbours_are_those_of_healpy(order, seed):
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 12 << 2 * order, 200)
    ours = np.sort(_neighbours(cells, order), axis=0)
    theirs = np.sort(healpy.get_all_neighbours(1 << order, cells, nest=True), axis=0)
    np.testing.assert_array_equal(ours, theirs)
