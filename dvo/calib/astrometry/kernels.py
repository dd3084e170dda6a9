"""Compiled loops of astrometry: places, motions and parallaxes of objects from their measures.

A fit of an object has up to five unknowns: its place on a plane about it, its motion, its
parallax. Each measure is two equations,

    x = x0 + ux t + p fx        y = y0 + uy t + p fy

with t the time since the mean epoch of the object and (fx, fy) the parallax factors.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.calib.kernels import CAUCHY, MASK_SHARE
from dvo.jit import kernel, kernel_part

__all__ = ["FOUND", "N_FOUND", "fit_objects", "offsets_from", "parallax_factors"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
U8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]

FOUND = (
    "x", "ux", "y", "uy", "par", "x_err", "ux_err", "y_err", "uy_err", "par_err",
    "chi2_ave", "chi2_pm", "chi2_par", "epoch", "range", "n_used", "kind", "fitted",
    "rounds", "squares",
)  # fmt: skip
"""What a fit gives: place and motion [arcsec, arcsec/yr], parallax [arcsec], errors, chi-squares
of the three models (NaN: not fitted), mean epoch and time between the first and the last
measure [yr], measures used and not masked, the model kept (-1 none, 0 mean, 1 motion, 2 parallax),
bits of the models fitted (1, 2, 4; 8: a motion that cannot be), rounds, and the sum of the squared
residuals of the measures used [arcsec^2]."""

N_FOUND = 20

_AVE, _PM, _PAR = 0, 1, 2
_BAD_PM = 8
_MOST_ROUNDS = 20
_STILL = 1e-2  # of the error of the mean
_ARCSEC = 3600.0 * 180.0 / math.pi
_YEAR_S = 31557600.0
_LEAST_RESAMPLES = 20
_N = 5


@kernel
def offsets_from(edges: I64, ra: F64, dec: F64, ra0: F64, dec0: F64, x: F64, y: F64) -> None:
    """Project the measures of objects onto planes about them (SIN, as the original does).

    Parameters
    ----------
    edges : ndarray of int64, shape (n_objects + 1,)
        Where the measures of each object begin, and where the last ones end.
    ra, dec : ndarray of float64, shape (n,)
        Measured positions [deg].
    ra0, dec0 : ndarray of float64, shape (n_objects,)
        Where the plane of each touches the sky [deg].
    x, y : ndarray of float64, shape (n,)
        Receive offsets to the east and north [arcsec].
    """
    degree = math.pi / 180.0
    for g in range(len(edges) - 1):
        sin0, cos0 = math.sin(dec0[g] * degree), math.cos(dec0[g] * degree)
        for i in range(edges[g], edges[g + 1]):
            east = (ra[i] - ra0[g]) * degree
            half = math.sin(0.5 * east)
            cos_dec = math.cos(dec[i] * degree)
            x[i] = cos_dec * math.sin(east) * _ARCSEC
            # Written as a difference: no digits are lost where offsets are small.
            north = math.sin((dec[i] - dec0[g]) * degree)
            y[i] = (north + 2.0 * cos_dec * sin0 * half * half) * _ARCSEC
            if cos0 < 0.0:  # beyond a pole: cannot be
                x[i] = math.nan


@kernel
def parallax_factors(
    edges: I64, ra: F64, dec: F64, days: F64, from_earth: Bool, first: float, step: float,
    earth: F64, fx: F64, fy: F64,
) -> None:  # fmt: skip
    """Parallax factors of the measures of objects.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_objects + 1,)
        Where the measures of each object begin, and where the last ones end.
    ra, dec : ndarray of float64, shape (n_objects,)
        Where each object is, ICRS [deg].
    days : ndarray of float64, shape (n,)
        Times of the measures [d].
    from_earth : ndarray of bool, shape (n,)
        Which were seen from the Earth; those of others are 0.
    first, step : float
        Time of the first row of `earth`, and the time from one to the next [d].
    earth : ndarray of float64, shape (m, 3)
        Barycentric places of the Earth, ICRS [AU].
    fx, fy : ndarray of float64, shape (n,)
        Receive the shifts in ra times cos(dec) and in dec, in units of the parallax.
    """
    degree = math.pi / 180.0
    for g in range(len(edges) - 1):
        sin_a, cos_a = math.sin(ra[g] * degree), math.cos(ra[g] * degree)
        sin_d, cos_d = math.sin(dec[g] * degree), math.cos(dec[g] * degree)
        for i in range(edges[g], edges[g + 1]):
            fx[i], fy[i] = 0.0, 0.0
            if not from_earth[i]:
                continue
            place = (days[i] - first) / step
            k = min(max(int(place), 0), len(earth) - 2)
            part = place - k
            x = earth[k, 0] + part * (earth[k + 1, 0] - earth[k, 0])
            y = earth[k, 1] + part * (earth[k + 1, 1] - earth[k, 1])
            z = earth[k, 2] + part * (earth[k + 1, 2] - earth[k, 2])
            fx[i] = x * sin_a - y * cos_a
            fy[i] = (x * cos_a + y * sin_a) * sin_d - z * cos_d


@kernel_part
def _solved(matrix: F64, right: F64, m: int) -> bool:
    """Solve by Cholesky, in place: `right` becomes the solution, `matrix` its factor."""
    for j in range(m):
        total = matrix[j, j]
        scale = total
        for k in range(j):
            total -= matrix[j, k] * matrix[j, k]
        if not total > 1e-12 * scale:
            return False
        matrix[j, j] = math.sqrt(total)
        for i in range(j + 1, m):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total / matrix[j, j]
    for i in range(m):
        total = right[i]
        for k in range(i):
            total -= matrix[i, k] * right[k]
        right[i] = total / matrix[i, i]
    for i in range(m - 1, -1, -1):
        total = right[i]
        for k in range(i + 1, m):
            total -= matrix[k, i] * right[k]
        right[i] = total / matrix[i, i]
    return True


@kernel_part
def _normal(
    kind: int, n: int, at: I64, count: I64, share: F64, x: F64, y: F64, sigma: F64, t: F64,
    mean: float, fx: F64, fy: F64, matrix: F64, right: F64,
) -> int:  # fmt: skip
    """Set up the normal equations; unknowns are x0 [ux] y0 [uy] [p]. Gives how many."""
    w0, wt, wtt = 0.0, 0.0, 0.0
    wx, wy, wxt, wyt = 0.0, 0.0, 0.0, 0.0
    wf, wg, wft, wgt, wff, wfx = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        i = at[k]
        w = share[k] * count[k] / (sigma[i] * sigma[i])
        w0 += w
        wx += w * x[i]
        wy += w * y[i]
        if kind >= _PM:
            dt = t[i] - mean
            wt += w * dt
            wtt += w * dt * dt
            wxt += w * dt * x[i]
            wyt += w * dt * y[i]
            if kind == _PAR:
                wf += w * fx[i]
                wg += w * fy[i]
                wft += w * dt * fx[i]
                wgt += w * dt * fy[i]
                wff += w * (fx[i] * fx[i] + fy[i] * fy[i])
                wfx += w * (fx[i] * x[i] + fy[i] * y[i])
    if kind == _AVE:
        matrix[0, 0], matrix[1, 0], matrix[1, 1] = w0, 0.0, w0
        right[0], right[1] = wx, wy
        return 2
    for first in (0, 2):
        matrix[first, first], matrix[first + 1, first], matrix[first + 1, first + 1] = w0, wt, wtt
    matrix[2, 0], matrix[2, 1], matrix[3, 0], matrix[3, 1] = 0.0, 0.0, 0.0, 0.0
    right[0], right[1], right[2], right[3] = wx, wxt, wy, wyt
    if kind == _PM:
        return 4
    matrix[4, 0], matrix[4, 1], matrix[4, 2], matrix[4, 3], matrix[4, 4] = wf, wft, wg, wgt, wff
    right[4] = wfx
    return 5


@kernel_part
def _spread_out(kind: int, right: F64, fit: F64) -> None:
    """Put the unknowns of a model where those of the full one are: x ux y uy p."""
    for k in range(_N):
        fit[k] = 0.0
    if kind == _AVE:
        fit[0], fit[2] = right[0], right[1]
    else:
        for k in range(4):
            fit[k] = right[k]
        if kind == _PAR:
            fit[4] = right[4]


@kernel_part
def _errors(kind: int, factor: F64, column: F64, m: int, fit: F64) -> None:
    """Errors of the unknowns from the factor of their normal matrix, put as `_spread_out` does."""
    for k in range(m):
        # A column of the inverse of the factor; its square is the variance.
        total = 0.0
        for i in range(m):
            value = 1.0 if i == k else 0.0
            for j in range(k, i):
                value -= factor[i, j] * column[j]
            column[i] = value / factor[i, i] if i >= k else 0.0
            total += column[i] * column[i]
        place = 2 * k if kind == _AVE else k
        fit[place] = math.sqrt(total)


@kernel_part
def _weigh(
    n: int, at: I64, share: F64, x: F64, y: F64, sigma: F64, t: F64, mean: float,
    fx: F64, fy: F64, fit: F64,
) -> float:  # fmt: skip
    """Cauchy's weights of the residuals, of both axes together; gives their mean."""
    total = 0.0
    for k in range(n):
        i = at[k]
        dt = t[i] - mean
        east = x[i] - fit[0] - fit[1] * dt - fit[4] * fx[i]
        north = y[i] - fit[2] - fit[3] * dt - fit[4] * fy[i]
        r2 = 0.5 * (east * east + north * north) / (sigma[i] * sigma[i])
        share[k] = 1.0 / (1.0 + r2 / (CAUCHY * CAUCHY))
        total += share[k]
    return total / n


