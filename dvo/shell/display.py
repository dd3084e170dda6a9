"""The picture that words draw on, layer over layer: of vectors, or of a field of the sky."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import QueryError
from dvo.shell.figures import new_axes
from dvo.shell.sky_selection import SkyBox, box_about

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "Display", "Field", "Layer", "Style"]

Array = NDArray[Any]

COLOURS = ("black", "red", "blue", "green", "orange", "purple", "brown", "cyan", "magenta", "gray",
           "indigo", "yellow", "white")  # fmt: skip
_MARKS = {0: "s", 1: "x", 2: "o", 3: "^", 4: "v", 5: "D", 6: "+", 7: "o"}
_MOST_LAYERS = 200
_ALL_SKY_RADIUS = 60.0


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the sky.

    Parameters
    ----------
    ra, dec : float
        Its centre, ICRS [deg].
    radius_deg : float
        Its radius [deg].
    """

    ra: float
    dec: float
    radius_deg: float

    def __post_init__(self) -> None:
        if not (-90.0 <= self.dec <= 90.0 and 0.0 < self.radius_deg <= 180.0):
            raise QueryError(
                f"region {self.ra:g} {self.dec:g} {self.radius_deg:g}: give right ascension, "
                "declination (-90 to 90) and radius (above 0, to 180), in degrees"
            )

    @property
    def is_wide(self) -> bool:
        """Whether no plane touches enough of the sky to draw it on."""
        return self.radius_deg > _ALL_SKY_RADIUS

    def box(self) -> SkyBox:
        """Make the box that holds it."""
        return box_about(self.ra, self.dec, min(180.0, self.radius_deg * 1.45))

    def project(self, ra: Array, dec: Array) -> tuple[Array, Array]:
        """Find where positions are in the picture.

        Parameters
        ----------
        ra, dec : ndarray of float64
            Positions, ICRS [deg].

        Returns
        -------
        x, y : ndarray of float64
            Degrees east and north of the centre; of a wide field, right ascension and
            declination. NaN behind the sky.
        """
        from dvo.projection import sin_project, tan_project  # noqa: PLC0415 - starts quick

        if self.is_wide:
            return self.ra + (ra - self.ra + 180.0) % 360.0 - 180.0, dec
        if self.radius_deg > 20.0:
            return sin_project(ra, dec, self.ra, self.dec)
        return tan_project(ra, dec, self.ra, self.dec)


@dataclass
class Style:
    """How things are drawn.

    Parameters
    ----------
    colour : str
        One of `COLOURS`.
    kind : int
        0 a line, 1 a histogram, 2 points, as in the original.
    mark : int
        Kind of point, 0 to 7.
    size : float
        Size of points and width of lines, 1 being usual.
    """

    colour: str = "black"
    kind: int = 2
    mark: int = 7
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class Layer:
    """Something drawn.

    Parameters
    ----------
    x, y : ndarray of float64
        Coordinates; NaN ends a line.
    style : Style
        How.
    errors : ndarray of float64, optional
        Errors of y.
    sizes : ndarray of float64, optional
        Sizes of points, 0 to 1.
    on_sky : bool
        Whether x and y are right ascension and declination, ICRS [deg].
    """

    x: Array
    y: Array
    style: Style
    errors: Array | None = None
    sizes: Array | None = None
    on_sky: bool = False


