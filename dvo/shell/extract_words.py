"""The words that extract: skyregion, avextract, mextract, imextract, avmatch, mmatch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.errors import DvoError, QueryError
from dvo.shell.call import Call, Part, Word
from dvo.shell.condition import condition_sql
from dvo.shell.expression import parse_expression
from dvo.shell.fields import TABLES, Fields, field_names
from dvo.shell.sky_selection import SkyBox, box_about, take_selection

if TYPE_CHECKING:
    from dvo.query.session import Database
    from dvo.query.watch import Watch
    from dvo.shell.session import Shell

__all__ = ["WORDS", "unit_of", "vector_name", "vector_of"]

Array = NDArray[Any]

_PLACES = {"average": ("a.ra", "a.dec"), "measure": ("m.ra", "m.dec"),
           "image": ("i.ra_center", "i.dec_center")}  # fmt: skip
_OPTIONS = "[-skyregion R R D D | -region | -cpt NAME] [-photcode P] [-parallel] [-v]"


def vector_of(column: pa.ChunkedArray[Any]) -> Array:
    """Make a vector of a column.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        The column.

    Returns
    -------
    ndarray
        Whole numbers, numbers with a point, or text; NaN where a number is missing.

    Raises
    ------
    QueryError
        If it has several values a row.
    """
    if pa.types.is_nested(column.type):
        raise QueryError(
            "polyterms, astrom_map and their like have several values a row, and make no vector; "
            "ask SQL for them"
        )
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return np.array([v or "" for v in column.to_pylist()], str)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values = np.asarray(column.to_numpy())
    return values.astype(np.float64) if values.dtype.kind in "fO" else values.astype(np.int64)


def unit_of(field: pa.Field[Any]) -> str:
    """Give the unit of a column; nothing if it has none."""
    return (field.metadata or {}).get(b"unit", b"").decode()


def vector_name(field: str) -> str:
    """Give the name of the vector of a field: the field, with v_ before a digit."""
    return f"v_{field}" if field[0].isdigit() else field


def _skyregion(call: Call) -> None:
    shell = call.shell
    if call.take_flag("-box"):
        ra, dec, radius = (call.number(part) for part in call.need(3))
        shell.sky = box_about(ra, dec, radius)
        return
    save = call.take_flag("-save")
    parts = call.need(0, 4)
    if parts:
        if len(parts) != 4:
            raise call.misuse()
        shell.sky = SkyBox(*(call.number(part) for part in parts))
        return
    here = shell.sky or SkyBox(0.0, 360.0, -90.0, 90.0)
    if save:
        names = ("Rmin", "Rmax", "Dmin", "Dmax")
        for name, value in zip(names, (here.ra_min, here.ra_max, here.dec_min, here.dec_max),
                               strict=True):  # fmt: skip
            shell.scope.set_number(name, value)
        return
    shell.screen.say(f"current skyregion: {here}")


@dataclass(frozen=True)
class _Request:
    """An extract word, read.

    Parameters
    ----------
    names : tuple of str
        The fields, as they were written.
    columns : tuple of str
        The same in SQL.
    source : str
        What stands behind FROM.
    conditions : tuple of str
        What has to hold.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    source: str
    conditions: tuple[str, ...]

    def sql(self) -> str:
        results = ", ".join(f"{c} AS f{k}" for k, c in enumerate(self.columns))
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        return f"SELECT {results} FROM {self.source}{where}"


def _extract(table: str) -> Any:
    def run(call: Call) -> None:
        if call.take_flag("-h", "--help"):
            call.shell.screen.say(_help(call, table))
            return
        shell = call.shell
        with _engine_of(call):
            box = take_selection(call)
            request = _read(call, table, box)
            found = shell.query(request.sql())
        for k, name in enumerate(request.names):
            unit = unit_of(found.schema.field(k))
            shell.scope.set_vector(vector_name(name), vector_of(found.column(k)), unit)
        shell.last = found.rename_columns(_unique(request.names))
        if shell.screen.is_interactive:
            shell.screen.tell(f"{len(found)} rows in {', '.join(map(vector_name, request.names))}")

    return run


def _unique(names: Sequence[str]) -> list[str]:
    return [n if n not in names[:k] else f"{n}_{k}" for k, n in enumerate(names)]


