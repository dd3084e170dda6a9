"""The survey that calibration is measured on: many dithered exposures with unknown zero points.

A square of sky on the equator is cut into tiles of 3 x 3 degrees, each visited ten times
with a dither; stars are spread evenly. It is the survey that the limit of calibration was
first worked out for: a million stars, 4,840 exposures and 9.1 million measures at scale 1.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["COLUMN_MAP", "PHOTCODE", "Survey", "make_survey", "write_survey"]

Array = NDArray[Any]

PHOTCODE = "BENCH.g"
COLUMN_MAP = "ra=ra,dec=dec,mag=mag,mag_err=mag_err"

_FIELD = 3.0
_VISITS = 10
_FLOOR = 0.01
_ROW = 0.5
_SCATTER_DEG = 0.05 / 3600.0


@dataclass(frozen=True, eq=False)
class Survey:
    """Measures of stars on exposures, sorted by exposure.

    Parameters
    ----------
    zero_point : ndarray of float64, shape (n_exposures,)
        True offset of each exposure [mag].
    ra, dec : ndarray of float64, shape (n_stars,)
        Positions [deg].
    star : ndarray of int32, shape (n,)
        Star of each measure.
    exposure : ndarray of int32, shape (n,)
        Exposure of each, ascending.
    mag, sigma : ndarray of float64, shape (n,)
        Magnitude measured and its error [mag].
    """

    zero_point: Array
    ra: Array
    dec: Array
    star: Array
    exposure: Array
    mag: Array
    sigma: Array


def make_survey(scale: float, seed: int, *, is_dirty: bool = False) -> Survey:
    """Make the measures.

    Parameters
    ----------
    scale : float
        Size; 1 is a million stars.
    seed : int
        Seed of all that is random.
    is_dirty : bool
        Whether 2 % of measures are outliers and 3 % of stars variable; the rest is the same.

    Returns
    -------
    Survey
        The measures.
    """
    rng = np.random.default_rng(seed)
    n_side, n_stars = round(22.36 * np.sqrt(scale)), int(1e6 * scale)
    size = n_side * _FIELD
    x, y = rng.random((2, n_stars)) * size
    order = np.lexsort((x, (y / _ROW).astype(int)))
    x, y = x[order], y[order]
    magnitude = 14.0 + 5.0 * rng.random(n_stars) ** 0.6
    tile_y, tile_x = (np.repeat(v, _VISITS) for v in np.divmod(np.arange(n_side**2), n_side))
    centre = [_FIELD * (t + 0.5) + rng.normal(0.0, 0.3, len(t)) for t in (tile_x, tile_y)]
    zero_point = _zero_points(tile_x, tile_y, rng)
    rows = np.searchsorted((y / _ROW).astype(int), np.arange(int(np.ceil(size / _ROW)) + 1))
    found = [_stars_in(x, y, rows, float(cx), float(cy), rng)
             for cx, cy in zip(*centre, strict=True)]  # fmt: skip
    star = np.concatenate(found).astype(np.int32)
    exposure = np.repeat(np.arange(len(found), dtype=np.int32), [len(f) for f in found])
    sigma = np.hypot(0.003 * 10 ** (0.2 * (magnitude[star] - 16.0)), _FLOOR)
    noise = rng.normal(0.0, 1.0, len(star)) * sigma
    if is_dirty:
        bad = rng.random(len(star)) < 0.02
        noise[bad] += rng.standard_t(2, int(bad.sum())) * 0.08 - 0.03
        varies = rng.random(n_stars) < 0.03
        noise += np.where(varies[star], rng.normal(0.0, 0.15, len(star)), 0.0)
    mag = magnitude[star] + zero_point[exposure] + noise
    return Survey(zero_point, x + 100.0, y - size / 2.0, star, exposure, mag, sigma)


def _zero_points(tile_x: Array, tile_y: Array, rng: np.random.Generator) -> Array:
    """Of nights that each see a block of neighbouring tiles, three in ten with clouds [mag]."""
    visit = np.arange(len(tile_x)) % _VISITS
    block = (visit * 1000 + tile_x // 4) * 1000 + tile_y // 12
    blocks, of = np.unique(block, return_inverse=True)
    n_nights = max(20, len(tile_x) // 48)
    night = rng.integers(0, n_nights, len(blocks))[of]
    is_cloudy = rng.random(n_nights) < 0.3
    clouds = np.where(is_cloudy[night], rng.exponential(0.1, len(night)), 0.0)
    return np.asarray(rng.normal(0.0, 0.03, n_nights)[night] + clouds)


def _stars_in(x: Array, y: Array, rows: Array, cx: float, cy: float,
              rng: np.random.Generator) -> Array:  # fmt: skip
    """Stars of an exposure; 8 % fall into gaps."""
    half = _FIELD / 2.0
    low = max(0, int((cy - half) / _ROW))
    high = min(len(rows) - 2, int((cy + half) / _ROW))
    some = np.arange(rows[low], rows[high + 1])
    some = some[(np.abs(x[some] - cx) < half) & (np.abs(y[some] - cy) < half)]
    return np.asarray(some[rng.random(len(some)) < 0.92])


def write_survey(survey: Survey, folder: Path) -> Path:
    """Write the exposures as files, with the list that addstar takes, unless they are there.

    Parameters
    ----------
    survey : Survey
        The measures.
    folder : Path
        Where; made if it is missing.

    Returns
    -------
    Path
        The list.
    """
    listing = folder / "exposures.csv"
    if listing.exists():  # written last, so all the others are whole
        return listing
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(survey.mag))
    edges = np.searchsorted(survey.exposure, np.arange(len(survey.zero_point) + 1))
    lines = []
    for k, (first, last) in enumerate(pairwise(edges.tolist())):
        some = survey.star[first:last]
        shift = rng.normal(0.0, _SCATTER_DEG, (2, len(some)))
        columns = {
            "ra": survey.ra[some] + shift[0] / np.cos(np.radians(survey.dec[some])),
            "dec": survey.dec[some] + shift[1],
            "mag": survey.mag[first:last].astype("f4"),
            "mag_err": survey.sigma[first:last].astype("f4"),
        }
        name = f"exposure{k:05d}"
        pq.write_table(pa.table(columns), folder / f"{name}.parquet", compression="zstd")
        lines.append([f"{name}.parquet", name, PHOTCODE, repr(55000.0 + 0.01 * k), "30", "1.1"])
    with listing.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "name", "photcode", "mjd", "exptime", "airmass"])
        writer.writerows(lines)
    return listing
