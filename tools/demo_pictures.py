"""Pictures of the demo: a variable star against its truth, and the density of the sky."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import dvo
from dvo.database.plots import draw_density

__all__ = ["Variable", "draw_sky", "draw_variable", "find_variable"]

Array = NDArray[Any]

_COLOURS = {"g": "#2a9d5c", "r": "#d1495b", "i": "#e08e0b", "z": "#8f5bb5", "y": "#222222"}


@dataclass(frozen=True)
class Variable:
    """A variable star of the simulation.

    Parameters
    ----------
    ra, dec : float
        Position, ICRS [deg].
    period_d, phase : float
        Period [d], and phase at the epoch [cycles].
    epoch_mjd : float
        The epoch [d].
    mean, amplitude : dict of str to float
        Mean magnitude and half of peak to peak, by filter [mag].
    """

    ra: float
    dec: float
    period_d: float
    phase: float
    epoch_mjd: float
    mean: dict[str, float]
    amplitude: dict[str, float]

    def mags(self, name: str, mjd: Array) -> Array:
        """True magnitudes in a filter.

        Parameters
        ----------
        name : str
            The filter.
        mjd : ndarray of float64
            Times [d].

        Returns
        -------
        ndarray of float64
            Magnitudes.
        """
        cycles = (mjd - self.epoch_mjd) / self.period_d + self.phase
        return np.asarray(self.mean[name] + self.amplitude[name] * np.sin(2 * np.pi * cycles))


def find_variable(truth: Path) -> Variable:
    """Choose a variable star of large amplitude, short period and many detections.

    Parameters
    ----------
    truth : Path
        Folder of the truth tables.

    Returns
    -------
    Variable
        The star.
    """
    plan = json.loads((truth / "plan.json").read_text())
    stars = {n: c.to_numpy() for n, c in zip(*_columns(truth / "stars.parquet"), strict=True)}
    is_short = (stars["period_d"] > 0.4) & (stars["period_d"] < 10)
    merit = stars["amplitude"] * stars["n_detected"] * is_short * (stars["max_snr"] > 50)
    i = int(np.argmax(merit))
    shares = dict(zip(plan["filters"], plan["variable_by_filter"], strict=True))
    return Variable(
        ra=float(stars["ra"][i]),
        dec=float(stars["dec"][i]),
        period_d=float(stars["period_d"][i]),
        phase=float(stars["phase"][i]),
        epoch_mjd=float(plan["epoch_mjd"]),
        mean={name: float(stars[f"mag_{name}"][i]) for name in shares},
        amplitude={name: float(stars["amplitude"][i]) * share for name, share in shares.items()},
    )


def _columns(path: Path) -> tuple[list[str], list[pa.ChunkedArray]]:
    table = pq.read_table(path)
    return table.column_names, table.columns


def draw_variable(table: pa.Table, star: Variable, path: Path) -> None:
    """Draw a light curve in time and folded, over the truth.

    Parameters
    ----------
    table : pyarrow.Table
        From `Database.lightcurve`.
    star : Variable
        What is true of the star.
    path : Path
        PNG file to write.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mjd = table["mjd"].to_numpy()
    mag, err = table["mag:rel"].to_numpy(), table["mag:err"].to_numpy()
    filters = np.array([_filter(name) for name in table["photcode_name"].to_pylist()])
    start = np.floor(mjd.min())
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
    grid = np.linspace(0, 1, 200)
    for name, colour in _COLOURS.items():
        rows = filters == name
        phase = (mjd - star.epoch_mjd) / star.period_d % 1
        style = {"fmt": "o", "ms": 3.5, "lw": 0, "elinewidth": 1, "color": colour}
        left.errorbar(mjd[rows] - start, mag[rows], err[rows], label=name, **style)
        right.errorbar(phase[rows], mag[rows], err[rows], **style)
        true = star.mags(name, star.epoch_mjd + grid * star.period_d)
        right.plot(grid, true, color=colour, lw=1, alpha=0.6)
    left.invert_yaxis()
    left.set(xlabel=f"MJD - {start:.0f} [d]", ylabel="magnitude [mag]", title="in time")
    right.set(xlabel=f"phase (period {star.period_d:.4f} d)", title="folded; lines: the truth")
    figure.legend(loc="outside right center", title="filter")
    figure.suptitle(f"Simulated variable star at RA {star.ra:.4f}°, Dec {star.dec:+.4f}°: "
                    f"{len(mjd)} measures")  # fmt: skip
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _filter(photcode: str) -> str:
    words = photcode.split(".")
    return words[1] if len(words) == 3 else photcode


def draw_sky(db: dvo.Database, path: Path) -> int:
    """Draw the density of all objects.

    Parameters
    ----------
    db : Database
        The database.
    path : Path
        PNG file to write.

    Returns
    -------
    int
        Number of objects.
    """
    table = pa.Table.from_batches(db.scan("average", ["ra", "dec"]))
    ra, dec = table["ra"].to_numpy(), table["dec"].to_numpy()
    title = f"{len(ra):,} objects: Gaia DR3 G < 10, Hipparcos, and a simulated survey"
    draw_density(ra, dec, path, title)
    return len(ra)
