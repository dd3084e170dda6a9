"""Rules that the tables of one region keep, and what breaks them.

Links between the tables are the business of `dvo.tables.links`; here are the parts that
the tables are made of, positions, identifiers and photcodes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.partition.faults import Fault
from dvo.partition.manifest import Part
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.links import find_link_faults
from dvo.tables.measure import MEASURE
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["REMEDY", "Catalog", "find_catalog_faults", "read_catalog"]

_AVERAGE_COLUMNS = ("obj_id", "cat_id", "ext_id", "nmeasure", "off_measure", "ra", "dec")
_MEASURE_COLUMNS = (
    *("ave_ref", "obj_id", "cat_id", "image_id", "det_id"),
    *("ra", "dec", "time", "photcode"),
)
_REPORT = "this is a mistake of dvo or of a program that wrote to the database: go back with dvo "
REMEDY = f"{_REPORT}rollback to a snapshot before it, and report it"
_SLACK_DEG = 1e-9
_ROW = re.compile(r"^(Average|SecFilt|Measure) rows? (\d+)")


@dataclass(frozen=True, slots=True)
class Catalog:
    """The columns of one region's tables that rules are about.

    Parameters
    ----------
    region : int
        The region.
    name : str
        Its name.
    average, measure : ColumnTable
        The tables.
    """

    region: int
    name: str
    average: ColumnTable
    measure: ColumnTable


def read_catalog(view: View, region: int) -> Catalog:
    """Read what rules are about.

    Parameters
    ----------
    view : View
        The snapshot.
    region : int
        The region.

    Returns
    -------
    Catalog
        Its tables.
    """
    return Catalog(
        region,
        view.sky.names([region])[0],
        view.read(AVERAGE, region, _AVERAGE_COLUMNS),
        view.read(MEASURE, region, _MEASURE_COLUMNS),
    )


def find_catalog_faults(view: View, region: int) -> tuple[Catalog | None, list[Fault]]:
    """Look for what breaks the rules in one region.

    Parameters
    ----------
    view : View
        The snapshot.
    region : int
        The region.

    Returns
    -------
    catalog : Catalog or None
        Its tables; None if their parts do not fit together, so that they cannot be read.
    faults : list of Fault
        What is wrong.
    """
    faults = list(_part_faults(view, region))
    if faults:
        return None, faults
    catalog = read_catalog(view, region)
    row = view.catalog(region)
    # The length of SecFilt is not stored: _part_faults has seen that its rows fit.
    n_secfilt = row.n_average * view.n_secfilt
    broken = find_link_faults(
        catalog.average, n_secfilt, catalog.measure, view.n_secfilt, is_sorted=row.is_sorted
    )
    faults += [_link_fault(view, catalog, message) for message in broken]
    for schema, table in ((AVERAGE, catalog.average), (MEASURE, catalog.measure)):
        faults += _position_faults(view, catalog, schema, table)
    faults += _id_faults(view, catalog)
    return catalog, faults


def _link_fault(view: View, catalog: Catalog, message: str) -> Fault:
    found = _ROW.match(message)
    if found is None:
        return Fault(message, REMEDY, "", message.split(maxsplit=1)[0], catalog.name)
    schema = {s.name: s for s in (AVERAGE, SECFILT, MEASURE)}[found.group(1)]
    row = int(found.group(2))
    return Fault(
        message, REMEDY, _path_of(view, schema, catalog.region, row), schema.name, catalog.name, row
    )


def _row_fault(view: View, catalog: Catalog, schema: TableSchema, row: int, message: str) -> Fault:
    path = _path_of(view, schema, catalog.region, row)
    return Fault(message, REMEDY, path, schema.name, catalog.name, row)


def _path_of(view: View, schema: TableSchema, region: int, row: int) -> str:
    """File that holds a row; empty for a row that patches made."""
    at = 0
    for part in view.parts(schema, region):
        if part.kind == "rows":
            if row < at + part.n_rows:
                return part.path
            at += part.n_rows
    return ""


def _part_faults(view: View, region: int) -> Iterator[Fault]:
    """Parts that do not make up tables of the length that the manifest states."""
    row = view.catalog(region)
    name = view.sky.names([region])[0]
    expected = {
        AVERAGE.name: row.n_average,
        SECFILT.name: row.n_average * view.n_secfilt,
        MEASURE.name: row.n_measure,
    }
    stored = {}
    for schema in (AVERAGE, SECFILT, MEASURE):
        n_rows = expected[schema.name]
        parts = view.parts(schema, region)
        stored[schema.name] = sum(p.n_rows for p in parts if p.kind == "rows")
        reach = stored[schema.name]
        for part in parts:
            if part.kind == "patch":
                rows = view.rows_of_patch(part)
                if rows.min() < 0 or rows.max() >= n_rows:
                    yield Fault(f"patch of row {max(rows.max(), -1)}, but the table has "
                                f"{n_rows} rows", REMEDY, part.path, schema.name, name)  # fmt: skip
                reach = max(reach, int(rows.max()) + 1)
            elif part.kind == "overlay":
                yield from _overlay_faults(part, parts, name)
        if schema is not SECFILT and reach != n_rows:
            yield Fault(f"the manifest counts {n_rows} rows, its files have {reach}", REMEDY,
                        "", schema.name, name)  # fmt: skip
    sizes = [p.n_rows for p in view.parts(MEASURE, region) if p.kind == "rows"]
    if (row.n_parts, row.n_largest) != (len(sizes), max(sizes, default=0)):
        yield Fault(
            f"the manifest counts {row.n_parts} parts, the largest of {row.n_largest} rows; there "
            f"are {len(sizes)}, the largest of {max(sizes, default=0)}", REMEDY, "", MEASURE.name,
            name,
        )  # fmt: skip
    # Rows of Average may be there as patches while those of SecFilt are whole.
    n_secfilt, n_stored = view.n_secfilt, stored[SECFILT.name]
    is_right = stored[AVERAGE.name] <= n_stored / n_secfilt <= row.n_average
    if n_stored and (n_stored % n_secfilt or not is_right):
        yield Fault(
            f"files have {n_stored} rows, not {n_secfilt} for each of {stored[AVERAGE.name]} "
            f"to {row.n_average} objects", REMEDY, "", SECFILT.name, name,
        )  # fmt: skip


def _overlay_faults(overlay: Part, parts: list[Part], name: str) -> Iterator[Fault]:
    target = next((p for p in parts if p.id == overlay.target and p.kind == "rows"), None)
    if target is None or target.n_rows != overlay.n_rows:
        found = "none" if target is None else f"{target.n_rows} rows"
        yield Fault(f"overlay of {overlay.n_rows} rows on {found}", REMEDY, overlay.path,
                    overlay.table, name)  # fmt: skip


def _position_faults(
    view: View, catalog: Catalog, schema: TableSchema, table: ColumnTable
) -> Iterator[Fault]:
    ra, dec = table["ra"], table["dec"]
    bad = np.flatnonzero(~((ra >= 0) & (ra < 360) & (np.abs(dec) <= 90)))
    if len(bad):
        row = int(bad[0])
        yield _row_fault(view, catalog, schema, row,
                         f"position ({ra[row]}, {dec[row]}) is none")  # fmt: skip
        return
    over = _overhang_deg(view.sky.bounds([catalog.region])[0], ra, dec)
    far = np.flatnonzero(over > view.pad_deg + _SLACK_DEG)
    if len(far) == 0:
        return
    # Sources that move are filed where they are at the time of matching.
    times = catalog.measure["time"]
    far = far[over[far] > view.pad_deg + _SLACK_DEG + view.motion_pad_deg(times)]
    if len(far):
        row = int(far[0])
        yield _row_fault(
            view, catalog, schema, row,
            f"position ({ra[row]:.7f}, {dec[row]:.7f}) is {over[row] * 3600:.3f} arcsec outside "
            f"the region, {view.pad_deg * 3600:.3f} are allowed; {len(far)} such rows",
        )  # fmt: skip


def _overhang_deg(
    bounds: NDArray[np.float64], ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How far positions lie outside a rectangle of ra and dec, about [deg]."""
    centre, half = 0.5 * (bounds[0] + bounds[1]), 0.5 * (bounds[1] - bounds[0])
    off = np.abs((ra - centre + 180.0) % 360.0 - 180.0) - half
    over_ra = np.maximum(off, 0.0) * np.cos(np.radians(dec))
    over_dec = np.maximum(np.maximum(bounds[2] - dec, dec - bounds[3]), 0.0)
    return np.asarray(np.hypot(over_ra, over_dec))


def _id_faults(view: View, catalog: Catalog) -> Iterator[Fault]:
    limit = view.catalog(catalog.region).next_obj_id
    own = catalog.average["cat_id"] == catalog.region
    wrong = np.flatnonzero(own & (catalog.average["obj_id"] >= limit))
    if len(wrong):
        row = int(wrong[0])
        yield _row_fault(view, catalog, AVERAGE, row, f"obj_id {catalog.average['obj_id'][row]} "
                         f"is not below {limit}, the next to be given")  # fmt: skip
    known = np.zeros(65536, np.bool_)
    known[[p.code for p in view.photcodes]] = True
    wrong = np.flatnonzero(~known[catalog.measure["photcode"]])
    if len(wrong):
        row = int(wrong[0])
        yield _row_fault(view, catalog, MEASURE, row, f"photcode "
                         f"{catalog.measure['photcode'][row]} is not in the table")  # fmt: skip
