"""Image rows of a batch: one a chip image, and one a focal plane for mosaic exposures.

Also names and times of images that are in, for messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.image_rows import coords_columns
from dvo.ingest.as_matched import split_time
from dvo.ingest.batch import BatchImage
from dvo.ingest.detections import Detections, ImageMeta
from dvo.ingest.kernels import circle
from dvo.mjd import mjd_of
from dvo.partition.manifest import ALL_SKY
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE, N_POLYTERMS
from dvo.tables.magnitudes import image_offset

__all__ = ["ImageNames", "add_to_nstar", "image_rows"]

Array = NDArray[Any]


class ImageNames:
    """Names and times of the images of a snapshot, read when one is asked for.

    Parameters
    ----------
    view : View
        The snapshot.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: dict[int, tuple[str, float]] | None = None

    def __call__(self, image_id: int) -> tuple[str, float]:
        """Name and start of an image, MJD UTC [d]."""
        if self._known is None:
            rows = self._view.read(IMAGE, ALL_SKY, ["image_id", "name", "time", "time_msec"])
            mjd = mjd_of(rows["time"], rows["time_msec"])
            names = [name.decode() for name in rows["name"].tolist()]
            found = zip(names, mjd.tolist(), strict=True)
            self._known = dict(zip(rows["image_id"].tolist(), found, strict=True))
        return self._known[image_id]


def image_rows(
    images: Sequence[BatchImage], parents: dict[str, tuple[int, ImageMeta]]
) -> ColumnTable:
    """Make the Image rows of a batch.

    Parameters
    ----------
    images : sequence of BatchImage
        Chip images, each with the number it is to have; reference catalogs have no row.
    parents : dict of str to (int, ImageMeta)
        Focal planes to add, with their numbers, by what they are known by.

    Returns
    -------
    ColumnTable
        Rows of Image: focal planes first.
    """
    rows = [_row(image_id, meta) for image_id, meta in parents.values()]
    for image in images:
        meta = image.meta
        if meta is None:
            continue
        parent = image.parent_id
        row = _row(image.image_id, meta) | {"parent_id": parent} | _extent(image.source.detections)
        offset = image_offset(image.photcode, meta.zero_point, meta.zero_point_airmass)
        row |= {
            "photcode": image.photcode.code,
            "nstar": len(image.source.detections),
            "mcal_psf": offset,
            "mcal_aper": offset,
            "dmcal": meta.zero_point_err,
        }
        rows.append(row)
    return _as_table(rows)


def _row(image_id: int, meta: ImageMeta) -> dict[str, Any]:
    seconds, thousandths = split_time(np.array([meta.mjd]))
    row: dict[str, Any] = {
        "image_id": image_id,
        "name": meta.name.encode(),
        "time": int(seconds[0]),
        "time_msec": int(thousandths[0]),
        "exptime": meta.exptime_s,
        "secz": meta.airmass,
        "nx": meta.nx,
        "ny": meta.ny,
        "st": meta.sidereal_time_h,
        "lat": meta.latitude,
        "detection_limit": meta.detection_limit,
        "saturation_limit": meta.saturation_limit,
        "cerror": meta.cerror,
        "fwhm_x": meta.fwhm_x,
        "fwhm_y": meta.fwhm_y,
        "ccdnum": meta.ccdnum,
        "extern_id": -1 if meta.extern_id is None else meta.extern_id,
        "source_id": meta.source_id,
        "content": meta.content.encode(),
        "n_fit_astrom": meta.n_astrom or 0,
    }
    return row | (coords_columns(meta.coords) if meta.coords is not None else {})


def _extent(detections: Detections) -> dict[str, float]:
    """Centre and radius of the circle that holds the detections."""
    if len(detections) == 0:
        return {}
    ra, dec, radius = circle(detections.ra, detections.dec)
    # Stored with fewer digits, it must not leave out the farthest detection.
    stored = np.nextafter(np.float32(radius), np.float32(np.inf))
    return {"ra_center": ra, "dec_center": dec, "radius": float(stored)}


def _as_table(rows: Sequence[dict[str, Any]]) -> ColumnTable:
    columns: dict[str, Array] = {}
    for name in {n for row in rows for n in row}:
        column = IMAGE[name]
        missing = np.zeros(N_POLYTERMS) if name == "polyterms" else column.nulls(1)[0]
        values = [row.get(name, missing) for row in rows]
        columns[name] = np.array(values, dtype=column.numpy_dtype)
    return ColumnTable(IMAGE, columns, len(rows))


def add_to_nstar(change: Transaction, view: View, more: NDArray[np.int64]) -> None:
    """Bring nstar of images up to date with measures that come or go.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on; all these images are in it.
    more : ndarray of int64
        How many more measures each image has, by its number; below 0 for fewer.
    """
    table = view.read(IMAGE, ALL_SKY, ["image_id", "nstar"])
    ids = table["image_id"].astype(np.int64)
    own = np.zeros(len(ids), np.int64)
    inside = ids < len(more)
    own[inside] = more[ids[inside]]
    nstar = (table["nstar"] + own).astype(table["nstar"].dtype)
    change.overlay_rows(ColumnTable(IMAGE, {"nstar": nstar}), [ALL_SKY], np.array([0, len(ids)]),
                        own != 0)  # fmt: skip