def _help(call: Call, table: str) -> str:
    lines = [f"{call.name.text} {call.usage}", "fields:"]
    names = field_names(table)
    lines += ["  " + " ".join(names[k : k + 8]) for k in range(0, len(names), 8)]
    if table != "image":
        lines.append("  PHOTCODE[:source][:level][:class][:option], such as g:ave or mag:rel")
    return "\n".join(lines)


class _engine_of:  # noqa: N801 - used with `with`, as a function
    """Has -parallel and -parallel-local in a line choose the engine for it."""

    def __init__(self, call: Call) -> None:
        self._settings = call.shell.settings
        self._before = self._settings.engine
        for flag, engine in (("-parallel", "hosts"), ("-parallel-local", "processes")):
            if call.take_flag(flag):
                self._settings.engine = engine
        call.take_flag("-v", "-vv")  # how far it has come is always shown
        call.take_flag("-skip-results")  # no files of results are written

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: object) -> None:
        self._settings.engine = self._before


def _read(call: Call, table: str, box: SkyBox | None) -> _Request:
    """Read fields and condition of an extract word."""
    photcodes = call.shell.database.photcodes
    fields = Fields(table, photcodes)
    conditions = []
    photcode = call.take_option("-photcode") or call.take_option("-p")
    where = next((p for p in call.parts if p.text.lower() == "where"), None)
    named = _named_fields(call, where)
    columns = []
    for part in named:
        try:
            columns.append(fields.sql(part.text))
        except DvoError as err:
            raise call.error(str(err), part) from None
    if box is not None and not box.is_all:
        conditions.append(box.sql(*_PLACES[table]))
    if photcode is not None:
        conditions.append(_of_photcode(call, photcode[0], table))
    if where is not None:
        node = parse_expression(call.place.text[where.end :], call.place, where.end)
        conditions.append(condition_sql(node, call.place, fields))
    names = tuple(part.text for part in named)
    return _Request(names, tuple(columns), fields.source(), tuple(conditions))


def _named_fields(call: Call, where: Part | None) -> list[Part]:
    """Fields, split by commas or spaces, before ``where``."""
    found = []
    for part in call.parts:
        if where is not None and part.start >= where.start:
            break
        if part.text.startswith("-"):
            raise call.error(f"{call.name.text} has no option {part.text}", part)
        found += [
            Part(m.group(), part.start + m.start(), part.start + m.end())
            for m in re.finditer(r"[^,]+", call.place.text[part.start : part.end])
        ]
    if not found:
        raise call.misuse()
    for part in found:
        if not re.fullmatch(r"\w[\w.:]*", part.text):
            raise call.error(f"{part.text!r} is no field", part)
    return found


def _of_photcode(call: Call, part: Part, table: str) -> str:
    """Condition that rows are of a photcode, or of all that count for an average filter."""
    photcodes = call.shell.database.photcodes
    try:
        wanted = photcodes.get(part.text)
    except DvoError as err:
        raise call.error(str(err), part) from None
    if table == "average":
        raise call.error("objects have no photcode; name the filter of the field: g:ave", part)
    codes = [wanted.code, *(p.code for p in photcodes if p.equiv == wanted.code)]
    return f"{TABLES[table]}.photcode IN ({', '.join(str(c) for c in dict.fromkeys(codes))})"


def _positions(call: Call) -> tuple[Array, Array, float, list[Part]]:
    """Vectors of positions, radius, and the parts behind them."""
    if len(call.parts) < 4:
        raise call.misuse()
    ra, dec = (call.floats(part) for part in call.parts[:2])
    if len(ra) != len(dec):
        raise call.error(f"vectors of {len(ra)} and {len(dec)} elements do not go together")
    radius = call.number(call.parts[2])
    del call.parts[:3]
    return ra, dec, radius, _named_fields(call, None)


def _nearest(shell: Shell, ra: Array, dec: Array, radius: float, columns: list[str]) -> pa.Table:
    """The nearest object of each position, one row a position, null where there is none."""
    places = {"ra": ra, "dec": dec, "place": np.arange(len(ra))}

    def work(database: Database, watch: Watch) -> pa.Table:
        options: dict[str, Any] = {"join": "left", "columns": columns, "other_columns": ["place"],
                                   "suffix": "_of_place"}  # fmt: skip
        found = []
        for batch in database.match_batches(places, radius, **options):
            found.append(batch)
            watch.rows += len(batch)
            watch.cancellation.check()
        if not found:  # no places
            return database.match(places, radius, **options)
        return pa.Table.from_batches(found)

    try:
        return shell.background.run(work, shell.show_progress).sort_by("place")
    finally:
        shell.screen.progress("")


