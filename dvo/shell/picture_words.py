"""Words that draw: region, images, skycat, pmeasure, paverage, lcurve, plot, lim, png, show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dvo.database.plots import save_figure
from dvo.errors import QueryError, StorageError
from dvo.partition.manifest import ALL_SKY
from dvo.shell.call import Call, Word
from dvo.shell.display import COLOURS, Field, Layer, Style
from dvo.shell.extract_words import vector_of
from dvo.shell.terminal_picture import terminal_picture
from dvo.tables.image import IMAGE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dvo.query.session import Database
    from dvo.query.watch import Watch
    from dvo.shell.arithmetic import Array
    from dvo.shell.session import Shell

__all__ = ["PICTURES", "WORDS", "picture_path", "show_display", "show_figure"]

PICTURES = (".png", ".pdf", ".svg")
"""Endings of files that pictures can be written to."""

_STYLE = "[-c COLOUR] [-x 0|1|2] [-pt MARK] [-sz SIZE] [-lw WIDTH]"
_MOST_POINTS = 2_000_000


def picture_path(path: Path) -> Path:
    """Give the place of a picture; one that is there is replaced, as a script run again does.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    QueryError
        If it is no file for pictures.
    StorageError
        If its folder is not there.
    """
    if path.suffix.lower() not in PICTURES:
        raise QueryError(f"{path}: give a file that ends in {', '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise StorageError(f"{path}: there is no folder {path.parent}; make it first")
    return path


def show_figure(shell: Shell, figure: Figure, path: Path | None) -> None:
    """Write a picture to a file, or draw it in the terminal.

    Parameters
    ----------
    shell : Shell
        The shell.
    figure : matplotlib.figure.Figure
        The picture.
    path : Path or None
        The file; None for the terminal.
    """
    if path is not None:
        save_figure(figure, path)
        shell.screen.tell(f"wrote {path}")
        return
    screen = shell.screen
    rows = min(screen.height() - 2, 40)
    columns = min(screen.width(), 110)
    screen.say(terminal_picture(figure, columns, rows, colours=screen.has_colours))


def show_display(shell: Shell) -> None:
    """Draw the picture of the words in the terminal, if something new is on it."""
    if shell.display.is_new:
        shell.display.is_new = False
        show_figure(shell, shell.display.figure(), None)


def _take_style(call: Call) -> Style:
    """The style that a line asks for, and else that of ``style``."""
    style = replace(call.shell.display.style)
    colour = call.take_option("-c")
    if colour is not None:
        if colour[0].text not in COLOURS:
            raise call.error(f"no colour {colour[0].text!r}; there are {', '.join(COLOURS)}",
                             colour[0])  # fmt: skip
        style.colour = colour[0].text
    kind, mark = call.take_option("-x"), call.take_option("-pt")
    for given, most in ((kind, 2), (mark, 7)):
        if given is not None and call.number(given[0]) not in range(most + 1):
            raise call.error(f"is a whole number from 0 to {most}", given[0])
    if kind is not None:
        style.kind = int(call.number(kind[0]))
    if mark is not None:
        style.mark = int(call.number(mark[0]))
    for option in ("-sz", "-lw"):
        size = call.take_option(option)
        if size is not None:
            style.size = min(20.0, max(0.1, call.number(size[0])))
    call.take_option("-n")  # pictures are shown one at a time
    return style


def _style(call: Call) -> None:
    call.shell.display.style = _take_style(call)
    call.need(0)


def _region(call: Call) -> None:
    ra, dec, radius, *_ = call.need(3, 4)  # the projection is chosen by the radius
    call.shell.display.set_field(
        Field(call.number(ra) % 360.0, call.number(dec), call.number(radius))
    )


def _images(call: Call) -> None:
    shell = call.shell
    style = replace(_take_style(call), kind=0)
    photcode, name = call.take_option("-photcode") or call.take_option("-p"), None
    given = call.take_option("-name")
    if given is not None:
        name = given[0].text
    call.need(0)
    here = shell.display.need_field()
    codes = None
    if photcode is not None:
        wanted = shell.database.photcodes.get(photcode[0].text)
        codes = [wanted.code, *(p.code for p in shell.database.photcodes if p.equiv == wanted.code)]

    def work(database: Database, _watch: Watch) -> list[Array]:
        return _outlines(database, here, codes, name)

    lines = shell.background.run(work)
    if lines:
        x, y = (np.concatenate([line[:, k] for line in lines]) for k in (0, 1))
        shell.display.add(Layer(x, y, style, on_sky=True))
    shell.screen.tell(f"plotting {len(lines)} images")


def _outlines(
    database: Database, here: Field, codes: list[int] | None, name: str | None
) -> list[Array]:
    """Outlines of images that touch a field, each ended by NaN."""
    from dvo.astrometry.image_rows import image_coords  # noqa: PLC0415 - starts quick
    from dvo.astrometry.outlines import outline  # noqa: PLC0415

    near = database.images(
        here.ra, here.dec, min(180.0, 1.45 * here.radius_deg) * 3600.0, columns=["image_id"]
    )
    wanted = set(near["image_id"].to_pylist())
    images = database.view.read(IMAGE, ALL_SKY, list(IMAGE.names))
    found = []
    for k, coords in enumerate(image_coords(images)):
        nx, ny = int(images["nx"][k]), int(images["ny"][k])
        if coords is None or nx < 1 or ny < 1 or int(images["image_id"][k]) not in wanted:
            continue
        if codes is not None and int(images["photcode"][k]) not in codes:
            continue
        if name is not None and not images["name"][k].decode("utf-8", "replace").startswith(name):
            continue
        edge = outline(coords, nx, ny)
        found.append(np.vstack([edge, edge[:1], [[np.nan, np.nan]]]))
    return found


def _skycat(call: Call) -> None:
    shell = call.shell
    style = replace(_take_style(call), kind=0)
    show_all, depth = call.take_flag("-all"), call.take_option("-depth")
    is_told = call.take_flag("-v")
    call.need(0)
    view = shell.database.view
    field = shell.display.need_field()
    box = field.box()
    lines = []
    if show_all or depth is not None:
        level = int(call.number(depth[0])) if depth is not None else view.sky.region(
            view.regions()[0]).depth if view.regions() else 3  # fmt: skip
        indices = view.sky.box(box.ra_min, box.ra_max, box.dec_min, box.dec_max, level).tolist()
    else:
        from dvo.partition.bounds import Box  # noqa: PLC0415

        indices = view.regions(Box(box.ra_min, box.ra_max, box.dec_min, box.dec_max))
    for index in indices:
        region = view.sky.region(index)
        lines.append(_border(region.ra_min, region.ra_max, region.dec_min, region.dec_max))
        if is_told:
            shell.screen.tell(
                f"{region.name} {region.ra_min:6.2f} - {region.ra_max:6.2f}, "
                f"{region.dec_min:6.2f} - {region.dec_max:6.2f}"
            )
    if lines:
        x, y = (np.concatenate([line[:, k] for line in lines]) for k in (0, 1))
        shell.display.add(Layer(x, y, style, on_sky=True))
    shell.screen.tell(f"plotting {len(lines)} catalogs")


def _border(ra_min: float, ra_max: float, dec_min: float, dec_max: float) -> Array:
    """Outline of a range of coordinates, ended by NaN."""
    along, up = np.linspace(ra_min, ra_max, 25), np.linspace(dec_min, dec_max, 9)
    ra = np.concatenate([along, np.full(9, ra_max), along[::-1], np.full(9, ra_min), [np.nan]])
    dec = np.concatenate([np.full(25, dec_min), up, np.full(25, dec_max), up[::-1], [np.nan]])
    return np.column_stack([ra, dec])


def _points(call: Call, table: str, word: str) -> None:
    """Objects or measurements of the field, bright ones larger."""
    shell = call.shell
    style = _take_style(call)
    photcode = call.take_option("-photcode") or call.take_option("-p")
    limits = call.take_option("-m", 2)
    call.take_flag("-all")
    call.take_flag("-v")
    call.need(0)
    field = shell.display.need_field()
    if photcode is not None:
        name = shell.database.photcodes.get(photcode[0].text).name
        word = name if table == "average" else f"{name}:cat"
    conditions = [] if field.box().is_all else [field.box().sql("t.ra", "t.dec")]
    bright, faint = 12.0, 17.0
    if limits is not None:
        bright, faint = sorted(call.number(part) for part in limits)
        conditions.append(f't."{word}" <= {faint!r}')
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    found = shell.query(
        f'SELECT TOP {_MOST_POINTS} t.ra, t.dec, t."{word}" AS mag FROM {table} AS t{where}'
    )
    ra, dec, mag = (vector_of(column) for column in found.columns)
    if limits is None and np.isfinite(mag).any():
        bright, faint = np.nanpercentile(mag, [1, 99])
    with np.errstate(invalid="ignore"):
        sizes = np.clip((faint - mag) / max(faint - bright, 1e-3), 0.05, 1.0)
    if len(ra):
        shell.display.add(Layer(ra, dec, style, sizes=np.nan_to_num(sizes, nan=0.05), on_sky=True))
    shell.screen.tell(f"plotting {len(ra)} {'objects' if table == 'average' else 'measurements'}")


def _pmeasure(call: Call) -> None:
    _points(call, "measure", "mag:cat")


def _paverage(call: Call) -> None:
    filters = call.shell.database.photcodes.sec
    if not filters:
        raise call.error("the database has no average filters")
    _points(call, "average", filters[0].name)


def _lcurve(call: Call) -> None:
    shell = call.shell
    style = _take_style(call)
    call.take_flag("-l")  # limits are chosen anyway
    with_errors = call.take_flag("-d")
    named = call.take_option("-v", 2)
    ra, dec, radius = (call.number(part) for part in call.need(3))

    def work(database: Database, _watch: Watch) -> pa.Table:
        columns = ["mjd", "mag:rel", "mag:err"]
        return database.lightcurve(ra, dec, radius * 3600.0, columns=columns)

    found = shell.background.run(work)
    if not len(found):
        raise call.error(f"no object within {radius:g} deg of {ra:g} {dec:g}")
    time, mag, err = (vector_of(column) for column in found.columns)
    start = np.floor(np.nanmin(time)) if np.isfinite(time).any() else 0.0
    shell.display.add(Layer(time - start, mag, style, err if with_errors else None))
    shell.display.labels |= {"x": f"MJD - {start:.0f} [d]", "y": "mag:rel [mag]"}
    shell.display.down = True
    if named is not None:
        for part, values in zip(named, (time, mag), strict=True):
            shell.scope.set_vector(call.new_name(part), values)


def _plot(call: Call) -> None:
    shell = call.shell
    style = _take_style(call)
    errors = call.take_option("-dy")
    x, y = call.need(2)
    a, b = call.floats(x), call.floats(y)
    dy = None if errors is None else call.floats(errors[0])
    if len(a) != len(b) or (dy is not None and len(dy) != len(b)):
        raise call.error("the vectors have different lengths")
    shell.display.add(Layer(a, b, style, dy))
    for key, part in (("x", x), ("y", y)):
        unit = shell.scope.units.get(part.text)
        shell.display.labels.setdefault(key, f"{part.text} [{unit}]" if unit else part.text)
    shell.display.down |= shell.scope.is_magnitude(y.text)


def _lim(call: Call) -> None:
    call.take_option("-n")
    parts = call.need(2, 4)
    display = call.shell.display
    if len(parts) == 4:
        a, b, c, d = (call.number(part) for part in parts)
        if a == b or c == d:
            raise call.error("the limits of an axis have to be two numbers")
        display.limits = (a, b, c, d)
        return
    if len(parts) != 2:
        raise call.misuse()
    ends = []
    for part in parts:
        values = call.floats(part)
        good = values[np.isfinite(values)]
        if not len(good):
            raise call.error(f"vector {part.text} has no numbers", part)
        margin = 0.05 * (np.ptp(good) or 1.0)
        low, high = float(good.min() - margin), float(good.max() + margin)
        is_down = part is parts[1] and call.shell.scope.is_magnitude(part.text)
        ends += [high, low] if is_down else [low, high]  # bright stars are at the top
    display.limits = (ends[0], ends[1], ends[2], ends[3])


def _label(call: Call) -> None:
    labels = call.shell.display.labels
    for option, key in (("-x", "x"), ("-y", "y"), ("+x", "title"), ("-t", "title")):
        given = call.take_option(option)
        if given is not None:
            labels[key] = given[0].text
    call.need(0)


def _box(call: Call) -> None:
    _take_style(call)
    call.need(0)  # a frame is drawn anyway


def _clear(call: Call) -> None:
    call.take_option("-n")
    call.take_flag("-s")
    call.need(0)
    call.shell.display.clear()
    call.shell.display.limits = None


def _png(call: Call) -> None:
    given = call.take_option("-name")
    parts = call.need(0, 1)
    if (given is None) == (not parts):
        raise call.misuse()
    path = picture_path(Path((given or parts)[0].text))
    show_figure(call.shell, call.shell.display.figure(), path)
    call.shell.display.is_new = False


def _show(call: Call) -> None:
    call.need(0)
    call.shell.display.is_new = True
    show_display(call.shell)


WORDS = (
    Word("box", "", "a frame (there always is one)", _box),
    Word("clear", "", "take away what is drawn", _clear),
    Word("images", f"[-photcode P] [-name START] {_STYLE}",
         "draw the outlines of images in the region", _images),
    Word("label", "[-x TEXT] [-y TEXT] [-t TEXT]", "name the axes, and the picture", _label),
    Word("lcurve", f"RA DEC RADIUS [-d] [-v T M] {_STYLE}",
         "draw the light curve of the nearest object (radius in degrees)", _lcurve),
    Word("lim", "X Y | X_MIN X_MAX Y_MIN Y_MAX", "set the limits of the axes", _lim),
    Word("limits", "X Y | X_MIN X_MAX Y_MIN Y_MAX", "the same as lim", _lim),
    Word("paverage", f"[-m BRIGHT FAINT] [-photcode P] {_STYLE}",
         "draw the objects of the region", _paverage),
    Word("pcat", f"[-all] [-depth LEVEL] [-v] {_STYLE}", "the same as skycat", _skycat),
    Word("plot", f"X Y [-dy ERRORS] {_STYLE}", "draw vectors", _plot),
    Word("pmeasure", f"[-m BRIGHT FAINT] [-photcode P] {_STYLE}",
         "draw the measurements of the region", _pmeasure),
    Word("png", "-name FILE", "write the picture to a file (.png, .pdf, .svg)", _png),
    Word("region", "RA DEC RADIUS", "show this part of the sky (degrees)", _region),
    Word("show", "", "draw the picture in the terminal", _show),
    Word("skycat", f"[-all] [-depth LEVEL] [-v] {_STYLE}",
         "draw the borders of catalogs in the region", _skycat),
    Word("style", _STYLE, "how the next things are drawn", _style),
)  # fmt: skip
