"""Astrometry of images from and to rows of the Image table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.coords import AstromCoords
from dvo.astrometry.model import AstromModel
from dvo.astrometry.polynomials import N_TERMS, Polynomials
from dvo.astrometry.residual_maps import MAX_CELLS, ResidualMaps
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import N_MAP_VALUES, N_POLYTERMS

__all__ = ["COORD_COLUMNS", "coords_columns", "image_coords", "model_columns", "read_model"]

F64 = NDArray[np.float64]

_NUMBERS = ("crval1", "crval2", "crpix1", "crpix2", "cdelt1", "cdelt2",
            "pc1_1", "pc1_2", "pc2_1", "pc2_2")  # fmt: skip

_MAPS = ("astrom_map_nx", "astrom_map_ny", "astrom_map")

COORD_COLUMNS = (*_NUMBERS, "polyterms", "npolyterms", "ctype", *_MAPS)
"""Columns of Image that hold the astrometry of a row."""


def image_coords(images: ColumnTable) -> list[AstromCoords | None]:
    """Astrometry of each row.

    Parameters
    ----------
    images : ColumnTable
        Rows of Image; those of focal planes are among them.

    Returns
    -------
    list of AstromCoords or None
        None where a row has none, or names a focal plane that is not there.
    """
    numbers = _numbers(images)
    own = [_coords(images, numbers, i) for i in range(len(images))]
    by_id = dict(zip(images["image_id"].tolist(), own, strict=True))
    found: list[AstromCoords | None] = []
    for coords, parent in zip(own, images["parent_id"].tolist(), strict=True):
        if coords is None or coords.kind != "WRP":
            found.append(coords)
            continue
        plane = by_id.get(parent)
        found.append(None if plane is None else _with_plane(coords, plane))
    return found


def _numbers(images: ColumnTable) -> F64:
    """Return crval, crpix, cdelt and pc of each row; NaN where it has no astrometry."""
    found = np.stack([images[name].astype(np.float64) for name in _NUMBERS], axis=1)
    found[(images["ctype"] == b"") | ~np.isfinite(found).all(axis=1)] = np.nan
    return found


def _coords(images: ColumnTable, numbers: F64, i: int) -> AstromCoords | None:
    if np.isnan(numbers[i, 0]):
        return None
    c1, c2, x0, y0, sx, sy, a, b, d, e = numbers[i].tolist()
    terms = np.nan_to_num(images["polyterms"][i])
    return AstromCoords(
        images["ctype"][i].decode("ascii", "replace"),
        (c1, c2),
        (x0, y0),
        (sx, sy),
        (a, b, d, e),
        max(0, int(images["npolyterms"][i])),
        tuple(terms.tolist()),
    )


def _with_plane(chip: AstromCoords, plane: AstromCoords) -> AstromCoords:
    return replace(chip, mosaic=plane)


def coords_columns(coords: AstromCoords) -> dict[str, Any]:
    """Write the astrometry of an image as values of a row of Image.

    Parameters
    ----------
    coords : AstromCoords
        The astrometry; its focal plane is another row.

    Returns
    -------
    dict
        Values by column, see `COORD_COLUMNS`.
    """
    numbers = (*coords.crval, *coords.crpix, *coords.cdelt, *coords.pc)
    row: dict[str, Any] = dict(zip(_NUMBERS, numbers, strict=True))
    row |= {
        "ctype": coords.ctype.encode(),
        "npolyterms": coords.npolyterms,
        "polyterms": np.array(coords.polyterms, np.float64),
        "astrom_map_nx": 0,
        "astrom_map_ny": 0,
        "astrom_map": np.full(N_MAP_VALUES, np.nan),
    }
    return row


def read_model(images: ColumnTable) -> AstromModel:
    """Make the model of all rows of Image.

    Parameters
    ----------
    images : ColumnTable
        Rows of Image with image_id, parent_id, nx, ny and `COORD_COLUMNS`; those of focal planes
        are among them.

    Returns
    -------
    AstromModel
        Image i is row i; a row of a focal plane is an image whose pixels are those of the focal
        plane. A chip whose focal plane is not there has no astrometry.
    """
    numbers = _numbers(images)
    is_there = ~np.isnan(numbers[:, 0])
    is_chip = _is_chip(images)
    plane_rows = np.flatnonzero(is_there & ~is_chip)
    rows = np.arange(len(images))
    number = np.full(len(images), -1, np.int64)
    number[plane_rows] = np.arange(len(plane_rows))
    own = _polynomials(images, numbers, rows)
    chips = Polynomials.identity(len(images))
    for name in ("reference", "terms", "order"):
        getattr(chips, name)[is_chip] = getattr(own, name)[is_chip]
    chips.terms[is_chip, :, 0] = numbers[is_chip, :2]
    parent = _row_of_parent(images)
    plane = np.where(is_chip, np.where(parent >= 0, number[parent], -1), number)
    plane[~is_there] = -1
    maps, of_image = _maps(images)
    return AstromModel(chips, own.take(plane_rows), numbers[plane_rows, :2], plane, maps, of_image)


def _maps(images: ColumnTable) -> tuple[ResidualMaps, NDArray[np.int64]]:
    """Return the residual maps of rows that have one, and the number of each row's; -1 for none."""
    cells = np.stack([images["astrom_map_nx"], images["astrom_map_ny"]], axis=1).astype(np.int64)
    rows = np.flatnonzero((cells > 0).all(axis=1))
    of_image = np.full(len(images), -1, np.int64)
    if len(rows) == 0:
        return ResidualMaps.none(), of_image
    of_image[rows] = np.arange(len(rows))
    values = np.nan_to_num(images["astrom_map"][rows]).reshape(-1, 2, MAX_CELLS, MAX_CELLS)
    size = np.stack([images["nx"][rows], images["ny"][rows]], axis=1).astype(np.float64)
    return ResidualMaps(values, cells[rows], cells[rows] / np.maximum(size, 1.0)), of_image


