"""Systematic effects of a camera on positions, as tables: none is built in.

- **KH** (Koppenhoefer): on some chips, until some date, a detection is shifted by an amount that
  depends on its instrumental magnitude.
- **DCR** (differential chromatic refraction): a star is shifted along the direction to the zenith
  by an amount that depends on the tangent of the zenith distance times its colour, less that of
  the stars that made the image's astrometry.
- **CAM**: a map of shifts over each chip, for each filter.

All are given at nodes, with straight lines between them, and constant beyond the last. What is
given is the correction: it is added to raw pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import ShapeError

__all__ = ["CameraMaps", "Effects", "MagnitudeShifts", "Refraction", "hat_weights"]

Array = NDArray[Any]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def hat_weights(nodes: F64, value: F64) -> tuple[I64, F64]:
    """Weights of the two nodes about each value, for straight lines between nodes.

    Parameters
    ----------
    nodes : ndarray of float64, shape (k,)
        Ascending.
    value : ndarray of float64, shape (n,)
        Where.

    Returns
    -------
    index : ndarray of int64, shape (n, 2)
        Numbers of the nodes.
    weight : ndarray of float64, shape (n, 2)
        Their weights, which sum to 1; 0 where the value is NaN.
    """
    if len(nodes) == 1:
        known = np.isfinite(value).astype(np.float64)
        return np.zeros((len(value), 2), np.int64), np.stack([known, 0.0 * known], axis=1)
    inside = np.clip(np.nan_to_num(value), nodes[0], nodes[-1])
    low = np.clip(np.searchsorted(nodes, inside, side="right") - 1, 0, len(nodes) - 2)
    share = (inside - nodes[low]) / (nodes[low + 1] - nodes[low])
    weight = np.stack([1.0 - share, share], axis=1)
    weight[~np.isfinite(value)] = 0.0
    return np.stack([low, low + 1], axis=1).astype(np.int64), weight


def _check_nodes(what: str, nodes: F64) -> None:
    if len(nodes) == 0 or not (np.isfinite(nodes).all() and np.all(np.diff(nodes) > 0)):
        raise ShapeError(f"nodes of {what} are {nodes.tolist()}; give finite ones that ascend")


@dataclass(frozen=True, eq=False)
class MagnitudeShifts:
    """KH: shifts of chips by instrumental magnitude.

    Parameters
    ----------
    ccdnum : ndarray of int64, shape (n_chips,)
        Numbers of the chips (ccdnum of Image) that have the effect, ascending.
    until : ndarray of float64, shape (n_chips,)
        Until when [s since 1970]; infinite for ever.
    mag : ndarray of float64, shape (k,)
        Instrumental magnitudes of the nodes: ``mag - m_time - 25`` of Measure.
    shift : ndarray of float64, shape (n_chips, k, 2)
        Corrections of x and y [pix].
    """

    ccdnum: I64
    until: F64
    mag: F64
    shift: F64

    def __post_init__(self) -> None:
        _check_nodes("magnitude", self.mag)
        shape = (len(self.ccdnum), len(self.mag), 2)
        if self.shift.shape != shape or np.any(np.diff(self.ccdnum) <= 0):
            raise ShapeError(
                f"shifts by magnitude have shape {self.shift.shape}, and chips are "
                f"{self.ccdnum.tolist()}; give shape {shape}, and chips that ascend"
            )

    def rows(self, ccdnum: Array, time: Array) -> I64:
        """Find the chip of each measure.

        Parameters
        ----------
        ccdnum : ndarray of int, shape (n,)
            Chips.
        time : ndarray, shape (n,)
            Times [s since 1970].

        Returns
        -------
        ndarray of int64, shape (n,)
            Row of the table; -1 where there is no effect.
        """
        row = _find(self.ccdnum, np.asarray(ccdnum, np.int64))
        if len(self.until) == 0:
            return row
        return np.where((row >= 0) & (time < self.until[row]), row, -1)


@dataclass(frozen=True, eq=False)
class Refraction:
    """DCR: shifts along the direction to the zenith, by colour and zenith distance.

    Parameters
    ----------
    filter_index : ndarray of int64, shape (n_filters,)
        Average filters that are affected, by their number in SecFilt; ascending.
    colour : ndarray of int64, shape (n_filters, 2)
        Filters whose difference is the colour that counts, for each.
    reference : ndarray of float64, shape (n_filters,)
        Colour of the stars that made the astrometry of images, for images that do not say
        (ref_color_blue, or ref_color_red) [mag].
    is_red : ndarray of bool, shape (n_filters,)
        Whether it is ref_color_red of an image that says.
    term : ndarray of float64, shape (k,)
        Nodes of (colour - reference) tan(zenith distance) [mag].
    shift : ndarray of float64, shape (n_filters, k)
        Corrections towards the zenith [arcsec].
    """

    filter_index: I64
    colour: I64
    reference: F64
    is_red: NDArray[np.bool_]
    term: F64
    shift: F64

    def __post_init__(self) -> None:
        _check_nodes("refraction", self.term)
        n = len(self.filter_index)
        if self.shift.shape != (n, len(self.term)) or self.colour.shape != (n, 2):
            raise ShapeError(
                f"refraction of {n} filters has shifts of shape {self.shift.shape} and colours of "
                f"shape {self.colour.shape}; give ({n}, {len(self.term)}) and ({n}, 2)"
            )

    def rows(self, filter_index: Array) -> I64:
        """Find the row of each filter.

        Parameters
        ----------
        filter_index : ndarray of int, shape (n,)
            Average filters.

        Returns
        -------
        ndarray of int64, shape (n,)
            Row of the table; -1 where there is no effect.
        """
        return _find(self.filter_index, np.asarray(filter_index, np.int64))


@dataclass(frozen=True, eq=False)
class CameraMaps:
    """CAM: maps of shifts over chips, one for each photcode (a chip with a filter).

    Parameters
    ----------
    photcode : ndarray of int64, shape (n_maps,)
        Photcodes, ascending.
    size : ndarray of int64, shape (n_maps, 2)
        Width and height of their chips [pix].
    shift : ndarray of float64, shape (n_maps, cells_y, cells_x, 2)
        Corrections of x and y in the middles of cells [pix].
    """

    photcode: I64
    size: I64
    shift: F64

    def __post_init__(self) -> None:
        n = len(self.photcode)
        is_map = self.shift.ndim == 4 and len(self.shift) == n and self.shift.shape[3] == 2
        if not is_map or self.size.shape != (n, 2) or np.any(np.diff(self.photcode) <= 0):
            raise ShapeError(
                f"{n} maps have shifts of shape {self.shift.shape} and sizes of shape "
                f"{self.size.shape}; give ({n}, cells_y, cells_x, 2) and ({n}, 2), ascending"
            )

    def rows(self, photcode: Array) -> I64:
        """Find the map of each photcode.

        Parameters
        ----------
        photcode : ndarray of int, shape (n,)
            Photcodes.

        Returns
        -------
        ndarray of int64, shape (n,)
            Row of the table; -1 where there is none.
        """
        return _find(self.photcode, np.asarray(photcode, np.int64))

    def weights(self, row: I64, x: F64, y: F64) -> tuple[I64, F64]:
        """Weights of the four cells about each place.

        Parameters
        ----------
        row : ndarray of int64, shape (n,)
            Map of each, not below 0.
        x, y : ndarray of float64, shape (n,)
            Places [pix].

        Returns
        -------
        index : ndarray of int64, shape (n, 4)
            Cells, counted row by row of a map.
        weight : ndarray of float64, shape (n, 4)
            Their weights.
        """
        ky, kx = self.shift.shape[1:3]
        at = []
        for place, n, k in ((x, self.size[row, 0], kx), (y, self.size[row, 1], ky)):
            at.append(hat_weights(np.arange(k, dtype=np.float64), (place - 0.5) * k / n - 0.5))
        (ix, wx), (iy, wy) = at
        index = (iy[:, :, None] * kx + ix[:, None, :]).reshape(-1, 4)
        return index, (wy[:, :, None] * wx[:, None, :]).reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class Effects:
    """All effects of a camera.

    Parameters
    ----------
    kh : MagnitudeShifts, optional
        Shifts by magnitude.
    dcr : Refraction, optional
        Refraction.
    cam : CameraMaps, optional
        Maps of chips.
    """

    kh: MagnitudeShifts | None = None
    dcr: Refraction | None = None
    cam: CameraMaps | None = None
    sizes: tuple[int, int, int] = field(init=False)

    def __post_init__(self) -> None:
        found = tuple(0 if e is None else e.shift.size for e in (self.kh, self.dcr, self.cam))
        object.__setattr__(self, "sizes", found)

    @property
    def values(self) -> F64:
        """All shifts, one after the other, shape (n_values,)."""
        some = [e.shift.ravel() for e in (self.kh, self.dcr, self.cam) if e is not None]
        return np.concatenate([np.empty(0), *some])

    def with_values(self, values: F64) -> Effects:
        """Put other shifts in.

        Parameters
        ----------
        values : ndarray of float64, shape (n_values,)
            In the order of `values`.

        Returns
        -------
        Effects
            With these.
        """
        first, second = self.sizes[0], self.sizes[0] + self.sizes[1]
        pieces = (values[:first], values[first:second], values[second:])
        kh, dcr, cam = (
            None if e is None else replace(e, shift=np.array(piece).reshape(e.shift.shape))
            for e, piece in zip((self.kh, self.dcr, self.cam), pieces, strict=True)
        )
        return Effects(kh, dcr, cam)  # type: ignore[arg-type]  # in the order that they came


def _find(known: I64, wanted: I64) -> I64:
    if len(known) == 0:
        return np.full(len(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[at] == wanted, at, -1).astype(np.int64)
