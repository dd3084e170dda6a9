"""Chips of mosaics with the distortions of a wide camera, for tests of astrometry."""

from __future__ import annotations

import numpy as np

from dvo.astrometry.coords import AstromCoords

NX, NY = 4800, 4600


def exposure(r: np.random.Generator, crval: tuple[float, float], n: int) -> list[AstromCoords]:
    """Chips of one exposure, of all orders, up to 2 degrees from the tangent point."""
    quadratic, cubic = r.normal(size=(2, 2, 4)) * np.array([[[3e-5]], [[1e-4]]])
    terms = np.concatenate([quadratic[:, :3], cubic], axis=1).ravel()
    plane = AstromCoords("RA---DIS", crval, (3.0, -4.0), (-7e-5, 7e-5), npolyterms=3,
                         polyterms=tuple(terms.tolist()))  # fmt: skip
    chips = []
    for _ in range(n):
        angle, flip = r.normal() * 0.01, r.choice([-1.0, 1.0])
        c, s = flip * np.cos(angle), np.sin(angle)
        bent = np.concatenate([r.normal(size=(2, 3)) * 1e-7, r.normal(size=(2, 4)) * 1e-11], axis=1)
        x0, y0 = r.uniform(-20000, 20000, 2)
        chips.append(AstromCoords(
            "RA---WRP", (float(x0), float(y0)), (NX / 2, NY / 2), (1.0, 1.0),
            (c, s, -s * flip, c * flip), int(r.integers(0, 4)), tuple(bent.ravel().tolist()), plane,
        ))  # fmt: skip
    return chips


def camera(r: np.random.Generator) -> list[AstromCoords | None]:
    """Chips of exposures at the pole, over the seam and elsewhere; a plain image; none."""
    fields = [(123.0, 89.999), (0.001, -30.0), (200.0, 5.0)]
    found: list[AstromCoords | None] = [c for f in fields for c in exposure(r, f, 5)]
    plain = AstromCoords("RA---TAN", (10.0, -90.0), (100.0, 50.0), (-1e-4, 1e-4), npolyterms=1)
    lost = AstromCoords("RA---WRP", (0.0, 0.0))
    return [*found, plain, None, lost]
