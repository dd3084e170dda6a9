"""Astrometry of images: pixels to sky and back.

A chip of a mosaic goes chip -> focal plane -> tangent plane -> sky, as psastro writes it:

- CTYPE ending in ``-WRP`` (chip) and ``-DIS`` (focal plane, in the primary header), with
  NPLYTERM = n the order of the polynomial (0 and 1: linear):
  ``x = (X - CRPIX1) * CDELT1``, ``y`` likewise;
  ``L = PC1_1 x + PC1_2 y + sum PCA1XiYj x^i y^j`` over 2 <= i + j <= n, ``M`` likewise.
- WRP adds (CRVAL1, CRVAL2) and gives pixels of the focal plane.
- DIS takes these, gives tangent-plane degrees (CRVAL is not added), and the gnomonic
  projection about (CRVAL1, CRVAL2) leads to the sky.

A plain TAN solution is a DIS without polynomial. Other plain solutions (TPV, SIP, ...)
are evaluated by astropy; what the database keeps of them is a TAN with a cubic polynomial
fitted over the chip, and the size of its error.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.projection import tan_deproject, tan_project
from dvo.tables.fits.header import Header

__all__ = [
    "AstromCoords",
    "Solution",
    "errors_on_sky",
    "pixel_to_sky",
    "read_solution",
    "scale_matrix",
    "sky_to_pixel",
]

F64 = NDArray[np.float64]

# Powers of x and y of the 7 terms of each axis, in the order of Image.polyterms.
_POWERS = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
_NO_TERMS: tuple[float, ...] = (0.0,) * 14
_MAX_ORDER = 3
_NEWTON_STEPS = 20
# Only the cards of the astrometry go to wcslib: the others (of a table, say) may disturb it.
_WCS_KEYWORDS = (
    *("CTYPE", "CRVAL", "CRPIX", "CDELT", "CROTA", "CUNIT", "CD", "PC", "PV", "PS", "LONP"),
    *("LATP", "EQUINOX", "RADE", "A_", "B_", "AP_", "BP_"),  # look-up tables are not read
)


@dataclass(frozen=True, slots=True)
class AstromCoords:
    """The astrometric terms of an image, as a row of the Image table holds them.

    Parameters
    ----------
    ctype : str
        ``RA---TAN``, ``RA---WRP`` or ``RA---DIS``.
    crval : tuple of float
        Reference value: sky position [deg] for TAN and DIS, focal-plane pixels for WRP.
    crpix : tuple of float
        Reference pixel.
    cdelt : tuple of float
        Scale.
    pc : tuple of float
        PC1_1, PC1_2, PC2_1, PC2_2.
    npolyterms : int
        Order of the polynomial, 0 to 3; 0 and 1 are linear.
    polyterms : tuple of float
        Terms xx xy yy xxx xxy xyy yyy of axis 1, then of axis 2.
    mosaic : AstromCoords or None
        The focal plane (DIS) of a WRP chip.
    """

    ctype: str
    crval: tuple[float, float]
    crpix: tuple[float, float] = (0.0, 0.0)
    cdelt: tuple[float, float] = (1.0, 1.0)
    pc: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)
    npolyterms: int = 0
    polyterms: tuple[float, ...] = _NO_TERMS
    mosaic: AstromCoords | None = None

    @property
    def kind(self) -> str:
        """Projection: the last three letters of ctype."""
        return self.ctype[-3:]


@dataclass(frozen=True, slots=True)
class Solution:
    """What a header says of the way from pixels to the sky.

    Parameters
    ----------
    coords : AstromCoords
        The terms the database keeps.
    exact : callable or None
        Function of (x, y) that gives (ra, dec) [deg] where coords are only a fit.
    fit_error_arcsec : float
        Greatest distance between coords and exact on the chip [arcsec]; 0 without exact.
    """

    coords: AstromCoords
    exact: Callable[[F64, F64], tuple[F64, F64]] | None = None
    fit_error_arcsec: float = 0.0

    def to_sky(self, x: F64, y: F64) -> tuple[F64, F64]:
        """Positions of pixels, by the exact solution where there is one.

        Parameters
        ----------
        x, y : ndarray of float64, shape (n,)
            Pixels, in the convention of the header.

        Returns
        -------
        ra, dec : ndarray of float64, shape (n,)
            Positions, ICRS [deg]; ra in [0, 360). NaN where an input is NaN.
        """
        return pixel_to_sky(self.coords, x, y) if self.exact is None else self.exact(x, y)


def pixel_to_sky(coords: AstromCoords, x: F64, y: F64) -> tuple[F64, F64]:
    """Positions of pixels of an image.

    Parameters
    ----------
    coords : AstromCoords
        The image: a chip, or the focal plane itself.
    x, y : ndarray of float64, shape (n,)
        Pixels.

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg]; ra in [0, 360). NaN where an input is NaN.

    Raises
    ------
    BadCatalogError
        If coords is a WRP chip without its mosaic.
    """
    plane = coords
    if coords.kind == "WRP":
        plane = _mosaic_of(coords)
        x, y = _polynomial(coords, x, y)
        x, y = x + coords.crval[0], y + coords.crval[1]
    xi, eta = _polynomial(plane, x, y)
    return tan_deproject(xi, eta, *plane.crval)


def sky_to_pixel(coords: AstromCoords, ra: F64, dec: F64) -> tuple[F64, F64]:
    """Pixels of an image at positions: the inverse of :func:`pixel_to_sky`, by Newton.

    Parameters
    ----------
    coords : AstromCoords
        The image.
    ra, dec : ndarray of float64, shape (n,)
        Positions, ICRS [deg].

    Returns
    -------
    x, y : ndarray of float64, shape (n,)
        Pixels; NaN where the position is on the other side of the sky, or where the
        polynomial cannot be inverted.

    Raises
    ------
    BadCatalogError
        If coords is a WRP chip without its mosaic.
    """
    plane = _mosaic_of(coords) if coords.kind == "WRP" else coords
    x, y = _invert(plane, *tan_project(ra, dec, *plane.crval))
    if coords.kind != "WRP":
        return x, y
    return _invert(coords, x - coords.crval[0], y - coords.crval[1])


def scale_matrix(solution: Solution, x: float, y: float) -> tuple[float, float, float, float]:
    """Linear terms of the way from pixels to the sky at one point.

    Parameters
    ----------
    solution : Solution
        The image's astrometry.
    x, y : float
        The point [pix].

    Returns
    -------
    tuple of float
        d(east)/dx, d(east)/dy, d(north)/dx, d(north)/dy [arcsec/pix].
    """
    ra, dec = solution.to_sky(np.array([x, x + 1.0, x]), np.array([y, y, y + 1.0]))
    if not np.all(np.isfinite(ra)):
        return (math.nan, math.nan, math.nan, math.nan)
    xi, eta = tan_project(ra, dec, float(ra[0]), float(dec[0]))
    xi, eta = xi * 3600.0, eta * 3600.0
    return (float(xi[1]), float(xi[2]), float(eta[1]), float(eta[2]))


def errors_on_sky(
    solution: Solution, nx: int, ny: int, x_err: NDArray[Any], y_err: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Errors of pixels as errors on the sky, by the scale at the middle of the chip.

    Parameters
    ----------
    solution : Solution
        The image's astrometry.
    nx, ny : int
        Size of the chip [pix].
    x_err, y_err : ndarray, shape (n,)
        Errors of pixels [pix].

    Returns
    -------
    ra_err, dec_err : ndarray of float32, shape (n,)
        Errors to the east and north [arcsec]; NaN where an input is NaN.
    """
    east_x, east_y, north_x, north_y = (
        np.float32(v) for v in scale_matrix(solution, nx / 2, ny / 2)
    )
    return (
        np.hypot(east_x * x_err, east_y * y_err).astype(np.float32, copy=False),
        np.hypot(north_x * x_err, north_y * y_err).astype(np.float32, copy=False),
    )


