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
        a = (x - self.reference[which, 0]) * self.scale[which, 0]
        b = (y - self.reference[which, 1]) * self.scale[which, 1]
        bend = _bend(self.terms[which], a, b)
        pc = self.pc[which]
        return (
            pc[:, 0, 0] * a + pc[:, 0, 1] * b + bend[0] + self.shift[which, 0],
            pc[:, 1, 0] * a + pc[:, 1, 1] * b + bend[1] + self.shift[which, 1],
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
        back = np.linalg.inv(self.pc)[which]
        terms = self.terms[which]
        du, dv = u - self.shift[which, 0], v - self.shift[which, 1]
        a = back[:, 0, 0] * du + back[:, 0, 1] * dv
        b = back[:, 1, 0] * du + back[:, 1, 1] * dv
        for _ in range(_INVERSE_STEPS):
            bend_u, bend_v = _bend(terms, a, b)
            next_a = back[:, 0, 0] * (du - bend_u) + back[:, 0, 1] * (dv - bend_v)
            next_b = back[:, 1, 0] * (du - bend_u) + back[:, 1, 1] * (dv - bend_v)
            step = max(np.abs(next_a - a).max(initial=0.0), np.abs(next_b - b).max(initial=0.0))
            a, b = next_a, next_b
            if step <= 1e-14 * max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)):
                break
        return (
            a / self.scale[which, 0] + self.reference[which, 0],
            b / self.scale[which, 1] + self.reference[which, 1],
        )


def _bend(terms: F64, a: F64, b: F64) -> tuple[F64, F64]:
    """The terms of second and third order, for both axes."""
    aa, ab, bb = a * a, a * b, b * b
    powers = (aa, ab, bb, aa * a, aa * b, a * bb, bb * b)
    u = sum((terms[:, 0, k] * power for k, power in enumerate(powers)), np.zeros_like(a))
    v = sum((terms[:, 1, k] * power for k, power in enumerate(powers)), np.zeros_like(a))
    return u, v
