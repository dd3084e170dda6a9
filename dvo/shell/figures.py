"""Pictures that the shell makes: points, histograms, finding charts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Values",
    "finder_figure",
    "histogram_figure",
    "new_axes",
    "points_figure",
    "small_density_figure",
]

Array = NDArray[Any]

_MANY = 20_000  # points; more are drawn as a density


@dataclass(frozen=True)
class Values:
    """Numbers to be drawn.

    Parameters
    ----------
    name : str
        What they are.
    numbers : ndarray of float64
        The numbers; NaN is not drawn.
    unit : str
        Their unit.
    """

    name: str
    numbers: Array
    unit: str = ""

    @property
    def label(self) -> str:
        """Name and unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name

    @property
    def is_magnitude(self) -> bool:
        """Whether the bright end is the low one, and belongs at the top."""
        return self.unit == "mag" and not self.name.endswith(("err", ":stdev"))


def new_axes(title: str = "", size: tuple[float, float] = (7.0, 5.0)) -> Axes:
    """Make an empty picture.

    Parameters
    ----------
    title : str
        What to write above it.
    size : tuple of float
        Width and height [inch].

    Returns
    -------
    matplotlib.axes.Axes
        Its axes.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    axes = Figure(figsize=size, layout="constrained").subplots()
    axes.set_title(title, size=10)
    axes.grid(alpha=0.3)
    return axes


def points_figure(x: Values, y: Values, title: str = "") -> Figure:
    """Draw points, or, where there are very many, how dense they lie.

    Parameters
    ----------
    x, y : Values
        Coordinates, of one length.
    title : str
        What to write above it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture; magnitudes grow downwards.
    """
    axes = new_axes(title)
    good = np.isfinite(x.numbers) & np.isfinite(y.numbers)
    a, b = x.numbers[good], y.numbers[good]
    if len(a) > _MANY:
        axes.hexbin(a, b, gridsize=150, bins="log", mincnt=1, cmap="viridis", linewidths=0.1)
    else:
        size = 4.0 if len(a) < 500 else 2.0
        axes.plot(a, b, ls="", marker="o", ms=size, mew=0, alpha=0.7, color="#1f4e8c")
    axes.set_xlabel(x.label)
    axes.set_ylabel(y.label)
    if y.is_magnitude:
        axes.invert_yaxis()
    return _figure_of(axes)


def histogram_figure(values: Values, n_bins: int | None = None, title: str = "") -> Figure:
    """Draw a histogram.

    Parameters
    ----------
    values : Values
        The numbers.
    n_bins : int, optional
        How many bins; None for what suits them.
    title : str
        What to write above it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    axes = new_axes(title)
    good = values.numbers[np.isfinite(values.numbers)]
    bins = n_bins or int(np.clip(np.sqrt(len(good)), 10, 100))
    axes.hist(good, bins=bins, color="#1f4e8c", histtype="stepfilled", alpha=0.9)
    axes.set_xlabel(values.label)
    axes.set_ylabel("number")
    return _figure_of(axes)


def finder_figure(
    ra: Array, dec: Array, mag: Array, centre: tuple[float, float], size_arcmin: float, title: str
) -> Figure:
    """Draw a finding chart: north is up, east to the left, bright objects are large.

    Parameters
    ----------
    ra, dec : ndarray of float64
        Positions of objects, ICRS [deg].
    mag : ndarray of float64
        Their magnitudes; those without one are drawn as crosses.
    centre : tuple of float
        The place in the middle, ICRS [deg].
    size_arcmin : float
        Width of the chart [arcmin].
    title : str
        What to write above it.

    Returns
    -------
    matplotlib.figure.Figure
        The chart.
    """
    from dvo.projection import tan_project  # noqa: PLC0415 - keeps the start quick

    axes = new_axes(title, (6.0, 6.2))
    xi, eta = (v * 60.0 for v in tan_project(ra, dec, *centre))
    half = 0.5 * size_arcmin
    inside = (np.abs(xi) <= half) & (np.abs(eta) <= half)
    xi, eta, mag = xi[inside], eta[inside], mag[inside]
    axes.set_title(f"{title}, {len(xi)} objects", size=10)
    known = np.isfinite(mag)
    if known.any():
        faint = np.percentile(mag[known], 98)
        area = np.clip(2.512 ** (0.55 * (faint - mag[known])) * 4.0, 3.0, 250.0)
        axes.scatter(xi[known], eta[known], s=area, color="black", lw=0)
    axes.plot(xi[~known], eta[~known], ls="", marker="x", ms=4, color="#777777")
    gap, reach = 0.03 * size_arcmin, 0.09 * size_arcmin
    axes.plot([-gap, -reach], [0, 0], color="#d1495b", lw=1.5)
    axes.plot([0, 0], [gap, reach], color="#d1495b", lw=1.5)
    axes.set_xlim(half, -half)  # east is to the left on the sky
    axes.set_ylim(-half, half)
    axes.set_aspect("equal")
    axes.set_xlabel("east of the centre [arcmin]")
    axes.set_ylabel("north of the centre [arcmin]")
    return _figure_of(axes)


def small_density_figure(
    ra: Array, dec: Array, centre: tuple[float, float], radius_deg: float, title: str
) -> Figure:
    """Draw the density of positions in a part of the sky, by cells of HEALPix.

    Parameters
    ----------
    ra, dec : ndarray of float64
        Positions, ICRS [deg].
    centre : tuple of float
        Middle of the map, ICRS [deg].
    radius_deg : float
        Half its width [deg], at most 45.
    title : str
        What to write above it.

    Returns
    -------
    matplotlib.figure.Figure
        The map: north is up, east to the left.
    """
    import healpy  # noqa: PLC0415 - slow to import

    from dvo.projection import tan_deproject  # noqa: PLC0415 - keeps the start quick

    area = (2.0 * radius_deg) ** 2
    wanted = area / max(len(ra) / 15.0, 1.0)  # some 15 objects a cell
    order = np.ceil(np.log2(np.sqrt(41252.96 / 12.0 / wanted)))
    n_side = int(2 ** np.clip(order, 3, 16))
    cells, counts = np.unique(healpy.ang2pix(n_side, ra, dec, lonlat=True), return_counts=True)
    edge = np.linspace(-radius_deg, radius_deg, 601)
    xi, eta = np.meshgrid(0.5 * (edge[1:] + edge[:-1]), 0.5 * (edge[1:] + edge[:-1]))
    pixels = healpy.ang2pix(n_side, *tan_deproject(xi.ravel(), eta.ravel(), *centre), lonlat=True)
    at = np.minimum(np.searchsorted(cells, pixels), len(cells) - 1)
    density = np.where(cells[at] == pixels, counts[at], 0) / healpy.nside2pixarea(n_side, True)
    axes = new_axes(title, (6.8, 6.0))
    picture = np.ma.masked_equal(density.reshape(xi.shape), 0.0)
    mesh = axes.pcolormesh(edge, edge, picture, cmap="viridis", rasterized=True)
    axes.set_xlim(radius_deg, -radius_deg)  # east is to the left on the sky
    axes.set_aspect("equal")
    axes.set_xlabel(f"east of {centre[0]:.5g} [deg]")
    axes.set_ylabel(f"north of {centre[1]:+.5g} [deg]")
    figure = _figure_of(axes)
    figure.colorbar(mesh, ax=axes, shrink=0.8, label="objects per square degree")
    return figure


def _figure_of(axes: Axes) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure
