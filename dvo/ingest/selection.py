"""Selection: which images and which detections go into the database.

The rules are those of the original addstar: a limit of signal to noise, bits of psphot's
flags that exclude a detection, the good area of a chip, and a limit of the astrometric
error of an image. Besides, no row of a survey goes in whose motion or epoch cannot be:
one such star would widen what every cone has to look at. Magnitudes that cannot be are what
a catalog writes for none (-99, 99, -999); they are missing, and count in no mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.detections import Detections, ImageMeta, InputImage, RefSource
from dvo.proper_motion import epoch_to_mjd, mjd_to_epoch

__all__ = [
    "EPOCH_RANGE",
    "MAG_RANGE",
    "MAX_CERROR_ARCSEC",
    "MAX_MOTION_ARCSEC_YR",
    "Selection",
    "select_detections",
]

MAX_CERROR_ARCSEC = 0.5
"""Limit of the original (ADDSTAR_MAX_CERROR) for the astrometric error of an image [arcsec]."""

MAX_MOTION_ARCSEC_YR = 100.0
"""Proper motion above which a row is a mistake; Barnard's star has 10.4 [arcsec/yr]."""

EPOCH_RANGE = (1800.0, 2200.0)
"""Julian epochs between which positions can have been measured [yr]."""

MAG_RANGE = (-40.0, 60.0)
"""Magnitudes outside are none, whatever their system [mag]."""

_MAGS = ("mag", "m_aper", "m_kron")
_NO_MAG = f"magnitudes beyond {MAG_RANGE[0]:g} to {MAG_RANGE[1]:g}, now missing"
_SIGMA_OF_MAG = 1.0857362047581294  # 2.5 / ln 10: magnitude error of one sigma at S/N 1


@dataclass(frozen=True, slots=True)
class Selection:
    """What to leave out.

    Parameters
    ----------
    min_snr : float
        Least signal to noise of a detection; 0 takes all. A detection without an error
        of its magnitude or flux is taken.
    exclude_flags : int
        Bits of phot_flags; a detection with any of them is left out.
    x_min, x_max, y_min, y_max : float or None
        Good area of a chip [pix], ends included; None where there is no limit.
    max_cerror_arcsec : float
        Greatest astrometric error of an image (CERROR) [arcsec]; an image that does not
        tell its error is taken.
    accept_bad_astrometry : bool
        Take images whose header says that the astrometry failed (NASTRO = 0) or is worse
        than the limit.
    """

    min_snr: float = 0.0
    exclude_flags: int = 0
    x_min: float | None = None
    x_max: float | None = None
    y_min: float | None = None
    y_max: float | None = None
    max_cerror_arcsec: float = MAX_CERROR_ARCSEC
    accept_bad_astrometry: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.min_snr) and self.min_snr >= 0):
            raise ConfigError(f"least signal to noise {self.min_snr}; give 0 or more")
        if not 0 <= self.exclude_flags <= 0xFFFFFFFF:
            raise ConfigError(f"flags to exclude {self.exclude_flags:#x}; give a 32-bit mask")
        if not self.max_cerror_arcsec > 0:
            raise ConfigError(f"limit of CERROR {self.max_cerror_arcsec}; give arcsec above 0")
        for axis in ("x", "y"):
            low, high = getattr(self, f"{axis}_min"), getattr(self, f"{axis}_max")
            if low is not None and high is not None and low > high:
                raise ConfigError(f"area: {axis} from {low} to {high} is empty")

    @property
    def takes_all(self) -> bool:
        """Whether no detection is left out for what it is."""
        area = (self.x_min, self.x_max, self.y_min, self.y_max)
        return self.min_snr == 0 and self.exclude_flags == 0 and all(a is None for a in area)

    def check_image(self, meta: ImageMeta) -> None:
        """Refuse an image whose astrometry is known to be bad.

        Parameters
        ----------
        meta : ImageMeta
            The image.

        Raises
        ------
        BadCatalogError
            If NASTRO is 0 or CERROR above the limit, unless such images are accepted.
        """
        if self.accept_bad_astrometry:
            return
        if meta.n_astrom is not None and meta.n_astrom <= 0:
            raise BadCatalogError(
                f"image {meta.name}: its astrometry failed (NASTRO = {meta.n_astrom}); "
                "solve it again, or take it as it is with --accept-astrom"
            )
        if meta.cerror > self.max_cerror_arcsec:
            raise BadCatalogError(
                f"image {meta.name}: CERROR = {meta.cerror:.3f} arcsec is above the limit of "
                f"{self.max_cerror_arcsec} (--max-cerror); solve the astrometry again, or take "
                "the image with --accept-astrom"
            )


