"""Measures as systematic effects see them: residuals, slopes, and where on each table they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.image_rows import COORD_COLUMNS, read_model
from dvo.astrometry.model import AstromModel
from dvo.calib.astrometry.effects import Effects, Refraction, hat_weights
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.photsource import PhotSource, source_of
from dvo.tables.position_weights import measured_times
from dvo.tables.secfilt import SECFILT

__all__ = ["EFFECT_COLUMNS", "EffectImages", "EffectMeasures"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

EFFECT_COLUMNS = ("ra", "dec", "x_ccd", "y_ccd", "mag", "m_time", "image_id", "photcode",
                  "ave_ref", "time", "time_msec")  # fmt: skip
"""Columns of Measure by which effects are told."""

_IMAGE_COLUMNS = ("image_id", "parent_id", "photcode", "ccdnum", "nx", "ny", "secz", "st", "lat",
                  "ref_color_blue", "ref_color_red", *COORD_COLUMNS)  # fmt: skip
_ZERO_POINT = 25.0
_YEAR_S = 31557600.0
_WIDTH = (4, 2, 8)
"""Values that one measure depends on, of each effect."""


@dataclass(frozen=True, eq=False)
class EffectImages:
    """Facts of images that effects depend on, a row for each row of Image.

    Parameters
    ----------
    table : ColumnTable
        Rows of Image.
    model : AstromModel
        Their astrometry.
    tan_z : ndarray of float64, shape (n,)
        Tangent of the zenith distance; NaN if the airmass is not known.
    is_chip : ndarray of bool, shape (n,)
        Images of chips: not stacks, warps and focal planes.
    filter_index : ndarray of int64, shape (n,)
        Average filter of each, by its number in SecFilt; -1 for none.
    """

    table: ColumnTable
    model: AstromModel
    tan_z: F64
    is_chip: NDArray[np.bool_]
    filter_index: I64

    @classmethod
    def read(cls, view: View) -> Self:
        """Read the images of a snapshot.

        Parameters
        ----------
        view : View
            The snapshot.

        Returns
        -------
        EffectImages
            Of all rows.
        """
        table = view.read(IMAGE, ALL_SKY, _IMAGE_COLUMNS)
        secz = table["secz"].astype(np.float64)
        tan_z = np.sqrt(np.square(np.where(secz >= 1.0, secz, np.nan)) - 1.0)
        of_chips = [p.code for p in view.photcodes if source_of(p.name) is PhotSource.CHIP]
        is_chip = np.isin(table["photcode"], of_chips) & (table["photcode"] != 0)
        filters = view.photcodes.sec_index_of_code[table["photcode"]].astype(np.int64)
        return cls(table, read_model(table), tan_z, is_chip, filters)

    def rows_of(self, image_id: Array) -> I64:
        """Find images of chips with astrometry.

        Parameters
        ----------
        image_id : ndarray of uint32, shape (n,)
            Numbers of images, as measures have them.

        Returns
        -------
        ndarray of int64, shape (n,)
            Rows of Image; -1 for others.
        """
        rows = np.flatnonzero(self.is_chip & (self.model.plane >= 0))
        ids = self.table["image_id"][rows]
        if len(rows) == 0:
            return np.full(len(image_id), -1, np.int64)
        order = np.argsort(ids)
        found = order[np.minimum(np.searchsorted(ids[order], image_id), len(ids) - 1)]
        return np.where(ids[found] == image_id, rows[found], -1).astype(np.int64)

    def to_zenith(self, image: I64, ra: F64, dec: F64) -> tuple[F64, F64]:
        """Find the direction to the zenith.

        Parameters
        ----------
        image : ndarray of int64, shape (n,)
            Rows of Image.
        ra, dec : ndarray of float64, shape (n,)
            Places, ICRS [deg]: a turn by precession is left out.

        Returns
        -------
        east, north : ndarray of float64, shape (n,)
            Sine and cosine of the parallactic angle; NaN where sidereal time or latitude of
            the image are not known.
        """
        hour = np.radians(self.table["st"][image].astype(np.float64) * 15.0 - ra)
        lat, d = np.radians(self.table["lat"][image].astype(np.float64)), np.radians(dec)
        east = np.sin(hour) * np.cos(lat)
        north = np.sin(lat) * np.cos(d) - np.cos(lat) * np.sin(d) * np.cos(hour)
        length = np.hypot(east, north)
        return east / length, north / length


@dataclass(frozen=True, eq=False)
class EffectMeasures:
    """Measures of some regions that effects apply to.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of Measure of the regions that are on chips and have pixels.
    image : ndarray of int64, shape (n,)
        Row of Image of each.
    slopes : ndarray of float64, shape (n, 2, 2)
        Derivatives of the place to the east and north by x and y [arcsec/pix].
    off_east, off_north : ndarray of float64, shape (n,)
        Place of the raw pixel less that of the object at the time [arcsec].
    index : ndarray of int64, shape (n, 14)
        Values of `Effects` that each depends on: 4 of KH, 2 of DCR, 8 of CAM.
    weight : ndarray of float64, shape (n, 14)
        How much; 0 where it does not.
    zenith : ndarray of float64, shape (n, 2)
        Direction to the zenith, east and north; 0 where not known.
    """

    rows: I64
    image: I64
    slopes: F64
    off_east: F64
    off_north: F64
    index: I64
    weight: F64
    zenith: F64

    @classmethod
    def of(
        cls, view: View, regions: Sequence[int], measure: ColumnTable, objects: I64,
        images: EffectImages, effects: Effects,
    ) -> Self:  # fmt: skip
        """Work out what effects see of measures.

        Parameters
        ----------
        view : View
            The snapshot.
        regions : sequence of int
            The regions.
        measure : ColumnTable
            Their measures, with `EFFECT_COLUMNS`.
        objects : ndarray of int64, shape (n_measures,)
            Row of Average of each, counted through the regions.
        images : EffectImages
            The images.
        effects : Effects
            The effects.

        Returns
        -------
        EffectMeasures
            Of the measures on chips.
        """
        image = images.rows_of(measure["image_id"])
        x, y = (measure[n].astype(np.float64) for n in ("x_ccd", "y_ccd"))
        rows = np.flatnonzero((image >= 0) & np.isfinite(x) & np.isfinite(y))
        image, x, y = image[rows], x[rows], y[rows]
        ra, dec = images.model.to_sky(image, x, y)
        star_ra, star_dec = _places(view, regions, measure, objects, rows)
        colours = _colours(view, regions, objects[rows], effects)
        n = len(rows)
        slopes = np.empty((n, 2, 2))
        for b, (dx, dy) in enumerate(((1.0, 0.0), (0.0, 1.0))):
            for sign in (0.5, -0.5):
                at = images.model.to_sky(image, x + sign * dx, y + sign * dy)
                east, north = _offset(*at, ra, dec)
                if sign > 0:
                    slopes[:, 0, b], slopes[:, 1, b] = east, north
                else:
                    slopes[:, 0, b] -= east
                    slopes[:, 1, b] -= north
        zenith = np.nan_to_num(np.stack(images.to_zenith(image, ra, dec), axis=1))
        index, weight = _dependence(effects, images, measure.take(rows), image, x, y, colours)
        return cls(rows, image, slopes, *_offset(ra, dec, star_ra, star_dec), index, weight, zenith)

    def corrections(self, effects: Effects) -> tuple[F64, F64, F64]:
        """Corrections of pixels.

        Parameters
        ----------
        effects : Effects
            The effects.

        Returns
        -------
        kh, dcr, cam : ndarray of float64, shape (n, 2)
            Of x and y [pix]; 0 where there is none.
        """
        terms = effects.values[self.index] * self.weight if effects.values.size else self.weight
        n = len(self.rows)
        kh = terms[:, :4].reshape(n, 2, 2).sum(axis=1)
        cam = terms[:, 6:].reshape(n, 4, 2).sum(axis=1)
        shift = terms[:, 4:6].sum(axis=1)[:, None] * self.zenith
        dcr = np.linalg.solve(self.slopes, shift[:, :, None])[:, :, 0] if n else shift
        return kh, dcr, cam

    def design(self) -> tuple[F64, F64]:
        """Derivatives of the corrected place by the values of effects.

        Returns
        -------
        east, north : ndarray of float64, shape (n, 14)
            For the values of `index` [arcsec].
        """
        found = []
        for e in range(2):
            pixel = self.slopes[:, e, :]
            scale = np.concatenate([np.tile(pixel, 2), np.repeat(self.zenith[:, e : e + 1], 2, 1),
                                    np.tile(pixel, 4)], axis=1)  # fmt: skip
            found.append(self.weight * scale)
        return found[0], found[1]


def _offset(ra: F64, dec: F64, ra0: F64, dec0: F64) -> tuple[F64, F64]:
    """Small offset of places from others, east and north [arcsec]."""
    d_ra = (ra - ra0 + 180.0) % 360.0 - 180.0
    return d_ra * np.cos(np.radians(dec0)) * 3600.0, (dec - dec0) * 3600.0


def _places(
    view: View, regions: Sequence[int], measure: ColumnTable, objects: I64, rows: I64
) -> tuple[F64, F64]:
    """Where the objects of measures are at their times, by their motions."""
    names = ("ra", "dec", "u_ra", "u_dec", "mean_epoch")
    average, _ = view.read_many(AVERAGE, regions, names, once=True)
    of = objects[rows]
    epoch = average["mean_epoch"][of]
    known = ~AVERAGE["mean_epoch"].is_null(epoch)
    years = np.where(known, measured_times(measure)[rows] - epoch, 0.0) / _YEAR_S
    u_ra, u_dec = (np.nan_to_num(average[n][of].astype(np.float64)) for n in ("u_ra", "u_dec"))
    ra, dec = average["ra"][of], average["dec"][of]
    cos_dec = np.maximum(np.cos(np.radians(dec)), 1e-9)
    return ra + u_ra * years / cos_dec / 3600.0, dec + u_dec * years / 3600.0


def _colours(view: View, regions: Sequence[int], objects: I64, effects: Effects) -> dict[int, F64]:
    """Colour that counts in each filter, of the object of each measure."""
    if effects.dcr is None:
        return {}
    secfilt, _ = view.read_many(SECFILT, regions, ["mag"], once=True)
    mags = secfilt["mag"].astype(np.float64).reshape(-1, view.n_secfilt)[objects]
    return {k: mags[:, blue] - mags[:, red]
            for k, (blue, red) in enumerate(effects.dcr.colour.tolist())}  # fmt: skip


def _dependence(
    effects: Effects, images: EffectImages, measure: ColumnTable, image: I64, x: F64, y: F64,
    colours: dict[int, F64],
) -> tuple[I64, F64]:  # fmt: skip
    n = len(image)
    index, weight = np.zeros((n, sum(_WIDTH)), np.int64), np.zeros((n, sum(_WIDTH)))
    if effects.kh is not None:
        row = effects.kh.rows(images.table["ccdnum"][image], measure["time"])
        mag = (measure["mag"] - measure["m_time"]).astype(np.float64) - _ZERO_POINT
        some = np.flatnonzero(row >= 0)
        node, share = hat_weights(effects.kh.mag, mag[some])
        base = (row[some, None] * len(effects.kh.mag) + node) * 2
        index[some, :4] = np.stack([base, base + 1], axis=2).reshape(-1, 4)
        weight[some, :4] = np.repeat(share, 2, axis=1)
    if effects.dcr is not None:
        term = _refraction_terms(effects.dcr, images, image, colours)
        row = effects.dcr.rows(images.filter_index[image])
        some = np.flatnonzero((row >= 0) & np.isfinite(term))
        node, share = hat_weights(effects.dcr.term, term[some])
        index[some, 4:6] = effects.sizes[0] + row[some, None] * len(effects.dcr.term) + node
        weight[some, 4:6] = share
    if effects.cam is not None:
        row = effects.cam.rows(measure["photcode"])
        some = np.flatnonzero(row >= 0)
        cell, share = effects.cam.weights(row[some], x[some], y[some])
        n_cells = int(np.prod(effects.cam.shift.shape[1:3]))
        base = sum(effects.sizes[:2]) + (row[some, None] * n_cells + cell) * 2
        index[some, 6:] = np.stack([base, base + 1], axis=2).reshape(-1, 8)
        weight[some, 6:] = np.repeat(share, 2, axis=1)
    return index, weight


def _refraction_terms(
    dcr: Refraction, images: EffectImages, image: I64, colours: dict[int, F64]
) -> F64:
    """Colour less that of the image's stars, times the tangent of the zenith distance [mag]."""
    found = np.full(len(image), np.nan)
    row = dcr.rows(images.filter_index[image])
    for k, colour in colours.items():
        some = np.flatnonzero(row == k)
        name = "ref_color_red" if dcr.is_red[k] else "ref_color_blue"
        said = images.table[name][image[some]].astype(np.float64)
        reference = np.where(np.isfinite(said), said, dcr.reference[k])
        found[some] = (colour[some] - reference) * images.tan_z[image[some]]
    return found
