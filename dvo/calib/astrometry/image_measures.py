"""Measures from which the astrometry of images is solved, and where the images are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.image_rows import read_model
from dvo.astrometry.legendre import chip_coordinates
from dvo.astrometry.model import AstromModel
from dvo.calib.astrometry.image_solve import AstromBatch
from dvo.calib.astrometry.image_terms import ImagePlaces
from dvo.calib.astrometry.kernels import offsets_from
from dvo.calib.astrometry.objects import counting_measures
from dvo.calib.astrometry.parallax import EarthPath
from dvo.partition.bounds import Area
from dvo.partition.manifest import ALL_SKY
from dvo.partition.view import View
from dvo.projection import tan_project
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.flags import ImageFlag
from dvo.tables.image import IMAGE
from dvo.tables.kernels import rows_by_object
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of
from dvo.tables.position_weights import measured_times, weights

__all__ = ["AstromImages", "StarPriors", "chip_places", "read_star_places"]

Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_MEASURE_COLUMNS = (
    "ra", "dec", "ra_err", "dec_err", "mag_err", "time", "time_msec", "ave_ref", "image_id",
    "ref_id", "photcode", "phot_flags", "db_flags", "x_ccd", "y_ccd", "x_fix", "y_fix", "u_ra",
    "u_dec", "u_ra_err", "u_dec_err", "par", "par_err",
)  # fmt: skip
_LEFT_ALONE = np.uint32(ImageFlag.ASTROM_NOCAL | ImageFlag.ASTROM_SKIP)
_YEAR_S = 31557600.0
_HELD_OF = np.uint64(10)
_HASH = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class StarPriors:
    """What is known of stars of which no catalog says more, to begin with.

    The solve finds how large motions and parallaxes are, up to these.

    Parameters
    ----------
    motion : float
        Scatter of proper motions about 0, in each direction [arcsec/yr].
    parallax : float
        Scatter of parallaxes about 0 [arcsec].
    """

    motion: float = 0.03
    parallax: float = 0.005


@dataclass(frozen=True, eq=False)
class AstromImages:
    """The Image table, its astrometric model, and which images can be solved for.

    Parameters
    ----------
    table : ColumnTable
        All images, in the order of their rows.
    model : AstromModel
        Image i is row i.
    is_wanted : ndarray of bool, shape (n,)
        Chip images of known size with astrometry, which have a part in the solve.
    is_selected : ndarray of bool, shape (n,)
        Those of them that may change.
    epoch : float
        Middle of their times [s since 1970 UTC].
    """

    table: ColumnTable
    model: AstromModel
    is_wanted: Bool
    is_selected: Bool
    epoch: float

    @classmethod
    def read(cls, view: View, area: Area | None = None) -> AstromImages:
        """Read the images.

        Parameters
        ----------
        view : View
            The snapshot.
        area : Area, optional
            Where the centres of the images lie that may change; None for everywhere.

        Returns
        -------
        AstromImages
            All images.
        """
        table = view.read(IMAGE, ALL_SKY)
        model = read_model(table)
        is_chip = _of_chips(view.photcodes)[table["photcode"]]
        wanted = is_chip & (model.plane >= 0) & (table["nx"] > 0) & (table["ny"] > 0)
        selected = wanted & ((table["flags"] & _LEFT_ALONE) == 0)
        if area is not None:
            selected &= area.holds(table["ra_center"], table["dec_center"])
        times = table["time"][wanted]
        middle = 0.5 * float(times.min() + times.max()) if len(times) else 0.0
        return cls(table, model, wanted, selected, middle)

    def rows_of(self, image_id: NDArray[np.uint32]) -> I64:
        """Find the rows of images.

        Parameters
        ----------
        image_id : ndarray of uint32, shape (n,)
            Their numbers.

        Returns
        -------
        ndarray of int64, shape (n,)
            Rows; -1 for those that have no part in the solve.
        """
        ids = self.table["image_id"]
        if not len(ids):
            return np.full(len(image_id), -1, np.int64)
        order = np.argsort(ids, kind="stable")
        at = np.minimum(np.searchsorted(ids[order], image_id), len(ids) - 1)
        rows = order[at]
        return np.where((ids[rows] == image_id) & self.is_wanted[rows], rows, -1)

    def places(self, counts: I64) -> ImagePlaces:
        """Tell where the images are in their exposures and in the camera.

        Parameters
        ----------
        counts : ndarray of int64, shape (n,)
            Measures of each that tell of it.

        Returns
        -------
        ImagePlaces
            Images with 5 measures or less stay as they are; the order of an image's own cubic is
            1, 2, 3 above 5, 24, 63 measures, as in the original.
        """
        table, rows = self.table, np.arange(len(self.table))
        jacobian = np.zeros((len(rows), 2, 2))
        field = np.zeros((len(rows), 2, 3))
        some = rows[self.is_wanted]
        size = np.stack([table["nx"][some], table["ny"][some]]).astype(np.float64)
        exposure = _exposures(table)
        jacobian[some], field[some] = _fields(self.model, some, exposure[some], size)
        chip = np.unique(np.stack([table["photcode"].astype(np.int64), table["ccdnum"]]), axis=1,
                         return_inverse=True)[1].ravel()  # fmt: skip
        order = np.select([counts > 63, counts > 24, counts > 5], [3, 2, 1], -1)
        return ImagePlaces(chip, exposure, field, jacobian, order, self.is_selected & (counts > 5))


def _of_chips(codes: PhotcodeTable) -> Bool:
    out = np.zeros(65536, np.bool_)
    for photcode in codes:
        is_chip = source_of(photcode.name) is PhotSource.CHIP
        out[photcode.code] = photcode.kind is PhotClass.DEP and is_chip
    return out


def _exposures(table: ColumnTable) -> I64:
    """Number the exposures: images of one focal plane, or else of one time."""
    parent = table["parent_id"].astype(np.int64)
    when = np.where(parent > 0, 0, table["time"] * 1000 + table["time_msec"])
    found: I64 = np.unique(np.stack([parent, when]), axis=1, return_inverse=True)[1].ravel()
    return found


def _fields(model: AstromModel, rows: I64, exposure: I64, size: F64) -> tuple[F64, F64]:
    """What a pixel is on the tangent plane of the exposure, and places there, over each chip.

    The plane is that of the exposure and not one of each chip: a shift of the telescope is the
    same for all chips there, and nowhere else.
    """
    middle = 0.5 * (size + 1.0)
    ra, dec = model.to_sky(rows, *middle)
    steps = [model.to_sky(rows, middle[0] + dx, middle[1] + dy)
             for dx, dy in ((-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5))]  # fmt: skip
    jacobian, out = np.zeros((len(rows), 2, 2)), np.zeros((len(rows), 2, 3))
    for own in np.unique(exposure):
        some = np.flatnonzero(exposure == own)
        point = (ra[some[0]], dec[some[0]])
        left, right, low, high = (
            3600.0 * np.stack(tan_project(a[some], d[some], *point)) for a, d in steps
        )
        jacobian[some] = np.stack([(right - left).T, (high - low).T], axis=2)
        offsets = 3600.0 * np.stack(tan_project(ra[some], dec[some], *point))
        offsets -= offsets.mean(axis=1, keepdims=True)
        over = jacobian[some] * 0.5 * size[:, some].T[:, None, :]
        radius = float(np.hypot(*(np.abs(offsets).T + np.abs(over).sum(axis=2)).T).max())
        out[some, :, 0] = offsets.T / radius
        out[some, :, 1:] = over / radius
    return jacobian, out


def pixel_steps(model: AstromModel, image: I64, x: F64, y: F64) -> F64:
    """What a pixel is on the sky, to the east and north there.

    Parameters
    ----------
    model : AstromModel
        The images.
    image : ndarray of int64, shape (n,)
        Image of each place.
    x, y : ndarray of float64, shape (n,)
        Pixels.

    Returns
    -------
    ndarray of float64, shape (n, 2, 2)
        East and north, by x and y [arcsec].
    """
    out = np.empty((len(image), 2, 2))
    for k, (dx, dy) in enumerate(((0.5, 0.0), (0.0, 0.5))):
        ra0, dec0 = model.to_sky(image, x - dx, y - dy)
        ra1, dec1 = model.to_sky(image, x + dx, y + dy)
        east = (ra1 - ra0 + 180.0) % 360.0 - 180.0
        out[:, 0, k] = east * np.cos(np.radians(0.5 * (dec0 + dec1))) * 3600.0
        out[:, 1, k] = (dec1 - dec0) * 3600.0
    return out


def chip_places(measure: ColumnTable) -> tuple[F64, F64]:
    """Places on the chip, with their corrections where there are any.

    Parameters
    ----------
    measure : ColumnTable
        Rows of Measure with x_ccd, y_ccd, x_fix, y_fix.

    Returns
    -------
    x, y : ndarray of float64, shape (n,)
        Pixels; NaN where unknown.
    """
    x, y = (
        np.where(np.isfinite(measure[f"{a}_fix"]), measure[f"{a}_fix"], measure[f"{a}_ccd"])
        for a in "xy"
    )
    return x.astype(np.float64), y.astype(np.float64)


def read_star_places(
    view: View,
    regions: Sequence[int],
    images: AstromImages,
    priors: StarPriors,
    *,
    with_parallax: bool,
) -> AstromBatch:
    """Read the measures of some regions that tell of images.

    Parameters
    ----------
    view : View
        The snapshot.
    regions : sequence of int
        Which regions, ascending.
    images : AstromImages
        The images.
    priors : StarPriors
        What is known of stars.
    with_parallax : bool
        Whether stars have parallaxes.

    Returns
    -------
    AstromBatch
        Stars with two measures or more that count, one of them of an image. Image numbers are rows.
    """
    measure, runs = view.read_many(MEASURE, regions, _MEASURE_COLUMNS, once=True)
    average, edges = view.read_many(AVERAGE, regions, ["ext_id"], once=True)
    objects = np.repeat(edges[:-1], np.diff(runs)) + measure["ave_ref"].astype(np.int64)
    image = images.rows_of(measure["image_id"])
    x, y = chip_places(measure)
    is_reference = (measure["image_id"] == 0) | (measure["ref_id"] != 0)
    has_place = (image >= 0) & np.isfinite(x) & np.isfinite(y)
    good = counting_measures(view, measure, objects) & (has_place | is_reference)
    sigma = weights(measure, view.photcodes).astype(np.float64)
    good &= np.isfinite(sigma) & np.isfinite(measure["ra"]) & np.isfinite(measure["dec"])
    n = len(average)
    of_images = np.bincount(objects[good & has_place], minlength=n)
    good &= (np.bincount(objects[good], minlength=n) >= 2)[objects] & (of_images > 0)[objects]
    rows = np.flatnonzero(good)
    stars, of, counts = np.unique(objects[rows], return_inverse=True, return_counts=True)
    at = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    order = rows_by_object(of.astype(np.int64), measure["time"][rows], at)
    rows, of = rows[order], of[order]
    some, own = measure.take(rows), np.where(has_place[rows], image[rows], -1)
    return _batch(some, own, (x[rows], y[rows]), at, of, sigma[rows], average["ext_id"][stars],
                  images, priors, with_parallax=with_parallax)  # fmt: skip


def _batch(
    some: ColumnTable, image: I64, pixels: tuple[F64, F64], edges: I64, of: I64, sigma: F64,
    ext_id: NDArray[np.uint64], images: AstromImages, priors: StarPriors, *, with_parallax: bool,
) -> AstromBatch:  # fmt: skip
    first = edges[:-1]
    ra0, dec0 = some["ra"][first], some["dec"][first]
    x, y = np.empty(len(some)), np.empty(len(some))
    offsets_from(edges, some["ra"], some["dec"], ra0, dec0, x, y)
    seen = image >= 0
    s, t = np.zeros(len(some)), np.zeros(len(some))
    nx, ny = (images.table[name][image[seen]] for name in ("nx", "ny"))
    s[seen], t[seen] = chip_coordinates(pixels[0][seen], pixels[1][seen], nx, ny)
    half = np.ones((len(some), 2))
    half[seen] = 0.5 * np.stack([nx, ny], axis=1)
    jacobian = np.zeros((len(some), 2, 2))
    jacobian[seen] = pixel_steps(images.model, image[seen], pixels[0][seen], pixels[1][seen])
    time = measured_times(some)
    fx, fy = np.zeros(len(some)), np.zeros(len(some))
    if with_parallax and seen.any():
        path = EarthPath(float(time[seen].min()), float(time[seen].max()))
        fx, fy = path.factors(edges, ra0, dec0, time, seen)
    prior, expected, is_known = _known(some, of, len(first), priors)
    with np.errstate(over="ignore"):
        is_held = (ext_id * _HASH >> np.uint64(33)) % _HELD_OF == 0
    years = (time - images.epoch) / _YEAR_S
    return AstromBatch(edges, image.astype(np.int32), s, t, half, x, y, sigma, jacobian, years,
                       fx, fy, prior, expected, is_known, is_held)  # fmt: skip


def _known(some: ColumnTable, of: I64, n: int, priors: StarPriors) -> tuple[F64, F64, Bool]:
    """Motions and parallaxes known beforehand: from catalogs with errors, or else their scatter."""
    weight, middle, known = np.zeros((n, 5)), np.zeros((n, 5)), np.zeros((n, 2), np.bool_)
    weight[:, 2:] = [priors.motion**-2, priors.motion**-2, priors.parallax**-2]
    for k, name in ((2, "u_ra"), (3, "u_dec"), (4, "par")):
        value, error = some[name], some[f"{name}_err"]
        rows = np.flatnonzero(np.isfinite(value) & (error > 0))
        # The most precise of the catalogs.
        rows = rows[np.argsort(-error[rows], kind="stable")]
        weight[of[rows], k] = 1.0 / error[rows].astype(np.float64) ** 2
        middle[of[rows], k] = value[rows]
        known[of[rows], k // 4] = True
    return weight, middle, known