def select_detections(image: InputImage, selection: Selection) -> InputImage:
    """Leave out the detections that a selection does not want.

    Parameters
    ----------
    image : InputImage
        An image or a reference source.
    selection : Selection
        What to leave out.

    Returns
    -------
    InputImage
        The rest, with the numbers of rows left out in ``report["dropped"]`` by the first
        reason that holds: ``proper motion``, ``epoch``, ``flags``, ``area``, ``signal to
        noise``, ``no band left``. Magnitudes that cannot be are NaN, and counted there too.
        The same object where nothing is left out.

    Raises
    ------
    BadCatalogError
        If the image or catalog itself is refused, or no row of a catalog is left.
    """
    if isinstance(image.meta, ImageMeta):
        selection.check_image(image.meta)
    else:
        _check_catalog(image.meta)
    detections, n_no_mag = _without_impossible(image.detections)
    reasons = {}
    if "u_ra" in detections.columns or "u_dec" in detections.columns:
        reasons["proper motion"] = _is_too_fast(detections)
    if "epoch_mjd" in detections.columns:
        reasons["epoch"] = _is_of_no_time(detections)
    if not selection.takes_all:
        reasons |= {
            "flags": _has_flags(detections.columns, len(detections), selection.exclude_flags),
            "area": _is_outside(detections, selection),
            "signal to noise": _is_faint(detections.columns, len(detections), selection.min_snr),
        }
        detections, reasons["no band left"] = _select_bands(detections, selection)
    keep = np.ones(len(detections), np.bool_)
    dropped = dict(image.report.get("dropped", {}))  # type: ignore[call-overload]  # ours
    for reason, bad in reasons.items():
        lost = int(np.count_nonzero(keep & bad))
        if lost:
            dropped[reason] = lost
            keep &= ~bad
    if isinstance(image.meta, RefSource) and dropped and not keep.any():
        # It would be known by its name from now on, and the rows could not follow.
        why = ", ".join(f"{n} ({reason})" for reason, n in dropped.items())
        raise BadCatalogError(
            f"reference catalog {image.meta.name}: no row is left, nothing is added; left out: "
            f"{why}. Correct the catalog, its columns or the selection"
        )
    if n_no_mag:
        dropped[_NO_MAG] = n_no_mag
    if keep.all() and detections is image.detections:
        return image
    report = {**image.report, "dropped": dropped}
    return replace(image, detections=detections.take(keep), report=report)


def _without_impossible(detections: Detections) -> tuple[Detections, int]:
    """Make magnitudes that cannot be NaN; also counts them."""
    columns, n = _possible(detections.columns)
    bands = []
    for band in detections.bands:
        of_band, n_of_band = _possible(band.columns, band.measured)
        bands.append(replace(band, columns=of_band))
        n += n_of_band
    return (replace(detections, columns=columns, bands=bands), n) if n else (detections, 0)


def _possible(
    columns: dict[str, NDArray[Any]], counted: NDArray[np.bool_] | None = None
) -> tuple[dict[str, NDArray[Any]], int]:
    """Columns with NaN for magnitudes that cannot be, and their number in the rows that count."""
    out, n = dict(columns), 0
    for name in _MAGS:
        values = columns.get(name)
        if values is None:
            continue
        bad = (values < MAG_RANGE[0]) | (values > MAG_RANGE[1])
        if counted is not None:
            bad &= counted
        n_bad = int(np.count_nonzero(bad))
        if n_bad:
            out[name] = np.where(bad, np.float32(np.nan), values)
            n += n_bad
    return out, n


