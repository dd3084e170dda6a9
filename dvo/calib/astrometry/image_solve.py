"""The joint solve for the astrometry of images, their stars' places and motions in it.

Each round fits all stars to their measures, weighs these, and makes one step of the corrections by
conjugate gradients on what is left when the stars are eliminated. Nothing is ever assembled: the
memory is that of the measures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from dvo.calib.astrometry.image_kernels import (
    N_BASIS,
    add_blocks,
    add_chi2,
    add_products,
    fit_stars,
    moved_places,
    places_without_noise,
)
from dvo.calib.astrometry.image_terms import CorrectionTerms

__all__ = ["AstromBatch", "ImageOptions", "ImageResult", "ImageRound", "solve_images"]

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

_THREADS = 2
_LEAST_SIZE = 1e-5
"""Of motions and parallaxes [arcsec]: smaller ones are as good as none."""


@dataclass(frozen=True, eq=False)
class AstromBatch:
    """Measures of some stars, those of a star together.

    Parameters
    ----------
    edges : ndarray of int64, shape (n_stars + 1,)
        Where the measures of each star begin, and where the last ones end.
    image : ndarray of int32, shape (n,)
        Image of each measure; -1 for those of reference catalogs.
    s, t : ndarray of float64, shape (n,)
        Places on the chip, -1 to 1.
    half : ndarray of float64, shape (n, 2)
        Half of the chip's width and height [pix].
    x, y : ndarray of float64, shape (n,)
        Places on the sky as they are, on a plane of the star [arcsec].
    sigma : ndarray of float64, shape (n,)
        Their errors in each direction [arcsec].
    jacobian : ndarray of float64, shape (n, 2, 2)
        What a pixel is on that plane: east and north, by x and y [arcsec].
    years, fx, fy : ndarray of float64, shape (n,)
        Times since the epoch of the star [yr], parallax factors.
    prior, expected : ndarray of float64, shape (n_stars, 5)
        What is known of place, motion and parallax: 1 / sigma**2, and the middle.
    is_known : ndarray of bool, shape (n_stars, 2)
        Whether a catalog gives the motion, and the parallax; how large those of the others are is
        found.
    is_held : ndarray of bool, shape (n_stars,)
        Stars that are kept from the solve, and judge it.
    """

    edges: I64
    image: I32
    s: F64
    t: F64
    half: F64
    x: F64
    y: F64
    sigma: F64
    jacobian: F64
    years: F64
    fx: F64
    fy: F64
    prior: F64
    expected: F64
    is_known: Bool
    is_held: Bool

    @property
    def of_held(self) -> Bool:
        """Which measures are of stars that are kept from the solve, shape (n,)."""
        return np.repeat(self.is_held, np.diff(self.edges))


@dataclass(frozen=True)
class ImageOptions:
    """How the solve goes.

    Parameters
    ----------
    most_rounds : int
        Rounds after which it ends, converged or not.
    still : float
        It has converged when the parameters move by less than this, in units of their errors, in
        the mean of all: directions that the measures hardly tell may drift on.
    most_products : int
        Products with the normal matrix in a round.
    close : float
        Residual of the linear equations at which a round ends, as a share of what it was.
    star_chi2 : float
        Reduced chi-square above which a star is left out.
    """

    most_rounds: int = 20
    still: float = 0.02
    most_products: int = 300
    close: float = 1e-3
    star_chi2: float = 25.0


@dataclass(frozen=True)
class ImageRound:
    """What one round did.

    Parameters
    ----------
    n_measures, n_stars : int
        Measures and stars that counted.
    chi2_dof : float
        Chi-square of the measures not masked, by their number and two axes.
    rms_arcsec : float
        Root mean square residual of these in one direction [arcsec].
    n_products : int
        Products with the normal matrix.
    step_sigma : float
        Root mean square change of the parameters, in units of their errors.
    """

    n_measures: int
    n_stars: int
    chi2_dof: float
    rms_arcsec: float
    n_products: int
    step_sigma: float


@dataclass(frozen=True, eq=False)
class ImageResult:
    """A solve that has ended.

    Parameters
    ----------
    corrections : ndarray of float64, shape (n_images, 2, 10)
        Corrections of the images in Legendre form [pix].
    parameters : ndarray of float64, shape (n_parameters,)
        What they are made of [arcsec].
    counts : ndarray of int64, shape (n_images,)
        Measures that told of each.
    before, after : ndarray of float64, shape (n_images,)
        Mean robust chi-square of stars that were kept from the solve, without the correction of
        this image and with it; NaN without such stars.
    rounds : list of ImageRound
        What was done.
    is_converged : bool
        Whether the corrections stood still at the end.
    """

    corrections: F64
    parameters: F64
    counts: I64
    before: F64
    after: F64
    rounds: list[ImageRound] = field(default_factory=list)
    is_converged: bool = False


class _Work:
    """A batch with what changes from round to round."""

    def __init__(self, batch: AstromBatch) -> None:
        self.batch = batch
        with np.errstate(divide="ignore"):
            self.base = np.where(batch.sigma < np.inf, batch.sigma**-2.0, 0.0)
        self.own = np.where(batch.of_held, 0.0, self.base)
        self.weight, self.prior = self.own.copy(), batch.prior.copy()
        n = len(batch.image)
        self.x, self.y, self.rx, self.ry = (np.empty(n) for _ in range(4))
        self.s, self.t = batch.s.copy(), batch.t.copy()

    def fit(self, corrections: F64, most_chi2: float, *, robust: bool) -> F64:
        """Fit and weigh the stars of the solve; gives the sums of `fit_stars`."""
        b, sums = self.batch, np.zeros(9)
        moved_places(b.image, self.s, self.t, b.jacobian, corrections, b.x, b.y, self.x, self.y)
        if not robust:
            self.weight[:] = self.own
        chi2 = np.empty(len(b.edges) - 1)
        fit_stars(b.edges, self.x, self.y, self.own, b.years, b.fx, b.fy, self.prior, b.expected,
                  most_chi2, robust, self.weight, self.rx, self.ry, chi2, b.is_known,
                  sums)  # fmt: skip
        if robust:
            places_without_noise(b.image, b.jacobian, b.half, self.own, self.rx, self.ry,
                                 b.s, b.t, self.s, self.t)  # fmt: skip
        return sums

    def expect(self, motion: float, parallax: float) -> None:
        """Say how large the motions and parallaxes are that no catalog gives."""
        # Never larger than to begin with: where no reference catalog holds them, all stars could
        # move together with the exposures, and the more so the larger their motions may be.
        for of, columns, size in ((0, slice(2, 4), motion), (1, slice(4, 5), parallax)):
            free = ~self.batch.is_known[:, of]
            least = self.batch.prior[free, columns]
            self.prior[free, columns] = np.maximum(least, size**-2.0)

    def blocks(self, n_images: int) -> tuple[F64, I64]:
        b = self.batch
        out = np.zeros((n_images, 2 * N_BASIS, 2 * N_BASIS))
        counts = np.zeros(n_images, np.int64)
        add_blocks(b.image, self.s, self.t, b.jacobian, self.weight, out, counts)
        return out, counts

    def product(self, given: F64, *, of_residuals: bool = False) -> F64:
        b, out = self.batch, np.zeros_like(given)
        add_products(b.edges, b.image, self.s, self.t, b.jacobian, self.weight, b.years, b.fx, b.fy,
                     self.prior, given, self.rx, self.ry, of_residuals, out)  # fmt: skip
        return out

    def judge(self, corrections: F64) -> tuple[F64, F64, I64]:
        """Robust chi-squares by image of stars kept from the solve: without and with corrections.

        The stars are where all corrected images put them: without them few would have a place.
        """
        b, n_images = self.batch, len(corrections)
        base = np.where(b.of_held, self.base, 0.0)
        weight, sums, chi2 = base.copy(), np.zeros(9), np.empty(len(b.edges) - 1)
        moved_places(b.image, self.s, self.t, b.jacobian, corrections, b.x, b.y, self.x, self.y)
        fit_stars(b.edges, self.x, self.y, base, b.years, b.fx, b.fy, self.prior, b.expected,
                  np.inf, True, weight, self.rx, self.ry, chi2, b.is_known, sums)  # fmt: skip
        has = np.repeat(np.isfinite(chi2), np.diff(b.edges))
        before, after = np.zeros(n_images), np.zeros(n_images)
        counts = np.zeros(n_images, np.int64)
        add_chi2(b.image, base, self.rx, self.ry, has, after, counts)
        old_x, old_y = self.rx + b.x - self.x, self.ry + b.y - self.y
        add_chi2(b.image, base, old_x, old_y, has, before, counts * 0)
        return before, after, counts


def solve_images(
    batches: Sequence[AstromBatch],
    terms: CorrectionTerms,
    options: ImageOptions = ImageOptions(),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> ImageResult:
    """Solve for corrections of images, places, motions and parallaxes of stars eliminated.

    Parameters
    ----------
    batches : sequence of AstromBatch
        The measures; a star is in one batch.
    terms : CorrectionTerms
        What corrections are made of.
    options : ImageOptions
        How.
    progress : callable, optional
        Called after each round with its number, from 1, and the most there will be.

    Returns
    -------
    ImageResult
        The corrections, and what was done.
    """
    values, rounds = np.zeros(len(terms)), list[ImageRound]()
    with ThreadPoolExecutor(_THREADS) as pool:
        state = _State([_Work(batch) for batch in batches], terms, options, pool)
        counts, is_still = np.zeros(state.n_images, np.int64), False
        weight = terms.weight
        while len(rounds) < options.most_rounds and not is_still:
            is_robust = len(rounds) > 0
            step, counts, done, inverse = state.step(values, weight, is_robust=is_robust)
            values = values + step
            if is_robust:
                weight = terms.found_weight(values, weight, inverse)
            rounds.append(done)
            is_still = is_robust and done.step_sigma < options.still
            if progress is not None:
                progress(len(rounds), options.most_rounds)
        before, after = state.judged(values)
    return ImageResult(terms.corrections(values), values, counts, before, after, rounds, is_still)


@dataclass(frozen=True, eq=False)
class _State:
    """The batches of a solve and the threads that work on them; sums are in their order."""

    works: list[_Work]
    terms: CorrectionTerms
    options: ImageOptions
    pool: ThreadPoolExecutor

    @property
    def n_images(self) -> int:
        return int(self.terms.matrix.shape[0]) // (2 * N_BASIS)

    def step(
        self, values: F64, weight: F64, *, is_robust: bool
    ) -> tuple[F64, I64, ImageRound, sparse.csr_array]:
        """One round from some values: the step, measures of each image, what was done, errors."""
        given = self.terms.corrections(values)
        most = self.options.star_chi2 if is_robust else np.inf
        sums = np.zeros(9)
        for found in self.pool.map(lambda w: w.fit(given, most, robust=is_robust), self.works):
            sums += found
        if is_robust:
            for work in self.works:
                work.expect(_size(sums[5], sums[6]), _size(sums[7], sums[8]))
        blocks = np.zeros((self.n_images, 2 * N_BASIS, 2 * N_BASIS))
        counts = np.zeros(self.n_images, np.int64)
        for found, n in self.pool.map(lambda w: w.blocks(self.n_images), self.works):
            blocks += found
            counts += n
        right = self.terms.gathered(self.product(given, of_residuals=True))
        right -= weight * values
        inverse = self.terms.block_inverses(blocks, weight)
        step, n_products = _conjugate_gradients(
            lambda p: self.normal(p, weight), right, inverse, self.options
        )
        # What the step takes from chi-square is its square in units of the errors.
        moved = np.sqrt(max(float(right @ step), 0.0) / max(1, len(step)))
        done = _round(sums, n_products, float(moved))
        return step, counts, done, inverse

    def normal(self, values: F64, weight: F64) -> F64:
        """Product with the normal matrix of the parameters, stars eliminated."""
        seen = self.terms.gathered(self.product(self.terms.corrections(values)))
        return np.asarray(seen + weight * values)

    def product(self, given: F64, *, of_residuals: bool = False) -> F64:
        out = np.zeros_like(given)
        for found in self.pool.map(lambda w: w.product(given, of_residuals=of_residuals),
                                   self.works):  # fmt: skip
            out += found
        return out

    def judged(self, values: F64) -> tuple[F64, F64]:
        """Mean robust chi-squares by image of stars kept from the solve; NaN without such stars."""
        corrections = self.terms.corrections(values)
        before, after = np.zeros(self.n_images), np.zeros(self.n_images)
        counts = np.zeros(self.n_images, np.int64)
        for old, new, n in self.pool.map(lambda w: w.judge(corrections), self.works):
            before += old
            after += new
            counts += n
        with np.errstate(invalid="ignore", divide="ignore"):
            return before / counts, after / counts


def _conjugate_gradients(
    product: Callable[[F64], F64], right: F64, inverse: sparse.csr_array, options: ImageOptions
) -> tuple[F64, int]:
    """Solve by preconditioned conjugate gradients from 0; what nothing tells stays 0."""
    out, residual = np.zeros_like(right), right.copy()
    z = inverse @ residual
    direction, now = z.copy(), float(residual @ z)
    enough = (0.1 * options.still) ** 2 * len(right)
    goal = max(options.close**2 * now, enough)
    n = 0
    while n < options.most_products and now > goal and now > 0:
        moved = product(direction)
        n += 1
        along = now / float(direction @ moved)
        out += along * direction
        residual -= along * moved
        z = inverse @ residual
        new = float(residual @ z)
        direction = z + (new / now) * direction
        now = new
    return out, n


def _size(squares: float, told: float) -> float:
    """How large motions or parallaxes are, as `CorrectionTerms.found_weight` does it [arcsec]."""
    return max(float(np.sqrt(squares / max(told, 1.0))), _LEAST_SIZE)


def _round(sums: F64, n_products: int, moved: float) -> ImageRound:
    n = max(1.0, float(sums[2]))
    return ImageRound(int(sums[0]), int(sums[1]), float(sums[3]) / (2 * n),
                      float(np.sqrt(sums[4] / (2 * n))), n_products, moved)  # fmt: skip
