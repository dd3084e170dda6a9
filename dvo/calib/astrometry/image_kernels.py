"""Compiled loops of the joint solve for images: stars eliminated, products with what is left.

A measure k of star j on image i lies at

    place_k = seen_k + J_k C_i b_k

with b the ten Legendre products of its place on the chip, C (2 by 10) the correction of its image
in pixels, and J what a pixel is on the sky [arcsec]. The star says that it is at Z_k theta_j:
place, motion and parallax, with what is known of these beforehand. Every loop takes a star at a
time: its unknowns are eliminated, so the sums over stars are exact however the sky is cut.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dvo.calib.kernels import CAUCHY, MASK_SHARE
from dvo.jit import kernel, kernel_part

__all__ = [
    "N_BASIS",
    "add_blocks",
    "add_chi2",
    "add_products",
    "fit_stars",
    "moved_places",
    "places_without_noise",
]

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

N_BASIS = 10
_N = 5
_INNER_ROUNDS = 8
_FAR = 50.0  # chi-square of a measure beyond which it is taken for an outlier
_ARCSEC = 3600.0 * 180.0 / math.pi


@kernel_part
def _basis(s: float, t: float, out: F64) -> None:
    """Products of Legendre polynomials, in the order of `dvo.astrometry.polynomials.POWERS`."""
    s2, t2 = 1.5 * s * s - 0.5, 1.5 * t * t - 0.5
    out[0], out[1], out[2] = 1.0, s, t
    out[3], out[4], out[5] = s2, s * t, t2
    out[6], out[7] = (2.5 * s * s - 1.5) * s, s2 * t
    out[8], out[9] = s * t2, (2.5 * t * t - 1.5) * t


@kernel
def moved_places(
    image: I32,
    s: F64,
    t: F64,
    jacobian: F64,
    correction: F64,
    x: F64,
    y: F64,
    out_x: F64,
    out_y: F64,
) -> None:
    """Places of measures after corrections of their images.

    Parameters
    ----------
    image : ndarray of int32, shape (n,)
        Image of each measure; -1 for none.
    s, t : ndarray of float64, shape (n,)
        Places on the chip, -1 to 1.
    jacobian : ndarray of float64, shape (n, 2, 2)
        What a pixel is on the sky: east and north, by x and y [arcsec].
    correction : ndarray of float64, shape (n_images, 2, 10)
        Coefficients of the corrections [pix].
    x, y : ndarray of float64, shape (n,)
        Places as they are, on the plane of the star [arcsec].
    out_x, out_y : ndarray of float64, shape (n,)
        Receive the new ones [arcsec].
    """
    basis = np.empty(N_BASIS)
    for k in range(image.size):
        out_x[k], out_y[k] = x[k], y[k]
        i = image[k]
        if i < 0:
            continue
        _basis(s[k], t[k], basis)
        dx, dy = 0.0, 0.0
        for b in range(N_BASIS):
            dx += correction[i, 0, b] * basis[b]
            dy += correction[i, 1, b] * basis[b]
        out_x[k] += jacobian[k, 0, 0] * dx + jacobian[k, 0, 1] * dy
        out_y[k] += jacobian[k, 1, 0] * dx + jacobian[k, 1, 1] * dy


@kernel
def places_without_noise(
    image: I32, jacobian: F64, half: F64, base: F64, rx: F64, ry: F64, s: F64, t: F64,
    out_s: F64, out_t: F64,
) -> None:  # fmt: skip
    """Places on chips where the stars are, in place of where they were measured.

    A correction that depends on the measured place would multiply its error: all residuals shrink
    when the whole camera shrinks, and without reference stars nothing would hold it.

    Parameters
    ----------
    image : ndarray of int32, shape (n,)
        Image of each measure; -1 for none.
    jacobian : ndarray of float64, shape (n, 2, 2)
        What a pixel is on the sky [arcsec].
    half : ndarray of float64, shape (n, 2)
        Half of the chip's width and height [pix].
    base : ndarray of float64, shape (n,)
        0 for measures that have no residual.
    rx, ry : ndarray of float64, shape (n,)
        Residuals, measure less star [arcsec].
    s, t : ndarray of float64, shape (n,)
        Measured places, -1 to 1.
    out_s, out_t : ndarray of float64, shape (n,)
        Receive those of the stars; measures far from their star keep their own.
    """
    for k in range(image.size):
        out_s[k], out_t[k] = s[k], t[k]
        if image[k] < 0 or base[k] <= 0.0 or (rx[k] ** 2 + ry[k] ** 2) * base[k] > _FAR:
            continue
        a, b, c, d = jacobian[k, 0, 0], jacobian[k, 0, 1], jacobian[k, 1, 0], jacobian[k, 1, 1]
        det = a * d - b * c
        if det != 0.0:
            out_s[k] -= (d * rx[k] - b * ry[k]) / det / half[k, 0]
            out_t[k] -= (a * ry[k] - c * rx[k]) / det / half[k, 1]


@kernel_part
def _factorised(
    first: int,
    last: int,
    weight: F64,
    years: F64,
    fx: F64,
    fy: F64,
    prior: F64,
    j: int,
    factor: F64,
) -> bool:
    """Normal matrix of a star's x y ux uy p, factorised by Cholesky."""
    w0, wt, wtt, wf, wg, wft, wgt, wff = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(first, last):
        w = weight[k]
        if w <= 0.0:
            continue
        t = years[k]
        w0 += w
        wt += w * t
        wtt += w * t * t
        wf += w * fx[k]
        wg += w * fy[k]
        wft += w * t * fx[k]
        wgt += w * t * fy[k]
        wff += w * (fx[k] * fx[k] + fy[k] * fy[k])
    if w0 <= 0.0:
        return False
    for a in range(_N):
        for b in range(a + 1):
            factor[a, b] = 0.0
        factor[a, a] = prior[j, a]
    factor[0, 0] += w0
    factor[1, 1] += w0
    factor[2, 0], factor[3, 1] = wt, wt
    factor[2, 2] += wtt
    factor[3, 3] += wtt
    factor[4, 0], factor[4, 1], factor[4, 2], factor[4, 3] = wf, wg, wft, wgt
    factor[4, 4] += wff
    for c in range(_N):
        total = factor[c, c]
        for a in range(c):
            total -= factor[c, a] * factor[c, a]
        if not total > 0.0:
            return False
        factor[c, c] = math.sqrt(total)
        for b in range(c + 1, _N):
            total = factor[b, c]
            for a in range(c):
                total -= factor[b, a] * factor[c, a]
            factor[b, c] = total / factor[c, c]
    return True