@dataclass
class Display:
    """Layers, limits and labels of one picture.

    Parameters
    ----------
    sky : Field or None
        The part of the sky that is shown.
    style : Style
        How things are drawn that do not say it.
    layers : list of Layer
        What is drawn.
    limits : tuple of float or None
        Ends of the axes of vectors: x, x, y, y; None for what suits them.
    labels : dict of str to str
        Texts at ``x`` and ``y``, and ``title``.
    down : bool
        Whether y grows downwards, as magnitudes do.
    is_new : bool
        Whether something has been drawn since it was shown.
    """

    sky: Field | None = None
    style: Style = field(default_factory=Style)
    layers: list[Layer] = field(default_factory=list)
    limits: tuple[float, float, float, float] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    down: bool = False
    is_new: bool = False

    def need_field(self) -> Field:
        """Give the field of the sky.

        Returns
        -------
        Field
            The field.

        Raises
        ------
        QueryError
            If none has been set.
        """
        if self.sky is None:
            raise QueryError("which part of the sky? Set it first: region RA DEC RADIUS")
        return self.sky

    def set_field(self, found: Field) -> None:
        """Show a field of the sky from now on."""
        self.clear()
        self.sky = found
        self.limits = None

    def add(self, layer: Layer) -> None:
        """Draw something.

        Parameters
        ----------
        layer : Layer
            What.

        Raises
        ------
        QueryError
            If there are too many layers, or they do not go together.
        """
        if self.layers and self.layers[-1].on_sky != layer.on_sky:
            raise QueryError("vectors and sky do not go into one picture; clear it first")
        if len(self.layers) >= _MOST_LAYERS:
            raise QueryError(f"the picture has {_MOST_LAYERS} layers; clear it first")
        self.layers.append(layer)
        self.is_new = True

    def clear(self) -> None:
        """Take everything away that is drawn."""
        self.layers.clear()
        self.labels.clear()
        self.down = False
        self.is_new = False

    def figure(self) -> Figure:
        """Make the picture."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

        on_sky = bool(self.layers) and self.layers[0].on_sky
        axes = new_axes(self.labels.get("title", ""), (6.5, 6.0) if on_sky else (7.0, 5.0))
        for layer in self.layers:
            x, y = (
                self.need_field().project(layer.x, layer.y) if layer.on_sky else (layer.x, layer.y)
            )
            _draw(axes, layer, x, y)
        if on_sky:
            self._frame_sky(axes)
        else:
            axes.set_xlabel(self.labels.get("x", ""))
            axes.set_ylabel(self.labels.get("y", ""))
            if self.limits is not None:
                axes.set_xlim(*self.limits[:2])
                axes.set_ylim(*self.limits[2:])
            elif self.down:
                axes.invert_yaxis()
        figure = axes.figure
        assert isinstance(figure, Figure)
        return figure

    def _frame_sky(self, axes: Any) -> None:
        here = self.need_field()
        if here.is_wide:
            axes.set_xlim(here.ra + 180.0, here.ra - 180.0)
            axes.set_ylim(-90.0, 90.0)
            axes.set_xlabel("right ascension [deg]")
            axes.set_ylabel("declination [deg]")
            return
        axes.set_xlim(here.radius_deg, -here.radius_deg)  # east is to the left on the sky
        axes.set_ylim(-here.radius_deg, here.radius_deg)
        axes.set_aspect("equal")
        axes.set_xlabel(f"east of {here.ra:g} [deg]")
        axes.set_ylabel(f"north of {here.dec:+g} [deg]")


def _draw(axes: Any, layer: Layer, x: Array, y: Array) -> None:
    style = layer.style
    if layer.sizes is not None:
        good = np.isfinite(x) & np.isfinite(y)
        axes.scatter(x[good], y[good], s=2.0 + 60.0 * layer.sizes[good] ** 2, color=style.colour,
                     lw=0)  # fmt: skip
    elif style.kind == 0:
        axes.plot(x, y, color=style.colour, lw=style.size)
    elif style.kind == 1:
        axes.step(x, y, color=style.colour, lw=style.size, where="mid")
    elif layer.errors is not None:
        axes.errorbar(x, y, layer.errors, ls="", marker=_MARKS[style.mark], ms=4.0 * style.size,
                      elinewidth=1, color=style.colour)  # fmt: skip
    else:
        axes.plot(x, y, ls="", marker=_MARKS[style.mark], ms=3.0 * style.size, color=style.colour,
                  mew=1 if style.mark in (1, 6) else 0)  # fmt: skip
