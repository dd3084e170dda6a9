"""From the words of a user to an `Extract`: which table, which columns, where."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from dvo.database.arrow import OutputColumn
from dvo.database.fields import resolve
from dvo.database.wide import WideColumn, wide_columns
from dvo.errors import QueryError, UnknownColumnError
from dvo.exchange.extract import FILTER, GLOBAL_TABLES, SKY_TABLES, Extract, signed
from dvo.partition.bounds import Area
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE
from dvo.tables.satellites import SATELLITES, find_satellite
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["ALL", "TABLES", "select"]

TABLES: dict[str, TableSchema] = {
    "object": AVERAGE,
    "average": AVERAGE,
    "secfilt": AVERAGE,
    "measure": MEASURE,
    "image": IMAGE,
    "photcode": PHOTCODE,
    **{s.schema.name.lower(): s.schema for s in SATELLITES},
}
"""Tables that can go out, and those that their rows are of."""

ALL = ("all",)
"""Asks for every column, those without a single value too."""

_OF_OBJECT = ("cat_id", "obj_id", "ext_id", "ra", "dec")  # which object a row is of, and where
_DERIVED = ("mjd", "photcode_name")


def select(
    store: Store,
    view: View,
    table: str,
    columns: Sequence[str] | None = None,
    area: Area | None = None,
    *,
    with_position: bool = False,
) -> Extract:
    """Work out what is to go out.

    Parameters
    ----------
    store : Store
        The database.
    view : View
        A snapshot of it.
    table : str
        One of `TABLES`.
    columns : sequence of str, optional
        Columns, derived columns and magnitude words; `ALL` for all columns. None for those
        that some file of the database holds (the others are null in every row) and that do
        not number rows of ours, and for the time as MJD and the photcode by name.
    area : Area, optional
        Only rows that lie there.
    with_position : bool
        Whether ra and dec go out in any case.

    Returns
    -------
    Extract
        What to read.

    Raises
    ------
    UnknownColumnError
        If a column is not known.
    QueryError
        If the table is not known, or has no positions where they are needed.
    """
    if table not in TABLES:
        raise QueryError(f"no table {table!r}; there are {', '.join(TABLES)}")
    if table in GLOBAL_TABLES and (area is not None or with_position):
        raise QueryError(
            f"table {table}: its rows have no one place on the sky; write it as parquet, fits, "
            f"votable or csv, without a region. Tables with places: {', '.join(SKY_TABLES)}"
        )
    wide = _wide(view, table)
    if columns is None or tuple(columns) == ALL:
        names = _every_column(table, wide)
        if columns is None:
            filled = _filled_columns(store, table, wide)
            names = [n for n in names if (n in filled and not _is_row(n)) or n in _OF_OBJECT]
    else:
        names = [n.lower() if n.lower() in wide else n for n in columns]
    if with_position:
        names = [*(n for n in ("ra", "dec") if n not in names), *names]
    return _extract(view, table, names, wide, area)


def _extract(
    view: View, table: str, names: Sequence[str], wide: dict[str, WideColumn], area: Area | None
) -> Extract:
    own = [n for n in names if n not in wide and not (table == "secfilt" and n == FILTER.name)]
    if table == "secfilt":
        _check_secfilt(own, wide)
    request = resolve(view.photcodes, TABLES[table], own)
    known = {o.name: o.like for o in request.outputs} | {n: w.column for n, w in wide.items()}
    if table == "secfilt":
        known[FILTER.name] = FILTER
    # `resolve` spells names as the table does.
    spelt = {n.lower(): n for n in known} | {n: n for n in known}
    wanted = list(dict.fromkeys(spelt.get(n) or spelt[n.lower()] for n in names))
    if not wanted:
        raise QueryError("no columns; name some, or leave --columns out")
    return Extract(
        view,
        table,
        tuple(OutputColumn(n, signed(known[n])) for n in wanted),
        request,
        tuple(wide[n] for n in wanted if n in wide),
        area,
    )


def _wide(view: View, table: str) -> dict[str, WideColumn]:
    """Columns that come from SecFilt."""
    if table == "object":
        return wide_columns(view.photcodes)
    if table == "secfilt":
        return {c.name: WideColumn(c, c.name, -1) for c in SECFILT.columns}
    return {}


def _every_column(table: str, wide: dict[str, WideColumn]) -> list[str]:
    if table == "secfilt":
        return [*_OF_OBJECT, FILTER.name, *wide]
    schema = TABLES[table]
    if find_satellite(schema.name) is not None:
        made = ["photcode_name"] if "photcode" in schema else []
        made += ["mjd"] if "time" in schema else []
        return list(dict.fromkeys([*_OF_OBJECT, *schema.names, *made]))
    derived = _DERIVED if table in ("measure", "image") else ()
    return [*schema.names, *derived, *wide]


def _filled_columns(store: Store, table: str, wide: dict[str, WideColumn]) -> set[str]:
    """Columns that some file holds, or that are made; the others have no value in any row."""
    stored: dict[str, set[str]] = {}
    for file in store.manifest.files():
        stored.setdefault(file.table, set()).update(file.columns)
    base = TABLES[table]
    of_base, of_filters = stored.get(base.name, set()), stored.get(SECFILT.name, set())
    made = {c.name for c in base.columns if c.derived} | {*_DERIVED, FILTER.name}
    return of_base | made | {n for n, w in wide.items() if w.source in of_filters}


def _is_row(name: str) -> bool:
    """Whether a column numbers rows of a table of ours, which says nothing elsewhere."""
    return name == "ave_ref" or name.startswith("off_")


def _check_secfilt(names: Sequence[str], wide: dict[str, WideColumn]) -> None:
    for name in names:
        if name.lower() not in _OF_OBJECT:
            known = [*_OF_OBJECT, FILTER.name, *wide]
            near = difflib.get_close_matches(name.lower(), known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UnknownColumnError(f"secfilt has no column {name!r}{hint}")
