"""Pictures of a calibration: maps of residuals, zero points, histograms, repeatability, pulls."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.report.sky_grid import FieldGrid
from dvo.calib.report.tally import (
    MAG_EDGES,
    PULL_EDGES,
    RESIDUAL_EDGES,
    ResidualTally,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "ImagePoints", "Picture", "colour_of", "make_panels"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_COLOURS = ("#2a9d5c", "#d1495b", "#e08e0b", "#8f5bb5", "#222222", "#4361ee", "#9b6b43", "#5f7d8c")
_EMPTY = "#d8d8d8"  # what has no measures must not look like a residual of 0
_LEAST_MEASURES = 20
_MOST_BARS = 400
_MOST_NIGHTS = 60
_NIGHT_GAP_D = 0.25
_MMAG = 1e3


@dataclass(frozen=True, eq=False)
class ImagePoints:
    """Zero points of the images of a calibration.

    Parameters
    ----------
    mjd : ndarray of float64, shape (n,)
        When each was made [d].
    offset, error : ndarray of float64, shape (n,)
        Offset from the nominal zero point, and its error [mag]; NaN if not known.
    band : ndarray of int64, shape (n,)
        Filter of each, as in the `ResidualTally`.
    is_poor : ndarray of bool, shape (n,)
        Those that are flagged poor, or of few measures.
    """

    mjd: F64
    offset: F64
    error: F64
    band: I64
    is_poor: NDArray[np.bool_]


@dataclass(frozen=True)
class Picture:
    """A picture of the report.

    Parameters
    ----------
    name : str
        Its file, without the ending.
    title : str
        Heading.
    caption : str
        What one sees.
    draw : callable
        Makes the figure; None if there is nothing to show.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[ResidualTally, ImagePoints], Figure | None]


