"""The contract between readers and ingest: one image and its detections, in native units.

Every reader gives :class:`InputImage` objects; nothing behind it knows file formats. The
columns of :class:`Detections` have the names, types and units of the Measure schema. A
reader only gives what its input has; absent columns are null.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.errors import BadCatalogError, ShapeError
from dvo.ingest.satellite_input import SatelliteRows
from dvo.tables.measure import MEASURE

__all__ = [
    "INSTRUMENT_ZERO_POINT",
    "MOTION_COLUMNS",
    "BandColumns",
    "Detections",
    "ImageMeta",
    "InputImage",
    "RefSource",
    "clean_positions",
    "content_digest",
    "image_name",
    "measure_columns",
]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

INSTRUMENT_ZERO_POINT: Final = 25.0
"""ZP0: a stored DEP magnitude is m_inst + 2.5 log10(exptime) + ZP0 [mag]."""

MOTION_COLUMNS: Final = {
    "u_ra": "f4",  # proper motion in ra times cos(dec) [mas/yr]
    "u_dec": "f4",  # proper motion in dec [mas/yr]
    "u_ra_err": "f4",  # [mas/yr]
    "u_dec_err": "f4",  # [mas/yr]
    "par": "f4",  # parallax [mas]
    "par_err": "f4",  # [mas]
    "epoch_mjd": "f8",  # epoch of the position, row by row [d]
}
"""Columns beside those of Measure that surveys give: motions and epochs, with their types."""

# Set by ingest itself: a reader that gave them would decide what it cannot know.
_OWNED_BY_INGEST = frozenset(
    {
        *("ra", "dec", "ra_err", "dec_err", "m_cal", "mag_cal_err", "mcal_aper", "m_flat"),
        *("m_time", "x_fix", "y_fix", "x_off_kh", "y_off_kh", "x_off_dcr", "y_off_dcr"),
        *("x_off_cam", "y_off_cam", "pos_sys_err", "time", "time_msec", "ave_ref", "obj_id"),
        *("cat_id", "ext_id", "image_id", "ref_id", "photcode", "db_flags"),
    }
)
_MAX_NAME = 128
_MOST_RA = 720.0


@cache
def measure_columns() -> Mapping[str, np.dtype[np.generic]]:
    """Columns that readers may give, beside positions and their errors.

    Returns
    -------
    mapping of str to dtype
        Columns of Measure that an input can supply, and the motions of surveys.
    """
    own = {c.name: c.numpy_dtype for c in MEASURE.columns if c.name not in _OWNED_BY_INGEST}
    motion = {name: np.dtype(kind) for name, kind in MOTION_COLUMNS.items()}
    return MappingProxyType({**own, **motion})


@dataclass(frozen=True, slots=True)
class ImageMeta:
    """One chip image, or the focal plane of a mosaic exposure, in native units.

    Parameters
    ----------
    name : str
        Name of the image, up to 128 ASCII characters.
    photcode : str
        Name of its photcode; empty for a focal plane.
    mjd : float
        Start of the exposure, MJD UTC [d], as in the original (TZERO of its Image table).
    exptime_s : float
        Exposure time [s].
    airmass : float
        Airmass; NaN if unknown.
    content : str
        Checksum of what was read, 32 hexadecimal digits: the same content gives the same
        digits, whatever the file is called.
    extern_id : int or None
        Number of the image in the system it came from.
    source_id : int
        Which table of that system the number is of; 0 if unknown.
    ccdnum : int
        Number of the chip: the first digits of EXTNAME; 0 without.
    nx, ny : int
        Size [pix]; 0 if unknown.
    zero_point, zero_point_err : float
        Zero point found for the image (ZPT_OBS, ZPT_ERR) [mag]; NaN if unknown.
    zero_point_airmass : float
        Airmass that zero_point is stated for: 1 for psphot, which reduces it by the
        nominal slope; that of the image where it is what the image shows.
    coords : AstromCoords or None
        Astrometry; None if the input gives positions only.
    parent : ImageMeta or None
        The focal plane of the exposure; one object for all its chips.
    fwhm_x, fwhm_y : float
        Width of the psf [pix]; NaN if unknown.
    cerror : float
        Error of the astrometric solution [arcsec]; NaN if unknown.
    detection_limit, saturation_limit : float
        Magnitudes where detection and saturation set in [mag]; NaN if unknown.
    n_astrom : int or None
        Stars in the astrometric solution (NASTRO); None if unknown.
    alt, az, posangle : float
        Altitude, azimuth and position angle of the telescope [deg]; NaN if unknown.
    sidereal_time_h : float
        Sidereal time [h]; NaN if unknown.
    latitude : float
        Latitude of the observatory [deg]; NaN if unknown.
    """

    name: str
    photcode: str
    mjd: float
    exptime_s: float
    airmass: float
    content: str
    extern_id: int | None = None
    source_id: int = 0
    ccdnum: int = 0
    nx: int = 0
    ny: int = 0
    zero_point: float = math.nan
    zero_point_err: float = math.nan
    zero_point_airmass: float = 1.0
    coords: AstromCoords | None = None
    parent: ImageMeta | None = None
    fwhm_x: float = math.nan
    fwhm_y: float = math.nan
    cerror: float = math.nan
    detection_limit: float = math.nan
    saturation_limit: float = math.nan
    n_astrom: int | None = None
    alt: float = math.nan
    az: float = math.nan
    posangle: float = math.nan
    sidereal_time_h: float = math.nan
    latitude: float = math.nan

    def __post_init__(self) -> None:
        name = self.name
        if not name or len(name) > _MAX_NAME or not (name.isascii() and name.isprintable()):
            raise BadCatalogError(f"image name {name!r}: use 1 to {_MAX_NAME} ASCII characters")
        # MJD 0 is 1858; the far end keeps detectIDs within 64 bits.
        if not 0.0 <= self.mjd < 146101.0:
            raise BadCatalogError(
                f"image {name}: start of exposure MJD {self.mjd}; give days (UTC) since "
                "1858-11-17, not a Julian date or seconds"
            )
        if not (math.isfinite(self.exptime_s) and self.exptime_s >= 0):
            raise BadCatalogError(
                f"image {name}: exposure time {self.exptime_s} s; give a finite time, 0 if unknown"
            )

    @property
    def m_time(self) -> float:
        """Brightness of the exposure time, 2.5 log10(exptime) [mag]; 0 for no time."""
        return 2.5 * math.log10(self.exptime_s) if self.exptime_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class RefSource:
    """Where the measures of a reference catalog come from: they have no image.

    Parameters
    ----------
    photcode : str
        Name of their REF photcode; of the first, if the catalog has several bands.
    epoch_mjd : float
        Epoch of their positions, MJD [d], where a row has none of its own.
    name : str
        Name of the catalog, for the log.
    content : str
        Checksum of what was read, 32 hexadecimal digits.
    """

    photcode: str
    epoch_mjd: float
    name: str
    content: str

    def identity(self, photcode: str | None = None) -> str:
        """What the catalog is known by.

        Parameters
        ----------
        photcode : str or None
            REF photcode of one of its bands; None for `photcode`.

        Returns
        -------
        str
            Photcode and name.
        """
        return f"ref:{photcode or self.photcode}:{self.name}"


@dataclass(slots=True)
class BandColumns:
    """What a reference catalog measured in one of its bands.

    Parameters
    ----------
    photcode : str
        Name of the REF photcode of the band.
    measured : ndarray of bool, shape (n,)
        Which entries have a measure in the band. An entry without any still has its
        position, and becomes one measure in the first band.
    columns : dict of str to ndarray, each of shape (n,)
        Columns of Measure that differ from band to band, such as mag and phot_flags.
    """

    photcode: str
    measured: NDArray[np.bool_]
    columns: dict[str, NDArray[Any]]

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> BandColumns:
        """Pick entries.

        Parameters
        ----------
        rows : ndarray of bool or int
            Mask, or row numbers.

        Returns
        -------
        BandColumns
            Those entries, copied.
        """
        columns = {name: values[rows] for name, values in self.columns.items()}
        return BandColumns(self.photcode, self.measured[rows], columns)


@dataclass(slots=True)
class Detections:
    """The detections of one image, or the entries of a reference catalog.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Position, ICRS [deg]; ra in [0, 360), dec in [-90, 90], never NaN.
    columns : dict of str to ndarray, each of shape (n,)
        Columns of Measure by their Python names and in its units, and those of
        MOTION_COLUMNS. Floats are NaN where unknown. Absent columns are null.
    ra_err, dec_err : ndarray of float32 or None
        Error of the position, ra times cos(dec) [arcsec]; None or NaN where unknown.
    bands : list of BandColumns
        For a catalog of several bands: an entry is found once, and gives a measure in each
        band it was measured in. Empty for images, and for catalogs of one photcode.
    """

    ra: F64
    dec: F64
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    ra_err: F32 | None = None
    dec_err: F32 | None = None
    bands: list[BandColumns] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = measure_columns()
        of_bands = [(name, values) for b in self.bands for name, values in b.columns.items()]
        for name, values in [*self.columns.items(), *of_bands]:
            if name not in known:
                raise ShapeError(f"detections cannot have a column {name!r}")
            if values.shape != self.ra.shape or values.dtype != known[name]:
                raise ShapeError(
                    f"detections: column {name} is {values.dtype} of shape {values.shape}, not "
                    f"{known[name]} of shape {self.ra.shape}"
                )
        for name, values in self._floats().items():
            kind = np.float64 if name in ("ra", "dec") else np.float32
            if values.shape != self.ra.shape or values.dtype != kind:
                raise ShapeError(
                    f"detections: {name} is {values.dtype} of shape {values.shape}, not "
                    f"{np.dtype(kind)} of shape {self.ra.shape}"
                )
        for name, values in {**self._floats(), **self.columns}.items():
            # Kernels are compiled for such arrays only.
            if not (values.flags.c_contiguous and values.flags.writeable):
                raise ShapeError(f"detections: {name} is not contiguous and writeable; copy it")

    def _floats(self) -> dict[str, NDArray[Any]]:
        errors = {"ra_err": self.ra_err, "dec_err": self.dec_err}
        return {"ra": self.ra, "dec": self.dec} | {k: v for k, v in errors.items() if v is not None}

    def __len__(self) -> int:
        return len(self.ra)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Pick rows.

        Parameters
        ----------
        rows : ndarray of bool or int
            Mask, or row numbers.

        Returns
        -------
        Detections
            Those rows, copied.
        """
        return Detections(
            ra=self.ra[rows],
            dec=self.dec[rows],
            columns={name: values[rows] for name, values in self.columns.items()},
            ra_err=None if self.ra_err is None else self.ra_err[rows],
            dec_err=None if self.dec_err is None else self.dec_err[rows],
            bands=[band.take(rows) for band in self.bands],
        )


