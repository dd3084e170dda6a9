"""Plane-to-plane maps of third order, as the headers of smf files hold them.

A map takes (x, y) to ``u = pc00 x + pc01 y + sum a_ij x^i y^j + shift`` and ``v`` likewise,
2 <= i + j <= 3. Many maps are held side by side, one a chip, so that all detections of an
exposure are mapped at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ShapeError

__all__ = ["POWERS", "PolyMaps"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

POWERS = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
"""Powers (i, j) of the polynomial terms, in the order they are stored."""

# Distortions bend by a few per cent at most, so each step gains more than a digit.
_INVERSE_STEPS = 12


@dataclass(frozen=True, slots=True)
class PolyMaps:
    """Cubic maps side by side.

    Parameters
    ----------
    reference : ndarray of float64, shape (n, 2)
        Point that counts as the origin of (x, y) (CRPIX).
    scale : ndarray of float64, shape (n, 2)
        Factor on x and y before the polynomial (CDELT).
    pc : ndarray of float64, shape (n, 2, 2)
        Linear terms (PCi_j).
    terms : ndarray of float64, shape (n, 2, 7)
        Terms of each output axis (PCAiXjYk), in the order of `POWERS`.
    shift : ndarray of float64, shape (n, 2)
        Added at the end (CRVAL of a chip).
    """

    reference: F64
    scale: F64
    pc: F64
    terms: F64
    shift: F64

    def __post_init__(self) -> None:
        n = len(self.reference)
        shapes = {"reference": (n, 2), "scale": (n, 2), "pc": (n, 2, 2), "terms": (n, 2, 7)}
        for name, shape in (shapes | {"shift": (n, 2)}).items():
            if getattr(self, name).shape != shape:
                raise ShapeError(
                    f"PolyMaps: {name} has shape {getattr(self, name).shape}, not {shape}"
                )

    def __len__(self) -> int:
        return len(self.reference)

    def shifted(self, by: F64) -> PolyMaps:
        """The same maps with something added to their results.

        Parameters
        ----------
        by : ndarray of float64, shape (n, 2)
            What to add.

        Returns
        -------
        PolyMaps
            New maps.
        """
        return PolyMaps(self.reference, self.scale, self.pc, self.terms, self.shift + by)

    def forward(self, which: I64, x: F64, y: F64) -> tuple[F64, F64]:
        """Map points.

        Parameters
        ----------
        which : ndarray of int64, shape (k,)
            Number of the map for each point.
        x, y : ndarray of float64, shape (k,)
            Points.

        Returns
        -------
        u, v : ndarray of float64, shape (k,)
            Their images.
        """
        reference, scale, pc, terms, shift = self._of_points(which)
        a = (x - reference[0]) * scale[0]
        b = (y - reference[1]) * scale[1]
        bend_u, bend_v = _bend(terms[0], a, b), _bend(terms[1], a, b)
        return (
            pc[0, 0] * a + pc[0, 1] * b + bend_u + shift[0],
            pc[1, 0] * a + pc[1, 1] * b + bend_v + shift[1],
        )

    def inverse(self, which: I64, u: F64, v: F64) -> tuple[F64, F64]:
        """Points that map to given images.

        Parameters
        ----------
        which : ndarray of int64, shape (k,)
            Number of the map for each point.
        u, v : ndarray of float64, shape (k,)
            Images.

        Returns
        -------
        x, y : ndarray of float64, shape (k,)
            Points, by fixed-point steps on the part that is not linear.
        """
        reference, scale, pc, terms, shift = self._of_points(which)
        det = pc[0, 0] * pc[1, 1] - pc[0, 1] * pc[1, 0]
        du, dv = u - shift[0], v - shift[1]
        a = b = np.zeros_like(du)
        for _ in range(_INVERSE_STEPS):
            rest_u, rest_v = du - _bend(terms[0], a, b), dv - _bend(terms[1], a, b)
            next_a = (pc[1, 1] * rest_u - pc[0, 1] * rest_v) / det
            next_b = (pc[0, 0] * rest_v - pc[1, 0] * rest_u) / det
            step = max(np.abs(next_a - a).max(initial=0.0), np.abs(next_b - b).max(initial=0.0))
            size = max(np.abs(next_a).max(initial=0.0), np.abs(next_b).max(initial=0.0))
            a, b = next_a, next_b
            # The step after this one would be smaller by the bending, at least tenfold.
            if step <= 1e-12 * size:
                break
        return a / scale[0] + reference[0], b / scale[1] + reference[1]

    def _of_points(self, which: I64) -> tuple[F64, F64, F64, F64, F64]:
        """The arrays of each point's map, points last; a single map is left to broadcasting."""
        arrays = (self.reference, self.scale, self.pc, self.terms, self.shift)
        moved = [np.moveaxis(array, 0, -1) for array in arrays]
        if len(self) > 1:
            moved = [array[..., which] for array in moved]
        return moved[0], moved[1], moved[2], moved[3], moved[4]


def _bend(terms: F64, a: F64, b: F64) -> F64:
    """The terms of second and third order of one axis, in the order of `POWERS`."""
    t = terms
    return np.asarray(
        (t[0] + t[3] * a + t[4] * b) * (a * a)
        + t[1] * a * b
        + (t[2] + t[5] * a + t[6] * b) * (b * b)
    )
