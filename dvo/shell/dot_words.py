"""Dot commands: how the shell answers, what tables there are, and pictures of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from dvo.database.period_plot import period_figure, period_line
from dvo.database.plots import density_figure, lightcurve_figure
from dvo.errors import QueryError
from dvo.query.sources import sources_of
from dvo.shell.call import Call, Part, Word
from dvo.shell.extract_words import unit_of, vector_of
from dvo.shell.figures import (
    Values,
    finder_figure,
    histogram_figure,
    points_figure,
    small_density_figure,
)
from dvo.shell.language_words import QuitError
from dvo.shell.picture_words import PICTURES, picture_path, show_figure
from dvo.shell.settings import ENGINES, EXPANDED, FORMS
from dvo.shell.sky_selection import box_about
from dvo.shell.suggestion import did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dvo.query.session import Database
    from dvo.query.watch import Watch
    from dvo.shell.arithmetic import Array
    from dvo.variability.period import Period

__all__ = ["WORDS"]

_SWITCHES = {"on": True, "off": False}
_MOST_POSITIONS = 50_000_000
_WIDEST_DEG = 30.0


def _choose(call: Call, part: Part, choices: tuple[str, ...]) -> str:
    if part.text.lower() not in choices:
        raise call.error(f"one of {', '.join(choices)}", part)
    return part.text.lower()


def _switch(call: Call, name: str) -> None:
    parts = call.need(0, 1)
    settings = call.shell.settings
    if parts:
        setattr(settings, name, _SWITCHES[_choose(call, parts[0], tuple(_SWITCHES))])
    else:
        call.shell.screen.say("on" if getattr(settings, name) else "off")


def _mode(call: Call) -> None:
    parts = call.need(0, 1)
    if parts:
        call.shell.settings.mode = _choose(call, parts[0], FORMS)
    else:
        call.shell.screen.say(call.shell.settings.mode)


def _engine(call: Call) -> None:
    parts = call.need(0, 1)
    if parts:
        call.shell.settings.engine = _choose(call, parts[0], ENGINES)
    else:
        call.shell.screen.say(call.shell.settings.engine)


def _expanded(call: Call) -> None:
    parts = call.need(0, 1)
    if parts:
        call.shell.settings.expanded = _choose(call, parts[0], EXPANDED)
    else:
        call.shell.screen.say(call.shell.settings.expanded)


def _output(call: Call) -> None:
    parts = call.need(0, 1)
    call.shell.results.open(Path(parts[0].text) if parts else None)


def _timer(call: Call) -> None:
    _switch(call, "timer")


def _pager(call: Call) -> None:
    _switch(call, "pager")


def _max_rows(call: Call) -> None:
    parts = call.need(0, 1)
    if not parts:
        call.shell.screen.say(str(call.shell.settings.max_rows))
        return
    number = call.number(parts[0])
    if number < 0 or number != int(number):
        raise call.error("a whole number of rows, or 0 for all", parts[0])
    call.shell.settings.max_rows = int(number)


def _explain(call: Call) -> None:
    if len(call.parts) <= 1:
        _switch(call, "explain")
        return
    call.shell.explain(call.place.text[call.parts[0].start :].strip().removesuffix(";"))


def _tables(call: Call) -> None:
    call.need(0)
    view = call.shell.database.view
    sources = sources_of(view.photcodes)
    counts = dict(view.snapshot.counts)
    known = {"average": "objects", "object": "objects", "measure": "measures", "image": "images"}
    rows = [
        {"table": name, "columns": len(source.columns), "rows": counts.get(known.get(name, ""))}
        for name, source in sources.items()
    ]
    call.shell.show(pa.Table.from_pylist(rows, _TABLES))


_COUNTS: list[pa.Field[Any]] = [pa.field("table", pa.string()), pa.field("columns", pa.int64()),
                                pa.field("rows", pa.int64())]  # fmt: skip
_TABLES = pa.schema(_COUNTS)
_COLUMNS = pa.schema([pa.field(n, pa.string()) for n in ("column", "type", "unit", "meaning")])


def _schema(call: Call) -> None:
    (part,) = call.need(1)
    sources = sources_of(call.shell.database.photcodes)
    source = sources.get(part.text.lower())
    if source is None:
        hint = did_you_mean(part.text, sources) or f"; there are {', '.join(sources)}"
        raise call.error(f"no table {part.text!r}{hint}", part)
    rows = [
        {"column": c.name, "type": str(c.numpy_dtype), "unit": c.unit, "meaning": c.meaning}
        for c in source.columns.values()
    ]
    call.shell.show(pa.Table.from_pylist(rows, _COLUMNS))


def _take_file(call: Call) -> Path | None:
    """The file for a picture, if the last part names one."""
    if call.parts and call.parts[-1].text.lower().endswith(PICTURES):
        return picture_path(Path(call.parts.pop().text))
    return None


def _values(call: Call, part: Part) -> Values:
    """A column of the last answer, or an expression of vectors."""
    last = call.shell.last
    columns = {} if last is None else {n.lower(): n for n in last.column_names}
    name = columns.get(part.text.lower())
    if last is not None and name is not None:
        values = vector_of(last[name])
        unit = unit_of(last.schema.field(name))
        if values.dtype.kind in "US":
            raise call.error(f"column {name} holds text", part)
        return Values(name, values.astype(np.float64), unit)
    if part.text not in call.shell.scope.vectors and not columns and not call.shell.scope.vectors:
        raise call.error("there is nothing to draw yet; ask a query first", part)
    found = call.expression(part.start, part.end)
    if not isinstance(found, np.ndarray) or found.dtype.kind in "US":
        raise call.error("is no vector of numbers", part)
    return Values(part.text, found.astype(np.float64), call.shell.scope.units.get(part.text, ""))


def _plot(call: Call) -> None:
    path = _take_file(call)
    x, y = (_values(call, part) for part in call.need(2))
    if len(x.numbers) != len(y.numbers):
        raise call.error(f"{len(x.numbers)} and {len(y.numbers)} values do not go together")
    show_figure(call.shell, points_figure(x, y), path)


def _hist(call: Call) -> None:
    path = _take_file(call)
    part, *bins = call.need(1, 2)
    count = None
    if bins:
        count = int(call.number(bins[0]))
        if not 1 <= count <= 10_000:
            raise call.error("1 to 10000 bins", bins[0])
    show_figure(call.shell, histogram_figure(_values(call, part), count), path)


def _lightcurve(call: Call) -> None:
    path = _take_file(call)
    with_period = bool(call.parts) and call.parts[-1].text.lower() == "period"
    if with_period:
        call.parts.pop()
    ra, dec, *radii = (call.number(part) for part in call.need(2, 3))
    radius = radii[0] if radii else 1.0

    def work(database: Database, _watch: Watch) -> tuple[pa.Table, Period | None]:
        found = database.lightcurve(ra, dec, radius)
        return found, database.period(ra, dec, radius) if with_period and len(found) else None

    found, period = call.shell.background.run(work)
    if not len(found):
        raise call.error(f"no object within {radius:g} arcsec of {ra:g} {dec:g}")
    fact = {k.decode(): v.decode() for k, v in (found.schema.metadata or {}).items()}
    title = (
        f"object {fact['cat_id']}.{fact['obj_id']} at RA {float(fact['obj_ra']):.6f}, "
        f"Dec {float(fact['obj_dec']):+.6f}"
    )
    photcodes = call.shell.database.photcodes
    if period is None:
        show_figure(call.shell, lightcurve_figure(found, title, photcodes=photcodes), path)
        return
    call.shell.screen.say(period_line(period))
    show_figure(call.shell, period_figure(found, period, title, photcodes=photcodes), path)


def _finder(call: Call) -> None:
    path = _take_file(call)
    ra, dec, *sizes = (call.number(part) for part in call.need(2, 3))
    size = sizes[0] if sizes else 4.0
    if not 0.01 <= size <= 600.0:
        raise call.error("the size is 0.01 to 600 arcmin")
    filters = call.shell.database.photcodes.sec
    if not filters:
        raise call.error("the database has no average filters, so nothing has a brightness")
    magnitudes = ", ".join(f't."{f.name}"' for f in filters)
    best = f"COALESCE({magnitudes})" if len(filters) > 1 else magnitudes
    box = box_about(ra, dec, size / 60.0 * 0.75)
    found = call.shell.query(
        f"SELECT t.ra, t.dec, {best} AS mag FROM average AS t WHERE {box.sql('t.ra', 't.dec')}"
    )
    a, b, mag = (vector_of(column).astype(np.float64) for column in found.columns)
    title = f"RA {ra % 360.0:.6f}, Dec {dec:+.6f}"
    figure = finder_figure(a, b, mag, (ra % 360.0, dec), size, title)
    show_figure(call.shell, figure, path)


def _density(call: Call) -> None:
    path = _take_file(call)
    call.need(0)
    box = call.shell.sky
    n_objects = call.shell.database.snapshot.counts["objects"]
    if n_objects > _MOST_POSITIONS and (box is None or box.is_all):
        raise QueryError(
            f"the database has {n_objects} objects, a map takes {_MOST_POSITIONS}; choose a part "
            "of the sky with skyregion"
        )
    where = "" if box is None or box.is_all else f" WHERE {box.sql('ra', 'dec')}"
    found = call.shell.query(f"SELECT ra, dec FROM average{where}")
    if not len(found):
        raise call.error("there are no objects")
    ra, dec = (vector_of(column) for column in found.columns)
    show_figure(call.shell, _density_figure(ra, dec), path)


def _density_figure(ra: Array, dec: Array) -> Figure:
    """A map of the sky, or, where all objects lie close together, of that part."""
    from dvo.sphere import separation  # noqa: PLC0415 - keeps the start quick

    title = f"{len(ra)} objects"
    towards = np.array([np.cos(np.radians(dec)) * np.cos(np.radians(ra)),
                        np.cos(np.radians(dec)) * np.sin(np.radians(ra)),
                        np.sin(np.radians(dec))]).mean(axis=1)  # fmt: skip
    length = float(np.linalg.norm(towards))
    if length < 0.9:
        return density_figure(ra, dec, title)
    x, y, z = towards / length
    centre = float(np.degrees(np.arctan2(y, x)) % 360.0), float(np.degrees(np.arcsin(z)))
    far = separation(np.full(len(ra), centre[0]), np.full(len(ra), centre[1]), ra, dec).max()
    if far > _WIDEST_DEG:
        return density_figure(ra, dec, title)
    return small_density_figure(ra, dec, centre, max(1.05 * float(far), 1e-3), title)


def _help(call: Call) -> None:
    known = call.shell.interpreter.dots
    lines = [f"  {w.name} {w.usage}".ljust(51) + w.summary for w in known.values()]
    call.shell.screen.say("\n".join([*lines, "  help".ljust(51) + "the words of DVO"]))


def _quit(call: Call) -> None:
    call.need(0)
    raise QuitError


WORDS = (
    Word(".density", "[FILE]", "map of the density of objects on the sky", _density),
    Word(".engine", f"[{'|'.join(ENGINES)}]", "where queries are worked on", _engine),
    Word(".expanded", f"[{'|'.join(EXPANDED)}]", "each value in a line of its own", _expanded),
    Word(".explain", "[on|off|QUERY]", "say how queries would be answered", _explain),
    Word(".finder", "RA DEC [ARCMIN] [FILE]", "finding chart of a place", _finder),
    Word(".help", "", "this list", _help),
    Word(".hist", "X [BINS] [FILE]", "histogram of a column or expression", _hist),
    Word(".lightcurve", "RA DEC [ARCSEC] [period] [FILE]",
         "light curve of the nearest object, by phase with period", _lightcurve),
    Word(".maxrows", "[ROWS]", "rows of a table that are printed; 0 for all", _max_rows),
    Word(".mode", f"[{'|'.join(FORMS)}]", "form of results", _mode),
    Word(".output", "[FILE]", "have results go to a new file, or to the screen", _output),
    Word(".pager", "[on|off]", "show long tables page by page", _pager),
    Word(".plot", "X Y [FILE]", "draw columns of the last answer, or vectors", _plot),
    Word(".quit", "", "leave the shell", _quit),
    Word(".schema", "TABLE", "columns of a table", _schema),
    Word(".tables", "", "tables that a query can name", _tables),
    Word(".timer", "[on|off]", "say how long queries take", _timer),
)  # fmt: skip