def _select_bands(
    detections: Detections, selection: Selection
) -> tuple[Detections, NDArray[np.bool_]]:
    """Take out measures band by band; also tells which entries have lost all they had."""
    n = len(detections)
    had, has = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    bands = []
    for band in detections.bands:
        bad = _has_flags(band.columns, n, selection.exclude_flags)
        bad |= _is_faint(band.columns, n, selection.min_snr)
        bands.append(replace(band, measured=band.measured & ~bad))
        had |= band.measured
        has |= bands[-1].measured
    return replace(detections, bands=bands) if bands else detections, had & ~has


def _check_catalog(meta: RefSource) -> None:
    epoch = float(mjd_to_epoch(meta.epoch_mjd))
    if not EPOCH_RANGE[0] <= epoch <= EPOCH_RANGE[1]:
        raise BadCatalogError(
            f"reference catalog {meta.name}: its epoch is {epoch:g} (MJD {meta.epoch_mjd:g}), not "
            f"within {EPOCH_RANGE[0]:g}-{EPOCH_RANGE[1]:g}; give the Julian year of its positions"
        )


def _is_too_fast(detections: Detections) -> NDArray[np.bool_]:
    motions = [detections.columns.get(name) for name in ("u_ra", "u_dec")]
    squares = np.zeros(len(detections))
    for motion in motions:
        if motion is not None:
            squares += np.where(np.isnan(motion), 0.0, motion.astype(np.float64)) ** 2
    return np.asarray(squares > (MAX_MOTION_ARCSEC_YR * 1000.0) ** 2)


def _is_of_no_time(detections: Detections) -> NDArray[np.bool_]:
    """Rows of an epoch of their own that is none; NaN stands for that of the catalog."""
    epoch = detections.columns["epoch_mjd"]
    first, last = (epoch_to_mjd(year) for year in EPOCH_RANGE)
    return np.asarray((epoch < first) | (epoch > last))


def _has_flags(columns: Mapping[str, NDArray[Any]], n: int, mask: int) -> NDArray[np.bool_]:
    flags = columns.get("phot_flags")
    if flags is None or not mask:
        return np.zeros(n, np.bool_)
    return np.asarray((flags & np.uint32(mask)) != 0)


def _is_outside(detections: Detections, selection: Selection) -> NDArray[np.bool_]:
    bad = np.zeros(len(detections), np.bool_)
    for name, low, high in (
        ("x_ccd", selection.x_min, selection.x_max),
        ("y_ccd", selection.y_min, selection.y_max),
    ):
        if low is None and high is None:
            continue
        values = detections.columns.get(name)
        if values is None:
            raise BadCatalogError(
                f"an area is asked for, but the detections have no {name}; map it "
                f"(--map {name[0]}=COLUMN) or leave the area out"
            )
        # NaN is not inside any area.
        if low is not None:
            bad |= ~(values >= low)
        if high is not None:
            bad |= ~(values <= high)
    return bad


def _is_faint(columns: Mapping[str, NDArray[Any]], n: int, min_snr: float) -> NDArray[np.bool_]:
    """Rows of too little signal to noise: by flux where there is one, else by magnitude error."""
    faint = np.zeros(n, np.bool_)
    if min_snr == 0:
        return faint
    undecided = np.ones(n, np.bool_)
    flux, flux_err = columns.get("flux_psf"), columns.get("flux_psf_err")
    with np.errstate(invalid="ignore"):
        if flux is not None and flux_err is not None:
            undecided = ~(np.isfinite(flux) & (flux_err > 0))
            faint = ~undecided & (flux < min_snr * flux_err)
        error = columns.get("mag_err")
        if error is not None:
            faint |= undecided & (error > _SIGMA_OF_MAG / min_snr)
    return faint
