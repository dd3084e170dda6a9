"""Astrometry of images from FITS headers.

Solutions of psastro (WRP and DIS) and plain TAN are read as they are, see
`dvo.astrometry.coords`. Other plain solutions (TPV, SIP, ...) are evaluated by astropy; what
the database keeps of them is a TAN with a cubic polynomial fitted over the chip, and the size
of its error.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.coords import NO_TERMS, AstromCoords
from dvo.astrometry.fit import fit_image
from dvo.astrometry.polynomials import MAX_ORDER, POWERS
from dvo.astrometry.solution import Solution, mosaic_of
from dvo.errors import AstrometryError, BadCatalogError
from dvo.tables.fits.header import Header

__all__ = ["read_solution"]

F64 = NDArray[np.float64]

_CURVED = POWERS[3:]  # those of Image.polyterms
# Only the cards of the astrometry go to wcslib: the others (of a table, say) may disturb it.
_WCS_KEYWORDS = (
    *("CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA", "CUNIT", "CD", "PC", "PV", "PS", "LONP"),
    *("LATP", "EQUINOX", "RADE", "A_", "B_", "AP_", "BP_"),  # look-up tables are not read
)


def read_solution(
    header: Header, *, nx: int, ny: int, mosaic: AstromCoords | None = None
) -> Solution | None:
    """Read the astrometry of an image from its header.

    Parameters
    ----------
    header : Header
        Header of the chip, or the primary header of a mosaic (for its focal plane).
    nx, ny : int
        Size of the chip [pix]: where a fit has to be good.
    mosaic : AstromCoords or None
        Focal plane of the exposure, for chips whose CTYPE ends in -WRP.

    Returns
    -------
    Solution or None
        None if the header holds no astrometry at all.

    Raises
    ------
    BadCatalogError
        If the header holds one that cannot be used.
    """
    ctype = header.get("CTYPE1")
    if not isinstance(ctype, str) or ctype.strip() in ("", "PIXEL", "LINEAR"):
        return None
    ctype = ctype.strip()
    _check_frame(header)
    if ctype.endswith(("-WRP", "-DIS")):
        coords = _read_terms(header, ctype, mosaic if ctype.endswith("-WRP") else None)
        if ctype.endswith("-DIS"):
            _check_tangent_point(header, coords)
        if ctype.endswith("-WRP"):
            try:
                mosaic_of(coords)
            except BadCatalogError as error:
                raise BadCatalogError(f"{header.where}: {error}") from error
        return Solution(coords)
    if ctype == "RA---TAN" and not any(_is_distortion(key) for key in header):
        return Solution(_read_tan(header))
    return _fit(header, nx, ny)


def _is_distortion(key: str) -> bool:
    return key in ("A_ORDER", "B_ORDER", "LONPOLE") or key.startswith(("PV1_", "PV2_", "CPDIS"))


def _check_frame(header: Header) -> None:
    frame = header.get("RADESYS", header.get("RADECSYS"))
    equinox = header.get("EQUINOX")
    fk4 = isinstance(frame, str) and frame.upper().startswith("FK4")
    if fk4 or (isinstance(equinox, int | float) and equinox < 1984):
        raise BadCatalogError(
            f"{header.where}: astrometry of RADESYS={frame!r}, EQUINOX={equinox!r}; "
            "transform it to ICRS (or FK5 of 2000) first"
        )


def _number(header: Header, key: str, default: float | None = None) -> float:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadCatalogError(
            f"{header.where}: {key} = {value!r}, but the astrometry needs a finite number there"
        )
    return float(value)


def _read_terms(header: Header, ctype: str, mosaic: AstromCoords | None) -> AstromCoords:
    order = header.get("NPLYTERM", 0)
    if not isinstance(order, int) or not 0 <= order <= MAX_ORDER:
        raise BadCatalogError(
            f"{header.where}: NPLYTERM = {order!r}; polynomials of order 0 to {MAX_ORDER} are read"
        )
    terms: tuple[float, ...] = NO_TERMS
    if order > 1:
        terms = tuple(
            _number(header, f"PCA{axis}X{i}Y{j}", 0.0) if i + j <= order else 0.0
            for axis in (1, 2)
            for i, j in _CURVED
        )
    return AstromCoords(
        ctype=ctype,
        crval=(_number(header, "CRVAL1"), _number(header, "CRVAL2")),
        crpix=(_number(header, "CRPIX1", 0.0), _number(header, "CRPIX2", 0.0)),
        cdelt=(_number(header, "CDELT1", 1.0), _number(header, "CDELT2", 1.0)),
        pc=(
            _number(header, "PC1_1", _number(header, "PC001001", 1.0)),
            _number(header, "PC1_2", _number(header, "PC001002", 0.0)),
            _number(header, "PC2_1", _number(header, "PC002001", 0.0)),
            _number(header, "PC2_2", _number(header, "PC002002", 1.0)),
        ),
        npolyterms=order,
        polyterms=terms,
        mosaic=mosaic,
    )


def _read_tan(header: Header) -> AstromCoords:
    coords = _read_terms(header, "RA---TAN", None)
    d1, d2 = coords.cdelt
    cd = ("CD1_1", "CD1_2", "CD2_1", "CD2_2")
    if any(key in header for key in cd):
        coords = _with_matrix(coords, tuple(_number(header, key, 0.0) for key in cd))
    elif _number(header, "CROTA2", 0.0) and "PC1_1" not in header:
        angle = math.radians(_number(header, "CROTA2"))
        s, c = math.sin(angle), math.cos(angle)
        coords = _with_matrix(coords, (d1 * c, -d2 * s, d1 * s, d2 * c))
    else:
        # FITS turns first and scales then; WRP and DIS, above, do it the other way round.
        a, b, c, d = coords.pc
        coords = _with_matrix(coords, (d1 * a, d1 * b, d2 * c, d2 * d))
    if coords.pc[0] * coords.pc[3] == coords.pc[1] * coords.pc[2]:
        raise BadCatalogError(f"{header.where}: the matrix of the astrometry is singular")
    _check_tangent_point(header, coords)
    return coords


def _check_tangent_point(header: Header, coords: AstromCoords) -> None:
    if not -90 <= coords.crval[1] <= 90:
        raise BadCatalogError(f"{header.where}: CRVAL2 = {coords.crval[1]} is no declination")


def _with_matrix(coords: AstromCoords, matrix: tuple[float, ...]) -> AstromCoords:
    pc = (matrix[0], matrix[1], matrix[2], matrix[3])
    return AstromCoords("RA---TAN", coords.crval, coords.crpix, pc=pc)


def _fit(header: Header, nx: int, ny: int) -> Solution:
    """Take any celestial WCS that astropy reads, and fit the terms that a row can hold."""
    exact = _astropy_solution(header)
    try:
        coords, error = fit_image(exact, nx, ny)
    except AstrometryError as problem:
        raise BadCatalogError(f"{header.where}: {problem}") from problem
    return Solution(coords, exact, error)


def _astropy_solution(header: Header) -> Callable[[F64, F64], tuple[F64, F64]]:
    # A third of a second of imports that the catalogs of our own pipeline never need.
    from astropy.io import fits  # noqa: PLC0415
    from astropy.wcs import WCS, FITSFixedWarning  # noqa: PLC0415

    try:
        cards = fits.Header()
        for key in header:
            if key.startswith(_WCS_KEYWORDS) and len(key) <= 8:
                cards[key] = header[key]
        if header.get("CTYPE1") == "RA---TAN" and any(key.startswith("PV2_") for key in header):
            # SCAMP's old way to write TPV; a true TAN has no PV on its second axis.
            cards["CTYPE1"], cards["CTYPE2"] = "RA---TPV", "DEC--TPV"
        with warnings.catch_warnings():
            # astropy mends dates and units of old headers and says so; the position is the same.
            warnings.simplefilter("ignore", FITSFixedWarning)
            warnings.simplefilter("ignore", fits.verify.VerifyWarning)
            wcs = WCS(cards, naxis=2)
            celestial = wcs.has_celestial
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())  # wcslib writes lines
        raise BadCatalogError(f"{header.where}: the astrometry cannot be read: {reason}") from error
    if not celestial:
        raise BadCatalogError(
            f"{header.where}: CTYPE1 = {header.get('CTYPE1')!r} is no astrometry on the sky"
        )
    swap = wcs.wcs.lng == 1

    def exact(x: F64, y: F64) -> tuple[F64, F64]:
        first, second = wcs.all_pix2world(x, y, 1)
        ra, dec = (second, first) if swap else (first, second)
        return np.mod(ra, 360.0), np.asarray(dec)

    return exact