def _avmatch(call: Call) -> None:
    shell = call.shell
    with _engine_of(call):
        ra, dec, radius, named = _positions(call)
        fields = Fields("average", shell.database.photcodes)
        columns = []
        for part in named:
            try:
                sql = fields.sql(part.text)
            except DvoError as err:
                raise call.error(str(err), part) from None
            found = re.fullmatch(r'a\."?([^"]+?)"?', sql)
            if found is None:
                raise call.error("is worked out in extracts only; match columns of objects", part)
            columns.append(found.group(1))
        table = _nearest(shell, ra, dec, radius, list(dict.fromkeys(columns)))
    for part, column in zip(named, columns, strict=True):
        unit = unit_of(table.schema.field(column))
        shell.scope.set_vector(vector_name(part.text), vector_of(table[column]), unit)
    shell.last = table


def _mmatch(call: Call) -> None:
    shell = call.shell
    with _engine_of(call):
        index = call.take_option("-index")
        ra, dec, radius, named = _positions(call)
        fields = Fields("measure", shell.database.photcodes)
        columns = []
        for part in named:
            try:
                columns.append(fields.sql(part.text))
            except DvoError as err:
                raise call.error(str(err), part) from None
        objects = _nearest(shell, ra, dec, radius, ["cat_id", "obj_id"])
        objects = objects.filter(objects["obj_id"].is_valid())
        results = ", ".join(f"{c} AS f{k}" for k, c in enumerate(columns))
        box = _box_of(ra, dec, radius / 3600.0 + 1.0 / 60.0)
        where = "" if box is None else f" WHERE {box.sql('m.ra', 'm.dec')}"
        found = shell.query(
            f"SELECT u.place AS place, {results} FROM {fields.source()} JOIN upload.objects AS u "
            f"ON m.cat_id = u.cat_id AND m.obj_id = u.obj_id{where} ORDER BY place",
            uploads={"objects": objects.select(["place", "cat_id", "obj_id"])},
        )
    for k, part in enumerate(named):
        unit = unit_of(found.schema.field(k + 1))
        shell.scope.set_vector(vector_name(part.text), vector_of(found.column(k + 1)), unit)
    if index is not None:
        shell.scope.set_vector(call.new_name(index[0]), vector_of(found.column(0)))
    shell.last = found.rename_columns(["place", *_unique([p.text for p in named])])


def _box_of(ra: Array, dec: Array, margin_deg: float) -> SkyBox | None:
    """A box that holds positions, where they lie together; None where they do not."""
    good = np.isfinite(ra) & np.isfinite(dec)
    if not good.any() or np.ptp(ra[good]) > 180.0:
        return None
    low, high = dec[good].min() - margin_deg, dec[good].max() + margin_deg
    if low <= -89.0 or high >= 89.0:
        return None
    margin_ra = margin_deg / np.cos(np.radians(max(abs(low), abs(high))))
    return SkyBox(
        float(ra[good].min() - margin_ra) % 360.0, float(ra[good].max() + margin_ra) % 360.0,
        float(low), float(high),
    )  # fmt: skip


WORDS = (
    Word("skyregion", "[RA_MIN RA_MAX DEC_MIN DEC_MAX | -box RA DEC RADIUS] [-save]",
         "set where extracts look (degrees), or say it", _skyregion),
    Word("avextract", f"FIELD[,FIELD...] [where (CONDITION)] {_OPTIONS}",
         "objects: one vector a field", _extract("average")),
    Word("mextract", f"FIELD[,FIELD...] [where (CONDITION)] {_OPTIONS}",
         "measurements: one vector a field", _extract("measure")),
    Word("imextract", f"FIELD[,FIELD...] [where (CONDITION)] {_OPTIONS}",
         "images: one vector a field", _extract("image")),
    Word("avmatch", "RA DEC RADIUS FIELD[,FIELD...]",
         "the nearest object of each place of two vectors (radius in arcsec)", _avmatch),
    Word("mmatch", "RA DEC RADIUS FIELD[,FIELD...] [-index VECTOR]",
         "the measurements of the nearest object of each place", _mmatch),
)  # fmt: skip
