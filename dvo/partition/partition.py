"""Partition: which regions of the sky have catalogs, at one level or at several.

A database has a default level. A region that became crowded is split: its children take its
place, and any of them may be split in turn. The regions that are left, the leaves, cover the
sky once. Every look-up from positions to regions that have catalogs goes through here;
`SkyTable` knows all regions of all levels, and the bounds and names of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import PartitionError
from dvo.partition import kernels
from dvo.partition.gather import row_runs
from dvo.partition.sky_table import SkyTable, may_touch
from dvo.sphere import SphericalPolygon, wrap_ra

__all__ = ["Partition", "overhang_deg", "partition_of"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_SLACK_DEG = 1e-9


@dataclass(frozen=True)
class Partition:
    """The sky cut into regions that have catalogs: the leaves.

    Parameters
    ----------
    sky : SkyTable
        All regions.
    level : int
        Level of the leaves where nothing is split.
    splits : tuple of int
        Regions whose children take their place, ascending: of the level, or children of
        others that are split.

    Examples
    --------
    >>> sky = SkyTable.standard()
    >>> plain = Partition(sky, 3)
    >>> mixed = plain.with_splits([sky.by_name("n4500/3281").index])
    >>> sky.names(mixed.locate([31.3, 31.3], [46.8, 40.0]))
    ['n4500/3281.12', 'n3730/2833']
    """

    sky: SkyTable = field(repr=False)
    level: int
    splits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.sky.at_level(self.level)
        if not self.splits:
            return
        rows = np.array(self.splits, np.int64)
        depths = self.sky.depths(rows)
        is_top = depths == self.level
        is_below = (depths > self.level) & np.isin(self.sky.parents(rows), rows)
        wrong = ~(is_top | is_below) | (depths >= self.sky.max_level)
        if wrong.any() or (np.diff(rows) <= 0).any():
            name = self.sky.names(rows[wrong])[:1] or ["regions out of order"]
            raise PartitionError(
                f"a partition of level {self.level} cannot have {name[0]} split: only a region "
                f"of that level, or a child of one that is split, above level {self.sky.max_level}"
            )

    @cached_property
    def _is_split(self) -> Bool:
        """Whether each region is split; the last one stands for no region (-1)."""
        out = np.zeros(len(self.sky) + 1, np.bool_)
        out[list(self.splits)] = True
        return out

    @cached_property
    def digest(self) -> str:
        """What tells this partition from others, 16 hexadecimal digits."""
        data = np.array([self.level, *self.splits], "<i8").tobytes()
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    # ---- the leaves

    @property
    def leaves(self) -> I64:
        """Indices of all regions that have catalogs, ascending."""
        return self._deeper(np.asarray(self.sky.at_level(self.level)), lambda rows: rows >= 0)

    def is_leaf(self, indices: ArrayLike) -> Bool:
        """Tell which regions are those that have catalogs.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Indices of regions.

        Returns
        -------
        ndarray of bool, shape (n,)
            True for leaves.
        """
        rows = np.asarray(indices, np.int64).reshape(-1)
        depths = self.sky.depths(rows)
        is_there = (depths == self.level) | (
            (depths > self.level) & self._is_split[self.sky.parents(rows)]
        )
        return np.asarray(is_there & ~self._is_split[rows])

    def with_splits(self, indices: Iterable[int]) -> Partition:
        """Split leaves.

        Parameters
        ----------
        indices : iterable of int
            Leaves, and children of theirs that are to be split at once.

        Returns
        -------
        Partition
            With their children in their place.

        Raises
        ------
        PartitionError
            If one of them is no leaf then, or has no children.
        """
        return replace(self, splits=tuple(sorted({*self.splits, *(int(i) for i in indices)})))

    def overlapping(self, indices: ArrayLike) -> I64:
        """Leaves that have any place in common with regions of any level.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Indices of regions.

        Returns
        -------
        ndarray of int64
            Indices of leaves, ascending: parts of these regions, or regions around them.
        """
        rows = np.unique(np.asarray(indices, np.int64))
        is_found = np.zeros(len(self.sky), np.bool_)
        above = rows
        while above.size:  # up: a leaf that holds the region
            is_found[above[self.is_leaf(above)]] = True
            above = self.sky.parents(above)
            above = np.unique(above[above >= 0])
        while rows.size:  # down: leaves inside it
            is_found[rows[self.is_leaf(rows)]] = True
            rows = self._children(rows[self._has_leaves_below(rows)])
        return np.flatnonzero(is_found)

    def _has_leaves_below(self, rows: I64) -> Bool:
        return np.asarray((self.sky.depths(rows) < self.level) | self._is_split[rows])

    def _children(self, rows: I64) -> I64:
        starts, ends = self.sky.child_ranges(rows)
        return row_runs(starts, ends - starts)

    # ---- from the sky to regions

    def locate(self, ra: ArrayLike, dec: ArrayLike) -> I64:
        """Leaves that hold positions.

        Parameters
        ----------
        ra, dec : array_like of float64, shape (n,)
            Positions, ICRS, right ascension by any number of turns [deg].

        Returns
        -------
        ndarray of int64, shape (n,)
            Index of the one leaf that holds each position; -1 where a coordinate is not
            finite or the declination lies outside [-90, 90].

        Raises
        ------
        ShapeError
            If ra and dec differ in shape.
        """
        found = self.sky.locate(ra, dec, self.level)
        if not self.splits:
            return found
        a, d = np.ravel(ra), np.ravel(dec)
        rows = np.flatnonzero(self._is_split[found])
        for level in range(self.level + 1, self.sky.max_level + 1):
            if rows.size == 0:
                break
            deeper = self.sky.locate(a[rows], d[rows], level)
            found[rows] = deeper
            rows = rows[self._is_split[deeper]]
        return found

    def cone(self, ra: float, dec: float, radius_deg: float) -> I64:
        """Leaves that a cone touches.

        Parameters
        ----------
        ra, dec : float
            Centre, ICRS [deg].
        radius_deg : float
            Radius, 0 or more [deg].

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices, ascending: every leaf with a point within the radius, and none farther
            off than 1e-9 deg more.

        Raises
        ------
        PartitionError
            If there is no such cone.
        """

        def touches(rows: I64) -> Bool:
            out = np.empty(len(rows), np.bool_)
            kernels.cone_touches(
                float(ra), float(dec), float(radius_deg), self.sky.bounds(rows), out
            )
            return out

        return self._deeper(self.sky.cone(ra, dec, radius_deg, self.level), touches)

    def box(self, ra_min: float, ra_max: float, dec_min: float, dec_max: float) -> I64:
        """Leaves that a box in right ascension and declination touches.

        Parameters
        ----------
        ra_min, ra_max : float
            Right ascension limits, ICRS, both included [deg]; eastward from ra_min, see
            `SkyTable.box`.
        dec_min, dec_max : float
            Declination limits, ICRS, both included [deg].

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices, ascending: every leaf with a point in the box.

        Raises
        ------
        PartitionError
            If there is no such box.
        """
        found = self.sky.box(ra_min, ra_max, dec_min, dec_max, self.level)
        width = ra_max - ra_min
        width = 360.0 if width >= 360.0 else width % 360.0
        start = float(wrap_ra([ra_min])[0])

        def touches(rows: I64) -> Bool:
            west, east, low, high = self.sky.bounds(rows).T
            meets = (low <= dec_max) & ((high > dec_min) | ((high == dec_min) & (high == 90.0)))
            # 1e-10 deg pays for the rounding of the difference and of the width.
            return np.asarray(
                meets
                & (((west <= start) & (start < east)) | (wrap_ra(west - start) <= width + 1e-10))
            )

        return self._deeper(found, touches)

    def polygon(self, vertices: ArrayLike) -> I64:
        """Leaves that a spherical polygon may touch.

        Parameters
        ----------
        vertices : array_like of float64, shape (n, 2)
            At least three corners ra, dec, ICRS [deg], see `SkyTable.polygon`.

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices, ascending: every leaf with a point in the polygon, and some near it.

        Raises
        ------
        ShapeError
            If there is no such polygon, or it is larger than a hemisphere.
        """
        found = self.sky.polygon(vertices, self.level)
        if not self.splits:
            return found
        shape = SphericalPolygon(vertices)
        return self._deeper(found, lambda rows: may_touch(shape, self.sky.bounds(rows)))

    def near_boxes(self, bounds: F64, reach_deg: float) -> I64:
        """Leaves within reach of any of some rectangles.

        Parameters
        ----------
        bounds : ndarray of float64, shape (n, 4)
            ra_min, ra_max, dec_min, dec_max of each, as `SkyTable.bounds` gives them; a
            rectangle may be a point [deg].
        reach_deg : float
            Distance [deg].

        Returns
        -------
        ndarray of int64
            Indices, ascending: every leaf within the distance, and some beyond.
        """
        west, east, low, high = np.asarray(bounds, np.float64).T
        low, high = low - reach_deg, high + reach_deg
        far = np.maximum(np.abs(low), np.abs(high))
        # The widest the circle of radius reach about a position gets in right ascension.
        cosine = np.cos(np.radians(np.minimum(far - reach_deg, 90.0)))
        with np.errstate(divide="ignore", over="ignore"):
            ratio = np.sin(np.radians(min(reach_deg, 90.0))) / cosine
        pad = np.degrees(np.arcsin(np.minimum(ratio, 1.0))) + _SLACK_DEG
        width = np.where(far >= 90.0, 360.0, np.minimum(east - west + 2 * pad, 360.0))
        boxes = np.stack([wrap_ra(west - pad), width, low, high], axis=1)
        out = np.zeros(len(self.sky), np.bool_)
        kernels.mark_boxes(np.ascontiguousarray(boxes), self.level, self._is_split,
                           *self.sky.tree, out)  # fmt: skip
        return np.flatnonzero(out)

    def _deeper(self, found: I64, touches: Callable[[I64], Bool]) -> I64:
        """Put in the place of split regions those of their children that touch something."""
        if not self.splits:
            return found
        leaves = []
        while found.size:
            is_split = self._is_split[found]
            leaves.append(found[~is_split])
            found = self._children(found[is_split])
            found = found[touches(found)] if found.size else found
        return np.sort(np.concatenate([np.empty(0, np.int64), *leaves]))

    # ---- for a file

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """The partition as the columns of a SkyTable file.

        Returns
        -------
        dict of ndarray
            R_MIN, R_MAX, D_MIN, D_MAX (float64, ICRS [deg]), CHILD_S, CHILD_E, PARENT (int32,
            rows of this table; -1 for none), INDEX (int32, of the region), DEPTH (uint8),
            CHILD, TABLE (bool) and NAME (bytes): all regions down to the level of the
            partition, and the children of those that are split.
        """
        upper = self.sky.at_level(self.level).stop
        deeper = self._children(np.array(self.splits, np.int64))
        rows = np.concatenate([np.arange(upper), np.sort(deeper)])
        bounds, depth = self.sky.bounds(rows), self.sky.depths(rows)
        has_children = self._has_leaves_below(rows)
        starts, ends = self.sky.child_ranges(rows)
        parents = self.sky.parents(rows)
        deeper_names = np.array(self.sky.names(rows[upper:]), np.bytes_)
        return {
            "R_MIN": bounds[:, 0].copy(),
            "R_MAX": bounds[:, 1].copy(),
            "D_MIN": bounds[:, 2].copy(),
            "D_MAX": bounds[:, 3].copy(),
            "CHILD_S": np.where(has_children, np.searchsorted(rows, starts), 0).astype(np.int32),
            "CHILD_E": np.where(has_children, np.searchsorted(rows, ends - 1) + 1, 0).astype(
                np.int32
            ),
            "PARENT": np.where(parents < 0, -1, np.searchsorted(rows, parents)).astype(np.int32),
            "INDEX": rows.astype(np.int32),
            "DEPTH": depth.astype(np.uint8),
            "CHILD": has_children,
            "TABLE": ~has_children,
            "NAME": np.concatenate([self.sky.names_down_to(self.level), deeper_names]),
        }


@lru_cache(maxsize=8)
def partition_of(sky: SkyTable, level: int, splits: tuple[int, ...]) -> Partition:
    """Find or make a partition: snapshots that follow each other share it.

    Parameters
    ----------
    sky : SkyTable
        All regions.
    level : int
        Level where nothing is split.
    splits : tuple of int
        Regions that are split, ascending.

    Returns
    -------
    Partition
        The partition.
    """
    return Partition(sky, level, splits)


def overhang_deg(bounds: F64, ra: F64, dec: F64) -> F64:
    """Tell how far positions lie outside rectangles.

    Parameters
    ----------
    bounds : ndarray of float64, shape (n, 4)
        ra_min, ra_max, dec_min, dec_max of the rectangle of each position [deg].
    ra, dec : ndarray of float64, shape (n,)
        Positions [deg].

    Returns
    -------
    ndarray of float64, shape (n,)
        The distance, or a little more [deg]; 0 inside.
    """
    ra_min, ra_max, dec_min, dec_max = bounds.T
    centre, half = 0.5 * (ra_min + ra_max), 0.5 * (ra_max - ra_min)
    off = np.abs((ra - centre + 180.0) % 360.0 - 180.0) - half
    over_ra = np.maximum(off, 0.0) * np.cos(np.radians(dec))
    over_dec = np.maximum(np.maximum(dec_min - dec, dec - dec_max), 0.0)
    return np.asarray(np.hypot(over_ra, over_dec))