@kernel
def fit_objects(
    edges: I64,
    x: F64,
    y: F64,
    sigma: F64,
    t: F64,
    fx: F64,
    fy: F64,
    highest: int,
    limits: F64,
    n_resamples: int,
    seeds: U64,
    found: F64,
    used: U8,
) -> None:
    """Fit mean place, motion and parallax of each object, robustly; keep the highest that can be.

    A motion needs 5 measures over 0.25 yr, a parallax 7 and factors that range over 0.2 (as in the
    original; `limits` has these numbers). Weights are Cauchy's; measures with less than 0.3 of
    the mean share are masked, and errors and chi-square are those of the others. A motion beyond
    4 arcsec/yr or a parallax beyond 2 arcsec is none, and the next lower model is kept.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_objects + 1,)
        Where the measures of each object begin, and where the last ones end.
    x, y : ndarray of float64, shape (n,)
        Offsets to the east and north [arcsec].
    sigma : ndarray of float64, shape (n,)
        Their errors [arcsec]; positive, infinite where a measure does not count.
    t : ndarray of float64, shape (n,)
        Times [yr].
    fx, fy : ndarray of float64, shape (n,)
        Parallax factors.
    highest : int
        Highest model to fit: 0 mean, 1 motion, 2 parallax.
    limits : ndarray of float64, shape (7,)
        Measures for a motion, for a parallax, years, range of parallax factors, greatest motion
        [arcsec/yr], greatest parallax [arcsec], years below which no parallax is fitted.
    n_resamples : int
        Samples of the measures drawn for errors by bootstrap; 0 for formal errors alone.
    seeds : ndarray of uint64, shape (n_objects,)
        What the samples of each object are drawn from.
    found : ndarray of float64, shape (n_objects, N_FOUND)
        Receives what `FOUND` names.
    used : ndarray of uint8, shape (n,)
        Receives 0 for measures that do not count, 1 for masked ones, 2 for those used.
    """
    most = 1
    for g in range(len(edges) - 1):
        most = max(most, edges[g + 1] - edges[g])
    at, count = np.empty(most, np.int64), np.ones(most, np.int64)
    ones, share = np.ones(most), np.empty(most)
    kept, best = np.empty(most, np.int64), np.empty(most, np.int64)
    matrix, right, column = np.empty((_N, _N)), np.empty(_N), np.empty(_N)
    fit, error = np.empty(_N), np.empty(_N)
    sample = np.empty((max(1, n_resamples), _N))
    for g in range(len(edges) - 1):
        for k in range(N_FOUND):
            found[g, k] = math.nan
        found[g, 15], found[g, 16], found[g, 17] = 0.0, -1.0, 0.0
        found[g, 18], found[g, 19] = 0.0, 0.0
        n = 0
        total, mean = 0.0, 0.0
        first, last = math.inf, -math.inf
        fx0, fx1, fy0, fy1 = math.inf, -math.inf, math.inf, -math.inf
        for i in range(edges[g], edges[g + 1]):
            used[i] = 0
            if not sigma[i] < math.inf or not (math.isfinite(x[i]) and math.isfinite(y[i])):
                continue
            used[i] = 1
            at[n] = i
            n += 1
            w = 1.0 / (sigma[i] * sigma[i])
            total += w
            mean += w * (t[i] - t[at[0]])
            first, last = min(first, t[i]), max(last, t[i])
            fx0, fx1 = min(fx0, fx[i]), max(fx1, fx[i])
            fy0, fy1 = min(fy0, fy[i]), max(fy1, fy[i])
        if n == 0:
            continue
        # A whole second, which is what is stored.
        mean = math.floor((t[at[0]] + mean / total) * _YEAR_S + 0.5) / _YEAR_S
        span = last - first
        found[g, 13], found[g, 14] = mean, span
        top = _AVE
        if highest >= _PM and n >= limits[0] and span >= limits[2]:
            top = _PM
            reach = max(fx1 - fx0, fy1 - fy0)
            if highest >= _PAR and n >= limits[1] and reach >= limits[3] and span >= limits[6]:
                top = _PAR
        n_best, fitted = 0, 0
        for kind in range(top + 1):
            for k in range(n):
                share[k] = 1.0
            is_told = True
            for number in range(_MOST_ROUNDS):
                m = _normal(kind, n, at, count, share, x, y, sigma, t, mean, fx, fy, matrix, right)
                is_told = _solved(matrix, right, m)
                if not is_told:
                    break
                # How far the fit moved, in units of the error of the mean.
                _spread_out(kind, right, error)
                step = 0.0
                if number:
                    step = max(abs(error[0] - fit[0]), abs(error[2] - fit[2]),
                               abs(error[4] - fit[4]))  # fmt: skip
                    step = max(step, abs(error[1] - fit[1]) * span, abs(error[3] - fit[3]) * span)
                for k in range(_N):
                    fit[k] = error[k]
                middle = _weigh(n, at, share, x, y, sigma, t, mean, fx, fy, fit)
                found[g, 18] = max(found[g, 18], number + 1.0)
                if number and step * math.sqrt(total) < _STILL:
                    break
            if not is_told:
                continue
            n_kept, chi2, squares = 0, 0.0, 0.0
            for k in range(n):
                if share[k] < MASK_SHARE * middle:
                    continue
                i = at[k]
                kept[n_kept] = i
                n_kept += 1
                r2 = 2.0 * CAUCHY * CAUCHY * (1.0 / share[k] - 1.0)
                chi2 += r2
                squares += r2 * sigma[i] * sigma[i]
            m = _normal(kind, n_kept, kept, count, ones, x, y, sigma, t, mean, fx, fy, matrix,
                        right)  # fmt: skip
            if not _solved(matrix, right, m):
                continue
            found[g, 10 + kind] = chi2
            fitted |= 1 << kind
            if kind >= _PM and (math.hypot(fit[1], fit[3]) > limits[4] or abs(fit[4]) > limits[5]):
                fitted |= _BAD_PM
                continue
            fitted &= ~_BAD_PM
            for k in range(_N):
                error[k] = 0.0
            _errors(kind, matrix, column, m, error)
            for k in range(_N):
                found[g, k], found[g, 5 + k] = fit[k], error[k]
            found[g, 15], found[g, 16], found[g, 19] = n_kept, kind, squares
            n_best = n_kept
            for k in range(n_kept):
                best[k] = kept[k]
        found[g, 17] = fitted
        for k in range(n_best):
            used[best[k]] = 2
        kind = int(found[g, 16])
        if n_resamples and kind >= 0 and n_best > 1:
            _bootstrap(kind, n_best, best, count, ones, x, y, sigma, t, mean, fx, fy, matrix, right,
                       column, sample, n_resamples, seeds[g], found[g])  # fmt: skip
            for k in range(n_best):
                count[k] = 1


