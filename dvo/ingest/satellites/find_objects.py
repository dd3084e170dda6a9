"""Which object each row of an input is of: by its number, by a measure, or by its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ConfigError
from dvo.ids import ext_id_position, pack_id
from dvo.ingest.as_matched import stored_times
from dvo.ingest.match import match_objects
from dvo.ingest.objects import ObjectSet
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.nearby import regions_near
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.schema import TableSchema

__all__ = ["FoundObjects", "find_objects"]

Array = NDArray[Any]
I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]

_REGIONS_AT_ONCE = 2000
# Distances to the circle of an image and to regions are computed to a part in a thousand.
_MARGIN = 1.001


@dataclass(slots=True)
class FoundObjects:
    """Objects of rows.

    Parameters
    ----------
    region : ndarray of int64, shape (n,)
        Region of the object of each row; -1 where there is none.
    ave_ref, obj_id, cat_id : ndarray, shape (n,)
        Row in Average and ids; 0 where there is none.
    how : str
        What rows were found by, in words.
    """

    region: I64
    ave_ref: NDArray[np.uint32]
    obj_id: NDArray[np.uint32]
    cat_id: NDArray[np.uint32]
    how: str

    @classmethod
    def none(cls, n: int, how: str) -> FoundObjects:
        """Make the answer for rows none of which has been found yet.

        Parameters
        ----------
        n : int
            Number of rows.
        how : str
            What they will be found by.

        Returns
        -------
        FoundObjects
            To be filled in.
        """
        a, b, c = (np.zeros(n, np.uint32) for _ in range(3))
        return cls(np.full(n, -1, np.int64), a, b, c, how)


def find_objects(
    view: View, links: Mapping[str, Array], *, radius_arcsec: float, time_s: float | None
) -> FoundObjects:
    """Find the object of each row.

    Parameters
    ----------
    view : View
        The newest snapshot.
    links : mapping of str to ndarray, each of shape (n,)
        What rows say of their object. The first of these that is there counts: cat_id and obj_id,
        ext_id, image_id and det_id, ra and dec (ICRS [deg]).
    radius_arcsec : float
        Match radius for positions.
    time_s : float or None
        Time of the positions [s since 1970], to which moving objects are brought; None for the
        median time of the images of the database.

    Returns
    -------
    FoundObjects
        The objects; for positions each place finds one object, each object belongs to one
        place, nearest pairs first.

    Raises
    ------
    ConfigError
        If nothing says which object rows are of.
    """
    if {"cat_id", "obj_id"} <= links.keys():
        wanted = pack_id(links["cat_id"], links["obj_id"])
        made_in = np.unique(links["cat_id"]).astype(np.int64)
        # Where those regions are in the partition of now.
        first = view.partition.overlapping(made_in[made_in < len(view.sky)])
        return _by_key(view, wanted, first, AVERAGE, "cat_id and obj_id")
    if "ext_id" in links:
        ra, dec = ext_id_position(links["ext_id"])
        good = np.isfinite(ra)
        first = np.unique(view.partition.locate(ra[good], dec[good])).astype(np.int64)
        return _by_key(view, links["ext_id"], first, AVERAGE, "ext_id")
    if {"image_id", "det_id"} <= links.keys():
        wanted = pack_id(links["image_id"], links["det_id"])
        first = _regions_of_images(view, np.unique(links["image_id"]))
        return _by_key(view, wanted, first, MEASURE, "image_id and det_id")
    if {"ra", "dec"} <= links.keys():
        return _by_place(view, links["ra"], links["dec"], radius_arcsec, time_s)
    raise ConfigError(
        "nothing says which object a row is of: give columns cat_id and obj_id, or ext_id, or "
        "image_id and det_id, or ra and dec, by these names or with --map"
    )


def _by_key(view: View, wanted: U64, first: I64, schema: TableSchema, how: str) -> FoundObjects:
    """Find rows of Average or Measure by a key, in the likely regions first."""
    out = FoundObjects.none(len(wanted), how)
    keys, places = np.unique(wanted, return_inverse=True)
    found = FoundObjects.none(len(keys), how)
    names, key_of = _key_columns(how)
    likely = np.array(sorted(view.catalogs(first.tolist())), np.int64)
    rest = np.setdiff1d(np.array(view.regions(), np.int64), likely)
    for regions in (likely, rest):
        for start in range(0, len(regions), _REGIONS_AT_ONCE):
            if (found.region >= 0).all():
                break
            some = regions[start : start + _REGIONS_AT_ONCE].tolist()
            table, edges = view.read_many(schema, some, names)
            _take(found, keys, key_of(table), table, np.array(some), edges)
    for name in ("region", "ave_ref", "obj_id", "cat_id"):
        setattr(out, name, getattr(found, name)[places])
    return out


def _key_columns(how: str) -> tuple[list[str], Callable[[ColumnTable], U64]]:
    """Columns to read, and how they make the key."""
    ids = ["obj_id", "cat_id"]
    if how == "ext_id":
        return [*ids, "ext_id"], lambda t: t["ext_id"]
    if how == "image_id and det_id":
        return [*ids, "ave_ref", "image_id", "det_id"], lambda t: pack_id(
            t["image_id"], t["det_id"]
        )
    return ids, lambda t: pack_id(t["cat_id"], t["obj_id"])


def _take(
    found: FoundObjects, keys: U64, have: U64, table: ColumnTable, regions: I64, edges: Array
) -> None:
    """Note the rows of some regions that have one of the keys."""
    if len(keys) == 0 or len(have) == 0:
        return
    at = np.minimum(np.searchsorted(keys, have), len(keys) - 1)
    rows = np.flatnonzero(keys[at] == have)
    at = at[rows]
    slot = np.searchsorted(edges, rows, side="right") - 1
    found.region[at] = regions[slot]
    in_region = (rows - edges[slot]).astype(np.uint32)
    found.ave_ref[at] = table["ave_ref"][rows] if "ave_ref" in table.schema else in_region
    found.obj_id[at], found.cat_id[at] = table["obj_id"][rows], table["cat_id"][rows]


def _regions_of_images(view: View, image_ids: Array) -> I64:
    """Regions near some images."""
    names = ["image_id", "ra_center", "dec_center", "radius"]
    images = view.read(IMAGE, ALL_SKY, names)
    own = images.take(np.flatnonzero(np.isin(images["image_id"], image_ids)))
    near: set[int] = set()
    pad = view.pad_deg * _MARGIN
    for ra, dec, radius in zip(*(own[n].tolist() for n in names[1:]), strict=True):
        if np.isfinite([ra, dec, radius]).all():
            area = Cone(ra, dec, min(180.0, radius * _MARGIN))
            near.update(area.regions(view.partition, pad).tolist())
    return np.array(sorted(near), np.int64)


def _by_place(
    view: View, ra: Array, dec: Array, radius_arcsec: float, time_s: float | None
) -> FoundObjects:
    """Find objects by position; rows at one place have one object."""
    out = FoundObjects.none(len(ra), "position")
    good = np.flatnonzero(np.isfinite(ra) & (np.abs(dec) <= 90.0))
    if len(good) == 0:
        return out
    # Rows that are near each other on the sky are near each other here, for speed.
    band = np.floor(dec[good] * 10.0)
    order = good[np.lexsort((dec[good], np.mod(ra[good], 360.0), band))]
    at_ra, at_dec = np.mod(ra[order], 360.0), dec[order]
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = (at_ra[1:] != at_ra[:-1]) | (at_dec[1:] != at_dec[:-1])
    place = np.cumsum(is_first) - 1
    objects, found = _match(view, at_ra[is_first], at_dec[is_first], radius_arcsec, time_s)
    row = found[place]
    hit = np.flatnonzero(row >= 0)
    rows, row = order[hit], row[hit]
    out.region[rows] = np.array(objects.regions, np.int64)[objects.slot[row]]
    out.ave_ref[rows] = objects.ave_ref[row].astype(np.uint32)
    out.obj_id[rows], out.cat_id[rows] = objects.obj_id[row], objects.cat_id[row]
    return out


def _match(
    view: View, ra: Array, dec: Array, radius_arcsec: float, time_s: float | None
) -> tuple[ObjectSet, NDArray[np.int32]]:
    ra, dec = np.ascontiguousarray(ra), np.ascontiguousarray(dec)
    own = view.partition.locate(ra, dec)
    if time_s is None:
        time_s = _usual_time(view)
    pad_deg = view.pad_deg + view.motion_pad_deg(np.array([time_s]))
    objects = ObjectSet(view)
    objects.load(regions_near(ra, dec, own, view, radius_arcsec / 3600.0 + pad_deg), [])
    if objects.n == 0:
        return objects, np.full(len(ra), -1, np.int32)
    return objects, match_objects(ra, dec, time_s, radius_arcsec, objects)


def _usual_time(view: View) -> float:
    """Median time of the images, or of the reference catalogs [s since 1970]."""
    times = view.read(IMAGE, ALL_SKY, ["time"])["time"]
    known = times[~IMAGE["time"].is_null(times)].astype(np.float64)
    if len(known) == 0:
        mjd = [c.match_mjd for c in view.reference_catalogs() if c.match_mjd is not None]
        known = np.asarray(stored_times(np.array(mjd, np.float64)))
    return float(np.median(known)) if len(known) else 0.0
