"""A survey on a flat patch of sky, for what solves for the astrometry of images.

Chips of 0.25 deg, 4 by 3 of them, exposures over 4 years, a static cubic of each chip, a pointing
and an affine change of each exposure, and a small cubic of each chip in each exposure. Nothing is
projected, so what is left of a distortion can be told exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.legendre import legendre_basis
from dvo.calib.astrometry.image_solve import AstromBatch, ImageResult
from dvo.calib.astrometry.image_terms import ImagePlaces

__all__ = ["SCALE", "FlatSky", "flat_sky"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

N_X, N_Y, CHIP_DEG, PATCH_DEG = 4, 3, 0.25, 2.5
SCALE = 0.25  # arcsec a pixel
HALF = 0.5 * CHIP_DEG * 3600 / SCALE  # of a chip [pix]
MAS = 1e-3


@dataclass
class FlatSky:
    """The survey; places in arcsec, on one plane for all stars.

    Parameters
    ----------
    batch : AstromBatch
        The measures.
    places : ImagePlaces
        The images.
    distortion : ndarray of float64, shape (n, 2)
        What the images do to each measure [arcsec].
    truth : ndarray of float64, shape (n_stars, 5)
        Places, motions and parallaxes [arcsec, arcsec/yr].
    is_reference : ndarray of bool, shape (n_stars,)
        Stars that are known beforehand.
    """

    batch: AstromBatch
    places: ImagePlaces
    distortion: F64
    truth: F64
    is_reference: NDArray[np.bool_]

    def halves(self) -> list[AstromBatch]:
        """The measures in two batches of about the same size, for two threads.

        Returns
        -------
        list of AstromBatch
            The same stars.
        """
        b = self.batch
        middle = len(b.edges) // 2
        return [_part(b, 0, middle), _part(b, middle, len(b.edges) - 1)]

    def distortion_error(self, found: ImageResult) -> float:
        """Tell what is left of the distortion at the places of all measures.

        Parameters
        ----------
        found : ImageResult
            Corrections of the images.

        Returns
        -------
        float
            Its root mean square in one direction [mas].
        """
        b = self.batch
        seen = b.image >= 0
        image, basis = b.image[seen], legendre_basis(b.s[seen], b.t[seen])
        moved = np.einsum("nab,nb->na", found.corrections[image], basis) * SCALE
        return float(np.sqrt(np.mean((self.distortion[seen] + moved) ** 2))) / MAS


def flat_sky(
    rng: np.random.Generator,
    *,
    n_exposures: int = 120,
    n_stars: int = 40_000,
    reference_share: float = 0.5,
    patch_deg: float = PATCH_DEG,
    noisy: bool = True,
    air_mas: float = 4.0,
    held_share: float = 0.0,
) -> FlatSky:
    """Make one.

    Parameters
    ----------
    rng : Generator
        Where chance comes from.
    n_exposures, n_stars : int
        How large it is.
    reference_share : float
        Share of the stars above magnitude 18 with places and motions known to 0.3 mas.
    patch_deg : float
        Side of the patch [deg].
    noisy : bool
        Whether measures have errors.
    air_mas : float
        Scatter of each coefficient of a chip in an exposure [mas].
    held_share : float
        Share of stars kept from the solve.

    Returns
    -------
    FlatSky
        The survey.
    """
    sx, sy = rng.random((2, n_stars)) * patch_deg
    mag = 15 + 5 * rng.random(n_stars) ** 0.5
    theta = np.column_stack([
        rng.normal(0, 100, n_stars), rng.normal(0, 100, n_stars), rng.normal(-3, 8, n_stars),
        rng.normal(-5, 8, n_stars), np.abs(rng.normal(0, 1, n_stars)),
    ]) * MAS  # fmt: skip
    ex = 0.5 + rng.random(n_exposures) * (patch_deg - 1.0)
    ey = 0.4 + rng.random(n_exposures) * (patch_deg - 0.8)
    years = np.sort(rng.random(n_exposures)) * 4.0
    years -= years.mean()
    n_chips = N_X * N_Y
    static = rng.normal(0, 60, (n_chips, 2, 10)) * MAS
    pointing = rng.normal(0, 200, (n_exposures, 2, 3)) * MAS
    air = rng.normal(0, air_mas, (n_exposures, n_chips, 2, 10)) * MAS
    found = [_seen(rng, e, sx - ex[e], sy - ey[e]) for e in range(n_exposures)]
    star, exposure, chip, s, t = (np.concatenate(v) for v in zip(*found, strict=True))
    fx_field, fy_field = (sx[star] - ex[exposure]) / 0.5, (sy[star] - ey[exposure]) / 0.5
    basis = _powers(s, t)
    distortion = np.einsum("nab,nb->na", static[chip] + air[exposure, chip], basis)
    affine = pointing[exposure]
    distortion += affine[:, :, 0] + affine[:, :, 1] * (0.5 * fx_field)[:, None]
    distortion += affine[:, :, 2] * (0.5 * fy_field)[:, None]
    when = years[exposure]
    px, py = np.cos(2 * np.pi * when) * 0.97 + 0.02, np.sin(2 * np.pi * when) * 0.45
    own = theta[star]
    place = own[:, :2] + own[:, 2:4] * when[:, None] + own[:, 4:] * np.column_stack([px, py])
    sigma = np.hypot(10 ** (0.2 * (mag[star] - 15)), 3.0) * MAS
    noise = np.zeros((len(star), 2))
    if noisy:
        noise = rng.normal(0, 1, (len(star), 2)) * sigma[:, None]
    s, t = s + noise[:, 0] / (HALF * SCALE), t + noise[:, 1] / (HALF * SCALE)
    seen = distortion + place + noise
    is_reference = (mag < 18) & (rng.random(n_stars) < reference_share)
    prior, expected = _known(rng, theta, is_reference, noisy)
    order = np.argsort(star, kind="stable")
    edges = np.searchsorted(star[order], np.arange(n_stars + 1)).astype(np.int64)
    n = len(star)
    batch = AstromBatch(
        edges, (exposure * n_chips + chip)[order].astype(np.int32), s[order], t[order],
        np.full((len(star), 2), HALF),
        seen[order, 0].copy(), seen[order, 1].copy(), sigma[order],
        np.broadcast_to(np.eye(2) * SCALE, (n, 2, 2)).copy(), when[order], px[order], py[order],
        prior, expected, np.repeat(is_reference[:, None], 2, axis=1),
        rng.random(n_stars) < held_share,
    )  # fmt: skip
    return FlatSky(batch, _places(n_exposures), distortion[order], theta, is_reference)


def _part(batch: AstromBatch, first: int, last: int) -> AstromBatch:
    low, high = batch.edges[first], batch.edges[last]
    columns = {}
    for column in fields(batch):
        values = getattr(batch, column.name)
        of_stars = column.name in ("prior", "expected", "is_known", "is_held")
        columns[column.name] = values[first:last] if of_stars else values[low:high]
    columns["edges"] = batch.edges[first : last + 1] - low
    return AstromBatch(**columns)


def _seen(rng: np.random.Generator, e: int, dx: F64, dy: F64) -> tuple[I64, I64, I64, F64, F64]:
    u, v = dx / CHIP_DEG + N_X / 2, dy / CHIP_DEG + N_Y / 2
    cx, cy = np.floor(u).astype(int), np.floor(v).astype(int)
    ok = np.flatnonzero(
        (cx >= 0) & (cx < N_X) & (cy >= 0) & (cy < N_Y) & (rng.random(len(dx)) < 0.9)
    )
    s, t = 2 * (u - cx)[ok] - 1, 2 * (v - cy)[ok] - 1
    return ok, np.full(len(ok), e), (cy * N_X + cx)[ok], s, t


def _powers(u: F64, v: F64) -> F64:
    return np.stack([u * 0 + 1, u, v, u * u, u * v, v * v, u**3, u * u * v, u * v * v, v**3], -1)


def _known(
    rng: np.random.Generator, theta: F64, is_reference: NDArray[np.bool_], noisy: bool
) -> tuple[F64, F64]:
    sigma = np.where(is_reference[:, None], 0.3, np.array([500.0, 500.0, 30.0, 30.0, 5.0])) * MAS
    off = rng.normal(0, 1, theta.shape) * sigma if noisy else 0.0
    middle = np.array([0, 0, -3, -5, 0.8]) * MAS
    return sigma**-2.0, np.where(is_reference[:, None], theta + off, middle)


def _places(n_exposures: int) -> ImagePlaces:
    chip = np.tile(np.arange(N_X * N_Y), n_exposures)
    exposure = np.repeat(np.arange(n_exposures), N_X * N_Y)
    n = len(chip)
    field = np.zeros((n, 2, 3))
    field[:, 0, 0], field[:, 1, 0] = (chip % N_X - 1.5) * 0.5, (chip // N_X - 1.0) * 0.5
    field[:, 0, 1] = field[:, 1, 2] = 0.25
    jacobian = np.broadcast_to(np.eye(2) * SCALE, (n, 2, 2)).copy()
    return ImagePlaces(chip, exposure, field, jacobian, np.full(n, 3), np.ones(n, np.bool_))