def _mosaic_of(coords: AstromCoords) -> AstromCoords:
    if coords.mosaic is None:
        raise BadCatalogError(
            "a chip with CTYPE1 ending in -WRP has no focal plane: the primary header needs "
            "CTYPE1 ending in -DIS; add the mosaic file the chip came from"
        )
    return coords.mosaic


def _polynomial(c: AstromCoords, x: F64, y: F64) -> tuple[F64, F64]:
    u, v = (x - c.crpix[0]) * c.cdelt[0], (y - c.crpix[1]) * c.cdelt[1]
    first = c.pc[0] * u + c.pc[1] * v
    second = c.pc[2] * u + c.pc[3] * v
    if c.npolyterms < 2:
        return first, second
    t = c.polyterms
    uu, uv, vv = u * u, u * v, v * v
    first += t[0] * uu + t[1] * uv + t[2] * vv
    second += t[7] * uu + t[8] * uv + t[9] * vv
    if c.npolyterms > 2:
        first += (t[3] * u + t[4] * v) * uu + (t[5] * u + t[6] * v) * vv
        second += (t[10] * u + t[11] * v) * uu + (t[12] * u + t[13] * v) * vv
    return first, second


def _gradient(t: tuple[float, ...], u: F64, v: F64) -> tuple[F64, F64]:
    """Derivatives of seven polynomial terms by u and by v."""
    by_u = 2 * t[0] * u + t[1] * v + 3 * t[3] * u * u + 2 * t[4] * u * v + t[5] * v * v
    by_v = t[1] * u + 2 * t[2] * v + t[4] * u * u + 2 * t[5] * u * v + 3 * t[6] * v * v
    return by_u, by_v


