"""A batch: many images put together, their detections in sky order image by image.

Association and writing work on whole columns of a batch, so that their cost is that of
the rows and not of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ingest.as_matched import matched_positions, stored_motion, stored_times
from dvo.ingest.detections import MOTION_COLUMNS, ImageMeta, InputImage, RefSource
from dvo.ingest.kernels import sky_order
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import Photcode
from dvo.tables.position_error import motion_error2, position_error, unknown_error

__all__ = ["Batch", "BatchImage", "matching_positions"]

Array = NDArray[Any]

_SORT_THREADS = 2


@dataclass(slots=True)
class BatchImage:
    """One image (or piece of a reference catalog) of a batch.

    Parameters
    ----------
    source : InputImage
        What the reader gave.
    photcode : Photcode
        Its photcode.
    image_id : int
        Its number in the database; reference catalogs have theirs from the same series.
    radius_arcsec : float
        Match radius.
    match_mjd : float
        Time to which positions with known motion are brought for matching, MJD [d].
    parent_id : int
        Number of its focal plane; 0 if it has none.
    """

    source: InputImage
    photcode: Photcode
    image_id: int
    radius_arcsec: float
    match_mjd: float
    parent_id: int = 0

    @property
    def match_time_s(self) -> float:
        """Time of matching as it is stored [s since 1970]."""
        return float(stored_times(self.match_mjd))

    @property
    def mjd(self) -> float:
        """Time of its measurements, MJD [d]."""
        meta = self.source.meta
        return meta.mjd if isinstance(meta, ImageMeta) else meta.epoch_mjd

    @property
    def meta(self) -> ImageMeta | None:
        """Facts of the image; None for a reference catalog."""
        meta = self.source.meta
        return None if isinstance(meta, RefSource) else meta


class Batch:
    """Images and their detections, put in sky order inside each image.

    Parameters
    ----------
    images : sequence of BatchImage
        In the order in which they are to be associated.

    Attributes
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions for matching, ICRS [deg]: those of a survey with motions are moved to
        the time of matching.
    measured_ra, measured_dec : ndarray of float64, shape (n,)
        Positions as measured, ICRS [deg].
    image : ndarray of int64, shape (n,)
        Number in `images` of the image of each detection.
    stops : ndarray of int64
        Where the detections of each image end.
    """

    def __init__(self, images: Sequence[BatchImage]) -> None:
        self.images = list(images)
        sizes = np.array([len(i.source.detections) for i in self.images], dtype=np.int64)
        self.n = int(sizes.sum())
        self.stops = np.cumsum(sizes)
        of_image = np.repeat(np.arange(len(sizes)), sizes)
        ra = _joined([i.source.detections.ra for i in self.images])
        dec = _joined([i.source.detections.dec for i in self.images])
        at = [matching_positions(i) for i in self.images]
        moved_ra = _joined([a[0] for a in at])
        moved_dec = _joined([a[1] for a in at])
        # Sky order within an image keeps association in the cache, and packs better.
        self.order = _sky_order(moved_ra, moved_dec, self.stops)
        self.ra, self.dec = moved_ra.take(self.order), moved_dec.take(self.order)
        is_same = all(a[0] is i.source.detections.ra for a, i in zip(at, self.images, strict=True))
        self.measured_ra = self.ra if is_same else ra.take(self.order)
        self.measured_dec = self.dec if is_same else dec.take(self.order)
        self.image = of_image

    def column(self, name: str, order: Array | None = None) -> Array | None:
        """Gather a column over all images.

        Parameters
        ----------
        name : str
            A column of Measure, or of the motions of surveys.
        order : ndarray of int64, optional
            Which detections of the batch, in which order; None for all as they are.

        Returns
        -------
        ndarray or None
            Null where an image lacks it; None if all do.
        """
        found = [i.source.detections.columns.get(name) for i in self.images]
        return self._gather(name, found, order)

    def _gather(
        self, name: str, found: Sequence[Array | None], order: Array | None
    ) -> Array | None:
        if all(f is None for f in found):
            return None
        pieces = [
            f if f is not None else _nulls(name, len(i.source.detections))
            for f, i in zip(found, self.images, strict=True)
        ]
        # One gather from the order of the files to the order wanted.
        rows = self.order if order is None else self.order.take(order)
        return np.asarray(_joined(pieces).take(rows))

    @property
    def names(self) -> set[str]:
        """Columns that some image has."""
        return {n for i in self.images for n in i.source.detections.columns}

    def errors(self, order: Array | None = None) -> tuple[Array | None, Array | None]:
        """Gather position errors as given.

        Parameters
        ----------
        order : ndarray of int64, optional
            Which detections of the batch, in which order; None for all as they are.

        Returns
        -------
        ra_err, dec_err : ndarray of float32 or None
            Errors [arcsec]; None if no image gives them.
        """
        found = [i.source.detections for i in self.images]
        return (
            self._gather("ra_err", [d.ra_err for d in found], order),
            self._gather("dec_err", [d.dec_err for d in found], order),
        )

    @cached_property
    def pos_err(self) -> Array:
        """One position error a detection for its weight [arcsec], never NaN or zero."""
        codes = [i.photcode for i in self.images]
        terms = (
            [c.astrom_err_sys**2 for c in codes],
            [c.astrom_err_scale or 1.0 for c in codes],  # scale 0 means 1
            [c.astrom_err_mag_scale for c in codes],
        )
        # Images mostly have one model: then one value stands for all rows.
        sys2, scale, mag_scale = (
            np.array(t[:1] or [0.0]) if len(set(t)) < 2 else self.per_image(t, "f8") for t in terms
        )
        mag_err = self.column("mag_err") if mag_scale.any() else None
        unknown = [unknown_error(c) for c in codes]
        return position_error(
            self.n,
            *self.errors(),
            mag_err,
            (sys2, scale, mag_scale),
            unknown_arcsec=unknown[0] if len(set(unknown)) == 1 else self.per_image(unknown, "f8"),
            more2=self._motion_error2(),
        )

    def _motion_error2(self) -> Array | None:
        """What errors of motions add to the squared errors of positions that were moved."""
        errors = [self.column(name) for name in ("u_ra_err", "u_dec_err")]
        if errors[0] is None or errors[1] is None:
            return None
        seconds = _joined([_seconds_moved(i) for i in self.images]).take(self.order)
        return motion_error2(stored_motion(errors[0]), stored_motion(errors[1]), seconds)

    def per_image(self, values: Sequence[float], dtype: str) -> Array:
        """Spread one value an image over its detections.

        Parameters
        ----------
        values : sequence of float
            One an image.
        dtype : str
            NumPy type of the result.

        Returns
        -------
        ndarray, shape (n,)
            One a detection.
        """
        return np.array(values).astype(dtype).take(self.image)

    def release(self) -> None:
        """Let go of the detections once they are gathered, to save memory."""
        for image in self.images:
            image.source.detections.columns.clear()


def _sky_order(ra: Array, dec: Array, stops: Array) -> Array:
    """Order the detections of each image by their place on the sky, in threads."""
    out = np.empty(len(ra), np.int64)
    edges = np.linspace(0, len(stops), _SORT_THREADS + 1).astype(int).tolist()
    with ThreadPoolExecutor(_SORT_THREADS) as pool:
        for done in [pool.submit(sky_order, ra, dec, stops, a, b, out) for a, b in pairwise(edges)]:
            done.result()
    return out


def matching_positions(image: BatchImage) -> tuple[Array, Array]:
    """Positions of an image for matching: those of a survey with motions are moved.

    Parameters
    ----------
    image : BatchImage
        The image.

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions at the time of matching, ICRS [deg].
    """
    found = image.source.detections
    u_ra, u_dec = found.columns.get("u_ra"), found.columns.get("u_dec")
    if image.meta is not None or u_ra is None or u_dec is None:
        return found.ra, found.dec
    motion = stored_motion(u_ra), stored_motion(u_dec)
    return matched_positions(
        found.ra, found.dec, *motion, _times_measured(image), stored_times(image.match_mjd)
    )


def _times_measured(image: BatchImage) -> Array:
    """Times of the rows of a survey, as stored: their own, or that of the catalog."""
    found = image.source.detections
    epoch = found.columns.get("epoch_mjd")
    start = np.full(len(found), image.mjd) if epoch is None else epoch
    return stored_times(np.where(np.isfinite(start), start, image.mjd))


def _seconds_moved(image: BatchImage) -> Array:
    """Time by which `matching_positions` moves each row [s]."""
    found = image.source.detections
    if image.meta is not None or not {"u_ra", "u_dec"} <= found.columns.keys():
        return np.zeros(len(found))
    return np.asarray(stored_times(image.match_mjd) - _times_measured(image))


def _nulls(name: str, n: int) -> Array:
    if name in MEASURE:
        return MEASURE[name].nulls(n)
    return np.full(n, np.nan, MOTION_COLUMNS[name])


def _joined(pieces: Sequence[Array]) -> Array:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
