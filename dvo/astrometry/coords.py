"""The astrometric terms of one image, as a row of the Image table holds them.

A chip of a mosaic goes chip -> focal plane -> tangent plane -> sky, as psastro writes it:

- CTYPE ending in ``-WRP`` (chip) and ``-DIS`` (focal plane, in the primary header), with
  NPLYTERM = n the order of the polynomial (0 and 1: linear):
  ``x = (X - CRPIX1) * CDELT1``, ``y`` likewise;
  ``L = PC1_1 x + PC1_2 y + sum PCA1XiYj x^i y^j`` over 2 <= i + j <= n, ``M`` likewise.
- WRP adds (CRVAL1, CRVAL2) and gives pixels of the focal plane.
- DIS takes these, gives tangent-plane degrees (CRVAL is not added), and the gnomonic
  projection about (CRVAL1, CRVAL2) leads to the sky.

A plain TAN solution is a DIS without polynomial.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NO_TERMS", "AstromCoords"]

NO_TERMS: tuple[float, ...] = (0.0,) * 14
"""Terms of second and third order of a linear solution."""


@dataclass(frozen=True, slots=True)
class AstromCoords:
    """The astrometric terms of an image, as a row of the Image table holds them.

    Parameters
    ----------
    ctype : str
        ``RA---TAN``, ``RA---WRP`` or ``RA---DIS``.
    crval : tuple of float
        Reference value: sky position [deg] for TAN and DIS, focal-plane pixels for WRP.
    crpix : tuple of float
        Reference pixel.
    cdelt : tuple of float
        Scale.
    pc : tuple of float
        PC1_1, PC1_2, PC2_1, PC2_2.
    npolyterms : int
        Order of the polynomial, 0 to 3; 0 and 1 are linear.
    polyterms : tuple of float
        Terms xx xy yy xxx xxy xyy yyy of axis 1, then of axis 2.
    mosaic : AstromCoords or None
        The focal plane (DIS) of a WRP chip.
    """

    ctype: str
    crval: tuple[float, float]
    crpix: tuple[float, float] = (0.0, 0.0)
    cdelt: tuple[float, float] = (1.0, 1.0)
    pc: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
    npolyterms: int = 0
    polyterms: tuple[float, ...] = NO_TERMS
    mosaic: AstromCoords | None = None

    @property
    def kind(self) -> str:
        """Projection: the last three letters of ctype."""
        return self.ctype[-3:]