@kernel
def _bootstrap(
    kind: int, n: int, at: I64, count: I64, ones: F64, x: F64, y: F64, sigma: F64, t: F64,
    mean: float, fx: F64, fy: F64, matrix: F64, right: F64, fit: F64, sample: F64,
    n_resamples: int, seed: np.uint64, found: F64,
) -> None:  # fmt: skip
    """Errors from fits of samples with replacement: half of the central 68 %, if that is more."""
    state, drawn = seed, 0
    for _ in range(n_resamples):
        for k in range(n):
            count[k] = 0
        for _ in range(n):
            # SplitMix64 (Steele, Lea, Flood 2014).
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
            count[np.int64(z >> np.uint64(1)) % n] += 1
        m = _normal(kind, n, at, count, ones, x, y, sigma, t, mean, fx, fy, matrix, right)
        if _solved(matrix, right, m):
            _spread_out(kind, right, fit)
            for k in range(_N):
                sample[drawn, k] = fit[k]
            drawn += 1
    if drawn < _LEAST_RESAMPLES:
        return
    for k in range(_N):
        values = np.sort(sample[:drawn, k])
        low, high = values[int(0.16 * (drawn - 1))], values[int(0.84 * (drawn - 1) + 0.5)]
        found[5 + k] = max(found[5 + k], 0.5 * (high - low))
