"""Legendre form of a chip: against NumPy's own, orthogonal, and exact both ways."""

import numpy as np
import pytest
from numpy.polynomial import legendre as np_legendre

from dvo.astrometry.legendre import (
    chip_coordinates,
    from_legendre,
    legendre_basis,
    to_legendre,
)
from dvo.astrometry.polynomials import POWERS, Polynomials
from dvo.errors import ShapeError

N = 20


def some_chips(r: np.random.Generator) -> Polynomials:
    terms = r.normal(size=(N, 2, 10))
    terms[:, :, 0] *= 5000.0
    terms[:, :, 3:6] *= 1e-7
    terms[:, :, 6:] *= 1e-11
    reference = np.column_stack([r.uniform(0, 5000, (N, 2)), r.choice([-1.0, 0.26], (N, 2))])
    return Polynomials(reference, terms, np.full(N, 3))


def test_basis_is_that_of_numpy(rng: np.random.Generator) -> None:
    s, t = rng.uniform(-1.1, 1.1, (2, 100))
    got = legendre_basis(s, t)
    for k, (i, j) in enumerate(POWERS):
        want = np_legendre.legval(s, [0] * i + [1]) * np_legendre.legval(t, [0] * j + [1])
        assert np.max(np.abs(got[:, k] - want)) < 1e-14


def test_basis_is_orthogonal_over_the_chip() -> None:
    nodes, weights = np_legendre.leggauss(6)
    s, t = (a.ravel() for a in np.meshgrid(nodes, nodes))
    basis = legendre_basis(s, t)
    gram = basis.T @ (np.outer(weights, weights).ravel()[:, None] * basis)
    assert np.max(np.abs(gram - np.diag(np.diag(gram)))) < 1e-13


def test_edges_of_the_chip_are_at_one() -> None:
    s, t = chip_coordinates([0.5, 4800.5], [0.5, 3600.5], 4800, 3600)
    assert s.tolist() == [-1.0, 1.0]
    assert t.tolist() == [-1.0, 1.0]


def test_there_and_back_are_exact(rng: np.random.Generator) -> None:
    chips = some_chips(rng)
    nx, ny = rng.integers(500, 6000, (2, N))
    legendre = to_legendre(chips, nx, ny)
    back = from_legendre(legendre, nx, ny, chips.reference)
    scale = np.abs(chips.terms).max(axis=0, keepdims=True)
    assert np.max(np.abs(back.terms - chips.terms) / scale) < 1e-10
    rows = rng.integers(0, N, 500)
    x, y = rng.uniform(0, nx[rows]), rng.uniform(0, ny[rows])
    basis = legendre_basis(*chip_coordinates(x, y, nx[rows], ny[rows]))
    for axis, want in enumerate(chips.at(rows, x, y)):
        got = np.einsum("nk,nk->n", legendre[rows, axis], basis)
        assert np.max(np.abs(got - want)) < 1e-9  # pixels


@pytest.mark.parametrize(("order", "n_terms"), [(0, 3), (1, 3), (2, 6), (3, 10)])
def test_order_cuts_terms(order: int, n_terms: int, rng: np.random.Generator) -> None:
    made = from_legendre(rng.normal(size=(2, 2, 10)), 100, 100, np.tile([50.0, 50, 1, 1], (2, 1)),
                         order)  # fmt: skip
    assert np.all(made.terms[:, :, n_terms:] == 0.0)
    assert np.all(made.terms[:, :, :n_terms] != 0.0)
    assert made.order.tolist() == [order, order]


def test_lengths_must_agree() -> None:
    with pytest.raises(ShapeError, match="one length"):
        legendre_basis([0.0, 1.0], [0.0])
