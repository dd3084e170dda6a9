"""Pictures of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.tables.photsource import PhotSource, source_of

__all__ = ["draw_density", "draw_lightcurve"]

Array = NDArray[Any]

_COLOURS = {"u": "#4361ee", "g": "#2a9d5c", "r": "#d1495b", "i": "#e08e0b", "z": "#8f5bb5",
            "y": "#222222"}  # fmt: skip
_MARKS = {PhotSource.CHIP: "o", PhotSource.WARP: "^", PhotSource.STACK: "s"}


def draw_lightcurve(table: pa.Table, path: Path, title: str = "") -> None:
    """Draw a light curve, one colour a filter.

    Parameters
    ----------
    table : pyarrow.Table
        From `Database.lightcurve`: mjd, photcode_name, mag:rel and mag:err.
    path : Path
        File to write; its ending says what kind of picture it is.
    title : str
        What to write above it.
    """
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    mjd = table["mjd"].to_numpy()
    mag = table["mag:rel"].to_numpy().astype(float)
    err = table["mag:err"].to_numpy().astype(float)
    photcodes = np.array(table["photcode_name"].to_pylist())
    start = np.floor(mjd.min())
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    groups: dict[str, list[str]] = {}
    for name in np.unique(photcodes).tolist():
        words = name.split(".")
        groups.setdefault(words[1] if len(words) == 3 else name, []).append(name)
    for k, (label, names) in enumerate(groups.items()):
        rows = np.isin(photcodes, names)
        axes.errorbar(
            mjd[rows] - start, mag[rows], np.nan_to_num(err[rows]),
            fmt=_MARKS[source_of(names[0])], ms=4, lw=0, elinewidth=1,
            color=_COLOURS.get(label, f"C{k}"), label=label,
        )  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlabel(f"MJD - {start:.0f} [d]")
    axes.set_ylabel("magnitude (level rel)")
    axes.set_title(title)
    axes.legend(ncols=min(6, len(groups)))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_density(ra: Array, dec: Array, path: Path, title: str = "") -> None:
    """Draw the density of positions over the whole sky (Mollweide projection, equal area).

    Parameters
    ----------
    ra, dec : ndarray of float64
        Positions, ICRS [deg].
    path : Path
        PNG file to write.
    title : str
        What to write above it.
    """
    import matplotlib as mpl  # noqa: PLC0415 - slow to import

    mpl.use("Agg")
    import healpy  # noqa: PLC0415
    import matplotlib.pyplot as plt  # noqa: PLC0415
    from matplotlib.colors import LogNorm  # noqa: PLC0415
    from matplotlib.patheffects import withStroke  # noqa: PLC0415
    from matplotlib.ticker import LogLocator, ScalarFormatter  # noqa: PLC0415

    n_side = _n_side(len(ra))
    counts = np.bincount(healpy.ang2pix(n_side, ra, dec, lonlat=True), minlength=12 * n_side**2)
    density = counts / healpy.nside2pixarea(n_side, degrees=True)
    longitude, latitude = np.meshgrid(np.linspace(-180, 180, 1201), np.linspace(-90, 90, 601))
    # East is to the left on the sky.
    pixels = healpy.ang2pix(n_side, -longitude % 360, latitude, lonlat=True)
    picture = np.ma.masked_less_equal(density[pixels], 0)
    # A small deep field must not take all the colours from the rest of the sky.
    least, most = np.percentile(density[density > 0], [1, 99.5]) if len(ra) else (1.0, 1.0)
    figure = plt.figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.add_subplot(projection="mollweide", facecolor="#eeeeee")
    mesh = axes.pcolormesh(
        np.radians(longitude), np.radians(latitude), picture, cmap="magma",
        norm=LogNorm(max(least, 1e-3), max(most, 1.1 * least, 1e-2)), rasterized=True,
        shading="auto",
    )  # fmt: skip
    hours = np.arange(-120, 121, 60)
    axes.set_xticks(
        np.radians(hours), [f"{-x % 360}°" for x in hours], color="white", weight="bold",
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )  # fmt: skip
    axes.set_yticks(np.radians(np.arange(-60, 61, 30)))
    axes.grid(alpha=0.3)
    axes.set_title(title, pad=14)
    figure.colorbar(
        mesh, ax=axes, shrink=0.75, extend="both", label="objects per square degree",
        format=ScalarFormatter(), ticks=LogLocator(subs=(1, 2, 5)), pad=0.02,
    ).minorticks_off()  # fmt: skip
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _n_side(n: int) -> int:
    """Healpix resolution at which a pixel holds some 20 objects."""
    return int(2 ** np.clip(np.floor(0.5 * np.log2(max(n, 1) / 240.0)), 3, 7))
