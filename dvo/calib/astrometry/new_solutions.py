"""Astrometric solutions that images are to get: rows of Image as they are and as they will be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dvo.astrometry.image_rows import COORD_COLUMNS, read_model
from dvo.astrometry.model import AstromModel
from dvo.partition.bounds import Cone
from dvo.partition.manifest import ALL_SKY
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.sphere import separation
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE, N_MAP_VALUES, N_POLYTERMS

__all__ = ["IMAGE_COLUMNS", "NewSolutions"]

Array = NDArray[Any]
Bool = NDArray[np.bool_]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

IMAGE_COLUMNS = ("image_id", "parent_id", "name", "photcode", "nx", "ny", "ra_center",
                 "dec_center", "radius", *COORD_COLUMNS)  # fmt: skip
"""Columns of Image that solutions are about."""

_WRITTEN = (*COORD_COLUMNS, "ra_center", "dec_center", "radius")
_WIDE = {"polyterms": N_POLYTERMS, "astrom_map": N_MAP_VALUES}
_GRID = 25
_PAD_DEG = 0.01  # how far measures may lie outside the circle of their image


@dataclass(frozen=True, eq=False)
class NewSolutions:
    """All rows of Image, before and after.

    Parameters
    ----------
    before, after : ColumnTable
        Rows of Image with `IMAGE_COLUMNS`, in the order of the table.
    is_touched : ndarray of bool, shape (n,)
        Images whose way to the sky changes: chips, and focal planes.
    """

    before: ColumnTable
    after: ColumnTable
    is_touched: Bool

    @classmethod
    def read(cls, view: View, rows: I64, columns: dict[str, Array]) -> Self:
        """Put new terms into the rows of a snapshot.

        Parameters
        ----------
        view : View
            The snapshot.
        rows : ndarray of int64, shape (k,)
            Rows of Image, of chips or focal planes.
        columns : dict of str to ndarray
            New values of these rows for `COORD_COLUMNS`.

        Returns
        -------
        NewSolutions
            Chips of a focal plane that changes are touched, too; images whose terms are what
            they were are not.
        """
        table = view.read(IMAGE, ALL_SKY, IMAGE_COLUMNS)
        after = {name: table[name].copy() for name in IMAGE_COLUMNS}
        for name, values in columns.items():
            after[name][rows] = values
        touched = np.zeros(len(table), np.bool_)
        for name in columns:
            differs = _differs(after[name][rows], table[name][rows])
            touched[rows] |= differs
        changed = table["image_id"][touched]
        of_changed = np.isin(table["parent_id"], changed) & (table["parent_id"] > 0)
        made = cls(table, ColumnTable(IMAGE, after, len(table)), touched | of_changed)
        return replace(made, after=ColumnTable(IMAGE, after | made._circles(), len(table)))

    @cached_property
    def old_model(self) -> AstromModel:
        """The model before."""
        return read_model(self.before)

    @cached_property
    def new_model(self) -> AstromModel:
        """The model after."""
        return read_model(self.after)

    @property
    def is_measured(self) -> Bool:
        """Touched images that have measures of their own: not focal planes, shape (n,)."""
        return np.asarray(self.is_touched & (self.before["photcode"] != 0))

    def rows_of(self, image_id: NDArray[np.uint32]) -> I64:
        """Find the touched images of measures.

        Parameters
        ----------
        image_id : ndarray of uint32, shape (n,)
            Numbers of images, as measures have them.

        Returns
        -------
        ndarray of int64, shape (n,)
            Rows of Image; -1 for images that are not touched.
        """
        rows = np.flatnonzero(self.is_measured)
        ids = self.before["image_id"][rows]
        if len(rows) == 0:
            return np.full(len(image_id), -1, np.int64)
        order = np.argsort(ids)
        at = np.minimum(np.searchsorted(ids[order], image_id), len(ids) - 1)
        found = order[at]
        return np.where(ids[found] == image_id, rows[found], -1).astype(np.int64)

    def moved(self, measure: ColumnTable, image: I64) -> tuple[F64, F64]:
        """Work out where measures are by the new solutions.

        Parameters
        ----------
        measure : ColumnTable
            Rows of Measure with ra, dec, x_ccd, y_ccd, x_fix and y_fix.
        image : ndarray of int64, shape (n,)
            Row of Image of each, -1 for none.

        Returns
        -------
        ra, dec : ndarray of float64, shape (n,)
            Places of the corrected pixels, or of raw ones; of a measure without pixels, of those
            that its place had before, ICRS [deg]. NaN where there are none.
        """
        pixels = []
        for axis in "xy":
            fixed, raw = (measure[f"{axis}_{n}"].astype(np.float64) for n in ("fix", "ccd"))
            pixels.append(np.where(np.isfinite(fixed), fixed, raw))
        x, y = pixels
        lacks = np.flatnonzero((image >= 0) & ~(np.isfinite(x) & np.isfinite(y)))
        place = (measure[n][lacks] for n in ("ra", "dec"))
        x[lacks], y[lacks] = self.old_model.to_pixels(image[lacks], *place)
        return self.new_model.to_sky(image, x, y)

    def shifts_arcsec(self) -> F64:
        """Tell how far measured images shift.

        Returns
        -------
        ndarray of float64, shape (n_measured,)
            Root mean square over each image [arcsec]; NaN if it had no astrometry.
        """
        rows = np.flatnonzero(self.is_measured)
        old, new, shape = self._grids(rows)
        far = separation(*old, *new).reshape(shape) * 3600.0
        shift: F64 = np.sqrt(np.mean(np.square(far), axis=1))
        return shift

    def regions(self, view: View) -> list[int]:
        """Find the regions that may hold measures of touched images.

        Parameters
        ----------
        view : View
            The snapshot.

        Returns
        -------
        list of int
            Regions that have a catalog, ascending.
        """
        some = self.before.take(np.flatnonzero(self.is_measured))
        circles = np.column_stack([some[n] for n in ("ra_center", "dec_center", "radius")])
        if not (np.isfinite(circles).all() and (some["radius"] > 0).all()):
            return view.regions()  # measures of such an image can be anywhere
        near = [
            Cone(ra, dec, radius + _PAD_DEG).regions(view.partition, view.pad_deg)
            for ra, dec, radius in circles.tolist()
        ]
        known = np.unique(np.concatenate([np.empty(0, np.int64), *near]))
        found: list[int] = np.intersect1d(known, view.regions()).tolist()
        return found

    def write(self, change: Transaction) -> None:
        """Write the rows of Image that change.

        Parameters
        ----------
        change : Transaction
            Where to write.
        """
        table = ColumnTable(IMAGE, {n: self.after[n] for n in _WRITTEN}, len(self.after))
        change.overlay_rows(table, [ALL_SKY], np.array([0, len(table)]), self.is_touched)

    def lendable(self) -> dict[str, Array]:
        """Columns that say all that a worker has to know, of one dimension each."""
        rows = np.flatnonzero(self.is_touched)
        found = {n: self.after[n][rows] for n in COORD_COLUMNS if n not in ("ctype", *_WIDE)}
        for name in _WIDE:
            values = self.after[name][rows]
            found |= {f"{name} {k}": values[:, k].copy() for k in range(values.shape[1])}
        # A kind of astrometry is told by its last letters.
        kinds, number = np.unique(self.after["ctype"][rows], return_inverse=True)
        named = {f"ctype {kind.decode('ascii')}": number == k for k, kind in enumerate(kinds)}
        return {"rows": rows, **found, **named}

    @classmethod
    def lent(cls, view: View, lent: dict[str, Array]) -> Self:
        """Read what `lendable` gave.

        Parameters
        ----------
        view : View
            The snapshot.
        lent : dict of str to ndarray
            The columns.

        Returns
        -------
        NewSolutions
            The same solutions.
        """
        columns = {n: lent[n] for n in COORD_COLUMNS if n not in ("ctype", *_WIDE)}
        for name, width in _WIDE.items():
            columns[name] = np.stack([lent[f"{name} {k}"] for k in range(width)], axis=1)
        columns["ctype"] = np.zeros(len(lent["rows"]), "S16")
        for name, values in lent.items():
            if name.startswith("ctype "):
                columns["ctype"][values] = name.removeprefix("ctype ").encode("ascii")
        return cls.read(view, lent["rows"], columns)

    def _grids(self, rows: I64) -> tuple[tuple[F64, F64], tuple[F64, F64], tuple[int, int]]:
        """Places all over images, before and after."""
        step = np.linspace(0.0, 1.0, _GRID)
        u, v = (a.ravel() for a in np.meshgrid(step, step))
        x = (0.5 + u * self.before["nx"][rows, None]).ravel()
        y = (0.5 + v * self.before["ny"][rows, None]).ravel()
        image = np.repeat(rows, len(u))
        shape = (len(rows), len(u))
        return self.old_model.to_sky(image, x, y), self.new_model.to_sky(image, x, y), shape

    def _circles(self) -> dict[str, Array]:
        """Circles of measures, moved with their images, and not less wide than they have to be."""
        rows = np.flatnonzero(self.is_measured)
        ra, dec = (self.before[n].copy() for n in ("ra_center", "dec_center"))
        radius = self.before["radius"].astype(np.float64)
        x, y = self.old_model.to_pixels(rows, ra[rows], dec[rows])
        new_ra, new_dec = self.new_model.to_sky(rows, x, y)
        (old_grid, new_grid, shape) = self._grids(rows)
        n = shape[1]

        def far(grid: tuple[F64, F64], *middle: F64) -> F64:
            return separation(*grid, *(np.repeat(v, n) for v in middle)).reshape(shape)

        more = far(new_grid, new_ra, new_dec) - far(old_grid, ra[rows], dec[rows])
        # Between the places of the grid a distortion may do a little more.
        widened = radius[rows] + 1.1 * np.maximum(more.max(axis=1, initial=0.0), 0.0)
        is_known = np.isfinite(widened)
        some = rows[is_known]
        ra[some], dec[some] = new_ra[is_known], new_dec[is_known]
        radius[some] = widened[is_known]
        self._first_circles(rows[~is_known], ra, dec, radius)
        stored = np.nextafter(radius.astype(np.float32), np.float32(np.inf))
        stored[~self.is_measured] = self.before["radius"][~self.is_measured]
        return {"ra_center": ra, "dec_center": dec, "radius": stored}

    def _first_circles(self, rows: I64, ra: F64, dec: F64, radius: F64) -> None:
        """Circles of images that had no astrometry: of the old circle and of the new field."""
        _, grid, shape = self._grids(rows)
        if not np.isfinite(grid[0]).all() or len(rows) == 0:
            return
        middle = [v.reshape(shape)[:, shape[1] // 2] for v in grid]
        far = separation(*grid, *(np.repeat(v, shape[1]) for v in middle)).reshape(shape)
        to_old = separation(ra[rows], dec[rows], *middle) + radius[rows]
        radius[rows] = np.fmax(far.max(axis=1) * 1.01, to_old)
        ra[rows], dec[rows] = middle


def _differs(new: Array, old: Array) -> Bool:
    """Which rows of a column have another value; NaN is as NaN."""
    is_same = (new == old) | ((new != new) & (old != old))
    return np.asarray(~is_same.reshape(len(new), -1).all(axis=1))
