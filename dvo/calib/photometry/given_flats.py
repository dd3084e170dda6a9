"""Flat fields from a table of a caller's: a row a cell."""

from __future__ import annotations

import numpy as np

from dvo.calib.photometry.flats import ALWAYS, FlatFields
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.errors import BadCatalogError, SchemaError
from dvo.mjd import MJD_1970
from dvo.tables.column_table import ColumnTable
from dvo.tables.flatcorr import FLAT_CORRECTION, FLAT_CORRECTION_IMAGE
from dvo.tables.photcode import PhotClass, PhotcodeTable

__all__ = ["FLAT_COLUMNS", "flats_of"]

FLAT_COLUMNS = {
    "photcode": ("photcode",),
    "start": ("mjd_start",),
    "stop": ("mjd_stop",),
    "x": ("x",),
    "y": ("y",),
    "dx": ("dx",),
    "dy": ("dy",),
    "offset": ("offset", "m_flat"),
}
"""What a table of flat fields has, and how its columns may be called."""

_MOST_PLACE = 1 << 20


def flats_of(given: GivenColumns, codes: PhotcodeTable) -> FlatFields:
    """Make flat fields of a table of their cells.

    Parameters
    ----------
    given : GivenColumns
        The table: photcode, cell x and y from 0, size of cells dx and dy [pixel], offset [mag],
        and the season from mjd_start to before mjd_stop; without these for all time.
    codes : PhotcodeTable
        The photcodes.

    Returns
    -------
    FlatFields
        One for each photcode and season, numbered from 1; a grid goes to its last cell.

    Raises
    ------
    BadCatalogError
        If a column is missing, a value cannot be, or a cell stands twice.
    """
    code = given.photcodes(FLAT_COLUMNS["photcode"], codes, (PhotClass.DEP,))
    x, y = (given.integers(FLAT_COLUMNS[n], 0, _MOST_PLACE) for n in ("x", "y"))
    dx, dy = (given.integers(FLAT_COLUMNS[n], 1, _MOST_PLACE) for n in ("dx", "dy"))
    offset = given.numbers(FLAT_COLUMNS["offset"])
    if code is None or x is None or y is None or dx is None or dy is None or offset is None:
        have = ", ".join(given.columns) or "none of them"
        raise BadCatalogError(
            f"{given.source}: flat fields need the columns photcode, x, y, dx, dy and offset; "
            f"it has {have}"
        )
    season = [given.numbers(FLAT_COLUMNS[n]) for n in ("start", "stop")]
    start, stop = (
        np.full(len(code), end) if mjd is None
        else np.clip(np.round((mjd - MJD_1970) * 86400.0), *ALWAYS).astype(np.int64)
        for mjd, end in zip(season, ALWAYS, strict=True)
    )  # fmt: skip
    key = np.column_stack([code, start, stop])
    each, first, of = np.unique(key, axis=0, return_index=True, return_inverse=True)
    of = of.reshape(-1)
    is_odd = (dx != dx[first][of]) | (dy != dy[first][of])
    given.refuse(is_odd, lambda _: "cells of another size than others of its photcode and season")
    cells = np.column_stack([of, y, x])
    _, one = np.unique(cells, axis=0, return_index=True)
    twice = np.ones(len(cells), np.bool_)
    twice[one] = False
    given.refuse(twice, lambda k: f"cell ({x[k]}, {y[k]}) stands twice")
    nx, ny = np.ones(len(each), np.int64), np.ones(len(each), np.int64)
    np.maximum.at(nx, of, x + 1)
    np.maximum.at(ny, of, y + 1)
    grids = {"id": np.arange(1, len(each) + 1), "photcode": each[:, 0], "tstart": each[:, 1],
             "tstop": each[:, 2], "dx": dx[first], "dy": dy[first], "nx": nx, "ny": ny}  # fmt: skip
    values = {"id": of + 1, "x": x, "y": y, "offset": offset}
    try:
        return FlatFields(
            *(ColumnTable(schema, {n: v.astype(schema[n].numpy_dtype) for n, v in found.items()})
              for schema, found in ((FLAT_CORRECTION_IMAGE, grids), (FLAT_CORRECTION, values)))
        )  # fmt: skip
    except SchemaError as err:
        raise BadCatalogError(f"{given.source}: {err}") from err