def make_panels(
    n: int, *, width: float, height: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure with a panel a filter, three in a row at most.

    Parameters
    ----------
    n : int
        Panels.
    width, height : float
        Size of each [inch]; of a single one half as much more.
    **options
        As `matplotlib.figure.Figure.subplots` takes them.

    Returns
    -------
    figure : Figure
        The figure.
    axes : list of Axes
        Its panels.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    columns = min(n, 3)
    rows = -(-n // columns)
    if n == 1:
        width, height = 1.5 * width, 1.5 * height
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for spare in axes[n:]:
        spare.set_visible(False)
    return figure, list(axes[:n])


def _one(height: float = 4.4) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(9, height), layout="constrained")
    return figure, figure.subplots()


def colour_of(band: int) -> str:
    """Give the colour in which a filter is drawn; they come again after eight."""
    return _COLOURS[band % len(_COLOURS)]


def _range_mmag(maps: F64) -> float:
    """What the colours of maps reach: nearly all of their cells."""
    known = np.abs(maps[np.isfinite(maps)])
    return float(max(_MMAG * np.quantile(known, 0.98), 0.1)) if known.size else 1.0


def _draw_sky(tally: ResidualTally, _: ImagePoints) -> Figure | None:
    maps = tally.sky_means()
    if not np.isfinite(maps).any():
        return None
    top = _range_mmag(maps)
    grid = tally.grid
    n = len(tally.filters)
    mesh: Any = None
    if isinstance(grid, FieldGrid):
        figure, panels = make_panels(n, width=4.6, height=4.2)
        for band, axes in enumerate(panels):
            half, unit = (
                (grid.half_deg, "deg") if grid.half_deg > 0.5 else (60 * grid.half_deg, "arcmin")
            )
            mesh = axes.imshow(
                _MMAG * maps[band], origin="lower", cmap="RdBu_r",
                vmin=-top, vmax=top, extent=(-half, half, -half, half), interpolation="nearest",
            )  # fmt: skip
            axes.set_facecolor(_EMPTY)
            seen = np.isfinite(maps).any(axis=0)
            axes.set_ylim(*_reach(np.asarray(seen), half))
            axes.set_xlim(*_reach(np.asarray(seen).T, half))
            axes.invert_xaxis()  # east is to the left on the sky
            axes.set(xlabel=f"east [{unit}]", ylabel=f"north [{unit}]", title=tally.filters[band])
        figure.suptitle(f"about RA {grid.ra:.4f}, Dec {grid.dec:+.4f}", size=10)
    else:
        figure, panels = make_panels(n, width=6.0, height=3.6,
                                 subplot_kw={"projection": "mollweide"})  # fmt: skip
        longitude, latitude = np.meshgrid(np.linspace(-180, 180, 721), np.linspace(-90, 90, 361))
        cells = grid.cells((-longitude % 360).ravel(), latitude.ravel()).reshape(longitude.shape)
        for band, axes in enumerate(panels):
            mesh = axes.pcolormesh(
                np.radians(longitude), np.radians(latitude), _MMAG * maps[band][cells],
                cmap="RdBu_r", vmin=-top, vmax=top, rasterized=True, shading="auto",
            )  # fmt: skip
            hours = np.arange(-120, 121, 60)
            axes.set_xticks(np.radians(hours), [f"{-x % 360}°" for x in hours], size=8)
            axes.tick_params(axis="y", labelsize=8)
            axes.grid(alpha=0.3)
            axes.set_title(tally.filters[band], pad=12)
    figure.colorbar(mesh, ax=panels, label="mean residual [mmag]", extend="both", shrink=0.85)
    return figure


def _reach(seen: NDArray[np.bool_], half: float) -> tuple[float, float]:
    """The part of a map along its first axis that holds something."""
    rows = np.flatnonzero(seen.any(axis=1))
    step = 2.0 * half / len(seen)
    return float(rows[0] * step - half), float((rows[-1] + 1) * step - half)


def _draw_chips(tally: ResidualTally, _: ImagePoints) -> Figure | None:
    maps, pix = tally.chip_plane.means()
    if not np.isfinite(maps).any():
        return None
    top = _range_mmag(maps)
    places = _chip_places(tally.chips)
    n_columns, n_rows = (max(p[k] for p in places) + 1 for k in (0, 1))
    n_y, n_x = maps.shape[2:]
    is_one = len(places) == 1
    gap = 0 if is_one else 1
    height = 4.2 * n_rows * n_y / (n_columns * n_x)
    figure, panels = make_panels(
        len(tally.filters), width=4.6, height=float(np.clip(height, 1.8, 5.0))
    )
    for band, axes in enumerate(panels):
        plane = np.full((n_rows * (n_y + gap) - gap, n_columns * (n_x + gap) - gap), np.nan)
        for chip, (column, row) in enumerate(places):
            y, x = row * (n_y + gap), column * (n_x + gap)
            plane[y : y + n_y, x : x + n_x] = maps[band, chip]
        size = (0.0, n_x * pix, 0.0, n_y * pix) if is_one else (
            0.0, n_columns, 0.0, n_rows * n_y / n_x)  # fmt: skip
        mesh = axes.imshow(
            _MMAG * plane, origin="lower", cmap="RdBu_r", vmin=-top, vmax=top, extent=size,
            interpolation="nearest",
        )  # fmt: skip
        axes.set_title(tally.filters[band])
        axes.set_facecolor(_EMPTY)
        if is_one:
            axes.set(xlabel="x on the chip [pix]", ylabel="y on the chip [pix]")
        else:
            height = n_y / n_x
            axes.set(xticks=[], yticks=[])
            if len(places) <= 64:
                for name, (column, row) in zip(tally.chips, places, strict=True):
                    axes.text(column + 0.04, (row + 0.96) * height, name, size=5, va="top")
    figure.colorbar(mesh, ax=panels, label="mean residual [mmag]", extend="both", shrink=0.85)
    return figure


def _chip_places(chips: tuple[str, ...]) -> list[tuple[int, int]]:
    """Column and row of each chip: as names such as XY31 say, or one after the other."""
    if not chips:
        return [(0, 0)]
    said = [re.fullmatch(r"XY(\d)(\d)", name) for name in chips]
    places = [(int(m[1]), int(m[2])) for m in said if m is not None]
    if len(places) == len(chips) > 1:
        left, low = (min(p[k] for p in places) for k in (0, 1))
        return [(column - left, row - low) for column, row in places]
    n_columns = int(np.ceil(np.sqrt(len(chips))))
    return [(k % n_columns, k // n_columns) for k in range(len(chips))]


def _draw_zero_points(tally: ResidualTally, images: ImagePoints) -> Figure | None:
    known = np.isfinite(images.offset) & np.isfinite(images.mjd)
    if not known.any():
        return None
    axis = _TimeAxis.of(images.mjd[known])
    figure, panels = _panels_down(len(tally.filters))
    for band, axes in enumerate(panels):
        for poor in (False, True):
            rows = known & (images.band == band) & (images.is_poor == poor)
            if not rows.any():
                continue
            time = axis.places(images.mjd[rows])
            colour = "#999999" if poor else colour_of(band)
            label = "poor, or few stars" if poor else "zero point of an image"
            if rows.sum() <= _MOST_BARS:
                axes.errorbar(
                    time, images.offset[rows], np.nan_to_num(images.error[rows]), fmt="o", ms=4,
                    lw=0, elinewidth=1, color=colour, label=label,
                )  # fmt: skip
            else:
                axes.plot(time, images.offset[rows], ".", ms=2.5, color=colour, label=label,
                          rasterized=True)  # fmt: skip
        axes.set_ylabel(f"{tally.filters[band]}: Mcal [mag]")
        axes.invert_yaxis()  # clouds are down
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8, loc="best")
    panels[-1].set_xlabel(axis.label)
    if axis.nights is not None:
        step = -(-len(axis.nights) // 12)
        labels = [f"{night:.0f}" for night in np.floor(axis.nights[::step])]
        panels[-1].set_xticks(np.arange(len(axis.nights))[::step] + 0.5, labels)
        panels[-1].set_xlim(0, len(axis.nights))
    return figure


@dataclass(frozen=True, eq=False)
class _TimeAxis:
    """Hours of a night, nights side by side however far apart they are, or days."""

    start: float
    nights: F64 | None
    label: str

    @classmethod
    def of(cls, mjd: F64) -> _TimeAxis:
        times = np.unique(mjd)
        start = float(np.floor(times[0]))
        # A night begins where nothing was seen for long, whatever its hours are in UT.
        nights = times[np.concatenate([[True], np.diff(times) > _NIGHT_GAP_D])]
        if len(nights) == 1:
            return cls(start, None, f"MJD - {start:.0f} [h]")
        if len(nights) <= _MOST_NIGHTS:
            return cls(start, nights, "night (MJD of its beginning), side by side")
        return cls(start, None, f"MJD - {start:.0f} [d]")

    def places(self, mjd: F64) -> F64:
        if self.nights is None:
            return (mjd - self.start) * (24.0 if self.label.endswith("[h]") else 1.0)
        night = np.searchsorted(self.nights, mjd, side="right") - 1
        return np.asarray(night + 0.1 + 0.8 * (mjd - self.nights[night]))


def _panels_down(n: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = Figure(figsize=(9, 1.2 + 2.2 * n), layout="constrained")
    return figure, list(figure.subplots(n, 1, squeeze=False, sharex=True).ravel())


def _draw_zero_point_histogram(tally: ResidualTally, images: ImagePoints) -> Figure | None:
    if not np.isfinite(images.offset).any():
        return None
    figure, panels = make_panels(len(tally.filters), width=4.2, height=3.4)
    for band, axes in enumerate(panels):
        mine = images.offset[(images.band == band) & np.isfinite(images.offset)]
        if len(mine):
            middle = float(np.median(mine))
            low, high = np.quantile(mine, [0.005, 0.995])
            reach = max(high - middle, middle - low, 1e-4) * 1.1
            n_bins = int(np.clip(2 * np.sqrt(len(mine)), 8, 60))
            axes.hist(_MMAG * np.clip(mine - middle, -reach, reach), n_bins, color=colour_of(band),
                      range=(-_MMAG * reach, _MMAG * reach))  # fmt: skip
            axes.set_title(f"{tally.filters[band]}: median {middle:+.4f} mag", size=10)
        axes.set(xlabel="Mcal less the median [mmag]", ylabel="images")
        axes.grid(alpha=0.3)
    return figure


def _draw_residuals(tally: ResidualTally, _: ImagePoints) -> Figure | None:
    if not tally.n_measures.any():
        return None
    figure, axes = _one()
    middles = 0.5 * (RESIDUAL_EDGES[1:] + RESIDUAL_EDGES[:-1])
    scatter = tally.robust_scatter()
    for band, name in enumerate(tally.filters):
        n = tally.n_measures[band]
        if n:
            label = f"{name}: {n} measures, scatter {_MMAG * scatter[band]:.1f} mmag"
            axes.step(_MMAG * middles, np.maximum(tally.residuals[band], 0.5), where="mid",
                      color=colour_of(band), label=label)  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.8)
    axes.set(xlabel="residual [mmag]; those beyond are in the outermost bins",
             ylabel="measures in 2 mmag")  # fmt: skip
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def _draw_repeatability(tally: ResidualTally, _: ImagePoints) -> Figure | None:
    scatter, stated, n = tally.scatter()
    enough = n >= _LEAST_MEASURES
    if not enough.any():
        return None
    figure, axes = _one(5.0)
    middles = 0.5 * (MAG_EDGES[1:] + MAG_EDGES[:-1])
    for band, name in enumerate(tally.filters):
        rows, colour = enough[band], colour_of(band)
        if rows.any():
            axes.plot(middles[rows], _MMAG * scatter[band, rows], "o-", ms=5, color=colour,
                      label=f"{name}: scatter of {tally.what}")  # fmt: skip
            axes.plot(middles[rows], _MMAG * stated[band, rows], "--", lw=1.2, color=colour,
                      label=f"{name}: as the errors say")  # fmt: skip
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    steps = (1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 6, 8)
    ticks = [t for t in np.outer([0.1, 1, 10, 100], steps).ravel() if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set(xlabel="mean magnitude [mag]", ylabel="scatter [mmag]")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


def _draw_pulls(tally: ResidualTally, _: ImagePoints) -> Figure | None:
    if not tally.n_measures.any():
        return None
    figure, axes = _one()
    middles = 0.5 * (PULL_EDGES[1:] + PULL_EDGES[:-1])
    step = PULL_EDGES[1] - PULL_EDGES[0]
    widths = tally.pull_widths()
    least = 1.0
    for band, name in enumerate(tally.filters):
        n = tally.n_measures[band]
        if n:
            share = tally.pulls[band] / (n * step)
            least = min(least, 0.5 / (n * step))
            axes.step(middles, np.where(share > 0, share, np.nan), where="mid",
                      color=colour_of(band), label=f"{name}: width {widths[band]:.3f}")  # fmt: skip
    normal = np.exp(-0.5 * middles**2) / np.sqrt(2 * np.pi)
    axes.plot(middles, normal, "--", color="#555555", lw=1.2, label="normal distribution, width 1")
    axes.set_yscale("log")
    axes.set_ylim(least, 1.0)
    axes.set(xlabel="residual / its error; those beyond are in the outermost bins",
             ylabel="density")  # fmt: skip
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure


FIGURES = (
    Picture("zero_points", "Zero points against time",
            "Offset of each image from the nominal zero point of its photcode; what makes stars "
            "fainter, such as clouds, is down.", _draw_zero_points),
    Picture("zero_point_histogram", "Zero points",
            "The same, less the median of the filter.", _draw_zero_point_histogram),
    Picture("repeatability", "Repeatability",
            "Scatter of the measures of a star about its mean (1.4826 times the median size of "
            "residuals), by magnitude, and what the stated errors promise. Where the scatter "
            "lies above, errors are too small.", _draw_repeatability),
    Picture("residuals", "Residuals",
            "Magnitudes less the mean of their star.", _draw_residuals),
    Picture("pulls", "Pulls",
            "Residuals in units of their errors: a width of 1 says that errors are right, and "
            "wings above the normal distribution are outliers and variable stars.", _draw_pulls),
    Picture("sky", "Residuals over the sky",
            "Mean residual in cells of the sky, outliers beyond 5 sigma left out. A pattern is a "
            "calibration that differs from place to place.", _draw_sky),
    Picture("focal_plane", "Residuals over the focal plane",
            "Mean residual in cells of the chips, each with its x to the right and y up. A "
            "pattern asks for a flat field.", _draw_chips),
)  # fmt: skip
"""All pictures, in the order of the page."""