@dataclass(slots=True)
class InputImage:
    """What a reader gives: an image or reference source, its detections, what was amiss.

    Parameters
    ----------
    meta : ImageMeta or RefSource
        Where the detections come from.
    detections : Detections
        The detections; there may be none.
    report : dict
        ``dropped``: rows left out, by reason; ``missing``: columns that the input should
        have but lacks; ``notes``: anything else worth telling.
    satellites : list of SatelliteRows
        More of some detections: galaxy models, lensing terms. Rows of detections that are not
        there are left out when the image is added.
    """

    meta: ImageMeta | RefSource
    detections: Detections
    report: dict[str, object] = field(default_factory=dict)
    satellites: list[SatelliteRows] = field(default_factory=list)


def clean_positions(ra: F64, dec: F64) -> tuple[F64, F64, NDArray[np.bool_], dict[str, int]]:
    """Bring positions into range, and say which cannot be.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Positions as read, ICRS [deg].

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        ra in [0, 360); |dec| up to 1e-6 deg over 90 is rounding, and becomes 90.
    good : ndarray of bool, shape (n,)
        Rows with a position.
    dropped : dict of str to int
        Numbers of rows without one, by reason: ``nan position``, ``ra out of range`` (more
        than two turns: no angle in degrees) and ``dec out of range``.
    """
    is_finite = np.isfinite(ra) & np.isfinite(dec)
    is_far = is_finite & (np.abs(dec) > 90.0 + 1e-6)
    dropped = {"nan position": int(np.count_nonzero(~is_finite))}
    dropped["dec out of range"] = int(np.count_nonzero(is_far))
    with np.errstate(invalid="ignore"):
        # Most inputs are in range, and np.mod is the slowest step of a fast reader.
        if not bool(np.all((ra >= 0.0) & (ra < 360.0))):
            is_wild = is_finite & ~is_far & (np.abs(ra) > _MOST_RA)
            dropped["ra out of range"] = int(np.count_nonzero(is_wild))
            is_far |= is_wild
            ra = np.mod(ra, 360.0)
            ra[ra >= 360.0] = 0.0
    good = is_finite & ~is_far
    return ra, np.clip(dec, -90.0, 90.0), good, {k: n for k, n in dropped.items() if n}


