"""Indices of variability against plain Python from their definitions, and on constant stars."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import dvo
from dvo.cli.variability import variability as command
from dvo.errors import PhotcodeError, QueryError
from dvo.partition.store import Store
from dvo.variability.kernels import index_objects
from tests.synth import add_images, make_database, make_images

_WINDOW = 1.0


def indices(objects, n_filters, *, window=_WINDOW, least=2):
    """The kernel on a list of objects, each a list of (filter, mag, error, rank, time)."""
    rows = [row for rows in objects for row in sorted(rows, key=lambda r: r[4])]
    edges = np.cumsum([0, *map(len, objects)]).astype(np.int64)
    columns = list(zip(*rows, strict=True)) or [()] * 5
    band, mag, error, rank, time = columns
    by_filter, of_all = np.empty((len(objects), n_filters, 8)), np.empty((len(objects), 4))
    index_objects(
        edges, np.array(band, np.int64), np.array(mag, float), np.array(error, float),
        np.array(rank, np.uint8), np.array(time, float), window, least, by_filter, of_all,
    )  # fmt: skip
    return by_filter, of_all


def plain_indices(rows, n_filters, window, least):
    """The same from the definitions, for one object."""
    rows = sorted(rows, key=lambda r: r[4])
    by_filter, kept = [], []
    chi2_all = squares_all = steps_all = freedom = 0
    for band in range(n_filters):
        mine = [r for r in rows if r[0] == band and math.isfinite(r[1]) and r[2] > 0]
        mine = [r for r in mine if r[3] == min(s[3] for s in mine)]
        n = len(mine)
        if n < least:
            by_filter.append([0] + [math.nan] * 7)
            continue
        mags = [r[1] for r in mine]
        weights = [1 / r[2] ** 2 for r in mine]
        mean = np.average(mags, weights=weights)
        chi2 = sum(((r[1] - mean) / r[2]) ** 2 for r in mine)
        robust = mean
        for _ in range(20):
            delta = [math.sqrt(n / (n - 1)) * (r[1] - robust) / r[2] for r in mine]
            w = [a / (1 + (d / 2) ** 2) for a, d in zip(weights, delta, strict=True)]
            robust, before = np.average(mags, weights=w), robust
            if abs(robust - before) < 1e-7:
                break
        pairs = [(r[4], math.sqrt(n / (n - 1)) * (r[1] - robust) / r[2]) for r in mine]
        kept += pairs
        squares = n * np.var(mags)
        steps = sum((b - a) ** 2 for a, b in itertools.pairwise(mags))
        p = np.percentile(mags, [0, 5, 10, 90, 95, 100])
        by_filter.append([n, mean, chi2 / (n - 1), plain_j(pairs, window),
                          squares / steps if steps > 0 else math.nan,
                          p[5] - p[0], p[4] - p[1], p[3] - p[2]])  # fmt: skip
        chi2_all, freedom = chi2_all + chi2, freedom + n - 1
        squares_all, steps_all = squares_all + squares, steps_all + steps
    if not kept:
        return by_filter, [0] + [math.nan] * 3
    return by_filter, [len(kept), chi2_all / freedom, plain_j(kept, window),
                       squares_all / steps_all if steps_all > 0 else math.nan]  # fmt: skip


def plain_j(measures, window):
    left = sorted(measures)
    above = total = 0.0
    while left:
        group = [m for m in left if m[0] - left[0][0] <= window]
        left = left[len(group) :]
        n = len(group)
        if n == 1:
            terms = [(0.5, group[0][1] ** 2 - 1)]
        else:
            terms = [(2 / n, a[1] * b[1]) for k, a in enumerate(group) for b in group[k + 1 :]]
        for w, p in terms:
            above += w * math.copysign(math.sqrt(abs(p)), p)
            total += w
    return above / total


@st.composite
def objects(draw):
    times = draw(st.lists(st.integers(0, 60), max_size=14, unique=True))
    # 3 does not divide a window of 1 into steps that are whole: no pair lies on its edge.
    # Two groups of equal weight have two robust means: offsets of their own tell them apart.
    return [
        (draw(st.integers(0, 1)), draw(st.sampled_from([math.nan, 15.0, 15.1, 15.35, 16.2]))
         + 0.0113 * math.sqrt(k), draw(st.sampled_from([0.0, 0.01, 0.03, 0.1])),
         draw(st.integers(0, 1)), t / 3.5)
        for k, t in enumerate(times)
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(objects(), min_size=1, max_size=3), st.integers(2, 4))
def test_indices_are_those_of_their_definitions(made, least):
    by_filter, of_all = indices(made, 2, least=least)
    for j, rows in enumerate(made):
        plain_by_filter, plain_of_all = plain_indices(rows, 2, _WINDOW, least)
        np.testing.assert_allclose(by_filter[j], plain_by_filter, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(of_all[j], plain_of_all, rtol=1e-5, atol=1e-6)


def constant_stars(rng, n_stars, n):
    """Stars of two filters, n pairs each a day apart, with errors that are right."""
    error = rng.uniform(0.01, 0.05, (n_stars, 2, n))
    mag = 15.0 + error * rng.standard_normal(error.shape)
    return [
        [(f, mag[j, f, k], error[j, f, k], 0, 10.0 * k + 0.5 * f) for f in (0, 1) for k in range(n)]
        for j in range(n_stars)
    ]


def test_constant_stars_give_no_false_alarms(rng):
    n_stars, n = 3000, 20
    by_filter, of_all = indices(constant_stars(rng, n_stars, n), 2)
    # Chi-square has just the distribution of the textbook, of one filter and of both.
    assert stats.kstest((n - 1) * by_filter[:, 0, 2], stats.chi2(n - 1).cdf).pvalue > 1e-3
    assert stats.kstest(2 * (n - 1) * of_all[:, 1], stats.chi2(2 * (n - 1)).cdf).pvalue > 1e-3
    far = of_all[:, 1] > stats.chi2(2 * (n - 1)).isf(0.01) / (2 * (n - 1))
    assert 0.004 < far.mean() < 0.017
    # J of independent pairs is 0 on average, with the scatter of sqrt|P|.
    assert abs(of_all[:, 2].mean()) < 0.015
    assert of_all[:, 2].std() == pytest.approx(math.sqrt(2 / math.pi / n), rel=0.1)
    # von Neumann: E(eta) = 2 n / (n - 1) with this normalisation of both sums.
    assert np.median(by_filter[:, 0, 4]) == pytest.approx(0.5, abs=0.03)


def test_what_varies_together_in_both_filters_is_found(rng):
    stars = constant_stars(rng, 400, 20)
    for j in range(200):
        stars[j] = [(f, m + 0.05 * math.sin(0.07 * t + j), e, r, t) for f, m, e, r, t in stars[j]]
    _, of_all = indices(stars, 2)
    assert np.median(of_all[:200, 2]) > np.quantile(of_all[200:, 2], 0.99)
    assert np.median(of_all[:200, 3]) > np.quantile(of_all[200:, 3], 0.99)


def test_triples_have_three_pairs_of_two_thirds():
    rows = [(0, 15.0, 0.1, 0, 0.0), (0, 15.1, 0.1, 0, 0.1), (0, 15.3, 0.1, 0, 0.2)]
    by_filter, _ = indices([rows], 1)
    expected, _ = plain_indices(rows, 1, _WINDOW, 2)
    assert by_filter[0, 0, 3] == pytest.approx(expected[0][3])
    apart, _ = indices([rows], 1, window=0.01)
    assert apart[0, 0, 3] != pytest.approx(expected[0][3])


@pytest.fixture
def sky(tmp_path):
    made = make_database(tmp_path / "sky")
    with Store(made, writable=True) as store:
        add_images(store, make_images(5, 60, 12))
    return made


def test_database_gives_what_its_measures_say(sky):
    with dvo.open(sky) as db:
        found = db.variability(least_measures=4, window_s=86401.0).to_pylist()
        columns = ["cat_id", "obj_id", "photcode_name", "mag:rel", "mag_err", "mjd"]
        measures = [row for batch in db.scan("measure", columns) for row in batch.to_pylist()]
    for row in found:
        mine = [
            ("gr".index(m["photcode_name"].split(".")[1]), m["mag:rel"], m["mag_err"], 0,
             86400 * m["mjd"])
            for m in measures if (m["cat_id"], m["obj_id"]) == (row["cat_id"], row["obj_id"])
        ]  # fmt: skip
        by_filter, of_all = plain_indices(mine, 2, 86401.0, 4)
        values = [row[f"{f}:{n}"] for f in "gr" for n in ("n", "mean", "chi2", "stetson_j")]
        for value, expected in zip(values, [v for f in by_filter for v in f[:4]], strict=True):
            assert math.isnan(expected) if value is None else value == pytest.approx(
                expected, rel=1e-3, abs=1e-3)  # fmt: skip
        assert row["stetson_j"] == pytest.approx(of_all[2], rel=1e-3, abs=1e-3)
    assert len(found) > 50


def test_area_and_filters_choose(sky):
    with dvo.open(sky) as db:
        whole = db.variability()
        ra, dec = whole["ra"][0].as_py(), whole["dec"][0].as_py()
        one = db.variability(area=(ra, dec, 2.0), filters=["g"])
        assert one.num_rows == 1
        assert one["g:n"][0].as_py() == whole["g:n"][0].as_py()
        assert "r:n" not in one.column_names
        with pytest.raises(PhotcodeError, match="there are: g, r"):
            db.variability(filters=["q"])
        with pytest.raises(QueryError, match="2 or more"):
            db.variability(least_measures=1)
        with pytest.raises(QueryError, match="psf, ap, kron"):
            db.variability(kind="petro")
        assert db.variability(least_measures=100).num_rows == 0


def test_command(sky, tmp_path):
    run = CliRunner().invoke(command, [str(sky), "--json", "--least-measures", "4"])
    assert run.exit_code == 0, run.output
    rows = json.loads(run.stdout)
    path = tmp_path / "out.parquet"
    run = CliRunner().invoke(
        command, [str(sky), "--least-j", "0", "--least-measures", "4", "-o", str(path)]
    )
    assert run.exit_code == 0, run.output
    import pyarrow.parquet as pq

    assert pq.read_table(path).num_rows == sum(row["stetson_j"] > 0 for row in rows) > 0
    table = CliRunner().invoke(command, [str(sky), "--least-measures", "4"])
    assert len(table.output.splitlines()) == len(rows) + 2  # names, units
    assert CliRunner().invoke(command, [str(sky), "--json", "-f", "csv"]).exit_code == 2
