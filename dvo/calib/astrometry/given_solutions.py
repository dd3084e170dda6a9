"""Astrometric solutions from tables and headers of a caller's, as new rows of Image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.fit import fit_chip
from dvo.astrometry.header import read_solution
from dvo.astrometry.image_rows import COORD_COLUMNS, coords_columns, image_coords
from dvo.astrometry.polynomials import MAX_ORDER, POWERS
from dvo.astrometry.residual_maps import MAX_CELLS
from dvo.calib.photometry.given_columns import GivenColumns
from dvo.errors import AstrometryError, BadCatalogError
from dvo.tables.column_table import ColumnTable
from dvo.tables.fits.hdu import FitsFile
from dvo.tables.fits.header import Header
from dvo.tables.image import N_MAP_VALUES, N_POLYTERMS

__all__ = ["SOLUTION_COLUMNS", "GivenSolutions", "read_header", "solutions_of_headers",
           "solutions_of_table"]  # fmt: skip

Array = NDArray[Any]
I64 = NDArray[np.int64]

_NUMBERS = ("crval1", "crval2", "crpix1", "crpix2", "cdelt1", "cdelt2",
            "pc1_1", "pc1_2", "pc2_1", "pc2_2")  # fmt: skip
_TERMS = tuple(f"pca{axis}x{i}y{j}" for axis in (1, 2) for i, j in POWERS[3:])

SOLUTION_COLUMNS = {
    "image_id": ("image_id",),
    "name": ("name",),
    "npolyterms": ("npolyterms", "nplyterm"),
    "polyterms": ("polyterms",),
    **{name: (name,) for name in ("astrom_map_nx", "astrom_map_ny", "astrom_map")},
    **{name: (name,) for name in (*_NUMBERS, *_TERMS)},
}
"""What a table of solutions may have, and how its columns may be called."""


@dataclass(frozen=True, eq=False)
class GivenSolutions:
    """New terms of images.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,)
        Rows of Image; none stands twice.
    columns : dict of str to ndarray
        Their new values, by columns of Image.
    unmatched : tuple of str
        What was given for no image of the database.
    error_arcsec : float
        Greatest error of a fit to another form [arcsec]; 0 if all is exact.
    """

    rows: I64
    columns: dict[str, Array]
    unmatched: tuple[str, ...] = ()
    error_arcsec: float = 0.0


def solutions_of_table(given: GivenColumns, images: ColumnTable) -> GivenSolutions:
    """Read solutions from a table with a row an image, or focal plane.

    Parameters
    ----------
    given : GivenColumns
        The table, see `SOLUTION_COLUMNS`. A column that it does not have stays as it is; the terms
        of polynomials go together.
    images : ColumnTable
        Rows of Image.

    Returns
    -------
    GivenSolutions
        The terms.

    Raises
    ------
    BadCatalogError
        If a value is no number, or the table names no images, or one twice.
    """
    at, unmatched = _rows(given, images)
    known = np.flatnonzero(at >= 0)
    rows = at[known]
    twice = np.flatnonzero(np.bincount(rows, minlength=1) > 1)
    if len(twice):
        number = int(images["image_id"][twice[0]])
        raise BadCatalogError(f"{given.source}: two rows mean image {number}; keep one")
    columns: dict[str, Array] = {}
    for name in _NUMBERS:
        values = given.numbers((name,))
        if values is not None:
            columns[name] = values[known]
    order = given.integers(SOLUTION_COLUMNS["npolyterms"], 0, MAX_ORDER)
    if order is not None:
        columns["npolyterms"] = order[known].astype(np.int32)
    terms = _terms(given)
    if terms is not None:
        columns["polyterms"] = terms[known]
    if not columns and given.find(("astrom_map",)) is None:
        raise BadCatalogError(f"{given.source}: no column of a solution (crval1, crpix1, pc1_1, "
                              "polyterms, …); give some")  # fmt: skip
    if (order is None) != (terms is None):
        raise BadCatalogError(f"{given.source}: npolyterms and the terms of polynomials "
                              "(polyterms, or pca1x2y0 …) go together; give both")  # fmt: skip
    _refuse_singular(given, images, rows, known, columns)
    columns |= {name: values[known] for name, values in _maps(given).items()}
    return GivenSolutions(rows, columns, unmatched)


def _maps(given: GivenColumns) -> dict[str, Array]:
    """Residual maps: their cells, and the shifts in them."""
    found: dict[str, Array] = {}
    for name in ("astrom_map_nx", "astrom_map_ny"):
        cells = given.integers((name,), 0, MAX_CELLS)
        if cells is not None:
            found[name] = cells.astype(np.int32)
    values = given.find(("astrom_map",))
    if values is not None:
        found["astrom_map"] = values
    if found and (len(found) < 3 or found["astrom_map"].shape != (len(given), N_MAP_VALUES)):
        raise BadCatalogError(
            f"{given.source}: a residual map has astrom_map_nx, astrom_map_ny and astrom_map "
            f"({N_MAP_VALUES} numbers a row); give all"
        )
    if found:
        nx, ny = found["astrom_map_nx"], found["astrom_map_ny"]
        own = np.arange(MAX_CELLS) < np.stack([nx, ny], axis=1)[:, :, None]
        has = np.isfinite(found["astrom_map"]).reshape(-1, 2, MAX_CELLS, MAX_CELLS)
        lacks = (own[:, 1, :, None] & own[:, 0, None, :])[:, None] & ~has
        is_bad = lacks.any(axis=(1, 2, 3)) | ((nx > 0) != (ny > 0))
        given.refuse(np.asarray(is_bad), lambda _: "a cell of astrom_map is no number, or it has "
                     "cells in one direction only")  # fmt: skip
    return found


def _rows(given: GivenColumns, images: ColumnTable) -> tuple[I64, tuple[str, ...]]:
    """Row of Image of each row of the table, -1 for none."""
    number = given.integers(SOLUTION_COLUMNS["image_id"], 0, 2**32 - 1)
    name = given.texts(SOLUTION_COLUMNS["name"])
    if number is not None:
        wanted: list[Any] = number.tolist()
        place = {v: k for k, v in enumerate(images["image_id"].tolist())}
    elif name is not None:
        wanted = name.tolist()
        place = _places_by_name(images)
    else:
        raise BadCatalogError(f"{given.source}: no columns that name images; they go by image_id, "
                              "or by name")  # fmt: skip
    at = np.array([place.get(v, -1) for v in wanted], np.int64)
    given.refuse(
        np.asarray(at == -2), lambda k: f"several images are called {wanted[k]}; go by image_id"
    )
    return at, tuple(str(wanted[k]) for k in np.flatnonzero(at < 0))


def _places_by_name(images: ColumnTable) -> dict[str, int]:
    """Row of each name; that of the chip if its exposure has it too, -2 if there are several."""
    found: dict[str, int] = {}
    names = [n.decode("ascii", "replace").rstrip("\0") for n in images["name"].tolist()]
    is_chip = images["photcode"] != 0
    for row in np.argsort(~is_chip, kind="stable").tolist():
        name = names[row]
        if name not in found:
            found[name] = row
        elif is_chip[row] == is_chip[found[name]] or found[name] == -2:
            found[name] = -2
    return found


def _terms(given: GivenColumns) -> Array | None:
    whole = given.find(SOLUTION_COLUMNS["polyterms"])
    if whole is not None:
        if whole.dtype.kind != "f" or whole.shape != (len(given), N_POLYTERMS):
            raise BadCatalogError(f"{given.source}: polyterms has shape {whole.shape}; give "
                                  f"{N_POLYTERMS} numbers a row")  # fmt: skip
        given.refuse(
            np.asarray(~np.isfinite(whole).all(axis=1)),
            lambda _: "a term of polyterms is no number",
        )
        return whole
    single = [given.numbers((name,)) for name in _TERMS]
    if all(v is None for v in single):
        return None
    none = np.zeros(len(given))
    return np.stack([none if v is None else v for v in single], axis=1)


def _refuse_singular(
    given: GivenColumns, images: ColumnTable, rows: I64, known: I64, columns: dict[str, Array]
) -> None:
    def value(name: str) -> Array:
        return np.asarray(columns.get(name, images[name][rows]))

    is_bad = np.zeros(len(given), np.bool_)
    det = value("pc1_1") * value("pc2_2") - value("pc1_2") * value("pc2_1")
    is_bad[known] = (det == 0) | (value("cdelt1") == 0) | (value("cdelt2") == 0)
    given.refuse(is_bad, lambda _: "it is singular: its PC matrix or CDELT has no inverse")


def solutions_of_headers(
    headers: Sequence[tuple[str, Header]], images: ColumnTable, *, limit_arcsec: float
) -> GivenSolutions:
    """Read solutions from headers: psastro's, plain TAN, SIP, TPV or what else astropy reads.

    A chip of a mosaic gets a cubic in its focal plane, which stays, or is among the headers.

    Parameters
    ----------
    headers : sequence of (str, Header)
        Name or number of an image, or of an exposure for its focal plane, and its header.
    images : ColumnTable
        Rows of Image.
    limit_arcsec : float
        Greatest error of a fit that is allowed [arcsec].

    Returns
    -------
    GivenSolutions
        The terms.

    Raises
    ------
    BadCatalogError
        If a header has no astrometry, or two are of one image.
    AstrometryError
        If a fit is worse than the limit.
    """
    names = _places_by_name(images)
    numbers = {str(v): k for k, v in enumerate(images["image_id"].tolist())}
    at = [numbers.get(name, names.get(name, -1)) for name, _ in headers]
    for (name, header), row in zip(headers, at, strict=True):
        if row == -2:
            raise BadCatalogError(f"{header.where}: several images are called {name}; go by number")
    known = [row for row in at if row >= 0]
    if len(set(known)) < len(known):
        raise BadCatalogError("two headers are of one image; keep one")
    coords = image_coords(images)
    found: dict[int, AstromCoords] = {}
    error = 0.0
    # Focal planes come first: chips may be fitted to them.
    pairs = sorted(zip(at, headers, strict=True), key=lambda p: bool(images["photcode"][p[0]]))
    plane_of = {int(images["image_id"][row]): row for row in known}
    for row, (name, header) in pairs:
        if row < 0:
            continue
        own = coords[row]
        plane = found.get(plane_of.get(int(images["parent_id"][row]), -1))
        if plane is None and own is not None:
            plane = own.mosaic
        size = int(images["nx"][row]), int(images["ny"][row])
        found[row], fit_error = _one_solution(header, plane, *size)
        if fit_error > limit_arcsec:
            raise AstrometryError(
                f"{header.where}: kept as a cubic, the astrometry of {name} would be off by up to "
                f"{1e3 * fit_error:.3g} mas, more than the limit of {1e3 * limit_arcsec:g} mas"
            )
        error = max(error, fit_error)
    values = [coords_columns(c) for c in found.values()]
    columns = {n: np.array([v[n] for v in values], images[n].dtype) for n in COORD_COLUMNS}
    unmatched = tuple(name for (name, _), row in zip(headers, at, strict=True) if row < 0)
    return GivenSolutions(np.array(list(found), np.int64), columns, unmatched, error)


def _one_solution(
    header: Header, plane: AstromCoords | None, nx: int, ny: int
) -> tuple[AstromCoords, float]:
    solution = read_solution(header, nx=nx, ny=ny, mosaic=plane)
    if solution is None:
        raise BadCatalogError(f"{header.where}: has no astrometry (CTYPE1); give another header")
    if plane is None or solution.coords.kind in ("WRP", "DIS"):
        return solution.coords, solution.fit_error_arcsec
    try:
        return fit_chip(solution.to_sky, plane, nx, ny)
    except AstrometryError as error:
        raise AstrometryError(f"{header.where}: {error}") from error


def read_header(path: Path) -> Header:
    """Read the first header with astrometry of a FITS file, or of a file of its lines.

    Parameters
    ----------
    path : Path
        The file: FITS, or text as `dvo wcs` and SCAMP write it.

    Returns
    -------
    Header
        The header.

    Raises
    ------
    BadCatalogError
        If there is none.
    """
    with path.open("rb") as file:
        start = file.read(80)
    if start.startswith(b"SIMPLE  =") and b"\n" not in start:
        with FitsFile(path) as fits:
            for hdu in fits:
                if "CTYPE1" in hdu.header:
                    return hdu.header
        raise BadCatalogError(f"{path}: no HDU has astrometry (CTYPE1)")
    text = path.read_text(encoding="ascii", errors="replace")
    lines = text.split("\nEND", maxsplit=1)[0].splitlines()
    return Header("".join(line[:80].ljust(80) for line in lines if line.strip()), str(path))
