"""The astrometry of images from the stars that they share: solved jointly, judged, and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.fit import fit_chip, fit_image
from dvo.astrometry.image_rows import COORD_COLUMNS, coords_columns, image_coords
from dvo.astrometry.legendre import chip_coordinates, legendre_basis
from dvo.calib.astrometry.image_measures import AstromImages, StarPriors, read_star_places
from dvo.calib.astrometry.image_solve import (
    AstromBatch,
    ImageOptions,
    ImageResult,
    ImageRound,
    solve_images,
)
from dvo.calib.astrometry.image_terms import CorrectionTerms, TermPriors
from dvo.partition.bounds import Area
from dvo.partition.region_batches import region_batches
from dvo.partition.view import View
from dvo.tables.flags import ImageFlag

__all__ = ["ImageFit", "SolveOptions", "fit_images"]

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

_OF_FITS = np.uint32(ImageFlag.ASTROM_FAIL | ImageFlag.ASTROM_FEW | ImageFlag.ASTROM_POOR)
_NOTABLE = 0.1
"""A correction that is refused is a failure if it moves places by this share of the residuals."""


@dataclass(frozen=True)
class SolveOptions:
    """How images are solved for.

    Parameters
    ----------
    with_parallax : bool
        Whether stars have parallaxes in the solve.
    area : Area, optional
        Where the centres of images lie that may change; None for everywhere.
    terms : TermPriors
        How large corrections are beforehand.
    stars : StarPriors
        What is known of stars beforehand.
    solve : ImageOptions
        How the solve goes.
    """

    with_parallax: bool = True
    area: Area | None = None
    terms: TermPriors = field(default_factory=TermPriors)
    stars: StarPriors = field(default_factory=StarPriors)
    solve: ImageOptions = field(default_factory=ImageOptions)


@dataclass(frozen=True, eq=False)
class ImageFit:
    """New astrometry of images.

    Parameters
    ----------
    rows : ndarray of int64, shape (k,)
        Rows of Image that change.
    columns : dict of str to ndarray
        Their new values for `COORD_COLUMNS`.
    flags : ndarray of uint32, shape (n_images,)
        Flags of all images: ASTROM_FEW of those with too few stars, ASTROM_FAIL of those whose
        new astrometry was worse for stars kept from the solve, and is not taken.
    counts : ndarray of int64, shape (n_images,)
        Measures that told of each.
    shift_arcsec : ndarray of float64, shape (k,)
        Root mean square change of the places on each [arcsec].
    n_refused : int
        Images whose new astrometry is not taken.
    n_few : int
        Images with too few stars.
    rounds : list of ImageRound
        What the solve did.
    is_converged : bool
        Whether the corrections stood still at the end.
    """

    rows: I64
    columns: dict[str, NDArray[Any]]
    flags: U32
    counts: I64
    shift_arcsec: F64
    n_refused: int
    n_few: int
    rounds: list[ImageRound]
    is_converged: bool


def fit_images(
    view: View, options: SolveOptions, *, progress: Callable[[str], None] | None = None
) -> ImageFit:
    """Solve for the astrometry of the images of a database, all together.

    Parameters
    ----------
    view : View
        The snapshot.
    options : SolveOptions
        How.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    ImageFit
        The new astrometry; nothing is written.
    """
    say = progress or (lambda _: None)
    images = AstromImages.read(view, options.area)
    batches = list(_batches(view, images, options, say))
    counts = _counts(batches, len(images.table))
    places = images.places(counts)
    if not places.is_free.any():
        return _nothing(images, counts)
    terms = CorrectionTerms.of(places, options.terms)
    result = solve_images(batches, terms, options.solve,
                          progress=lambda k, _: say(f"round {k} solved"))  # fmt: skip
    shift = _shifts(result.corrections, places.scale)
    noise = result.rounds[-1].rms_arcsec
    # What stars kept from the solve speak against is not taken.
    is_better = places.is_free & ~(result.after >= result.before)
    rows = np.flatnonzero(is_better)
    is_failure = places.is_free & ~is_better & (shift > _NOTABLE * noise)
    few = images.is_selected & ~places.is_free
    flags = images.table["flags"].copy()
    flags[images.is_selected] &= ~_OF_FITS
    flags[is_failure] |= np.uint32(ImageFlag.ASTROM_FAIL)
    flags[few] |= np.uint32(ImageFlag.ASTROM_FEW)
    say(f"{len(rows)} images get new astrometry")
    return ImageFit(rows, _columns(images, rows, result), flags, result.counts, shift[rows],
                    int(is_failure.sum()), int(few.sum()), result.rounds,
                    result.is_converged)  # fmt: skip


def _batches(
    view: View, images: AstromImages, options: SolveOptions, say: Callable[[str], None]
) -> Iterable[AstromBatch]:
    regions, done = view.regions(options.area), 0
    for some in region_batches(view, regions):
        batch = read_star_places(view, some, images, options.stars,
                                 with_parallax=options.with_parallax)  # fmt: skip
        done += len(some)
        say(f"{done} of {len(regions)} regions read")
        if len(batch.x):
            yield batch


def _counts(batches: list[AstromBatch], n_images: int) -> I64:
    counts = np.zeros(n_images, np.int64)
    for batch in batches:
        own = batch.image[(batch.image >= 0) & ~batch.of_held]
        counts += np.bincount(own, minlength=n_images)
    return counts


def _nothing(images: AstromImages, counts: I64) -> ImageFit:
    flags = images.table["flags"].copy()
    flags[images.is_selected] |= np.uint32(ImageFlag.ASTROM_FEW)
    none = np.empty(0, np.int64)
    columns = {name: images.table[name][none] for name in COORD_COLUMNS}
    return ImageFit(none, columns, flags, counts, np.empty(0), 0, int(images.is_selected.sum()),
                    [], True)  # fmt: skip


_MEAN_SQUARE = np.array([1, 1 / 3, 1 / 3, 1 / 5, 1 / 9, 1 / 5, 1 / 7, 1 / 15, 1 / 15, 1 / 7])
"""Of the Legendre products over the chip."""


def _shifts(corrections: F64, scale: F64) -> F64:
    """Root mean square change of the places on each image [arcsec]."""
    return np.asarray(scale * np.sqrt((corrections**2 * _MEAN_SQUARE).sum(axis=(1, 2))))


def _columns(images: AstromImages, rows: I64, result: ImageResult) -> dict[str, NDArray[Any]]:
    """Rows of Image with the corrections in them: the pixels that a place comes from, moved."""
    table, coords = images.table, image_coords(images.table)
    found: dict[str, list[Any]] = {name: [] for name in COORD_COLUMNS}
    for row in rows.tolist():
        nx, ny, own = int(table["nx"][row]), int(table["ny"][row]), result.corrections[row]

        def exact(
            x: F64, y: F64, row: int = row, nx: int = nx, ny: int = ny, own: F64 = own
        ) -> tuple[F64, F64]:
            dx, dy = own @ legendre_basis(*chip_coordinates(x, y, nx, ny)).T
            return images.model.to_sky(np.full(len(x), row), x + dx, y + dy)

        before = coords[row]
        plane = None if before is None else before.mosaic
        new, _ = fit_image(exact, nx, ny) if plane is None else fit_chip(exact, plane, nx, ny)
        for name, value in coords_columns(new).items():
            found[name].append(value)
    return {name: np.array(values, table[name].dtype).reshape(-1, *table[name].shape[1:])
            for name, values in found.items()}  # fmt: skip
