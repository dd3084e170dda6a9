"""A function of a user's over the rows of every region.

Worker processes are told a function by its module and name, and import it. Only those that this
program has started know the operation: it is not among those of partition hosts, which run
nobody's code.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dvo.database.given_table import arrow_of
from dvo.errors import QueryError, UnknownColumnError
from dvo.partition.bounds import Area
from dvo.partition.operations import current_work, register
from dvo.partition.view import View
from dvo.query.scan import Scan, read_scan
from dvo.query.sources import sources_of

__all__ = ["MAP", "MODULE", "RegionFunction", "map_regions", "request_of", "results_of",
           "scan_of"]  # fmt: skip

MAP = "map"
"""Name of the operation."""

MODULE = __name__
"""Module that registers it."""

RegionFunction = Callable[[pa.Table], Any]
"""Rows of one region -> a table: of Arrow, pandas or astropy, or a mapping of columns."""

_SIZES = b"dvo.sizes"


def request_of(function: RegionFunction, scan: Scan) -> dict[str, Any]:
    """Write what is asked of worker processes as JSON.

    Parameters
    ----------
    function : callable
        The function.
    scan : Scan
        What it gets.

    Returns
    -------
    dict
        The request.

    Raises
    ------
    QueryError
        If other processes cannot import the function.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    shown = name or repr(function)
    if not module or module == "__main__" or not name.replace(".", "").isidentifier():
        where = "the main program" if module == "__main__" else "no module, or inside a function"
        raise QueryError(
            f"map: {shown} is in {where}, and worker processes import functions by module and "
            "name; put it into a module of its own, or use engine='inline'"
        )
    if _imported(module, name) is not function:
        raise QueryError(f"map: {module}.{name} is not this function; give it a name of its own")
    return {"module": module, "name": name, "path": sys.path, "scan": scan.to_json()}


def _imported(module: str, name: str) -> Any:
    try:
        found: Any = importlib.import_module(module)
        for word in name.split("."):
            found = getattr(found, word)
    except (ImportError, AttributeError) as err:
        raise QueryError(
            f"map: {module}.{name} cannot be imported ({err}); give a function of a module that "
            "worker processes find, too"
        ) from None
    return found


def map_regions(
    function: RegionFunction, view: View, regions: Sequence[int], scan: Scan
) -> Iterator[pa.Table]:
    """Call a function with the rows of one region after the other.

    Parameters
    ----------
    function : callable
        The function.
    view : View
        The snapshot.
    regions : sequence of int
        The regions, ascending.
    scan : Scan
        What it gets of each.

    Yields
    ------
    pyarrow.Table
        What it gave for each region that has rows.

    Raises
    ------
    QueryError
        If it gave no table. What it raises itself is not changed.
    """
    view.foresee(regions)
    for region in regions:
        current_work().cancellation.check()
        rows = read_scan(view, scan, [region])
        if len(rows):
            yield _table_of(function(rows), function)


def _table_of(given: Any, function: RegionFunction) -> pa.Table:
    """What a function gave as a table; single values of a mapping are one row."""
    if isinstance(given, Mapping):
        given = {n: [v] if np.ndim(v) == 0 else v for n, v in given.items()}
    try:
        return arrow_of(given)
    except QueryError:
        raise QueryError(
            f"map: {getattr(function, '__qualname__', function)} gave a {type(given).__name__}; "
            "it has to give a table (pyarrow, pandas, astropy) or a mapping of columns or values"
        ) from None


def _map_group(
    view: View, regions: Sequence[int], request: Mapping[str, Any], tables: Mapping[str, pa.Table]
) -> pa.Table:
    """The operation: tables of all regions one after the other, and how many rows each has."""
    assert not tables
    sys.path += [path for path in request["path"] if path not in sys.path]
    function = _imported(str(request["module"]), str(request["name"]))
    found = list(map_regions(function, view, regions, Scan.from_json(request["scan"])))
    sizes = json.dumps([len(table) for table in found]).encode()
    try:
        whole = pa.concat_tables(found) if found else pa.table({})
    except pa.ArrowInvalid as err:
        raise QueryError(
            f"map: {request['name']} gave tables of different columns for different regions "
            f"({str(err).splitlines()[0]}); give all of them the same names and types"
        ) from None
    return whole.replace_schema_metadata({_SIZES: sizes})


def results_of(whole: pa.Table) -> Iterator[pa.Table]:
    """Take the result of a group apart.

    Parameters
    ----------
    whole : pyarrow.Table
        The result of the operation.

    Yields
    ------
    pyarrow.Table
        The table of each region that had rows.
    """
    start = 0
    for size in json.loads((whole.schema.metadata or {})[_SIZES]):
        yield whole.slice(start, size).replace_schema_metadata(None)
        start += size


def scan_of(view: View, table: str, columns: Sequence[str] | None, area: Area | None) -> Scan:
    """Say what a function gets.

    Parameters
    ----------
    view : View
        The snapshot.
    table : str
        A table of objects, as in queries.
    columns : sequence of str or None
        Its columns; None for all.
    area : Area or None
        Where rows have to lie.

    Returns
    -------
    Scan
        What to read of each region.

    Raises
    ------
    QueryError
        If there is no such table or column, or it has no regions, or no places.
    """
    sources = sources_of(view.photcodes)
    source = sources.get(table.lower())
    if source is None or source.is_global:
        raise QueryError(
            f"map: no table {table!r} that has regions; there are "
            f"{', '.join(name for name, s in sources.items() if not s.is_global)}"
        )
    names = tuple(source.columns if columns is None else columns)
    strange = [name for name in names if source.column(name) is None]
    if strange:
        raise UnknownColumnError(f"map: {table} has no column {strange[0]!r}")
    if area is not None and source.position is None:
        raise QueryError(f"map: rows of {table} have no place of their own; leave out the area")
    return Scan(source.name, source.name, names, area)


# It imports what the request names, from where it says: never for somebody else.
register(MAP, _map_group, role=None)