def content_digest(facts: Iterable[object], arrays: Mapping[str, ArrayLike | bytes]) -> str:
    """Make the checksum by which an image is known to be in the database already.

    Parameters
    ----------
    facts : iterable
        Header values that the image was made from: numbers, strings, tuples of them.
    arrays : mapping of str to ndarray or bytes
        Columns, or the bytes of the table.

    Returns
    -------
    str
        32 hexadecimal digits (BLAKE2b); no part of it depends on the file's name.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr(tuple(facts)).encode())
    for name in sorted(arrays):
        values = arrays[name]
        data = values if isinstance(values, bytes) else np.ascontiguousarray(values)
        kind = "" if isinstance(data, bytes) else data.dtype.str
        digest.update(f"|{name}:{kind}:{len(data)}|".encode())
        digest.update(data if isinstance(data, bytes) else data.view(np.uint8).data)
    return digest.hexdigest()


def image_name(path: Path, header_name: object, extname: str) -> str:
    """Make the name of a chip image: exposure, and extension in brackets.

    Parameters
    ----------
    path : Path
        The file, whose name serves where the header has none.
    header_name : object
        Name of the exposure in the header; anything but a string counts as absent.
    extname : str
        Name of the chip's extension; may be empty.

    Returns
    -------
    str
        Up to 128 ASCII characters.
    """
    stem = header_name.strip() if isinstance(header_name, str) else ""
    stem = stem or path.name
    text = f"{stem}[{extname}]" if extname else stem
    text = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    return text[-_MAX_NAME:]
