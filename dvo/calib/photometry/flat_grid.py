"""Flat fields of many cells a chip, found together with the zero points of relphot.

Cells are too many for the equations of the joint solve: those of a star's measures would all be
tied to each other. So zero points and cells are found in turn: zero points (and stars) jointly
with the cells as they are, then each cell from what is left of its measures. Both turns lessen
the same sum of squares, and measures of a star lie in many cells, so few turns are needed; what
turns slowly, gradients over chips, is what `ubercal` finds with few cells. The original takes the
median of the residuals of a cell in the same place (relphot of the IPP, GridOps.c); here they
are weighed robustly, as in the solve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dvo.calib.blocks import Block, Parameters
from dvo.calib.joint import JointOptions, JointResult, solve_jointly
from dvo.calib.normal import StarBatch, Weighing, residuals_of
from dvo.calib.photometry.flats import ALWAYS, FlatFields
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.terms import ChipCells, Term
from dvo.calib.photometry.ubercal_survey import FLAT_PRIOR

__all__ = ["FlatGrid", "FlatSolve", "solve_with_flats"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_LEAST_MEASURES = 5
"""Measures of a cell below which it stays as it was, as in the original."""

_MOST_TURNS = 30
_STILL = 0.02
"""Cells stand still when the root mean square of their steps is this, in units of their errors."""


@dataclass(frozen=True, eq=False)
class FlatGrid:
    """The cells that are solved for: a grid a photcode, and a season if it has flat fields.

    Parameters
    ----------
    term : Term
        Their term of the model; its block starts from the flat fields that are there.
    photcode : ndarray of int64, shape (n,)
        Photcode of each grid.
    season : ndarray of int64, shape (n, 2)
        First second it holds for, and first it no longer holds for [s since 1970 UTC].
    cell_size : ndarray of int64, shape (n, 2)
        Size of its cells in x and y [pixel].
    """

    term: Term
    photcode: I64
    season: I64
    cell_size: I64

    @classmethod
    def of(cls, images: PhotImages, n: int, old: FlatFields) -> FlatGrid:
        """Lay grids over chips.

        Parameters
        ----------
        images : PhotImages
            The images. Those of unknown size have no flat field, nor those that lie outside of
            all seasons that their photcode has flat fields for.
        n : int
            Cells of a chip in each direction.
        old : FlatFields
            Flat fields that are there; new ones take their seasons, and start from what they
            say at the centres of the new cells.

        Returns
        -------
        FlatGrid
            The grids.
        """
        table = images.table
        cells = ChipCells.of_images(table, n)
        row = old.rows(table["photcode"], table["time"].astype(np.int64))
        some = images.is_wanted & images.is_chip & cells.is_known
        some &= (row >= 0) | ~old.has_photcode(table["photcode"])
        pairs = np.column_stack([table["photcode"].astype(np.int64), row])[some]
        keys, number = np.unique(pairs, axis=0, return_inverse=True)
        of_image = np.full(len(table), -1, np.int32)
        of_image[some] = number.ravel() * n * n
        size = np.zeros((len(keys), 2), np.int64)
        for axis, each in enumerate(cells.sizes()):
            np.maximum.at(size[:, axis], number.ravel(), each[some].astype(np.int64))
        season = np.tile(np.array(ALWAYS, np.int64), (len(keys), 1))
        has_old = keys[:, 1] >= 0
        for axis, name in enumerate(("tstart", "tstop")):
            season[has_old, axis] = old.corrections[name][keys[has_old, 1]]
        block = Block("flat", _at_centres(old, keys[:, 0], season, size, n))
        return cls(Term(block, of_image, cells=cells), keys[:, 0], season, size)

    @property
    def n_cells(self) -> int:
        """Cells of a grid."""
        assert self.term.cells is not None
        return self.term.cells.n_x * self.term.cells.n_y

    @property
    def grid_of_cells(self) -> I64:
        """Grid of each cell, shape (n_grids * n_cells,)."""
        return np.repeat(np.arange(len(self.photcode)), self.n_cells)

    def flats(self, values: F64) -> FlatFields:
        """Make flat fields of cells.

        Parameters
        ----------
        values : ndarray of float64, shape (n_grids * n_cells,)
            What is to be subtracted from magnitudes [mag].

        Returns
        -------
        FlatFields
            Numbered from 1.
        """
        n = 0 if self.term.cells is None else self.term.cells.n_x
        grids = values.reshape(len(self.photcode), n, n)
        return FlatFields.of_grids(self.photcode, self.season, self.cell_size, grids)


def _at_centres(old: FlatFields, photcode: I64, season: I64, size: I64, n: int) -> F64:
    """What flat fields say at the centres of the cells of grids, one grid after the other."""
    y, x = (axis.ravel() + 0.5 for axis in np.mgrid[:n, :n])
    values = [old.offsets(np.full(n * n, code, np.uint16), np.full(n * n, start, np.int64),
                          x * dx, y * dy)
              for code, start, (dx, dy) in zip(photcode.tolist(), season[:, 0].tolist(),
                                               size.tolist(), strict=True)]  # fmt: skip
    return np.concatenate([np.empty(0), *values]).astype(np.float64)


@dataclass(frozen=True, eq=False)
class FlatSolve:
    """Zero points and flat fields that have been found.

    Parameters
    ----------
    joint : JointResult
        The last solve of zero points.
    values : ndarray of float64, shape (n_grids * n_cells,)
        The cells [mag].
    is_told : ndarray of bool, shape (n_grids * n_cells,)
        Cells with measures enough; the others are as they were.
    n_turns : int
        Turns that were taken.
    is_still : bool
        Whether the cells stood still at the end.
    """

    joint: JointResult
    values: F64
    is_told: NDArray[np.bool_]
    n_turns: int
    is_still: bool


def solve_with_flats(
    parameters: Parameters,
    stars: Callable[[], Iterable[StarBatch]],
    grid: FlatGrid,
    options: JointOptions,
    *,
    progress: Callable[[int, float], None] = lambda *_: None,
) -> FlatSolve:
    """Solve for zero points and for flat fields, in turn.

    The mean of what is added to a grid is 0, over its measures: it could be in the zero points
    as well, and where these are those of `ubercal`, the mean is known.

    Parameters
    ----------
    parameters : Parameters
        The zero points; values are changed in place.
    stars : callable
        Gives the measures of all stars, anew each time, without any flat field; the last term
        of each is its cell, counted after the parameters.
    grid : FlatGrid
        The cells.
    options : JointOptions
        How zero points are solved for.
    progress : callable, optional
        Called after each turn with its number, from 1, and the step of the cells in units of
        their errors.

    Returns
    -------
    FlatSolve
        What was found.
    """
    values = grid.term.block.start.copy()
    base, turn, still = values.copy(), 0, np.inf
    is_told = np.zeros(len(values), np.bool_)
    while True:
        given = values.copy()

        def batches(given: F64 = given) -> Iterator[StarBatch]:
            return (_without(batch, len(parameters), given)[0] for batch in stars())

        joint = solve_jointly(parameters, batches, options)
        if turn >= _MOST_TURNS or still <= _STILL:
            return FlatSolve(joint, values, is_told, turn, still <= _STILL)
        turn += 1
        weighing = Weighing(options.is_robust,
                            max(options.star_chi2, 2.0 * joint.rounds[-1].chi2_dof))  # fmt: skip
        step, weight, is_told = _step(grid, stars, parameters, values, base, weighing)
        values += step
        some = weight > 0
        still = float(np.sqrt(np.mean(step[some] ** 2 * weight[some]))) if some.any() else 0.0
        progress(turn, still)


def _without(batch: StarBatch, n_parameters: int, values: F64) -> tuple[StarBatch, I64]:
    """A batch less its flat field, and the cells of its measures; -1 for none."""
    cell = batch.index[:, -1].astype(np.int64)
    cell = np.where(cell >= 0, cell - n_parameters, -1)
    flat = np.where(cell >= 0, values[np.maximum(cell, 0)], 0.0) if len(values) else 0.0
    index, coefficient = batch.index[:, :-1], batch.coefficient[:, :-1]
    less = replace(batch, y=batch.y - flat, index=np.ascontiguousarray(index),
                   coefficient=np.ascontiguousarray(coefficient))  # fmt: skip
    return less, cell


def _step(
    grid: FlatGrid, stars: Callable[[], Iterable[StarBatch]], parameters: Parameters, values: F64,
    base: F64, weighing: Weighing,
) -> tuple[F64, F64, NDArray[np.bool_]]:  # fmt: skip
    """Steps of cells, their weights [1/mag**2], and which are told."""
    n = len(values)
    weight, product, counts = np.zeros(n), np.zeros(n), np.zeros(n, np.int64)
    for raw in stars():
        batch, cell = _without(raw, len(parameters), values)
        residual, used = residuals_of(batch, parameters.values, weighing)
        some = (used > 0) & (cell >= 0)
        at = cell[some]
        weight += np.bincount(at, used[some], n)
        product += np.bincount(at, used[some] * residual[some], n)
        counts += np.bincount(at, minlength=n)
    is_told = counts >= _LEAST_MEASURES
    weight[~is_told] = 0.0
    # What is known of a cell beforehand is what it was, to the width of the prior.
    prior = FLAT_PRIOR**-2.0
    step = np.where(is_told, (product - prior * (values - base)) / (weight + prior), 0.0)
    of, m = grid.grid_of_cells, len(grid.photcode)
    total = np.bincount(of, weight, m)
    mean = np.bincount(of, weight * step, m) / np.where(total > 0, total, 1.0)
    return np.where(is_told, step - mean[of], 0.0), weight, is_told
