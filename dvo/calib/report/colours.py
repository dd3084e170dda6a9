"""The picture of differences of magnitudes against colour, with the curve that was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dvo.calib.report.figures import Picture, colour_of, make_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ColourPoints", "colour_picture"]

F64 = NDArray[np.float64]

_MOST_POINTS = 20_000
_MMAG = 1e3


@dataclass(frozen=True, eq=False)
class ColourPoints:
    """Differences of magnitudes of one filter or photcode, and the curve through them.

    Parameters
    ----------
    name : str
        What it is called.
    colour, difference, curve : ndarray of float64, shape (n,)
        Colour of each star, its difference, and what the fit says of it [mag].
    """

    name: str
    colour: F64
    difference: F64
    curve: F64


def colour_picture(found: Sequence[ColourPoints], colour: str, difference: str) -> Picture:
    """Make the picture.

    Parameters
    ----------
    found : sequence of ColourPoints
        A panel each.
    colour : str
        Name of the colour, such as ``g-r``.
    difference : str
        What the difference is, for the axis.

    Returns
    -------
    Picture
        For `write_report`.
    """

    def draw(*_: object) -> Figure | None:
        some = [points for points in found if len(points.colour)]
        if not some:
            return None
        figure, all_axes = make_panels(len(some), width=4.8, height=3.8)
        for band, (axes, points) in enumerate(zip(all_axes, some, strict=True)):
            step = -(-len(points.colour) // _MOST_POINTS)
            axes.plot(points.colour[::step], _MMAG * points.difference[::step], ".", ms=2.5,
                      alpha=0.5, color=colour_of(band), rasterized=True, label="stars")  # fmt: skip
            order = np.argsort(points.colour)
            axes.plot(points.colour[order], _MMAG * points.curve[order], "-", lw=1.5,
                      color="#222222", label="fit")  # fmt: skip
            low, high = np.quantile(points.difference, [0.01, 0.99])
            room = 0.3 * max(high - low, 1e-3)
            axes.set_ylim(_MMAG * (low - room), _MMAG * (high + room))
            axes.set(xlabel=f"{colour} [mag]", ylabel=f"{difference} [mmag]", title=points.name)
            axes.legend(fontsize=8)
            axes.grid(alpha=0.3)
        return figure

    caption = "Stars by their colour; the two per cent farthest off may lie beyond."
    return Picture("colour", "Against colour", caption, draw)
