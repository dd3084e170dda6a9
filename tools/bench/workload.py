"""The synthetic survey that every measure works on, made from a seed.

A field of 10 x 10 degrees on the equator side of Virgo holds stars spread evenly. Each
of ten epochs visits it in ten strips of declination, one exposure a strip, and detects
every star of the strip once, with 0.1 arcsec of scatter an axis: 100 exposures. There
is no least distance between stars, so in the larger sizes some have a neighbour within
the match radius, and a matcher is judged on what it makes of them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

__all__ = ["COLUMN_MAP", "FILTERS", "N_STRIPS", "RADIUS_ARCSEC", "SIZES", "Exposure", "Inputs",
           "cones", "exposures", "make_inputs", "photcode_name",
           "star_positions"]  # fmt: skip

Array = NDArray[Any]

SIZES = {"tiny": 20_000, "small": 200_000, "medium": 1_000_000}
"""Stars in the field; each is detected ten times."""

SEED = 20200901
N_EPOCHS = 10
N_STRIPS = 10
FILTERS = "grizy"
RADIUS_ARCSEC = 1.0
COLUMN_MAP = "ra=ra,dec=dec,mag=mag,mag_err=magerr,x=x,y=y,flags=flags"
"""What addstar is told about the columns of the files."""

_RA = (175.0, 185.0)
_DEC = (5.0, 15.0)
_SCATTER_DEG = 0.1 / 3600.0
_CHIP_PIXELS = (4846, 4868)


@dataclass(frozen=True, slots=True)
class Exposure:
    """One exposure: its place in the survey and its detections.

    Parameters
    ----------
    number : int
        From 0 to 99, in the order of time.
    filter_index : int
        Which of `FILTERS`.
    mjd : float
        Its time, MJD [d].
    columns : dict of str to ndarray
        The detections; ``obj_true`` is the star of each.
    """

    number: int
    filter_index: int
    mjd: float
    columns: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files that hold a workload.

    Parameters
    ----------
    size : str
        One of `SIZES`.
    files : tuple of Path
        One Parquet file an exposure, in order.
    listing : Path
        The exposure list that addstar takes.
    """

    size: str
    files: tuple[Path, ...]
    listing: Path

    @property
    def n_rows(self) -> int:
        """Detections in all files."""
        return SIZES[self.size] * N_EPOCHS

    def one(self, number: int) -> Path:
        """Exposure list that holds one exposure only."""
        return self.listing.with_name(f"only{number:03d}.csv")


def photcode_name(filter_index: int) -> str:
    """Name of the photcode of exposures in a filter."""
    return f"BENCH.{FILTERS[filter_index]}"


def star_positions(n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Positions spread evenly over the field.

    Parameters
    ----------
    n : int
        How many.
    rng : numpy.random.Generator
        Where they come from.

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg].
    """
    ra = rng.uniform(*_RA, n)
    low, high = np.sin(np.radians(_DEC))
    return ra, np.degrees(np.arcsin(rng.uniform(low, high, n)))


def _stars(n: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(SEED)
    ra, dec = star_positions(n, rng)
    return ra, dec, 14.0 + 9.0 * rng.random(n) ** 0.4


def exposures(n_stars: int) -> Iterator[Exposure]:
    """Make the exposures one after another.

    Parameters
    ----------
    n_stars : int
        Stars in the field.

    Yields
    ------
    Exposure
        100 exposures, in the order of time.
    """
    ra, dec, mag = _stars(n_stars)
    share = (dec - _DEC[0]) / (_DEC[1] - _DEC[0])
    strip_of = np.minimum((share * N_STRIPS).astype(int), N_STRIPS - 1)
    rng = np.random.default_rng(SEED + 1)
    n_before = 0
    for number in range(N_EPOCHS * N_STRIPS):
        epoch, strip = divmod(number, N_STRIPS)
        star = rng.permutation(np.flatnonzero(strip_of == strip))
        n = len(star)
        err = 0.005 + 0.1 * 10 ** (0.4 * (mag[star] - 22.5))
        seen_dec = dec[star] + rng.normal(0.0, _SCATTER_DEG, n)
        seen_ra = ra[star] + rng.normal(0.0, _SCATTER_DEG, n) / np.cos(np.radians(seen_dec))
        mjd = 55000.0 + 37.3 * epoch + 0.003 * strip
        columns = {
            "ra": seen_ra,
            "dec": seen_dec,
            "mag": (mag[star] + rng.normal(0.0, 1.0, n) * err).astype("f4"),
            "magerr": err.astype("f4"),
            "mjd": np.full(n, mjd),
            "exp_id": np.full(n, number, "i4"),
            "filt": np.full(n, epoch % len(FILTERS), "i2"),
            "flags": rng.integers(0, 256, n, dtype="i4"),
            "obj_true": star.astype("i8"),
            "x": rng.uniform(0, _CHIP_PIXELS[0], n).astype("f4"),
            "y": rng.uniform(0, _CHIP_PIXELS[1], n).astype("f4"),
            "det_id": np.arange(n_before, n_before + n, dtype="i8"),
        }
        n_before += n
        yield Exposure(number, epoch % len(FILTERS), mjd, columns)


def make_inputs(folder: Path, size: str) -> Inputs:
    """Write the exposures as files, unless they are there.

    Parameters
    ----------
    folder : Path
        Where; made if it is missing.
    size : str
        One of `SIZES`.

    Returns
    -------
    Inputs
        The files.
    """
    numbers = range(N_EPOCHS * N_STRIPS)
    files = tuple(folder / f"exposure{n:03d}.parquet" for n in numbers)
    inputs = Inputs(size, files, folder / "exposures.csv")
    if inputs.listing.exists():  # written last, so all the others are whole
        return inputs
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for exposure, file in zip(exposures(SIZES[size]), files, strict=True):
        pq.write_table(pa.table(exposure.columns), file, compression="zstd")
        code = photcode_name(exposure.filter_index)
        lines.append([file.name, file.stem, code, repr(exposure.mjd), "30", "1.1"])
        _write_list(inputs.one(exposure.number), lines[-1:])
    _write_list(inputs.listing, lines)
    return inputs


def _write_list(path: Path, lines: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "name", "photcode", "mjd", "exptime", "airmass"])
        writer.writerows(lines)


def cones(n: int) -> list[tuple[float, float]]:
    """Centres of cones that lie well inside the field.

    Parameters
    ----------
    n : int
        How many.

    Returns
    -------
    list of tuple of float
        ra and dec of each [deg].
    """
    rng = np.random.default_rng(SEED + 3)
    ra = rng.uniform(_RA[0] + 1.5, _RA[1] - 1.5, n)
    dec = rng.uniform(_DEC[0] + 1.5, _DEC[1] - 1.5, n)
    return list(zip(ra.tolist(), dec.tolist(), strict=True))