def _invert(c: AstromCoords, first: F64, second: F64) -> tuple[F64, F64]:
    """Pixels whose polynomial, without CRVAL, has the given values."""
    a, b, d, e = c.pc
    det = a * e - b * d
    if det == 0 or c.cdelt[0] == 0 or c.cdelt[1] == 0:
        raise BadCatalogError("the astrometry is singular: its PC matrix or CDELT has no inverse")
    u = (e * first - b * second) / det
    v = (a * second - d * first) / det
    if c.npolyterms > 1:
        terms = c.polyterms if c.npolyterms > 2 else _quadratic(c.polyterms)
        unit = AstromCoords("", (0, 0), pc=c.pc, npolyterms=_MAX_ORDER, polyterms=terms)
        size = float(np.nanmax(np.abs([u, v]), initial=1.0))
        # A turning point of the polynomial may divide by zero: such rows end as NaN.
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for _ in range(_NEWTON_STEPS):
                got1, got2 = _polynomial(unit, u, v)
                off1, off2 = first - got1, second - got2
                xu, xv = _gradient(terms[:7], u, v)
                yu, yv = _gradient(terms[7:], u, v)
                xu, xv, yu, yv = xu + a, xv + b, yu + d, yv + e
                jacobian = xu * yv - xv * yu
                du = (yv * off1 - xv * off2) / jacobian
                dv = (xu * off2 - yu * off1) / jacobian
                u, v = u + du, v + dv
                step = np.maximum(np.abs(du), np.abs(dv))
                if not np.nanmax(step, initial=0.0) > 1e-13 * size:
                    break
            lost = ~(step <= 1e-9 * size)
        u, v = np.where(lost, np.nan, u), np.where(lost, np.nan, v)
    return u / c.cdelt[0] + c.crpix[0], v / c.cdelt[1] + c.crpix[1]


def _quadratic(terms: tuple[float, ...]) -> tuple[float, ...]:
    return (*terms[:3], 0.0, 0.0, 0.0, 0.0, *terms[7:10], 0.0, 0.0, 0.0, 0.0)


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
                _mosaic_of(coords)
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
    if not isinstance(order, int) or not 0 <= order <= _MAX_ORDER:
        raise BadCatalogError(
            f"{header.where}: NPLYTERM = {order!r}; polynomials of order 0 to {_MAX_ORDER} are read"
        )
    terms: tuple[float, ...] = _NO_TERMS
    if order > 1:
        terms = tuple(
            _number(header, f"PCA{axis}X{i}Y{j}", 0.0) if i + j <= order else 0.0
            for axis in (1, 2)
            for i, j in _POWERS
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
    grid = np.linspace(0.0, 1.0, 12)
    x, y = (a.ravel() for a in np.meshgrid(grid * max(nx, 1), grid * max(ny, 1)))
    ra, dec = exact(x, y)
    centre = exact(np.array([nx / 2]), np.array([ny / 2]))
    if not (np.all(np.isfinite(ra)) and np.all(np.isfinite(centre))):
        raise BadCatalogError(f"{header.where}: the astrometry gives no position on the chip")
    crval = (float(centre[0][0]), float(centre[1][0]))
    xi, eta = tan_project(ra, dec, *crval)
    # Unit scale for the normal equations: pixels to the third power would ruin them.
    size = max(nx, ny, 1) / 2
    u, v = (x - nx / 2) / size, (y - ny / 2) / size
    design = np.stack([np.ones_like(u), u, v, *(u**i * v**j for i, j in _POWERS)], axis=1)
    fit, *_ = np.linalg.lstsq(design, np.stack([xi, eta], axis=1), rcond=None)
    power = np.array([0, 1, 1, *(i + j for i, j in _POWERS)])
    terms = fit / size ** power[:, None]
    coords = AstromCoords(
        ctype="RA---TAN",
        crval=tuple(float(a[0]) for a in tan_deproject(fit[0, :1], fit[0, 1:], *crval)),  # type: ignore[arg-type]  # two values
        crpix=(nx / 2, ny / 2),
        pc=(terms[1, 0], terms[2, 0], terms[1, 1], terms[2, 1]),
        npolyterms=_MAX_ORDER,
        polyterms=tuple(float(t) for t in terms[3:].T.ravel()),
    )
    got_ra, got_dec = pixel_to_sky(coords, x, y)
    off1, off2 = tan_project(got_ra, got_dec, *crval)
    error = 3600.0 * float(np.max(np.hypot(off1 - xi, off2 - eta)))
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
