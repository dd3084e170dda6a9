"""Pictures of results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.errors import StorageError
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Band", "Curve", "curve_of", "density_figure", "draw_density", "draw_lightcurve",
           "lightcurve_figure", "save_figure"]  # fmt: skip

Array = NDArray[Any]

_COLOURS = {"u": "#4361ee", "g": "#2a9d5c", "r": "#d1495b", "i": "#e08e0b", "z": "#8f5bb5",
            "y": "#222222"}  # fmt: skip
_MARKS = {PhotSource.CHIP: "o", PhotSource.WARP: "^", PhotSource.STACK: "s"}


@dataclass(frozen=True)
class Band:
    """Measures that are drawn alike: of one filter and one kind of image.

    Parameters
    ----------
    label : str
        What they are called.
    colour, mark : str
        Matplotlib's colour and marker.
    rows : ndarray of bool, shape (n,)
        Which they are.
    """

    label: str
    colour: str
    mark: str
    rows: Array


@dataclass(frozen=True)
class Curve:
    """A light curve, ready to be drawn.

    Parameters
    ----------
    mjd, mag, err : ndarray of float64, shape (n,)
        Times [d], magnitudes and their errors [mag]; an error that is not known is 0.
    names : ndarray of str, shape (n,)
        Photcodes.
    is_ref, is_shown : ndarray of bool, shape (n,)
        Which are of reference catalogs, and which of the others have magnitude and time.
    bands : list of Band
        What is drawn alike.
    low, high : float
        Range of magnitudes that holds all but those far from the others of a filter [mag].
    """

    mjd: Array
    mag: Array
    err: Array
    names: Array
    is_ref: Array
    is_shown: Array
    bands: list[Band]
    low: float
    high: float


def curve_of(table: pa.Table, photcodes: PhotcodeTable | None = None) -> Curve:
    """Take a light curve apart for drawing.

    Parameters
    ----------
    table : pyarrow.Table
        From `Database.lightcurve`: mjd, photcode_name, and mag:rel and mag:err of some kind.
    photcodes : PhotcodeTable, optional
        Says which filter a photcode is of, and which photcodes are of reference catalogs;
        without it names do.

    Returns
    -------
    Curve
        The parts.
    """
    mag_name, err_name = (next(n for n in table.column_names if n.startswith(word))
                          for word in ("mag:rel", "mag:err"))  # fmt: skip
    mjd = table["mjd"].to_numpy().astype(float)
    mag = table[mag_name].to_numpy().astype(float)
    err = np.nan_to_num(table[err_name].to_numpy().astype(float))
    names = np.array(table["photcode_name"].to_pylist())
    is_ref = np.isin(names, _reference_names(names, photcodes)) & np.isfinite(mag)
    is_ref &= ~is_ref.all()  # with nothing else there is a light curve of them
    shown = ~is_ref & np.isfinite(mag) & np.isfinite(mjd)
    filters = np.array([_filter_of(name, photcodes) for name in names.tolist()])
    low, high = _magnitude_range(mag, filters, shown, is_ref)
    return Curve(mjd, mag, err, names, is_ref, shown, _bands(names, photcodes), low, high)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The picture.
    path : Path
        File to write; its ending says what kind of picture it is.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        figure.savefig(path, dpi=110)
    except OSError as err:
        raise StorageError(f"{path}: cannot be written ({err.strerror or err})") from err
    except ValueError as err:
        raise StorageError(f"{path}: no such kind of picture; use .png, .pdf or .svg") from err


def draw_lightcurve(
    table: pa.Table, path: Path, title: str = "", *, photcodes: PhotcodeTable | None = None
) -> None:
    """Draw a light curve into a file; see `lightcurve_figure`.

    Parameters
    ----------
    table : pyarrow.Table
        From `Database.lightcurve`: mjd, photcode_name, mag:rel and mag:err.
    path : Path
        File to write; its ending says what kind of picture it is.
    title : str
        What to write above it.
    photcodes : PhotcodeTable, optional
        Says which filter a photcode is of, and which photcodes are of reference catalogs.
    """
    save_figure(lightcurve_figure(table, title, photcodes=photcodes), path)


def lightcurve_figure(
    table: pa.Table, title: str = "", *, photcodes: PhotcodeTable | None = None
) -> Figure:
    """Draw a light curve, one colour a filter.

    Reference catalogs are horizontal lines: their epochs may be decades away. Magnitudes
    far from all others are arrows at the edge.

    Parameters
    ----------
    table : pyarrow.Table
        From `Database.lightcurve`: mjd, photcode_name, mag:rel and mag:err.
    title : str
        What to write above it.
    photcodes : PhotcodeTable, optional
        Says which filter a photcode is of, and which photcodes are of reference catalogs;
        without it names do.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    whole = curve_of(table, photcodes)
    mjd, mag, err, names = whole.mjd, whole.mag, whole.err, whole.names
    curve, is_ref, low, high = whole.is_shown, whole.is_ref, whole.low, whole.high
    start = float(np.floor(mjd[curve].min())) if curve.any() else 0.0
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for band in whole.bands:
        rows = band.rows & curve
        seen = rows & (mag >= low) & (mag <= high)
        if rows.any():
            axes.errorbar(
                mjd[seen] - start, mag[seen], err[seen], fmt=band.mark, ms=4, lw=0, elinewidth=1,
                color=band.colour, label=band.label,
            )  # fmt: skip
        for far, mark, edge in ((mag < low, 6, low), (mag > high, 7, high)):  # arrows
            beyond = rows & far
            (arrows,) = axes.plot(
                mjd[beyond] - start, np.full(beyond.sum(), edge), ls="", marker=mark, ms=7,
                color=band.colour, clip_on=False,
            )  # fmt: skip
            arrows.set_in_layout(False)
    for band in whole.bands:
        for row in np.flatnonzero(band.rows & is_ref):
            label = f"{names[row]} {mag[row]:.2f} (reference)"
            if low <= mag[row] <= high:
                axes.axhline(mag[row], color=band.colour, ls="--", lw=1, label=label)
            else:
                axes.plot(
                    [], [], color=band.colour, ls="--", lw=1, label=f"{label}, off the picture"
                )
    axes.set_ylim(high, low)
    axes.set_xlabel(f"MJD - {start:.0f} [d]")
    axes.set_ylabel("magnitude (level rel) [mag]")
    n_beyond = int((curve & ((mag < low) | (mag > high))).sum())
    axes.set_title(title + (f"\n{n_beyond} beyond the range (arrows)" if n_beyond else ""), size=10)
    # Filters in their order, then reference catalogs; below, where it hides nothing.
    legend = sorted(zip(*axes.get_legend_handles_labels(), strict=True),
                    key=lambda entry: "(reference)" in entry[1])  # fmt: skip
    figure.legend(
        [handle for handle, _ in legend], [label for _, label in legend],
        loc="outside lower center", ncols=min(6, max(1, len(legend))), fontsize=8,
    )  # fmt: skip
    axes.grid(alpha=0.3)
    return figure


