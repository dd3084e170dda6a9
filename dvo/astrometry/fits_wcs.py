"""FITS headers of the astrometry of an image: TAN, SIP and TPV, and DVO's own WRP and DIS.

SIP (Shupe et al. 2005) and TPV (the FITS registry of conventions) are polynomials in pixels
before, and in degrees after the linear terms. An image that goes straight to the tangent plane is
written exactly. A chip of a mosaic is a polynomial of a polynomial on a plane that touches the sky
elsewhere: it is written about its own middle, by the lowest order that is good to a microarcsecond,
or else by the highest, and refused if that is worse than a limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.fit import chip_grid
from dvo.astrometry.model import AstromModel
from dvo.astrometry.polynomials import POWERS
from dvo.errors import AstrometryError
from dvo.projection import tan_deproject, tan_project
from dvo.sphere import separation

__all__ = ["FORMS", "Card", "FitsWcs", "dvo_cards", "fits_wcs"]

F64 = NDArray[np.float64]
Card = tuple[str, tuple[float | int | str, str]]

FORMS = ("sip", "tpv")

_HIGHEST = {"sip": 9, "tpv": 7}
_FINE_MAS = 1e-3
_FIT, _CHECK = 18, 33  # places in a direction


@dataclass(frozen=True)
class FitsWcs:
    """A solution as FITS keywords.

    Parameters
    ----------
    form : str
        What CTYPE says: ``TAN``, ``SIP`` or ``TPV``.
    order : int
        Order of its polynomials.
    error_mas : float
        Greatest distance of what the header says from the model, over the image [mas].
    inverse_error_pix : float
        Greatest error of the polynomials back to pixels that SIP has beside, over the image
        [pix]; 0 where there are none.
    cards : tuple
        Keywords, each with its value and comment.
    """

    form: str
    order: int
    error_mas: float
    inverse_error_pix: float
    cards: tuple[Card, ...]


@dataclass(frozen=True, eq=False)
class _Places:
    """Places on the image with the tangent plane of the header."""

    x: F64
    y: F64
    xi: F64
    eta: F64


@dataclass(frozen=True, eq=False)
class _Frame:
    """Reference pixel, tangent point, and the size that makes pixels of order one."""

    crpix: tuple[float, float]
    crval: tuple[float, float]
    size: float


@dataclass(frozen=True, eq=False)
class _Form:
    """Polynomials of a header: in pixels before the matrix (SIP), or after it (TPV)."""

    is_before: bool
    matrix: F64
    terms: F64
    powers: list[tuple[int, int]]


def fits_wcs(
    model: AstromModel, image: int, nx: int, ny: int, *, form: str = "sip", limit_mas: float = 1.0
) -> FitsWcs:
    """Write the astrometry of an image as a FITS WCS.

    Parameters
    ----------
    model : AstromModel
        The model.
    image : int
        Number of the image in it.
    nx, ny : int
        Size of the image [pix].
    form : {'sip', 'tpv'}
        How distortions are written; an image without any is a TAN in either.
    limit_mas : float
        Greatest error that is allowed on the image [mas].

    Returns
    -------
    FitsWcs
        The keywords, and how good they are.

    Raises
    ------
    AstrometryError
        If the image has no size or no astrometry on all of it, or no order is good enough.
    """
    if form not in FORMS:
        raise AstrometryError(
            f"a FITS WCS of form {form!r} is not known; give {' or '.join(FORMS)}"
        )
    if nx < 1 or ny < 1:
        raise AstrometryError(f"the image has a size of {nx} x {ny} pixels; a WCS needs one")
    if model.plane[image] < 0:
        raise AstrometryError("the image has no astrometry")
    is_direct = bool(model.map[image] < 0) and _is_identity(model, image)
    frame = _own_frame(model, image, nx, ny) if is_direct else _middle_frame(model, image, nx, ny)
    fit, check = (_places(model, image, nx, ny, frame, n) for n in (_FIT, _CHECK))
    best: tuple[float, int, _Form] | None = None
    for order in range(1, _HIGHEST[form] + 1):
        is_tpv = form == "tpv" and order > 1
        found = _fit_tpv(fit, frame, order) if is_tpv else _fit_sip(fit, frame, order)
        error = _error_mas(_apply(found, frame, check), check, frame)
        if best is None or error < best[0]:
            best = error, order, found
        if error <= _FINE_MAS:
            break
    assert best is not None
    error, order, found = best
    if not error <= limit_mas:
        raise AstrometryError(
            f"as {form.upper()} of order {order} the astrometry would be off by up to {error:.3g} "
            f"mas, more than the limit of {limit_mas:g} mas; allow more, or write it as DVO's own "
            "keywords"
        )
    made = _write(form, order, error, found, frame, fit)
    size: list[Card] = [("IMAGEW", (nx, "[pix] width of the image")),
                        ("IMAGEH", (ny, "[pix] height of the image"))]  # fmt: skip
    return replace(made, cards=(*made.cards, *size))


def _is_identity(model: AstromModel, image: int) -> bool:
    chip = model.chips.terms[image], model.chips.reference[image]
    plain = np.zeros((2, 10))
    plain[0, 1] = plain[1, 2] = 1.0
    return np.array_equal(chip[0], plain) and np.array_equal(chip[1], [0.0, 0.0, 1.0, 1.0])


def _own_frame(model: AstromModel, image: int, nx: int, ny: int) -> _Frame:
    plane = int(model.plane[image])
    x0, y0 = model.planes.reference[plane, :2].tolist()
    ra, dec = model.tangent[plane].tolist()
    return _Frame((x0, y0), (ra % 360.0, dec), max(abs(x0), abs(nx - x0), abs(y0), abs(ny - y0)))


def _middle_frame(model: AstromModel, image: int, nx: int, ny: int) -> _Frame:
    x0, y0 = 0.5 * (nx + 1.0), 0.5 * (ny + 1.0)
    ra, dec = model.to_sky([image], [x0], [y0])
    return _Frame((x0, y0), (float(ra[0]), float(dec[0])), 0.5 * max(nx, ny))


def _places(model: AstromModel, image: int, nx: int, ny: int, frame: _Frame, n: int) -> _Places:
    x, y = chip_grid(nx, ny, n)
    ra, dec = model.to_sky(np.full(len(x), image), x, y)
    xi, eta = tan_project(ra, dec, *frame.crval)
    if not np.isfinite(xi).all():
        raise AstrometryError("the astrometry gives no position somewhere on the image")
    return _Places(x, y, xi, eta)


def _powers(low: int, high: int) -> list[tuple[int, int]]:
    return [(n - j, j) for n in range(low, high + 1) for j in range(n + 1)]


def _sums(u: F64, v: F64, powers: list[tuple[int, int]], terms: F64) -> list[F64]:
    """Values of polynomials, one for each row of terms."""
    total = [np.zeros(len(u)) for _ in terms]
    for k, (i, j) in enumerate(powers):
        product = u**i * v**j
        for value, row in zip(total, terms, strict=True):
            value += row[k] * product
    return total


def _solve(u: F64, v: F64, powers: list[tuple[int, int]], size: float, *values: F64) -> F64:
    """Terms of the polynomials of u and v, which are at most of some size, with these values."""
    basis = np.stack([(u / size) ** i * (v / size) ** j for i, j in powers], axis=1)
    found, *_ = np.linalg.lstsq(basis, np.stack(values, axis=1), rcond=None)
    terms: F64 = (found / size ** np.array([[i + j] for i, j in powers])).T
    return terms


def _fit_sip(at: _Places, frame: _Frame, order: int) -> _Form:
    powers = _powers(1, order)
    u, v = at.x - frame.crpix[0], at.y - frame.crpix[1]
    terms = _solve(u, v, powers, frame.size, at.xi, at.eta)
    matrix = terms[:, :2]
    bent = np.linalg.solve(matrix, terms[:, 2:]).astype(np.float64)
    return _Form(True, matrix, bent, powers[2:])


def _fit_tpv(at: _Places, frame: _Frame, order: int) -> _Form:
    matrix = _fit_sip(at, frame, order).matrix
    x, y = matrix @ np.stack([at.x - frame.crpix[0], at.y - frame.crpix[1]])
    powers = _powers(0, order)
    size = float(np.max(np.abs([x, y])))
    return _Form(False, matrix, _solve(x, y, powers, size, at.xi, at.eta), powers)


def _apply(found: _Form, frame: _Frame, at: _Places) -> tuple[F64, F64]:
    """Tangent plane [deg] of pixels, as a reader of the header works it out."""
    pixels = np.stack([at.x - frame.crpix[0], at.y - frame.crpix[1]])
    if found.is_before:
        bent = pixels + np.stack(_sums(pixels[0], pixels[1], found.powers, found.terms))
        xi, eta = found.matrix @ bent
    else:
        x, y = found.matrix @ pixels
        xi, eta = _sums(x, y, found.powers, found.terms)
    return xi, eta


def _error_mas(plane: tuple[F64, F64], at: _Places, frame: _Frame) -> float:
    got = tan_deproject(*plane, *frame.crval)
    want = tan_deproject(at.xi, at.eta, *frame.crval)
    return 3.6e6 * float(np.max(separation(*got, *want)))


def _write(
    form: str, order: int, error: float, found: _Form, frame: _Frame, fit: _Places
) -> FitsWcs:
    more: list[Card] = []
    inverse = 0.0
    if order > 1 and form == "sip":
        back, inverse = _sip_back(found, frame, fit, min(9, order + 1))
        more = [*_sip_cards("A", "B", found), *_sip_cards("AP", "BP", back)]
    elif order > 1:
        more = _tpv_cards(found)
    name = "TAN" if order == 1 else form.upper()
    ctype = {"TAN": "TAN", "SIP": "TAN-SIP", "TPV": "TPV"}[name]
    cards = [*_linear_cards(ctype, frame, found.matrix), *more]
    cards.append(("FITERR", (error, "[mas] greatest error of these keywords")))
    return FitsWcs(name, order, error, inverse, tuple(cards))


def _linear_cards(ctype: str, frame: _Frame, matrix: F64) -> list[Card]:
    cards: list[Card] = [("WCSAXES", (2, "number of axes"))]
    for axis, (start, what) in enumerate((("RA---", "right ascension"), ("DEC--", "declination"))):
        n = axis + 1
        cards += [
            (f"CTYPE{n}", (start + ctype, what)),
            (f"CUNIT{n}", ("deg", "")),
            (f"CRVAL{n}", (frame.crval[axis], "tangent point")),
            (f"CRPIX{n}", (frame.crpix[axis], "its pixel; the first pixel is 1")),
            (f"CD{n}_1", (float(matrix[axis, 0]), "")),
            (f"CD{n}_2", (float(matrix[axis, 1]), "")),
        ]
    return [*cards, ("RADESYS", ("ICRS", ""))]


def _sip_cards(first: str, second: str, found: _Form) -> list[Card]:
    cards: list[Card] = []
    order = max(i + j for i, j in found.powers)
    for axis, letter in enumerate((first, second)):
        cards.append((f"{letter}_ORDER", (order, "")))
        cards += [
            (f"{letter}_{i}_{j}", (float(found.terms[axis, k]), ""))
            for k, (i, j) in enumerate(found.powers)
        ]
    return cards


def _sip_back(found: _Form, frame: _Frame, at: _Places, order: int) -> tuple[_Form, float]:
    """Polynomials from the linear plane back to pixels, which SIP has beside."""
    powers = _powers(0, order)
    u, v = at.x - frame.crpix[0], at.y - frame.crpix[1]
    bent = np.linalg.solve(found.matrix, np.stack([at.xi, at.eta]))
    terms = _solve(bent[0], bent[1], powers, frame.size, u - bent[0], v - bent[1])
    got = _sums(bent[0], bent[1], powers, terms)
    error = np.hypot(bent[0] + got[0] - u, bent[1] + got[1] - v)
    return _Form(False, found.matrix, terms, powers), float(error.max())


def _tpv_cards(found: _Form) -> list[Card]:
    cards: list[Card] = []
    for axis in range(2):
        # The second axis has its own coordinate first.
        values = {
            _tpv_number(*((i, j) if axis == 0 else (j, i))): float(found.terms[axis, k])
            for k, (i, j) in enumerate(found.powers)
        }
        cards += [(f"PV{axis + 1}_{n}", (values[n], "")) for n in sorted(values)]
    return cards


def _tpv_number(i: int, j: int) -> int:
    """Return m of PVn_m for the power i of the axis itself and j of the other one.

    Those of odd orders end with a power of the radius: 3, 11, 23, 39.
    """
    order = i + j
    return order * (order + 1) // 2 + j + order // 2


def dvo_cards(coords: AstromCoords) -> tuple[Card, ...]:
    """Write the astrometry of one row as psastro does: WRP, DIS, or a TAN with a polynomial.

    Parameters
    ----------
    coords : AstromCoords
        The row; the focal plane of a chip is a header of its own.

    Returns
    -------
    tuple
        Keywords, each with its value and comment.
    """
    cards: list[Card] = []
    kind = "DIS" if coords.kind == "TAN" else coords.kind  # a plain TAN has no polynomial
    for axis, start in enumerate(("RA---", "DEC--")):
        n = axis + 1
        cards += [
            (f"CTYPE{n}", (start + kind, "")),
            (f"CRVAL{n}", (coords.crval[axis], "")),
            (f"CRPIX{n}", (coords.crpix[axis], "")),
            (f"CDELT{n}", (coords.cdelt[axis], "")),
            (f"PC{n}_1", (coords.pc[2 * axis], "")),
            (f"PC{n}_2", (coords.pc[2 * axis + 1], "")),
        ]
    cards.append(("NPLYTERM", (coords.npolyterms, "order of the polynomial")))
    for axis in range(2):
        for k, (i, j) in enumerate(POWERS[3:]):
            if i + j <= coords.npolyterms:
                cards.append((f"PCA{axis + 1}X{i}Y{j}", (coords.polyterms[7 * axis + k], "")))
    return tuple(cards)
