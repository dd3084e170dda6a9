"""Compiled loops over the measures of stars: robust means, and normal equations without stars.

A measure of a star is ``y = m + sum_i c_i p_i + noise``: the star's own magnitude m, and a few
terms, each a parameter with a coefficient. Terms of no parameter have the number -1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dvo.jit import kernel, kernel_part

__all__ = [
    "CAUCHY",
    "MASK_SHARE",
    "count_factor",
    "eliminate_stars",
    "factorise",
    "invert_selected",
    "quadratic_forms",
    "subtract_terms",
    "weigh_measures",
]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

CAUCHY = 2.385
"""Residual in units of its error at which a measure has half its weight."""

MASK_SHARE = 0.3
"""Share of its weight below which a measure counts as masked, as in the original."""

_MOST_ROUNDS = 10
_CLOSE = 1e-6


@kernel
def subtract_terms(y: F64, index: I32, coefficient: F64, values: F64, out: F64) -> None:
    """Magnitudes less their terms.

    Parameters
    ----------
    y : ndarray of float64, shape (n,)
        Magnitudes [mag].
    index : ndarray of int32, shape (n, k)
        Parameter of each term; -1 for none.
    coefficient : ndarray of float64, shape (n, k)
        Its coefficient.
    values : ndarray of float64, shape (n_parameters,)
        The parameters.
    out : ndarray of float64, shape (n,)
        Receives ``y - sum c p`` [mag].
    """
    for i in range(y.size):
        left = y[i]
        for j in range(index.shape[1]):
            if index[i, j] >= 0:
                left -= coefficient[i, j] * values[index[i, j]]
        out[i] = left


@kernel_part
def _robust_mean(first: int, last: int, y: F64, weight: F64) -> float:
    """Mean of the measures of a star by Cauchy weights; they start from the plain mean."""
    total, mean = 0.0, 0.0
    for i in range(first, last):
        total += weight[i]
        mean += weight[i] * y[i]
    if total <= 0.0:
        return np.nan
    mean /= total
    for _ in range(_MOST_ROUNDS):
        above, total = 0.0, 0.0
        for i in range(first, last):
            w = weight[i] / (1.0 + (y[i] - mean) ** 2 * weight[i] / CAUCHY**2)
            above += w * y[i]
            total += w
        step = above / total - mean
        mean += step
        if abs(step) < _CLOSE:
            break
    return mean


@kernel
def weigh_measures(
    edges: I64,
    y: F64,
    weight: F64,
    is_robust: bool,
    most_chi2: float,
    out: F64,
    mean: F64,
    chi2: F64,
    sums: F64,
) -> None:
    """Weigh the measures of stars by how far they lie from the mean of theirs.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_stars + 1,)
        Where the measures of each star begin, and where the last ones end.
    y : ndarray of float64, shape (n,)
        Magnitudes less their terms [mag].
    weight : ndarray of float64, shape (n,)
        1 / sigma**2 of each [1/mag**2]; 0 for those that do not count.
    is_robust : bool
        Whether weights fall with the residual, as Cauchy's; else they stay as they are.
    most_chi2 : float
        Reduced chi-square above which a star does not count, with all its measures.
    out : ndarray of float64, shape (n,)
        Receives the weights.
    mean, chi2 : ndarray of float64, shape (n_stars,)
        Receive the mean of each star and its reduced chi-square; NaN if it has none.
    sums : ndarray of float64, shape (7,)
        Is added to, for the stars that count: measures, stars, the measures that keep more
        than 0.3 of their weight and their chi-square, and the sums of psi**2, of the
        derivative of psi and of weight over weight that scale the errors of a robust fit
        (Huber 1981, section 7.6).
    """
    for star in range(edges.size - 1):
        first, last = edges[star], edges[star + 1]
        centre = np.nan
        n = 0
        for i in range(first, last):
            out[i] = 0.0
            n += weight[i] > 0.0
        mean[star], chi2[star] = np.nan, np.nan
        if n < 2:  # one measure says nothing of any parameter
            continue
        if is_robust:
            centre = _robust_mean(first, last, y, weight)
        else:
            above, total = 0.0, 0.0
            for i in range(first, last):
                above += weight[i] * y[i]
                total += weight[i]
            centre = above / total
        kept, squares, robust, psi, slope, share = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(first, last):
            if weight[i] <= 0.0:
                continue
            t = (y[i] - centre) ** 2 * weight[i]
            u = 1.0 / (1.0 + t / CAUCHY**2) if is_robust else 1.0
            out[i] = u * weight[i]
            if u > MASK_SHARE:
                kept += 1
                squares += t
            robust += u * t
            psi += u * u * t
            slope += u * u * (1.0 - t / CAUCHY**2) if is_robust else 1.0
            share += u
        mean[star], chi2[star] = centre, robust / share * n / (n - 1)
        if chi2[star] > most_chi2:
            for i in range(first, last):
                out[i] = 0.0
            continue
        sums[0] += n
        sums[1] += 1
        sums[2] += kept
        sums[3] += squares
        sums[4] += psi
        sums[5] += slope
        sums[6] += share


@kernel_part
def _add_products(
    first: int, last: int, number: I32, share: F64, factor: float, matrix: F64
) -> None:
    """Add the product of each two of some shares, times a factor, below the diagonal."""
    for e in range(first, last):
        p, s = number[e], share[e] * factor
        for f in range(first, e):
            q = number[f]
            # Two terms of one parameter stand on the diagonal twice.
            matrix[max(p, q), min(p, q)] += s * share[f] if p != q else 2.0 * s * share[f]
        matrix[p, p] += s * share[e]


@kernel_part
def _joined(n: int, number: I32, share: F64, place: I32) -> int:
    """Add up the shares of each parameter; gives how many there are. place: -1 before and after."""
    m = 0
    for e in range(n):
        p = number[e]
        at = place[p]
        if at < 0:
            place[p] = m
            number[m], share[m] = p, share[e]
            m += 1
        else:
            share[at] += share[e]
    for e in range(m):
        place[number[e]] = -1
    return m


@kernel
def eliminate_stars(
    edges: I64,
    y: F64,
    weight: F64,
    index: I32,
    coefficient: F64,
    matrix: F64,
    right: F64,
) -> None:
    """Add the normal equations of stars, their own magnitudes eliminated.

    With A the coefficients and W the weights of a star's measures, its share is
    ``A^T W A - A^T W 1 1^T W A / sum W``, and ``A^T W (y - mean)`` on the right
    (Padmanabhan et al. 2008, section 2).

    Parameters
    ----------
    edges : ndarray of int64, shape (n_stars + 1,)
        Where the measures of each star begin, and where the last ones end.
    y : ndarray of float64, shape (n,)
        Magnitudes less their terms [mag].
    weight : ndarray of float64, shape (n,)
        Their weights [1/mag**2]; measures without weight are passed over.
    index : ndarray of int32, shape (n, k)
        Parameter of each term, counted among those of `matrix`; -1 for none.
    coefficient : ndarray of float64, shape (n, k)
        Its coefficient.
    matrix : ndarray of float64, shape (n_parameters, n_parameters)
        Is added to, on and below the diagonal.
    right : ndarray of float64, shape (n_parameters,)
        Is added to.
    """
    k = index.shape[1]
    most = 0
    for star in range(edges.size - 1):
        most = max(most, edges[star + 1] - edges[star])
    number = np.empty(most * k, np.int32)
    share = np.empty(most * k)
    place = np.full(right.size, -1, np.int32)
    for star in range(edges.size - 1):
        total, above = 0.0, 0.0
        for i in range(edges[star], edges[star + 1]):
            total += weight[i]
            above += weight[i] * y[i]
        if total <= 0.0:
            continue
        mean = above / total
        n = 0
        for i in range(edges[star], edges[star + 1]):
            w = weight[i]
            if w <= 0.0:
                continue
            off = w * (y[i] - mean)
            begin = n
            for j in range(k):
                if index[i, j] < 0:
                    continue
                c = coefficient[i, j]
                number[n], share[n] = index[i, j], w * c
                right[index[i, j]] += off * c
                n += 1
            _add_products(begin, n, number, share, 1.0 / w, matrix)
        if k > 1:  # nights and cells come again in the measures of a star, images do not
            n = _joined(n, number, share, place)
        _add_products(0, n, number, share, -1.0 / total, matrix)


@kernel
def count_factor(starts: I64, rows: I64, parent: I64, counts: I64) -> None:
    """Find the elimination tree of a symmetric matrix, and how many entries its factor has.

    Parameters
    ----------
    starts : ndarray of int64, shape (n + 1,)
        Where each column begins in `rows`, and where the last one ends.
    rows : ndarray of int64, shape (m,)
        Rows of the entries above the diagonal and on it, any order.
    parent : ndarray of int64, shape (n,)
        Receives the parent of each column; -1 for roots.
    counts : ndarray of int64, shape (n,)
        Receives the entries of each column of the factor, below the diagonal.
    """
    n = parent.size
    seen = np.empty(n, np.int64)
    for k in range(n):
        parent[k], counts[k], seen[k] = -1, 0, k
        for at in range(starts[k], starts[k + 1]):
            i = rows[at]
            while i < k and seen[i] != k:
                if parent[i] < 0:
                    parent[i] = k
                counts[i] += 1
                seen[i] = k
                i = parent[i]


@kernel
def factorise(
    starts: I64, rows: I64, values: F64, parent: I64, begins: I64, row: I64, factor: F64, pivot: F64
) -> None:
    """Factorise a symmetric matrix, ``A = L D L^T`` (the algorithm LDL of Davis 2005, TOMS 31).

    Parameters
    ----------
    starts, rows : ndarray of int64
        As of `count_factor`.
    values : ndarray of float64, shape (m,)
        The entries.
    parent : ndarray of int64, shape (n,)
        The elimination tree.
    begins : ndarray of int64, shape (n + 1,)
        Where each column of L begins, and where the last one ends.
    row, factor : ndarray, shape (begins[-1],)
        Receive the rows of the entries of L below the diagonal, ascending, and the entries.
    pivot : ndarray of float64, shape (n,)
        Receives D.
    """
    n = parent.size
    filled = begins[:-1].copy()
    seen, pattern, path = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    work = np.zeros(n)
    for k in range(n):
        top = n
        seen[k] = k
        for at in range(starts[k], starts[k + 1]):
            i = rows[at]
            if i > k:
                continue
            work[i] += values[at]
            length = 0
            while seen[i] != k:
                path[length] = i
                length += 1
                seen[i] = k
                i = parent[i]
            while length > 0:
                length -= 1
                top -= 1
                pattern[top] = path[length]
        pivot[k] = work[k]
        work[k] = 0.0
        for at in range(top, n):
            i = pattern[at]
            value = work[i]
            work[i] = 0.0
            for e in range(begins[i], filled[i]):
                work[row[e]] -= factor[e] * value
            share = value / pivot[i]
            pivot[k] -= share * value
            row[filled[i]] = k
            factor[filled[i]] = share
            filled[i] += 1


@kernel
def invert_selected(
    begins: I64, row: I64, factor: F64, pivot: F64, inverse: F64, diagonal: F64
) -> None:
    """Entries of the inverse where the factor has entries (Takahashi et al. 1973).

    Parameters
    ----------
    begins, row, factor, pivot : ndarray
        As of `factorise`.
    inverse : ndarray of float64, shape (begins[-1],)
        Receives the entries of the inverse at the places of those of the factor.
    diagonal : ndarray of float64, shape (n,)
        Receives its diagonal.
    """
    n = pivot.size
    place = np.full(n, -1, np.int64)
    sums = np.empty(n)
    for back in range(n):
        j = n - 1 - back
        first, last = begins[j], begins[j + 1]
        for e in range(first, last):
            place[row[e]] = e - first
            sums[e - first] = 0.0
        for e in range(first, last):
            i = row[e]
            sums[e - first] += diagonal[i] * factor[e]
            for other in range(begins[i], begins[i + 1]):
                at = place[row[other]]
                if at >= 0:
                    sums[e - first] += inverse[other] * factor[first + at]
                    sums[at] += inverse[other] * factor[e]
        total = 1.0 / pivot[j]
        for e in range(first, last):
            inverse[e] = -sums[e - first]
            total += factor[e] * sums[e - first]
            place[row[e]] = -1
        diagonal[j] = total


@kernel
def quadratic_forms(
    edges: I64,
    column: I64,
    value: F64,
    begins: I64,
    row: I64,
    inverse: F64,
    diagonal: F64,
    out: F64,
) -> None:
    """Take ``s C s^T`` of sparse rows s, C being an inverse of which some entries are known.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_rows + 1,)
        Where each s begins, and where the last one ends.
    column : ndarray of int64, shape (m,)
        Columns of its entries.
    value : ndarray of float64, shape (m,)
        The entries.
    begins, row, inverse, diagonal : ndarray
        As of `invert_selected`.
    out : ndarray of float64, shape (n_rows,)
        Receives the forms; NaN where an entry is wanted that is not known.
    """
    for r in range(out.size):
        total = 0.0
        for a in range(edges[r], edges[r + 1]):
            total += value[a] ** 2 * diagonal[column[a]]
            for b in range(edges[r], a):
                low, high = min(column[a], column[b]), max(column[a], column[b])
                at = begins[low] + np.searchsorted(row[begins[low] : begins[low + 1]], high)
                if at < begins[low + 1] and row[at] == high:
                    total += 2.0 * value[a] * value[b] * inverse[at]
                else:
                    total = np.nan
        out[r] = total
