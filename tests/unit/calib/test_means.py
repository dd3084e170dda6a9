"""Mean magnitudes against a slow scalar reading of the rules."""

from __future__ import annotations

import numpy as np
import pytest

from dvo.calib.photometry.kernels import MASKED, N_MEANS, USED, average_groups


def by_the_rules(mag, error, boost, rank):
    """Mean, error, scatter, chi-square, least, greatest, percentiles; used; rank; states."""
    state = ["unused"] * len(mag)
    known = [i for i in range(len(mag)) if np.isfinite(mag[i])]
    if not known:
        return [np.nan] * N_MEANS, 0, 255, state
    best = min(rank[i] for i in known)
    some = [i for i in known if rank[i] == best]

    def mean_with(share):
        weight = [boost[i] * share[i] / error[i] ** 2 for i in some]
        return sum(w * mag[i] for w, i in zip(weight, some, strict=True)) / sum(weight)

    share = dict.fromkeys(some, 1.0)
    mean = mean_with(share)
    for _ in range(10):
        share = {i: 1 / (1 + ((mag[i] - mean) / error[i] / 2.385) ** 2) for i in some}
        last, mean = mean, mean_with(share)
        if abs(mean - last) < 1e-6:
            break
    share = {i: 1 / (1 + ((mag[i] - mean) / error[i] / 2.385) ** 2) for i in some}
    limit = 0.3 * np.median(list(share.values()))
    kept = [i for i in some if share[i] >= limit]
    for i in some:
        state[i] = "used" if i in kept else "masked"
    off = np.array([mag[i] - mean for i in kept])
    sigma = np.array([error[i] for i in kept])
    n = len(kept)
    values = [mean, np.sum(sigma**-2.0) ** -0.5]
    values += [np.sqrt(np.sum(off**2) / (n - 1)), np.sum((off / sigma) ** 2) / (n - 1)] \
        if n > 1 else [np.nan, np.nan]  # fmt: skip
    magnitudes = [mag[i] for i in kept]
    values += [min(magnitudes), max(magnitudes), *np.percentile(magnitudes, [10, 20, 80, 90])]
    return values, n, best, state


@pytest.mark.parametrize("outliers", [0.0, 0.3])
def test_means_are_those_of_the_rules(rng, outliers):
    sizes = rng.integers(0, 12, 400)
    edges = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    n = int(edges[-1])
    rows = rng.permutation(n).astype(np.int64)
    error = rng.uniform(0.001, 0.05, n)
    mag = 18 + error * rng.normal(0, 1, n)
    mag[rng.random(n) < outliers] += rng.choice([-0.4, 0.7])
    mag[rng.random(n) < 0.1] = np.nan
    boost = rng.choice([1.0, 100.0], n)
    rank = rng.integers(0, 4, n).astype(np.uint8)
    means, n_used = np.empty((400, N_MEANS)), np.empty(400, np.uint32)
    best, state = np.empty(400, np.uint8), np.zeros(n, np.uint8)
    average_groups(edges, rows, mag, error, boost, rank, means, n_used, best, state)
    for g in range(400):
        at = rows[edges[g] : edges[g + 1]]
        values, count, lowest, states = by_the_rules(mag[at], error[at], boost[at], rank[at])
        np.testing.assert_allclose(means[g], values, rtol=0, atol=1e-6)
        assert (n_used[g], best[g]) == (count, lowest)
        names = {USED: "used", MASKED: "masked"}
        assert [names.get(s, "unused") for s in state[at]] == states


@pytest.mark.parametrize("outliers", ["uniform", "normal"])
def test_half_of_the_measures_may_be_outliers_as_in_the_table_of_the_original(rng, outliers):
    # Its authors' own test: with 100 good and 100 outliers plain means scatter 7.3 times as
    # much as those of the good ones alone, robust ones 1.33 times.
    n, size = 2000, 200
    mag = rng.normal(0, 1, (n, size))
    mag[:, 100:] = rng.uniform(-25, 25, (n, 100)) if outliers == "uniform" else \
        rng.normal(0, 14.6, (n, 100))  # fmt: skip
    mag = 0.02 * mag.ravel()
    edges = np.arange(0, n * size + 1, size).astype(np.int64)
    means, n_used = np.empty((n, N_MEANS)), np.empty(n, np.uint32)
    best, state = np.empty(n, np.uint8), np.zeros(n * size, np.uint8)
    average_groups(edges, np.arange(n * size), mag, np.full(n * size, 0.02), np.ones(n * size),
                   np.zeros(n * size, np.uint8), means, n_used, best, state)  # fmt: skip
    alone = 0.02 / np.sqrt(100)
    assert mag.reshape(n, size).mean(axis=1).std() / alone == pytest.approx(7.3, rel=0.1)
    assert means[:, 0].std() / alone == pytest.approx(1.33, rel=0.1)
    masked = (state == MASKED).reshape(n, size)
    assert masked[:, 100:].mean() > 0.7 > 0.1 > masked[:, :100].mean()
