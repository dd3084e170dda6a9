"""True shapes of galaxies, and true lensing terms, one of each for every star of the sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LENS_TERMS", "MODELS", "Shapes", "draw_shapes"]

F64 = NDArray[np.float64]

MODELS = {"SERSIC": 5, "EXP": 6, "DEV": 7}
"""Galaxy models by name, with the numbers that psphot gives them."""

LENS_TERMS = (
    *(
        f"{term}_{which}"
        for which in ("SM_OBJ", "SH_OBJ", "SM_PSF", "SH_PSF")
        for term in ("X11", "X12", "X22", "E1", "E2")
    ),
    "E1_PSF",
    "E2_PSF",
)
"""KSB terms, as their columns are called behind LENS_."""

_GALAXIES = 0.2  # of the stars


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes by star.

    Parameters
    ----------
    is_galaxy : ndarray of bool, shape (n,)
        Which stars stand for galaxies.
    radius_arcsec, axis_ratio : ndarray of float64, shape (n,)
        Half-light radius along the major axis, and minor over major axis.
    position_angle : ndarray of float64, shape (n,)
        Of the major axis, north through east, in [0, 180) [deg].
    index : ndarray of float64, shape (n,)
        Sersic index.
    terms : ndarray of float64, shape (n, 22)
        KSB terms, in the order of LENS_TERMS.
    """

    is_galaxy: NDArray[np.bool_]
    radius_arcsec: F64
    axis_ratio: F64
    position_angle: F64
    index: F64
    terms: F64

    def take(self, rows: NDArray[np.int64]) -> Shapes:
        """Pick stars.

        Parameters
        ----------
        rows : ndarray of int64
            Which.

        Returns
        -------
        Shapes
            Theirs.
        """
        return Shapes(*(getattr(self, name)[rows] for name in type(self).__slots__))


def draw_shapes(n: int, rng: np.random.Generator) -> Shapes:
    """Draw the shapes of a sky.

    Parameters
    ----------
    n : int
        Number of stars.
    rng : numpy.random.Generator
        Where from.

    Returns
    -------
    Shapes
        One a star.
    """
    return Shapes(
        is_galaxy=rng.random(n) < _GALAXIES,
        radius_arcsec=rng.uniform(0.8, 3.0, n),
        axis_ratio=rng.uniform(0.3, 0.9, n),
        position_angle=rng.uniform(0.0, 180.0, n),
        index=rng.uniform(0.7, 5.0, n),
        terms=rng.normal(0.0, 1.0, (n, len(LENS_TERMS))),
    )
