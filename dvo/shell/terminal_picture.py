"""Pictures in a terminal: what matplotlib draws, as characters.

The inner part of a figure is drawn very small and turned into Braille dots, 2 x 4 a character,
or, where it is filled rather than dotted, into half blocks; its numbers are written around
it as text. Any figure can be shown so, with its own axes (magnitudes that grow downwards, maps
of the sky), which the libraries for plots in terminals do not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["terminal_picture"]

U8 = NDArray[np.uint8]

_FILLED = 0.35
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_DARK = 90
_SEEN = 60  # how far a pixel is from the ground, of 765, to count as a dot


def terminal_picture(figure: Figure, columns: int, rows: int, *, colours: bool) -> str:
    """Draw a figure with characters; the figure is spent by it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The picture; only its first axes are drawn.
    columns, rows : int
        Room there is, in characters.
    colours : bool
        Whether the terminal has colours (24 bits).

    Returns
    -------
    str
        Lines.
    """
    axes = figure.axes[0]
    for other in figure.axes[1:]:  # colour bars
        other.remove()
    title = [line for line in axes.get_title().split("\n") if line]
    names = [axes.get_xlabel(), axes.get_ylabel()]
    legend = _legend(axes, colours=colours)
    is_plane = axes.name == "rectilinear"
    y_texts = dict(_ticks(axes, "y")) if is_plane else {}
    margin = max((len(t) for t in y_texts.values()), default=0) + 1
    n_rows = max(8, rows - len(title) - len(legend) - (2 if is_plane else 0) - 1)
    n_columns = max(20, columns - margin - 2)
    if is_plane and axes.get_aspect() == 1.0:  # dots are square: as wide as high
        spans = [abs(np.subtract(*ends)) for ends in (axes.get_xlim(), axes.get_ylim())]
        n_columns = min(n_columns, max(20, round(2 * n_rows * spans[0] / spans[1])))
        axes.set_aspect("auto")
    x_texts = _x_texts(axes, n_columns) if is_plane else ""
    heights = {int(_share(axes, "y", at) * n_rows): text for at, text in y_texts.items()}
    # Lines do not fill a picture, however many they are.
    may_be_filled = bool(axes.images or axes.collections or axes.patches or not axes.lines)
    pixels = _pixels(figure, axes, 2 * n_columns, 4 * n_rows)
    body = _cells(pixels, colours=colours, may_be_filled=may_be_filled)
    edge = "│" if is_plane else " "
    lines = [" " * margin + line.center(n_columns).rstrip() for line in title]
    if is_plane and names[1]:
        lines.append(names[1])
    for k, row in enumerate(body):
        label = heights.get(n_rows - 1 - k, "")
        lines.append(label.rjust(margin - 1) + (f"{edge}{row}"))
    if is_plane:
        lines.append(" " * (margin - 1) + "└" + "─" * n_columns)
        lines.append(" " * margin + x_texts)
        if names[0]:
            lines.append(" " * margin + names[0].center(n_columns).rstrip())
    return "\n".join([*lines, *legend])


def _legend(axes: Axes, *, colours: bool) -> list[str]:
    from matplotlib.colors import to_rgb  # noqa: PLC0415 - slow to import

    handles, labels = axes.get_legend_handles_labels()
    words = []
    for handle, label in zip(handles, labels, strict=True):
        artist: Any = handle[0] if isinstance(handle, tuple) else handle
        get = getattr(artist, "get_color", None)
        if not colours or get is None:
            words.append(label)
            continue
        words.append(_coloured("●", np.array(to_rgb(get())) * 255) + f" {label}")
    return ["  ".join(words[k : k + 4]) for k in range(0, len(words), 4)]


def _ticks(axes: Axes, which: str) -> list[tuple[float, str]]:
    """Numbers at an axis that are in the picture, and their texts."""
    axis = getattr(axes, f"{which}axis")
    values = [float(v) for v in axis.get_majorticklocs()]
    texts = axis.get_major_formatter().format_ticks(values)
    return [
        (v, t.replace("−", "-").replace("$\\mathdefault{", "").replace("}$", ""))
        for v, t in zip(values, texts, strict=True)
        if 0.0 <= _share(axes, which, v) <= 1.0 and t
    ]


def _share(axes: Axes, which: str, value: float) -> float:
    """How far along an axis a value lies, 0 to 1."""
    start, stop = getattr(axes, f"get_{which}lim")()
    scale = getattr(axes, f"{which}axis").get_transform()
    low, high, here = (float(scale.transform([v])[0]) for v in (start, stop, value))
    return (here - low) / (high - low) if high != low else 0.5


def _x_texts(axes: Axes, n_columns: int) -> str:
    line = [" "] * n_columns
    end = -1
    for value, text in sorted(_ticks(axes, "x"), key=lambda tick: _share(axes, "x", tick[0])):
        at = round(_share(axes, "x", value) * (n_columns - 1) - len(text) / 2)
        at = min(max(at, 0), n_columns - len(text))
        if at > end + 1:
            line[at : at + len(text)] = text
            end = at + len(text)
    return "".join(line).rstrip()


def _pixels(figure: Figure, axes: Axes, width: int, height: int) -> U8:
    """The inner part of a figure as pixels, with lines and marks of one or two of them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to import
    from matplotlib.collections import PathCollection  # noqa: PLC0415
    from matplotlib.legend import Legend  # noqa: PLC0415

    dpi = 100.0
    figure.set_layout_engine("none")
    figure.set_dpi(dpi)
    figure.set_size_inches(width / dpi, height / dpi)
    axes.set_position((0.0, 0.0, 1.0, 1.0))
    for text in [*figure.texts, *axes.texts, *figure.legends,
                 *axes.findobj(Legend)]:  # fmt: skip
        text.set_visible(False)
    axes.set_title("")
    axes.grid(visible=False)
    axes.axis("off" if axes.name == "rectilinear" else "on")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([])
    one = 72.0 / dpi
    for line in axes.lines:
        if line.get_marker() not in ("None", "", " ", None):
            line.set_marker(",")  # one pixel
        line.set_alpha(1.0)
        line.set_linewidth(min(line.get_linewidth(), one))
        line.set_antialiased(False)
    for collection in axes.collections:
        collection.set_linewidth(min(1.0, one))
        if isinstance(collection, PathCollection) and len(collection.get_sizes()):
            collection.set_sizes(np.clip(collection.get_sizes() / 12.0, 1.0, 12.0))
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    found = np.asarray(canvas.buffer_rgba())[:, :, :3]
    return np.ascontiguousarray(found[:height, :width])


