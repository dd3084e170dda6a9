"""Flat-field corrections: grids on the chip, one a photcode and season, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray

from dvo.errors import SchemaError
from dvo.partition.manifest import ALL_SKY
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.flatcorr import FLAT_CORRECTION, FLAT_CORRECTION_IMAGE

__all__ = ["ALWAYS", "FlatFields"]

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]

ALWAYS = (-(2**39), 2**39)
"""A season that has neither beginning nor end: 17,000 years about 1970 [s]."""

_MOST_CELLS = 1 << 24
_CODES = 65536


@dataclass(frozen=True, eq=False)
class FlatFields:
    """All flat-field corrections of a database, or some that are to be added.

    Parameters
    ----------
    corrections : ColumnTable
        Of `FLAT_CORRECTION_IMAGE`: photcode, season and grid of each. The seasons of a photcode
        do not overlap.
    cells : ColumnTable
        Of `FLAT_CORRECTION`: cells that are filled.

    Raises
    ------
    SchemaError
        If seasons overlap, a grid cannot be, or a cell lies in none.
    """

    corrections: ColumnTable
    cells: ColumnTable

    def __post_init__(self) -> None:
        table, ids = self.corrections, self.corrections["id"]
        if len(np.unique(ids)) < len(ids):
            raise SchemaError("flat fields: two have one number")
        sizes = np.column_stack([table[n].astype(np.int64) for n in ("nx", "ny", "dx", "dy")])
        is_odd = (sizes < 1).any(axis=1) | (sizes[:, 0] * sizes[:, 1] > _MOST_CELLS)
        if is_odd.any():
            k = int(np.argmax(is_odd))
            raise SchemaError(
                f"flat field {ids[k]}: a grid of {sizes[k, 0]} by {sizes[k, 1]} cells of "
                f"{sizes[k, 2]} by {sizes[k, 3]} pixels; sizes are positive, and there are "
                f"{_MOST_CELLS} cells at most"
            )
        code, start, stop = (table[n][self._order] for n in ("photcode", "tstart", "tstop"))
        over = (code[1:] == code[:-1]) & (start[1:] < stop[:-1])
        is_empty = stop <= start
        if over.any() or is_empty.any():
            k = int(np.argmax(is_empty if is_empty.any() else over))
            what = "ends before it begins" if is_empty.any() else "overlaps the next one"
            raise SchemaError(
                f"flat field {ids[self._order[k]]} of photcode {code[k]}: its season "
                f"{start[k]} to {stop[k]} (seconds since 1970) {what}"
            )
        self._place()

    @cached_property
    def _order(self) -> I64:
        """Corrections by photcode and season."""
        keys = (self.corrections["tstart"], self.corrections["photcode"])
        return np.asarray(np.lexsort(keys), np.int64)

    def _place(self) -> I64:
        """Place of each cell in `_values`."""
        by_id = np.argsort(self.corrections["id"])
        ids, of = self.corrections["id"][by_id], self.cells["id"]
        at = np.minimum(np.searchsorted(ids, of), max(0, len(ids) - 1))
        x, y = self.cells["x"].astype(np.int64), self.cells["y"].astype(np.int64)
        lost = ids[at] != of if len(ids) else np.ones(len(of), np.bool_)
        row = by_id[at] if len(ids) else np.zeros(len(of), np.int64)
        if not lost.any() and len(of):
            lost = (x < 0) | (y < 0)
            lost |= (x >= self.corrections["nx"][row]) | (y >= self.corrections["ny"][row])
        if lost.any():
            k = int(np.argmax(lost))
            raise SchemaError(f"cell ({x[k]}, {y[k]}) of flat field {of[k]} is in no grid")
        if not len(of):
            return np.empty(0, np.int64)
        return np.asarray(self._starts[row] + y * self.corrections["nx"][row] + x)

    @cached_property
    def _starts(self) -> I64:
        """Where the cells of each correction begin in `_values`, and where the last ones end."""
        sizes = self.corrections["nx"].astype(np.int64) * self.corrections["ny"]
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @cached_property
    def _values(self) -> F32:
        """All cells of all grids, 0 where they are absent [mag]."""
        values = np.zeros(int(self._starts[-1]), np.float32)
        values[self._place()] = self.cells["offset"]
        return values

    def __len__(self) -> int:
        return len(self.corrections)

    @classmethod
    def read(cls, view: View) -> FlatFields:
        """Read those of a snapshot.

        Parameters
        ----------
        view : View
            The snapshot.

        Returns
        -------
        FlatFields
            All of them; none in most databases.
        """
        return cls(view.read(FLAT_CORRECTION_IMAGE, ALL_SKY), view.read(FLAT_CORRECTION, ALL_SKY))

    @classmethod
    def of_grids(
        cls,
        photcode: NDArray[np.integer],
        season: NDArray[np.integer],
        cell_size: NDArray[np.integer],
        grids: NDArray[np.floating],
    ) -> FlatFields:
        """Make flat fields of grids that have one shape.

        Parameters
        ----------
        photcode : ndarray of int, shape (n,)
            Photcode of each.
        season : ndarray of int, shape (n, 2)
            First second it holds for, and first it no longer holds for [s since 1970].
        cell_size : ndarray of int, shape (n, 2)
            Size of its cells in x and y [pixel].
        grids : ndarray of float, shape (n, ny, nx)
            What is to be subtracted from magnitudes [mag]; NaN for cells that are not known,
            in which nothing is.

        Returns
        -------
        FlatFields
            Numbered from 1.
        """
        n, ny, nx = grids.shape
        columns = {
            "id": np.arange(1, n + 1, dtype=np.int32),
            "photcode": photcode.astype(np.uint16),
            "tstart": season[:, 0].astype(np.int64),
            "tstop": season[:, 1].astype(np.int64),
            "dx": cell_size[:, 0].astype(np.int32),
            "dy": cell_size[:, 1].astype(np.int32),
            "nx": np.full(n, nx, np.int32),
            "ny": np.full(n, ny, np.int32),
        }
        which, y, x = np.nonzero(np.isfinite(grids))
        cells = {"id": which.astype(np.int32) + 1, "x": x.astype(np.int32),
                 "y": y.astype(np.int32)}  # fmt: skip
        cells["offset"] = grids[which, y, x].astype(np.float32)
        return cls(ColumnTable(FLAT_CORRECTION_IMAGE, columns, n),
                   ColumnTable(FLAT_CORRECTION, cells, len(x)))  # fmt: skip

    def without(self, photcode: NDArray[np.integer], season: tuple[int, int]) -> FlatFields:
        """Take some photcodes out of a stretch of time; what lies about it stays.

        Parameters
        ----------
        photcode : ndarray of int
            Photcodes.
        season : tuple of int
            First second of the stretch, and first after it [s since 1970].

        Returns
        -------
        FlatFields
            Numbered as they were; what goes on behind the stretch has a new number.
        """
        table = self.corrections
        hit = np.isin(table["photcode"], photcode)
        hit &= (table["tstart"] < season[1]) & (table["tstop"] > season[0])
        early, late = hit & (table["tstart"] < season[0]), hit & (table["tstop"] > season[1])
        up = int(table["id"].max(initial=0))
        tables = [table.take(~hit)]
        cells = [self.cells.take(np.isin(self.cells["id"], table["id"][~hit]))]
        for which, name, edge, add in ((early, "tstop", season[0], 0),
                                       (late, "tstart", season[1], up)):  # fmt: skip
            rows = {n: table[n][which] for n in FLAT_CORRECTION_IMAGE.names}
            rows[name] = np.full(int(which.sum()), edge, np.int64)
            own = self.cells.take(np.isin(self.cells["id"], rows["id"]))
            rows["id"] = (rows["id"] + add).astype(np.int32)
            values = {n: own[n] for n in FLAT_CORRECTION.names}
            values["id"] = (values["id"] + add).astype(np.int32)
            tables.append(ColumnTable(FLAT_CORRECTION_IMAGE, rows, int(which.sum())))
            cells.append(ColumnTable(FLAT_CORRECTION, values, len(own)))
        return FlatFields(ColumnTable.concatenate(FLAT_CORRECTION_IMAGE, tables),
                          ColumnTable.concatenate(FLAT_CORRECTION, cells))  # fmt: skip

    def with_new(self, new: FlatFields) -> FlatFields:
        """Add flat fields; they take the places of those of their photcodes and seasons.

        Parameters
        ----------
        new : FlatFields
            What is added; under new numbers, but for those that take the place of another.

        Returns
        -------
        FlatFields
            Old ones of other photcodes and seasons, and the new ones.

        Raises
        ------
        SchemaError
            If a season of a new one overlaps one of the old that is not the same.
        """
        old, more = self.corrections, new.corrections

        def keys(table: ColumnTable) -> list[tuple[int, int, int]]:
            columns = (table[n].tolist() for n in ("photcode", "tstart", "tstop"))
            return list(zip(*columns, strict=True))

        # One that takes the place of another takes its number: setting again changes nothing.
        known = dict(zip(keys(old), old["id"].tolist(), strict=True))
        unused = count(int(old["id"].max(initial=0)) + 1)
        number = {i: known.get(key) or next(unused)
                  for i, key in zip(more["id"].tolist(), keys(more), strict=True)}  # fmt: skip
        stays = ~np.isin(old["id"], list(number.values()))
        is_kept = np.isin(self.cells["id"], old["id"][stays])
        return FlatFields(
            ColumnTable.concatenate(old.schema, [old.take(stays), _renumbered(more, number)]),
            ColumnTable.concatenate(
                self.cells.schema, [self.cells.take(is_kept), _renumbered(new.cells, number)]
            ),
        )

    def rows(self, photcode: NDArray[np.uint16], time: I64) -> I64:
        """Find the correction that holds for a photcode at a time.

        Parameters
        ----------
        photcode : ndarray of uint16, shape (n,)
            Photcodes.
        time : ndarray of int64, shape (n,)
            Times [s since 1970].

        Returns
        -------
        ndarray of int64, shape (n,)
            Rows of `corrections`; -1 where none does.
        """
        if not len(self):
            return np.full(len(photcode), -1, np.int64)
        code, start, stop = (self.corrections[n][self._order]
                             for n in ("photcode", "tstart", "tstop"))  # fmt: skip
        at = np.searchsorted(_key(code, start), _key(photcode, time), side="right") - 1
        near = np.maximum(at, 0)
        holds = (at >= 0) & (code[near] == photcode) & (time < stop[near])
        return np.where(holds, self._order[near], -1)

    def offsets(
        self, photcode: NDArray[np.uint16], time: I64, x: NDArray[np.floating],
        y: NDArray[np.floating],
    ) -> F32:  # fmt: skip
        """Give what the flat fields say of measures.

        Parameters
        ----------
        photcode : ndarray of uint16, shape (n,)
            Their photcodes.
        time : ndarray of int64, shape (n,)
            Their times [s since 1970].
        x, y : ndarray of float, shape (n,)
            Where they lie on their chips [pixel]; the nearest cell counts for what lies outside
            of a grid.

        Returns
        -------
        ndarray of float32, shape (n,)
            Mflat, which is subtracted from magnitudes [mag]; 0 where there is no correction,
            no cell, or no place.
        """
        row = self.rows(photcode, time)
        out = np.zeros(len(row), np.float32)
        some = np.flatnonzero((row >= 0) & np.isfinite(x) & np.isfinite(y))
        of = row[some]
        table = self.corrections
        i, j = (
            np.clip(np.floor(place[some] / table[size][of]), 0, table[n][of] - 1).astype(np.int64)
            for place, size, n in ((x, "dx", "nx"), (y, "dy", "ny"))
        )
        out[some] = self._values[self._starts[of] + j * table["nx"][of] + i]
        return out

    def numbers(self, images: ColumnTable) -> NDArray[np.uint32]:
        """Give the numbers of the flat fields of images, which Image has as photom_map_id.

        Parameters
        ----------
        images : ColumnTable
            Rows of Image, with ``photcode`` and ``time``.

        Returns
        -------
        ndarray of uint32, shape (n_images,)
            Number of each; 0 where there is none.
        """
        row = self.rows(images["photcode"], images["time"].astype(np.int64))
        ids = np.append(self.corrections["id"], 0).astype(np.uint32)
        return np.asarray(ids[row])  # row -1 is the last one

    def has_photcode(self, photcode: NDArray[np.uint16]) -> NDArray[np.bool_]:
        """Tell which photcodes have a flat field in some season.

        Parameters
        ----------
        photcode : ndarray of uint16, shape (n,)
            Photcodes.

        Returns
        -------
        ndarray of bool, shape (n,)
            Which.
        """
        known = np.zeros(_CODES, np.bool_)
        known[self.corrections["photcode"]] = True
        return np.asarray(known[photcode])

    def write(self, change: Transaction) -> None:
        """Put these in the place of all flat fields of the database.

        Parameters
        ----------
        change : Transaction
            Where to write.
        """
        change.put_global(self.corrections, "FlatCorrectionImages", replace_all=True)
        change.put_global(self.cells, "FlatCorrectionCells", replace_all=True)


def _renumbered(table: ColumnTable, number: dict[int, int]) -> ColumnTable:
    """A table with other numbers of corrections."""
    columns = {n: table[n] for n in table.schema.names}
    columns["id"] = np.array([number[i] for i in table["id"].tolist()], np.int32)
    return ColumnTable(table.schema, columns, len(table))


def _key(photcode: NDArray[np.integer], time: NDArray[np.integer]) -> I64:
    """Numbers in the order of photcodes and times."""
    since = np.clip(time.astype(np.int64), *ALWAYS) - ALWAYS[0]
    return np.asarray((photcode.astype(np.int64) << 41) + since)