def _reference_names(names: Array, photcodes: PhotcodeTable | None) -> list[str]:
    if photcodes is None:
        return []
    unique = [str(n) for n in np.unique(names)]
    return [n for n in unique if n in photcodes and photcodes.get(n).kind == PhotClass.REF]


def _filter_of(name: str, photcodes: PhotcodeTable | None) -> str:
    """The average filter of a photcode; by its name, such as SDSS.g, if it has none."""
    filters = [p.name for p in photcodes.sec] if photcodes is not None else list(_COLOURS)
    if photcodes is not None and name in photcodes and (equiv := photcodes.get(name).equiv):
        return photcodes.get_code(equiv).name
    words = name.split(".")
    known = [w for w in words if w in filters or w in _COLOURS]
    return known[-1] if known else words[1] if len(words) == 3 else name


def _bands(names: Array, photcodes: PhotcodeTable | None) -> list[Band]:
    """What is drawn alike, in the order of the filters of the database."""
    order = [p.name for p in photcodes.sec] if photcodes is not None else list(_COLOURS)
    groups: dict[tuple[str, str], list[str]] = {}
    for name in np.unique(names).tolist():
        groups.setdefault((_filter_of(name, photcodes), _MARKS[source_of(name)]), []).append(name)
    rank = {label: k for k, label in enumerate(order)}
    keys = sorted(groups, key=lambda key: (rank.get(key[0], len(rank)), key))
    others = [label for label in dict.fromkeys(key[0] for key in keys) if label not in _COLOURS]
    colours = _COLOURS | {label: f"C{k % 10}" for k, label in enumerate(others)}
    several = {label for label, _ in keys if sum(key[0] == label for key in keys) > 1}
    kinds = {mark: kind.name.lower() for kind, mark in _MARKS.items()}
    return [
        Band(
            f"{label} ({kinds[mark]})" if label in several else label,
            colours[label], mark, np.isin(names, groups[label, mark]),
        )
        for label, mark in keys
    ]  # fmt: skip


def _magnitude_range(
    mag: Array, filters: Array, curve: Array, is_ref: Array
) -> tuple[float, float]:
    """What the picture shows: all magnitudes but those far from the others of a filter."""
    kept = [mag[:0]]
    for name in np.unique(filters[curve]):
        values = mag[curve & (filters == name)]
        middle = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - middle))
        kept.append(values[np.abs(values - middle) <= max(10.0 * spread, 0.5)])
    shown = np.concatenate(kept)
    if not len(shown):
        return 0.0, 1.0
    low, high = float(shown.min()), float(shown.max())
    room = max(high - low, 0.2)
    near = mag[is_ref & (mag > low - room) & (mag < high + room)]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.08 * max(high - low, 0.2)
    return low - margin, high + margin


def draw_density(ra: Array, dec: Array, path: Path, title: str = "") -> None:
    """Draw the density of positions over the whole sky into a file; see `density_figure`.

    Parameters
    ----------
    ra, dec : ndarray of float64
        Positions, ICRS [deg].
    path : Path
        PNG file to write.
    title : str
        What to write above it.
    """
    save_figure(density_figure(ra, dec, title), path)


def density_figure(ra: Array, dec: Array, title: str = "") -> Figure:
    """Draw the density of positions over the whole sky (Mollweide projection, equal area).

    Parameters
    ----------
    ra, dec : ndarray of float64
        Positions, ICRS [deg].
    title : str
        What to write above it.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    import healpy  # noqa: PLC0415 - slow to import
    from matplotlib.colors import LogNorm  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
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
    figure = Figure(figsize=(10, 5.6), layout="constrained")
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
    return figure


def _n_side(n: int) -> int:
    """Healpix resolution at which a pixel holds some 20 objects."""
    return int(2 ** np.clip(np.floor(0.5 * np.log2(max(n, 1) / 240.0)), 3, 7))