def _cells(pixels: U8, *, colours: bool, may_be_filled: bool) -> list[str]:
    height, width = pixels.shape[0] // 4, pixels.shape[1] // 2
    shaped = pixels[: 4 * height, : 2 * width].astype(np.int64)
    ground = np.median(shaped.reshape(-1, 3), axis=0)
    off = np.abs(shaped - 255).sum(axis=2)
    dots = off > _SEEN
    is_filled = may_be_filled and dots.mean() > _FILLED
    if is_filled and colours:
        return _half_blocks(shaped, height, width)
    if is_filled:
        dots = np.abs(shaped - ground).sum(axis=2) > _SEEN
    grid = dots.reshape(height, 4, width, 2)
    codes = (grid * _DOTS[None, :, None, :]).sum(axis=(1, 3))
    count = np.maximum(grid.sum(axis=(1, 3)), 1)[..., None]
    inks = (shaped * dots[..., None]).reshape(height, 4, width, 2, 3).sum(axis=(1, 3)) / count
    lines = []
    for row, ink in zip(codes, inks, strict=True):
        lines.append("".join(
            " " if not code else _coloured(chr(0x2800 + int(code)), ink[k]) if colours
            else chr(0x2800 + int(code)) for k, code in enumerate(row)
        ).rstrip())  # fmt: skip
    return lines


def _half_blocks(shaped: NDArray[np.int64], height: int, width: int) -> list[str]:
    halves = shaped.reshape(height, 2, 2, width, 2, 3).mean(axis=(2, 4)).astype(int)
    lines = []
    for upper, lower in halves:
        cells = [
            f"\033[38;2;{a[0]};{a[1]};{a[2]}m\033[48;2;{b[0]};{b[1]};{b[2]}m▀"
            for a, b in zip(upper, lower, strict=True)
        ]
        lines.append("".join(cells) + "\033[0m")
    return lines


def _coloured(sign: str, ink: Any) -> str:
    r, g, b = (int(v) for v in ink)
    if max(r, g, b) < _DARK:
        return sign  # in the colour of the terminal, whose ground may be dark
    return f"\033[38;2;{r};{g};{b}m{sign}\033[0m"