def model_columns(model: AstromModel, images: ColumnTable) -> dict[str, NDArray[Any]]:
    """Write a model as columns of Image: the reverse of `read_model`.

    A constant of a focal plane has no column: its reference pixel moves to where it is none.

    Parameters
    ----------
    model : AstromModel
        The model of these rows, with other terms perhaps.
    images : ColumnTable
        The rows it was read from.

    Returns
    -------
    dict of str to ndarray
        `COORD_COLUMNS` but ctype; rows without astrometry keep what they have.
    """
    numbers = np.stack([images[name].astype(np.float64) for name in _NUMBERS], axis=1)
    polyterms = images["polyterms"].copy()
    order = images["npolyterms"].copy()
    is_chip = _is_chip(images)
    planes = model.planes.through_zero()
    chips = np.flatnonzero(is_chip & (model.plane >= 0))
    own = np.flatnonzero(~is_chip & (model.plane >= 0))
    for rows, some in ((chips, model.chips.take(chips)), (own, planes.take(model.plane[own]))):
        numbers[rows, 2:6] = some.reference
        numbers[rows, 6:] = some.terms[:, :, 1:3].reshape(-1, 4)
        polyterms[rows] = some.terms[:, :, 3:].reshape(-1, N_POLYTERMS)
        order[rows] = some.order
    numbers[chips, :2] = model.chips.terms[chips, :, 0]
    numbers[own, :2] = model.tangent[model.plane[own]]
    found: dict[str, NDArray[Any]] = dict(zip(_NUMBERS, numbers.T, strict=True))
    return found | {"polyterms": polyterms, "npolyterms": order} | _map_columns(model)


def _map_columns(model: AstromModel) -> dict[str, NDArray[Any]]:
    n = len(model)
    cells, values = np.zeros((n, 2), np.int32), np.full((n, 2, MAX_CELLS, MAX_CELLS), np.nan)
    for row in np.flatnonzero(model.map >= 0).tolist():
        kx, ky = model.maps.shape[model.map[row]].tolist()
        cells[row] = kx, ky
        values[row, :, :ky, :kx] = model.maps.values[model.map[row], :, :ky, :kx]
    columns = (cells[:, 0].copy(), cells[:, 1].copy(), values.reshape(n, N_MAP_VALUES))
    return dict(zip(_MAPS, columns, strict=True))


def _is_chip(images: ColumnTable) -> NDArray[np.bool_]:
    return np.char.endswith(images["ctype"], b"WRP")


def _row_of_parent(images: ColumnTable) -> NDArray[np.int64]:
    """Return the row of each row's focal plane; -1 if it is not there."""
    ids, parents = images["image_id"], images["parent_id"]
    if len(ids) == 0:
        return np.empty(0, np.int64)
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], parents), len(ids) - 1)
    found = order[at]
    return np.where(ids[found] == parents, found, -1).astype(np.int64)


def _polynomials(images: ColumnTable, numbers: F64, rows: NDArray[np.int64]) -> Polynomials:
    terms = np.zeros((len(rows), 2, N_TERMS))
    terms[:, :, 1:3] = numbers[rows, 6:].reshape(-1, 2, 2)
    terms[:, :, 3:] = np.nan_to_num(images["polyterms"][rows]).reshape(-1, 2, N_TERMS - 3)
    order = np.maximum(images["npolyterms"][rows], 0).astype(np.int64)
    return Polynomials(numbers[rows, 2:6], terms, order).cut(order)
