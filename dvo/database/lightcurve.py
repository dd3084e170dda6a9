"""Light curves: the measures of the object nearest to a place, in order of time; its period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from dvo.database.arrow import to_arrow
from dvo.database.derived import distances
from dvo.database.fields import resolve
from dvo.database.variability import (
    MAGNITUDE_COLUMNS,
    VariabilityChoice,
    calibrated_magnitudes,
    flags_of_images,
)
from dvo.errors import QueryError
from dvo.mjd import mjd_of
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.averages import averaged_filters
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.variability.period import Period, find_period

__all__ = ["LIGHTCURVE_COLUMNS", "lightcurve_columns", "read_lightcurve", "read_period"]

LIGHTCURVE_COLUMNS = ("mjd", "photcode_name", "mag:rel", "mag:err", "ra", "dec", "image_id",
                      "det_id", "db_flags", "phot_flags")  # fmt: skip
"""What a light curve has if nothing else is asked for."""


_PARTS = {"psf": "", "ap": ":ap", "kron": ":kron"}


def lightcurve_columns(kind: str) -> tuple[str, ...]:
    """Columns of a light curve of a kind of magnitude.

    Parameters
    ----------
    kind : {'psf', 'ap', 'kron'}
        Which magnitudes.

    Returns
    -------
    tuple of str
        `LIGHTCURVE_COLUMNS`, with ``mag:rel:kron`` for ``mag:rel``.

    Raises
    ------
    QueryError
        If there is no such kind.
    """
    if kind not in _PARTS:
        raise QueryError(f"no kind of magnitude {kind!r}; there are {', '.join(_PARTS)}")
    words = {"mag:rel": f"mag:rel{_PARTS[kind]}", "mag:err": f"mag:err{_PARTS[kind]}"}
    return tuple(words.get(name, name) for name in LIGHTCURVE_COLUMNS)


@dataclass(frozen=True, slots=True)
class _Nearest:
    """An object: where its row is, and its distance from the place asked about [arcsec]."""

    region: int
    row: int
    distance: float


def read_lightcurve(view: View, area: Cone, columns: Sequence[str] | None) -> pa.Table:
    """Read the measures of the object nearest to the centre of a circle.

    Parameters
    ----------
    view : View
        The snapshot.
    area : Cone
        Where the object may be.
    columns : sequence of str or None
        Columns and magnitude words of Measure; None for `LIGHTCURVE_COLUMNS`.

    Returns
    -------
    pyarrow.Table
        The measures in order of time; empty if there is no object. The metadata of its
        schema say which object it is, in JSON: cat_id, obj_id, ext_id, obj_ra and obj_dec
        [deg], distance [arcsec].
    """
    request = resolve(view.photcodes, MEASURE, columns or LIGHTCURVE_COLUMNS, (area.ra, area.dec))
    nearest = _find_nearest(view, area)
    if nearest is None:
        nothing = ColumnTable(MEASURE, {}, 0)
        return to_arrow(request.outputs, request.values(view, ALL_SKY, nothing))
    names = dict.fromkeys([*request.stored, "ave_ref", "time", "time_msec"])
    whole = _measures_of(view, nearest, list(names))
    rows = whole.take(np.lexsort((whole["time_msec"], whole["time"])))
    found = to_arrow(request.outputs, request.values(view, nearest.region, rows))
    return found.replace_schema_metadata(_facts(view, nearest))


def read_period(
    view: View,
    area: Cone,
    kind: str,
    filters: Sequence[str] | None,
    *,
    shortest_d: float | None,
    longest_d: float | None,
) -> Period:
    """Find the period of the object nearest to the centre of a circle.

    Measures of the best rank that it has in each filter count, with the errors that its means
    have; those of reference catalogs, warps and stacks do not.

    Parameters
    ----------
    view : View
        The snapshot.
    area : Cone
        Where the object may be.
    kind : {'psf', 'ap', 'kron'}
        Which magnitudes.
    filters : sequence of str or None
        Average filters; None for all that it has.
    shortest_d, longest_d : float or None
        Range of periods, see `find_period` [d].

    Returns
    -------
    Period
        The best period.

    Raises
    ------
    QueryError
        If there is no object, or it has too few measures.
    PhotcodeError
        If there is no such filter.
    """
    codes = view.photcodes
    chosen = VariabilityChoice(None if filters is None else tuple(filters), kind).filters_of(view)
    nearest = _find_nearest(view, area)
    if nearest is None:
        raise QueryError(f"no object within {3600 * area.radius_deg:g} arcsec of {area.ra} "
                         f"{area.dec}; look further")  # fmt: skip
    whole = _measures_of(view, nearest, list(MAGNITUDE_COLUMNS[kind]))
    k = averaged_filters(whole, codes)
    names = np.array([p.name for p in codes.sec] + [""])
    band = names[k]
    mag, error, rank = calibrated_magnitudes(view, whole, kind, flags_of_images(view))
    counts = np.isin(band, chosen) & np.isfinite(mag)
    for name in np.unique(band[counts]):
        mine = counts & (band == name)
        counts &= ~mine | (rank == rank[mine].min())
    mjd = mjd_of(whole["time"].astype(np.int64), whole["time_msec"])
    return find_period(mjd[counts], mag[counts], error[counts], band[counts],
                       shortest_d=shortest_d, longest_d=longest_d)  # fmt: skip


def _find_nearest(view: View, area: Cone) -> _Nearest | None:
    best: _Nearest | None = None
    for region in view.regions(area):
        table = view.read(AVERAGE, region, ["ra", "dec"])
        inside = np.flatnonzero(area.holds(table["ra"], table["dec"]))
        if len(inside):
            far = distances((area.ra, area.dec), table["ra"][inside], table["dec"][inside])
            i = int(far.argmin())
            if best is None or far[i] < best.distance:
                best = _Nearest(region, int(inside[i]), float(far[i]))
    return best


def _measures_of(view: View, nearest: _Nearest, names: list[str]) -> ColumnTable:
    region, row = nearest.region, nearest.row
    if view.catalog(region).is_sorted:
        link = view.read(AVERAGE, region, ["off_measure", "nmeasure"])
        start = int(link["off_measure"][row])
        return view.read_rows(MEASURE, region, names, start, start + int(link["nmeasure"][row]))
    whole = view.read(MEASURE, region, names)
    return whole.take(np.flatnonzero(whole["ave_ref"] == row))


def _facts(view: View, nearest: _Nearest) -> dict[str, str]:
    names = {"cat_id": "cat_id", "obj_id": "obj_id", "ext_id": "ext_id", "obj_ra": "ra",
             "obj_dec": "dec"}  # fmt: skip
    table = view.read(AVERAGE, nearest.region, list(names.values()))
    facts = {key: str(table[name][nearest.row]) for key, name in names.items()}
    return facts | {"distance": f"{nearest.distance:.4f}"}
