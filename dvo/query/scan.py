"""Reading what a query needs of a table, for a group of regions, as Arrow.

A scan says which columns of which table are wanted, which rows by their place, and of which
areas each row is to be told whether it lies in them. It goes to other processes as JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn, array_of, field_of, to_arrow, truth_of
from dvo.database.fields import Request, resolve
from dvo.database.numbered_rows import read_numbered
from dvo.database.wide import read_wide, wide_columns
from dvo.partition.bounds import Area, Box, Cone
from dvo.partition.column_range import ColumnRange
from dvo.partition.polygon import Polygon
from dvo.partition.view import View
from dvo.query.sources import Source, read_global, sources_of
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["Scan", "area_from_json", "area_to_json", "read_scan"]

Array = NDArray[Any]
F64 = NDArray[np.float64]


def area_to_json(area: Area) -> dict[str, Any]:
    """Write an area as JSON."""
    if isinstance(area, Cone):
        return {"cone": [area.ra, area.dec, area.radius_deg]}
    if isinstance(area, Box):
        return {"box": [area.ra_min, area.ra_max, area.dec_min, area.dec_max]}
    assert isinstance(area, Polygon)
    return {"polygon": [list(v) for v in area.vertices]}


def area_from_json(given: dict[str, Any]) -> Area:
    """Read an area from JSON; it is checked as any area is."""
    ((kind, numbers),) = given.items()
    if kind == "cone":
        return Cone(*numbers)
    if kind == "box":
        return Box(*numbers)
    return Polygon(tuple((float(ra), float(dec)) for ra, dec in numbers))


def _end_to_json(value: float) -> float | None:
    """An end of a range; JSON has no infinity."""
    return value if np.isfinite(value) else None


@dataclass(frozen=True)
class Scan:
    """What is read of a table.

    Parameters
    ----------
    alias : str
        Name in the query.
    table : str
        Name of the table.
    columns : tuple of str
        Columns, in the spelling of the query; none where only the number of rows matters,
        and then there is no area either.
    area : Area or None
        Where rows have to lie.
    marks : tuple of (str, Area)
        Columns to add: whether each row lies in an area.
    ranges : tuple of ColumnRange
        Stored columns of numbers and where their values have to lie: other rows may be left
        out.
    """

    alias: str
    table: str
    columns: tuple[str, ...]
    area: Area | None = None
    marks: tuple[tuple[str, Area], ...] = ()
    ranges: tuple[ColumnRange, ...] = ()

    def tile_ranges(self, schema: TableSchema) -> list[ColumnRange]:
        """Ranges of columns of which tiles have bounds."""
        return [r for r in self.ranges if r.name in schema.tile_index]

    def to_json(self) -> dict[str, Any]:
        """Write as JSON."""
        return {
            "alias": self.alias,
            "table": self.table,
            "columns": list(self.columns),
            "area": None if self.area is None else area_to_json(self.area),
            "marks": [[name, area_to_json(area)] for name, area in self.marks],
            "ranges": [[r.name, _end_to_json(r.low), _end_to_json(r.high)] for r in self.ranges],
        }

    @staticmethod
    def from_json(given: dict[str, Any]) -> Scan:
        """Read from JSON."""
        return Scan(
            given["alias"],
            given["table"],
            tuple(given["columns"]),
            None if given["area"] is None else area_from_json(given["area"]),
            tuple((name, area_from_json(area)) for name, area in given["marks"]),
            tuple(
                ColumnRange(
                    str(name),
                    -np.inf if low is None else float(low),
                    np.inf if high is None else float(high),
                )
                for name, low, high in given["ranges"]
            ),
        )


def read_scan(view: View, scan: Scan, regions: Sequence[int]) -> pa.Table:
    """Read what a scan says.

    Parameters
    ----------
    view : View
        The snapshot.
    scan : Scan
        What to read.
    regions : sequence of int
        Of which regions, ascending; of no importance for tables of the whole database.

    Returns
    -------
    pyarrow.Table
        The columns and the marks, NaN and other nulls as null, and marks of rows whose place is
        missing; rows region after region.
    """
    source = sources_of(view.photcodes)[scan.table]
    if source.is_global:
        return _read_marked(view, source, scan)
    return _read_spread(view, source, scan, regions)


def _read_marked(view: View, source: Source, scan: Scan) -> pa.Table:
    """Read the rows of a table of the whole database that lie in the area, with their marks."""
    if scan.area is None and not scan.marks:
        return read_global(view, source, scan.columns)
    assert source.position is not None
    table = read_global(view, source, dict.fromkeys([*scan.columns, *source.position]))
    ra, dec = (table[name].to_numpy() for name in source.position)
    for name, area in scan.marks:
        table = table.append_column(name, _mark(area, ra, dec))
    if scan.area is not None:
        table = table.filter(pa.array(scan.area.holds(ra, dec)))
    return table.select([*scan.columns, *(name for name, _ in scan.marks)])


def _read_spread(view: View, source: Source, scan: Scan, regions: Sequence[int]) -> pa.Table:
    assert source.schema is not None
    if not scan.columns and not scan.marks and scan.area is None:
        return _rows_alone(view, source.schema, regions)
    if source.name == "secfilt":
        return _read_secfilt(view, source, scan, regions)
    wide = wide_columns(view.photcodes) if source.name == "object" else {}
    of_filters = [wide[n] for n in scan.columns if n in wide]
    place = ["ra", "dec"] if scan.marks else []
    own = dict.fromkeys([*(n for n in scan.columns if n not in wide), *place])
    request = resolve(view.photcodes, source.schema, list(own))
    if scan.area is None and not (request.words or request.derived or of_filters or scan.marks):
        whole = _as_it_lies(view, source.schema, request, scan, regions)
        if whole is not None:
            return whole
    if scan.area is None and not request.words:
        table, _ = view.read_many(
            source.schema, regions, request.stored,
            ranges=() if of_filters else scan.tile_ranges(source.schema),
        )  # fmt: skip
        values = request.values(view, -1, table)
        if regions:
            values |= read_wide(view, regions, of_filters) if of_filters else {}
        else:
            values |= {w.column.name: w.column.nulls(0) for w in of_filters}
    else:
        pieces = [_of_region(view, request, r, scan.area, of_filters) for r in regions]
        values = _joined(request, of_filters, pieces)
    outputs = {o.name: o for o in request.outputs}
    outputs |= {w.column.name: OutputColumn(w.column.name, w.column) for w in of_filters}
    found = to_arrow([outputs[n] for n in scan.columns], values)
    for name, area in scan.marks:
        found = found.append_column(name, _mark(area, values["ra"], values["dec"]))
    return found


def _mark(area: Area, ra: F64, dec: F64) -> pa.Array[Any]:
    """Whether each place lies in an area; null where it is not known where a row is."""
    return truth_of(area.holds(ra, dec), np.isfinite(ra) & np.isfinite(dec))


def _rows_alone(view: View, schema: TableSchema, regions: Sequence[int]) -> pa.Table:
    """As many rows as a table has, of a column without a meaning; no file is read."""
    if schema.name in (AVERAGE.name, SECFILT.name):
        n_objects = sum(c.n_average for c in view.catalogs(regions).values())
        n_rows = n_objects * (view.n_secfilt if schema.name == SECFILT.name else 1)
    else:
        parts = view.part_table(regions)
        n_rows = int(parts.sizes[parts.are(table=schema.name, kind="rows")].sum())
    return pa.table({"row": pa.array(np.zeros(n_rows, np.uint8))})


def _as_it_lies(
    view: View, schema: TableSchema, request: Request, scan: Scan, regions: Sequence[int]
) -> pa.Table | None:
    """Columns as they are in memory, if they need not be put together."""
    found = view.pieces(schema, regions, request.stored, array_of, scan.tile_ranges(schema))
    if found is None:
        return None
    outputs = {o.name: o for o in request.outputs}
    kept = [outputs[n] for n in scan.columns]
    fields = [field_of(o) for o in kept]
    columns = [
        pa.chunked_array(found[output.like.name], field.type)
        for output, field in zip(kept, fields, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _of_region(
    view: View, request: Request, region: int, area: Area | None, of_filters: Sequence[Any]
) -> dict[str, Array]:
    """Columns of the rows of one region that lie in an area."""
    if request.schema.name == AVERAGE.name and (request.words or of_filters):
        table = read_numbered(view, AVERAGE, region, request.stored, area)
        values = request.values(view, region, table)
        found = read_wide(view, [region], of_filters) if of_filters else {}
        return values | {n: v[table["row"]] for n, v in found.items()}
    return request.values(
        view, region, view.read_area(request.schema, region, request.stored, area)
    )


def _joined(
    request: Request, of_filters: Sequence[Any], pieces: Sequence[dict[str, Array]]
) -> dict[str, Array]:
    like = {o.name: o.like for o in request.outputs}
    like |= {w.column.name: w.column for w in of_filters}
    return {
        n: np.concatenate([p[n] for p in pieces]) if pieces else column.nulls(0)
        for n, column in like.items()
    }


def _read_secfilt(view: View, source: Source, scan: Scan, regions: Sequence[int]) -> pa.Table:
    """SecFilt with the ids of its objects and the names of its filters."""
    n, sec = view.n_secfilt, view.photcodes.sec
    stored = [c for c in scan.columns if c in SECFILT]
    ids = [c for c in scan.columns if c in ("cat_id", "obj_id")]
    table, _ = (
        view.read_many(SECFILT, regions, stored) if regions else (ColumnTable(SECFILT, {}, 0), [0])
    )
    values = {c: table[c] for c in stored}
    if ids and regions:
        average, _ = view.read_many(AVERAGE, regions, ids)
        values |= {c: np.repeat(average[c], n) for c in ids}
    n_objects = len(table) // max(n, 1)
    values["photcode"] = np.tile(np.array([p.code for p in sec], np.uint16), n_objects)
    values["filter"] = np.tile(np.array([p.name for p in sec], "S32"), n_objects)
    outputs = [OutputColumn(c, source.columns[c]) for c in scan.columns]
    for output in outputs:
        values.setdefault(output.name, output.like.nulls(0))
    return to_arrow(outputs, values)