@kernel_part
def _solved(factor: F64, right: F64) -> None:
    """Solve with a factor of `_factorised`, in place."""
    for a in range(_N):
        total = right[a]
        for b in range(a):
            total -= factor[a, b] * right[b]
        right[a] = total / factor[a, a]
    for a in range(_N - 1, -1, -1):
        total = right[a]
        for b in range(a + 1, _N):
            total -= factor[b, a] * right[b]
        right[a] = total / factor[a, a]


@kernel
def fit_stars(
    edges: I64,
    x: F64,
    y: F64,
    base: F64,
    years: F64,
    fx: F64,
    fy: F64,
    prior: F64,
    expected: F64,
    most_chi2: float,
    is_robust: bool,
    weight: F64,
    rx: F64,
    ry: F64,
    chi2: F64,
    is_known: Bool,
    sums: F64,
) -> None:
    """Fit each star to its measures, and weigh these by how far they lie from it.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_stars + 1,)
        Where the measures of each star begin, and where the last ones end.
    x, y : ndarray of float64, shape (n,)
        Places on the plane of the star [arcsec].
    base : ndarray of float64, shape (n,)
        1 / sigma**2 [1/arcsec**2]; 0 for measures that do not count.
    years : ndarray of float64, shape (n,)
        Times since the epoch of the star [yr].
    fx, fy : ndarray of float64, shape (n,)
        Parallax factors; 0 where none is fitted.
    prior, expected : ndarray of float64, shape (n_stars, 5)
        What is known of x y ux uy p: 1 / sigma**2, 0 for nothing, and the middle.
    most_chi2 : float
        Reduced chi-square above which a star does not count.
    is_robust : bool
        Whether weights fall with the residual, as Cauchy's.
    weight : ndarray of float64, shape (n,)
        Weights to begin with; receives the new ones.
    rx, ry : ndarray of float64, shape (n,)
        Receive residuals, measure less star [arcsec].
    chi2 : ndarray of float64, shape (n_stars,)
        Receives the reduced chi-square of each, weighed; NaN for fewer than two measures.
    is_known : ndarray of bool, shape (n_stars, 2)
        Whether a catalog gives the motion, and the parallax.
    sums : ndarray of float64, shape (9,)
        Is added to: measures and stars that count, measures not masked, the sum of their squared
        residuals over the errors, of both axes, and that of the squared residuals [arcsec**2];
        then the squares of the motions that no catalog gives, in both directions, and how many of
        them the measures tell; and the same of parallaxes.
    """
    factor, theta, column = np.empty((_N, _N)), np.empty(_N), np.empty(_N)
    for j in range(edges.size - 1):
        first, last = edges[j], edges[j + 1]
        n = 0
        chi2[j] = math.nan
        for k in range(first, last):
            rx[k], ry[k] = 0.0, 0.0
            n += base[k] > 0.0
        if n < 2:
            for k in range(first, last):
                weight[k] = 0.0
            continue
        rounds = _INNER_ROUNDS if is_robust else 1
        is_told = True
        for _ in range(rounds):
            is_told = _factorised(first, last, weight, years, fx, fy, prior, j, factor)
            if not is_told:
                break
            for a in range(_N):
                theta[a] = prior[j, a] * expected[j, a]
            for k in range(first, last):
                w = weight[k]
                if w <= 0.0:
                    continue
                theta[0] += w * x[k]
                theta[1] += w * y[k]
                theta[2] += w * x[k] * years[k]
                theta[3] += w * y[k] * years[k]
                theta[4] += w * (x[k] * fx[k] + y[k] * fy[k])
            _solved(factor, theta)
            change = 0.0
            for k in range(first, last):
                if base[k] <= 0.0:
                    continue
                rx[k] = x[k] - theta[0] - theta[2] * years[k] - theta[4] * fx[k]
                ry[k] = y[k] - theta[1] - theta[3] * years[k] - theta[4] * fy[k]
                if is_robust:
                    r2 = 0.5 * (rx[k] * rx[k] + ry[k] * ry[k]) * base[k]
                    new = base[k] / (1.0 + r2 / (CAUCHY * CAUCHY))
                    change = max(change, abs(new - weight[k]) / base[k])
                    weight[k] = new
            if change < 1e-4:
                break
        if not is_told:
            for k in range(first, last):
                weight[k] = 0.0
            continue
        robust, share, kept, squares, square = 0.0, 0.0, 0, 0.0, 0.0
        for k in range(first, last):
            if base[k] <= 0.0:
                continue
            r2 = rx[k] * rx[k] + ry[k] * ry[k]
            u = weight[k] / base[k]
            robust += weight[k] * r2
            share += u
            if u > MASK_SHARE:
                kept += 1
                squares += r2 * base[k]
                square += r2
        chi2[j] = 0.5 * robust / share * n / (n - 1)
        if chi2[j] > most_chi2:
            for k in range(first, last):
                weight[k] = 0.0
            continue
        sums[0] += n
        sums[1] += 1
        sums[2] += kept
        sums[3] += squares
        sums[4] += square
        for a in range(2, _N):
            if is_known[j, a // 4]:
                continue
            # The variance: the column of the inverse factor, squared.
            variance = 0.0
            for c in range(a, _N):
                value = 1.0 if c == a else 0.0
                for b in range(a, c):
                    value -= factor[c, b] * column[b]
                column[c] = value / factor[c, c]
                variance += column[c] * column[c]
            sums[5 + 2 * (a // 4)] += theta[a] * theta[a]
            sums[6 + 2 * (a // 4)] += 1.0 - prior[j, a] * variance


@kernel
def add_products(
    edges: I64, image: I32, s: F64, t: F64, jacobian: F64, weight: F64, years: F64, fx: F64,
    fy: F64, prior: F64, given: F64, rx: F64, ry: F64, use_residuals: bool, out: F64,
) -> None:  # fmt: skip
    """Add ``A^T W (u - Z (Z^T W Z + P)^-1 Z^T W u)``, the stars eliminated.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_stars + 1,)
        Where the measures of each star begin, and where the last ones end.
    image : ndarray of int32, shape (n,)
        Image of each measure; -1 for none.
    s, t : ndarray of float64, shape (n,)
        Places on the chip, -1 to 1.
    jacobian : ndarray of float64, shape (n, 2, 2)
        What a pixel is on the sky [arcsec].
    weight : ndarray of float64, shape (n,)
        Weights [1/arcsec**2].
    years, fx, fy : ndarray of float64, shape (n,)
        Times since the epoch of the star [yr], and parallax factors.
    prior : ndarray of float64, shape (n_stars, 5)
        1 / sigma**2 of what is known of each star.
    given : ndarray of float64, shape (n_images, 2, 10)
        Corrections; u is what they do to the measures. Not looked at with `use_residuals`.
    rx, ry : ndarray of float64, shape (n,)
        Residuals of measures from their stars, fitted with these weights [arcsec].
    use_residuals : bool
        Whether to add ``-A^T W r`` instead, the right-hand side.
    out : ndarray of float64, shape (n_images, 2, 10)
        Is added to.
    """
    most = 1
    for j in range(edges.size - 1):
        most = max(most, edges[j + 1] - edges[j])
    basis = np.empty((most, N_BASIS))
    ux, uy = np.empty(most), np.empty(most)
    factor, theta = np.empty((_N, _N)), np.empty(_N)
    for j in range(edges.size - 1):
        first, last = edges[j], edges[j + 1]
        if use_residuals:
            for k in range(first, last):
                if weight[k] > 0.0 and image[k] >= 0:
                    _basis(s[k], t[k], basis[k - first])
                ux[k - first], uy[k - first] = -rx[k], -ry[k]
        else:
            if not _factorised(first, last, weight, years, fx, fy, prior, j, factor):
                continue
            for a in range(_N):
                theta[a] = 0.0
            for k in range(first, last):
                e = k - first
                ux[e], uy[e] = 0.0, 0.0
                i = image[k]
                if weight[k] <= 0.0 or i < 0:
                    continue
                _basis(s[k], t[k], basis[e])
                dx, dy = 0.0, 0.0
                for b in range(N_BASIS):
                    dx += given[i, 0, b] * basis[e, b]
                    dy += given[i, 1, b] * basis[e, b]
                ux[e] = jacobian[k, 0, 0] * dx + jacobian[k, 0, 1] * dy
                uy[e] = jacobian[k, 1, 0] * dx + jacobian[k, 1, 1] * dy
                w = weight[k]
                theta[0] += w * ux[e]
                theta[1] += w * uy[e]
                theta[2] += w * ux[e] * years[k]
                theta[3] += w * uy[e] * years[k]
                theta[4] += w * (ux[e] * fx[k] + uy[e] * fy[k])
            _solved(factor, theta)
            for k in range(first, last):
                e = k - first
                ux[e] -= theta[0] + theta[2] * years[k] + theta[4] * fx[k]
                uy[e] -= theta[1] + theta[3] * years[k] + theta[4] * fy[k]
        for k in range(first, last):
            i = image[k]
            w = weight[k]
            if w <= 0.0 or i < 0:
                continue
            e = k - first
            gx = w * (jacobian[k, 0, 0] * ux[e] + jacobian[k, 1, 0] * uy[e])
            gy = w * (jacobian[k, 0, 1] * ux[e] + jacobian[k, 1, 1] * uy[e])
            for b in range(N_BASIS):
                out[i, 0, b] += gx * basis[e, b]
                out[i, 1, b] += gy * basis[e, b]


@kernel
def add_blocks(
    image: I32, s: F64, t: F64, jacobian: F64, weight: F64, out: F64, counts: I64
) -> None:
    """Add ``A^T W A`` of each image by itself, and count its measures.

    Parameters
    ----------
    image : ndarray of int32, shape (n,)
        Image of each measure; -1 for none.
    s, t : ndarray of float64, shape (n,)
        Places on the chip, -1 to 1.
    jacobian : ndarray of float64, shape (n, 2, 2)
        What a pixel is on the sky [arcsec].
    weight : ndarray of float64, shape (n,)
        Weights [1/arcsec**2].
    out : ndarray of float64, shape (n_images, 20, 20)
        Is added to: coefficients of x, then those of y.
    counts : ndarray of int64, shape (n_images,)
        Is added to.
    """
    basis = np.empty(N_BASIS)
    for k in range(image.size):
        i, w = image[k], weight[k]
        if i < 0 or w <= 0.0:
            continue
        counts[i] += 1
        _basis(s[k], t[k], basis)
        xx = w * (jacobian[k, 0, 0] ** 2 + jacobian[k, 1, 0] ** 2)
        yy = w * (jacobian[k, 0, 1] ** 2 + jacobian[k, 1, 1] ** 2)
        xy = w * (jacobian[k, 0, 0] * jacobian[k, 0, 1] + jacobian[k, 1, 0] * jacobian[k, 1, 1])
        for a in range(N_BASIS):
            for b in range(N_BASIS):
                product = basis[a] * basis[b]
                out[i, a, b] += xx * product
                out[i, a, N_BASIS + b] += xy * product
                out[i, N_BASIS + a, b] += xy * product
                out[i, N_BASIS + a, N_BASIS + b] += yy * product


@kernel
def add_chi2(image: I32, base: F64, rx: F64, ry: F64, is_used: Bool, out: F64, counts: I64) -> None:
    """Add up a robust chi-square of the measures of each image.

    Parameters
    ----------
    image : ndarray of int32, shape (n,)
        Image of each measure; -1 for none.
    base : ndarray of float64, shape (n,)
        1 / sigma**2 [1/arcsec**2]; 0 for measures that do not count.
    rx, ry : ndarray of float64, shape (n,)
        Residuals [arcsec].
    is_used : ndarray of bool, shape (n,)
        Measures to add.
    out : ndarray of float64, shape (n_images,)
        Is added to: Cauchy's ``c**2 log(1 + r**2 / c**2)``, which no outlier rules.
    counts : ndarray of int64, shape (n_images,)
        Is added to.
    """
    for k in range(image.size):
        i = image[k]
        if i >= 0 and base[k] > 0.0 and is_used[k]:
            r2 = 0.5 * (rx[k] * rx[k] + ry[k] * ry[k]) * base[k]
            out[i] += CAUCHY * CAUCHY * math.log1p(r2 / (CAUCHY * CAUCHY))
            counts[i] += 1
