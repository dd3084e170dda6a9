"""Which part of the sky a database covers, as a MOC (multi-order coverage map, IVOA).

Of measures and objects: the cells of HEALPix that hold any. Of images: the cells that their
outlines touch, by their astrometry; images without astrometry count as the circle that
holds their measures.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mocpy import MOC
from numpy.typing import NDArray

from dvo.astrometry.image_rows import image_coords
from dvo.astrometry.outlines import outline
from dvo.errors import ConfigError
from dvo.exchange.extract import Extract
from dvo.exchange.hats.tiling import ORDER, healpix_29
from dvo.exchange.new_path import new_file
from dvo.exchange.report import ExportReport, Progress
from dvo.partition.view import View

__all__ = ["Coverage", "check_ending", "cover_images", "cover_rows", "save_moc"]

I64 = NDArray[np.int64]

_SKY_DEG2 = 360.0**2 / np.pi
_FORMS = {".fits": "fits", ".json": "json", ".txt": "ascii"}
_MANY_CELLS = 4_000_000  # that are held twice before they are put together
_IMAGES = 1000  # outlines that are worked out together


@dataclass(frozen=True)
class Coverage:
    """What is covered.

    Parameters
    ----------
    moc : mocpy.MOC
        The map.
    order : int
        Order of its finest cells.
    n_rows : int
        Rows that it was made from.
    """

    moc: Any
    order: int
    n_rows: int

    def as_dict(self) -> dict[str, Any]:
        """The facts as JSON types."""
        # mocpy's own share of the sky is 0 where that is small.
        ranges = self.moc.to_depth29_ranges
        n_cells = int((ranges[:, 1] - ranges[:, 0]).sum()) >> 2 * (ORDER - self.order)
        share = n_cells / (12 * 4**self.order)
        return {
            "order": self.order,
            "rows": self.n_rows,
            "cells": n_cells,
            "sky_fraction": share,
            "area_deg2": share * _SKY_DEG2,
        }


def cover_rows(extract: Extract, order: int, *, progress: Progress | None = None) -> Coverage:
    """Find the cells that hold any row of a table with positions.

    Parameters
    ----------
    extract : Extract
        The rows.
    order : int
        Order of the cells, 0 to 29.
    progress : callable, optional
        Called with the number of rows so far.

    Returns
    -------
    Coverage
        The cells.
    """
    report = ExportReport("moc", extract.table, "")
    began = time.perf_counter()
    cells: list[I64] = []
    n_held = 0
    for group in extract.groups():
        places = healpix_29(*extract.positions(group))
        cells.append(np.unique(places >> 2 * (ORDER - order)))
        n_held += len(cells[-1])
        if n_held > _MANY_CELLS:
            cells = [np.unique(np.concatenate(cells))]
            n_held = 0
        report.rows += len(places)
        report.seconds = time.perf_counter() - began
        if progress is not None:
            progress(report)
    found = np.unique(np.concatenate([np.empty(0, np.int64), *cells]))
    moc = MOC.from_healpix_cells(found.astype(np.uint64), order, order)
    return Coverage(moc, order, report.rows)


def cover_images(view: View, order: int) -> Coverage:
    """Find the cells that images touch.

    Parameters
    ----------
    view : View
        The snapshot.
    order : int
        Order of the cells, 0 to 29.

    Returns
    -------
    Coverage
        The cells.
    """
    from astropy import units  # noqa: PLC0415 - slow to import

    images = view.images
    moc = MOC.new_empty(order)
    shapes, circles = [], []
    for i, coords in enumerate(image_coords(images)):
        nx, ny = int(images["nx"][i]), int(images["ny"][i])
        corners = outline(coords, nx, ny) if coords is not None and nx and ny else None
        if corners is not None and np.isfinite(corners).all():
            shapes += [corners[:, 0], corners[:, 1]]
        elif np.isfinite(images["radius"][i]):
            circles.append(i)
    for first in range(0, len(shapes), 2 * _IMAGES):
        moc = moc.union(*MOC.from_polygons(shapes[first : first + 2 * _IMAGES], max_depth=order))
    for first in range(0, len(circles), _IMAGES):
        rows = np.array(circles[first : first + _IMAGES])
        ra, dec, radius = (images[n][rows] for n in ("ra_center", "dec_center", "radius"))
        found = MOC.from_cones(
            lon=ra * units.deg,
            lat=dec * units.deg,
            radius=radius.astype(np.float64) * units.deg,
            max_depth=order,
        )
        moc = moc.union(*found)
    return Coverage(moc, order, len(shapes) // 2 + len(circles))


def check_ending(target: Path) -> str:
    """Tell in which form a map is to be written.

    Parameters
    ----------
    target : Path
        The file.

    Returns
    -------
    str
        The form, by the ending of the file: ``.fits``, ``.json`` or ``.txt``.

    Raises
    ------
    ConfigError
        If the ending says nothing.
    """
    form = _FORMS.get(target.suffix.lower())
    if form is None:
        raise ConfigError(
            f"{target}: its ending does not say in which form to write; use {' '.join(_FORMS)}"
        )
    return form


def save_moc(coverage: Coverage, target: Path, *, overwrite: bool) -> None:
    """Write a map to a file.

    Parameters
    ----------
    coverage : Coverage
        The map.
    target : Path
        The file, see `check_ending`.
    overwrite : bool
        Whether it may replace a file.

    Raises
    ------
    StorageError
        If the file exists and may not be replaced, or cannot be written.
    """
    form = check_ending(target)
    with new_file(target, overwrite=overwrite) as beside:
        coverage.moc.save(beside, format=form)
