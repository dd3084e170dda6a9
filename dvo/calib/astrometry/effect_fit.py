"""Effects measured from residuals: least squares with a free place for every object.

An object's own place is eliminated from its measures, as in a joint solution, so an effect
that shifts some of them and not the others is not halved by a mean that it spoiled. Objects do not
straddle regions, so regions are read one group after the other, and add to one sparse system: the
result does not depend on the partition but for rounding.

What shifts all measures of an image alike, or is linear over a chip in all images, is
the astrometry of images, and is taken as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from dvo.calib.astrometry.effect_measures import EFFECT_COLUMNS, EffectImages, EffectMeasures
from dvo.calib.astrometry.effects import Effects
from dvo.calib.kernels import CAUCHY
from dvo.partition.region_batches import region_batches
from dvo.partition.view import View
from dvo.tables.flags import MeasureFlag
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotcodeTable
from dvo.tables.position_weights import weights

__all__ = ["EffectFit", "EffectFitOptions", "fit_effects"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Matrix = Any

_COLUMNS = tuple(dict.fromkeys((*EFFECT_COLUMNS, "ra_err", "dec_err", "mag_err", "phot_flags",
                                "db_flags", "ref_id")))  # fmt: skip
_CODES = 65536


@dataclass(frozen=True)
class EffectFitOptions:
    """How effects are measured.

    Parameters
    ----------
    prior_arcsec : float
        How large shifts are at most, more or less: nodes that few measures tell stay at 0.
    rounds : int
        Rounds of weighing, the first of which takes all measures as they are.
    """

    prior_arcsec: float = 0.5
    rounds: int = 4


@dataclass(frozen=True, eq=False)
class EffectFit:
    """What was measured.

    Parameters
    ----------
    effects : Effects
        The effects.
    error : ndarray of float64, shape (n_values,)
        Errors of their values: of the normal matrix, objects taken out.
    n_measures : int
        Measures on chips that took part.
    rms_before_mas, rms_after_mas : float
        Root mean square residual in one direction about the mean of each object, weighted [mas].
    """

    effects: Effects
    error: F64
    n_measures: int
    rms_before_mas: float
    rms_after_mas: float

    @property
    def n_significant(self) -> int:
        """Values beyond three times their error: if few are, there is hardly any effect."""
        return int((np.abs(self.effects.values) > 3.0 * self.error).sum())


def fit_effects(
    view: View,
    shape: Effects,
    options: EffectFitOptions = EffectFitOptions(),
    *,
    progress: Callable[[str], None] | None = None,
) -> EffectFit:
    """Measure effects of a camera from the measures of a database.

    Parameters
    ----------
    view : View
        The snapshot.
    shape : Effects
        Which effects, with their chips, filters and nodes; their values are where it begins.
    options : EffectFitOptions
        How.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    EffectFit
        The effects. Refraction is 0 at the node nearest to 0: what all stars are refracted by is
        in the astrometry of images.
    """
    images = EffectImages.read(view)
    effects = shape
    before = math.nan
    n = shape.values.size
    sums = _Sums.empty(n)
    for k in range(options.rounds):
        sums = _Sums.empty(n)
        for regions in region_batches(view, view.regions()):
            sums.add(view, regions, images, effects, is_robust=k > 0)
        if k == 0:
            before = sums.rms_mas
        step, factor = _solve(sums, effects, options)
        effects = effects.with_values(effects.values + step)
        if progress is not None:
            progress(f"round {k + 1} of {options.rounds}: rms {sums.rms_mas:.3g} mas")
    after = _Sums.empty(n)
    for regions in region_batches(view, view.regions()):
        after.add(view, regions, images, effects, is_robust=True)
    return EffectFit(effects, _errors(factor, n), sums.n_measures, before, after.rms_mas)


@dataclass(eq=False)
class _Sums:
    """The normal equations, objects eliminated."""

    matrix: Matrix
    vector: F64
    squares: float
    weight: float
    n_measures: int

    @classmethod
    def empty(cls, n: int) -> _Sums:
        return cls(sparse.csr_matrix((n, n)), np.zeros(n), 0.0, 0.0, 0)

    @property
    def rms_mas(self) -> float:
        return 1e3 * math.sqrt(self.squares / self.weight) if self.weight else math.nan

    def add(
        self, view: View, regions: list[int], images: EffectImages, effects: Effects, *,
        is_robust: bool,
    ) -> None:  # fmt: skip
        measure, runs = view.read_many(MEASURE, regions, _COLUMNS, once=True)
        counts = np.cumsum([0, *(view.catalogs(regions)[r].n_average for r in regions)])
        objects = np.repeat(counts[:-1], np.diff(runs)) + measure["ave_ref"].astype(np.int64)
        seen = EffectMeasures.of(view, regions, measure, objects, images, effects)
        n_values, of = len(self.vector), objects[seen.rows]
        kept = measure.take(seen.rows)
        sigma = weights(kept, view.photcodes).astype(np.float64)
        sigma[_is_bad(kept, view.photcodes)] = np.inf
        design = [_sparse(seen.index, d, n_values) for d in seen.design()]
        off = [o + d @ effects.values for o, d in zip((seen.off_east, seen.off_north), design,
                                                      strict=True)]  # fmt: skip
        n_objects = int(counts[-1])
        weight = _robust_weights(off, sigma, of, n_objects) if is_robust else sigma**-2
        total = np.bincount(of, weight, n_objects)
        inverse = np.divide(1.0, total, out=np.zeros(n_objects), where=total > 0)
        to_object = sparse.csr_matrix((weight, (of, np.arange(len(of)))), (n_objects, len(of)))
        for a, r in zip(design, off, strict=True):
            summed = to_object @ a
            mean = inverse * (to_object @ r)
            self.matrix = self.matrix + a.T @ a.multiply(weight[:, None]).tocsr() \
                - summed.T @ summed.multiply(inverse[:, None]).tocsr()  # fmt: skip
            rest = r - mean[of]
            self.vector -= a.T @ (weight * rest)
            self.squares += float(np.sum(weight * rest * rest))
            self.weight += float(weight.sum())
        self.n_measures += int((weight > 0).sum())


def _sparse(index: I64, values: F64, n: int) -> Matrix:
    rows = np.repeat(np.arange(len(index)), index.shape[1])
    return sparse.csr_matrix((values.ravel(), (rows, index.ravel())), (len(index), n))


def _is_bad(measure: Any, codes: PhotcodeTable) -> NDArray[np.bool_]:
    mask = np.zeros(_CODES, np.uint32)
    for photcode in codes:
        mask[photcode.code] = photcode.astrom_bad_mask | photcode.astrom_poor_mask
    skipped = (measure["db_flags"] & np.uint32(MeasureFlag.SKIP_ASTROM)) != 0
    return np.asarray(skipped | ((measure["phot_flags"] & mask[measure["photcode"]]) != 0))


def _robust_weights(off: list[F64], sigma: F64, of: I64, n_objects: int) -> F64:
    """Cauchy's weights of residuals about the mean of each object, found in a few rounds."""
    plain = sigma**-2
    weight = plain
    for _ in range(3):
        total = np.bincount(of, weight, n_objects)[of]
        square = np.zeros(len(of))
        for r in off:
            mean = np.bincount(of, weight * r, n_objects)[of]
            rest = r - np.divide(mean, total, out=np.zeros(len(of)), where=total > 0)
            square += rest * rest * plain
        weight = plain / (1.0 + 0.5 * square / CAUCHY**2)
    return np.asarray(weight)


def _solve(sums: _Sums, effects: Effects, options: EffectFitOptions) -> tuple[F64, Any]:
    n = len(sums.vector)
    prior = np.full(n, options.prior_arcsec**-2)
    if effects.dcr is not None:
        k = len(effects.dcr.term)
        zero = int(np.argmin(np.abs(effects.dcr.term)))
        pinned = effects.sizes[0] + np.arange(len(effects.dcr.filter_index)) * k + zero
        prior[pinned] = 1e-9**-2
    factor = splu((sums.matrix + sparse.diags(prior)).tocsc())
    return factor.solve(sums.vector - prior * effects.values), factor


def _errors(factor: Any, n: int) -> F64:
    found = np.empty(n)
    for first in range(0, n, 256):
        some = np.arange(first, min(n, first + 256))
        unit = np.zeros((n, len(some)))
        unit[some, np.arange(len(some))] = 1.0
        found[some] = np.sqrt(np.maximum(factor.solve(unit)[some, np.arange(len(some))], 0.0))
    return found
