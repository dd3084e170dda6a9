"""SkyTable: the hierarchy of sky regions, and every look-up in it.

Levels 0 to 5 are: the full sky, 24 declination bands, large regions, GSC regions, their 4x4
and 5x5 subdivisions. A region's index is its row, level after level, and the children of a
region are a run of rows. Levels 4 and 5 are never stored: bounds, names and pointers of
their 4 million regions are arithmetic on level 3, which `dvo.partition.gsc` lays out.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dvo.errors import PartitionError, UnknownRegionError
from dvo.partition import kernels
from dvo.partition.gsc import BANDS, Layout, pole_layout
from dvo.partition.sky_region import SkyRegion
from dvo.sphere import SphericalPolygon, same_shape, separation, wrap_ra

__all__ = ["SkyTable", "may_touch"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_FAN_OUT = {3: 16, 4: 25}


class SkyTable:
    """The regions of levels 0 to ``max_level``.

    Parameters
    ----------
    max_level : int, default 5
        Deepest level, 3 to 5. Regions of that level have no children.

    Examples
    --------
    >>> sky = SkyTable.standard()
    >>> sky.count(3), sky.count(4)
    (9499, 151984)
    >>> sky.region(int(sky.locate([31.3], [46.8], 4)[0])).name
    'n4500/3281.12'
    """

    def __init__(self, max_level: int = 5) -> None:
        if max_level not in (3, 4, 5):
            raise PartitionError(f"SkyTable: deepest level {max_level}; it must be 3, 4 or 5")
        self.max_level = max_level
        self._layout: Layout = pole_layout()
        lay = self._layout
        # The arrays by which the kernels walk down the levels, and those that place positions.
        self._grid = (lay.level_start, lay.ra_slot, lay.ra_slots, lay.dec_min, lay.dec_step)
        self.tree = (*self._grid, lay.child_start, lay.child_end)
        self._larges = (lay.band_large, lay.cuts, lay.large_row2, lay.large_row3)
        self._names: tuple[str, ...] | None = None
        self._rows_by_name: dict[str, int] | None = None

    @staticmethod
    def standard() -> SkyTable:
        """The table of all six levels, made once a process.

        Returns
        -------
        SkyTable
            The same object at every call.
        """
        return _standard()

    def __len__(self) -> int:
        return int(self._layout.level_start[self.max_level + 1])

    def count(self, level: int) -> int:
        """Number of regions of a level.

        Parameters
        ----------
        level : int
            Level, 0 to max_level.

        Returns
        -------
        int
            Number of regions.
        """
        return len(self.at_level(level))

    def at_level(self, level: int) -> range:
        """Indices of the regions of a level.

        Parameters
        ----------
        level : int
            Level, 0 to max_level.

        Returns
        -------
        range
            Their indices, one run.

        Raises
        ------
        PartitionError
            If there is no such level.
        """
        if not 0 <= level <= self.max_level:
            raise PartitionError(f"SkyTable: level {level}; levels are 0 to {self.max_level}")
        start = self._layout.level_start
        return range(int(start[level]), int(start[level + 1]))

    def depths(self, indices: ArrayLike) -> I64:
        """Levels of regions.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Indices of regions.

        Returns
        -------
        ndarray of int64, shape (n,)
            Level of each.

        Raises
        ------
        UnknownRegionError
            If an index is none of this table.
        """
        rows = self._checked(indices)
        return np.asarray(np.searchsorted(self._layout.level_start, rows, side="right") - 1)

    def bounds(self, indices: ArrayLike) -> F64:
        """Limits of regions; an edge shared by two regions is the same float64 in both.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Indices of regions.

        Returns
        -------
        ndarray of float64, shape (n, 4)
            ra_min, ra_max, dec_min, dec_max, ICRS [deg].

        Raises
        ------
        UnknownRegionError
            If an index is none of this table.
        """
        rows = self._checked(indices)
        out = np.empty((rows.size, 4))
        kernels.region_bounds(rows, *self._grid, out)
        return out

    def parents(self, indices: ArrayLike) -> I64:
        """Parents of regions.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Indices of regions.

        Returns
        -------
        ndarray of int64, shape (n,)
            Index of each one's parent; -1 for the full sky.

        Raises
        ------
        UnknownRegionError
            If an index is none of this table.
        """
        rows = self._checked(indices)
        start = self._layout.level_start
        out = np.empty(rows.size, np.int64)
        is5, is4 = rows >= start[5], (rows >= start[4]) & (rows < start[5])
        out[is5] = start[4] + (rows[is5] - start[5]) // _FAN_OUT[4]
        out[is4] = start[3] + (rows[is4] - start[4]) // _FAN_OUT[3]
        is_upper = rows < start[4]
        out[is_upper] = self._layout.parent[rows[is_upper]]
        return out

    def children(self, index: int) -> range:
        """Indices of the children of a region.

        Parameters
        ----------
        index : int
            Index of a region.

        Returns
        -------
        range
            Indices of its children; empty at the deepest level.

        Raises
        ------
        UnknownRegionError
            If the index is none of this table.
        """
        starts, ends = self.child_ranges(self._checked([index]))
        return range(int(starts[0]), int(ends[0]))

    def descendants(self, index: int, level: int) -> range:
        """Indices of the regions of a deeper level that split a region.

        Parameters
        ----------
        index : int
            Index of a region.
        level : int
            Its own level or a deeper one.

        Returns
        -------
        range
            Indices at that level, one run; the region itself at its own level.

        Raises
        ------
        PartitionError
            If the level lies above the region's own.
        """
        depth = int(self.depths([index])[0])
        if level < depth or level > self.max_level:
            raise PartitionError(
                f"region {index} is of level {depth}: it has no parts at level {level}"
            )
        first, last = index, index + 1
        for _ in range(depth, level):
            first, last = self.children(first).start, self.children(last - 1).stop
        return range(first, last)

    def names(self, indices: ArrayLike) -> list[str]:
        """Names of regions.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Indices of regions.

        Returns
        -------
        list of str
            Their names, such as ``n0000/0001.05``.

        Raises
        ------
        UnknownRegionError
            If an index is none of this table.
        """
        rows = self._checked(indices)
        base, start = self._upper_names(), self._layout.level_start
        start3, start4, start5 = (int(s) for s in start[3:6])
        out = []
        for row in rows.tolist():
            if row < start4:
                out.append(base[row])
            elif row < start5:
                major, minor = divmod(row - start4, 16)
                out.append(f"{base[start3 + major]}.{minor:02d}")
            else:
                major, minor = divmod(row - start5, 400)
                out.append(f"{base[start3 + major]}.{minor // 25:02d}.{minor % 25:02d}")
        return out

    def region(self, index: int) -> SkyRegion:
        """A region by its index.

        Parameters
        ----------
        index : int
            Index of the region.

        Returns
        -------
        SkyRegion
            The region.

        Raises
        ------
        UnknownRegionError
            If the index is none of this table.
        """
        rows = self._checked([index])
        children = self.children(index)
        ra_min, ra_max, dec_min, dec_max = self.bounds(rows)[0].tolist()
        return SkyRegion(
            index=int(index),
            name=self.names(rows)[0],
            depth=int(self.depths(rows)[0]),
            ra_min=ra_min,
            ra_max=ra_max,
            dec_min=dec_min,
            dec_max=dec_max,
            parent=int(self.parents(rows)[0]),
            child_start=children.start,
            child_end=children.stop,
        )

    def by_name(self, name: str) -> SkyRegion:
        """A region by its name.

        Parameters
        ----------
        name : str
            Name such as ``n4500`` or ``n0000/0001.05``.

        Returns
        -------
        SkyRegion
            The region.

        Raises
        ------
        UnknownRegionError
            If no region has that name.
        """
        if self._rows_by_name is None:
            self._rows_by_name = {name: row for row, name in enumerate(self._upper_names())}
        stem, parts = name, list[str]()
        while stem not in self._rows_by_name and "." in stem:
            stem, _, part = stem.rpartition(".")
            parts.insert(0, part)
        row = self._rows_by_name.get(stem, -1)
        for part in parts:
            children = self.children(row) if row >= 0 else range(0)
            is_part = len(part) == 2 and part.isdecimal() and int(part) < len(children)
            row = children[int(part)] if is_part else -1
        if row < 0 or (parts and row < self._layout.level_start[4]):
            raise UnknownRegionError(
                f"no region is named {name!r}; names are like n0000, n0000/z000, "
                "n0000/0001, n0000/0001.05 or n8230/pole.4"
            )
        return self.region(row)

    def locate(self, ra: ArrayLike, dec: ArrayLike, level: int) -> I64:
        """Regions that hold positions.

        Parameters
        ----------
        ra, dec : array_like of float64, shape (n,)
            Positions, ICRS, right ascension by any number of turns [deg].
        level : int
            Level of the regions wanted.

        Returns
        -------
        ndarray of int64, shape (n,)
            Index of the one region that holds each position; -1 where a coordinate is
            not finite or the declination lies outside [-90, 90].

        Raises
        ------
        ShapeError
            If ra and dec differ in shape.
        PartitionError
            If there is no such level.

        Notes
        -----
        A region is half-open, `SkyRegion`. The parts of one position at all levels lie
        inside each other.
        """
        of_level = self.at_level(level)
        a, d = same_shape(ra=ra, dec=dec)
        out = np.empty(a.size, np.int64)
        lay = self._layout
        poles = (lay.pole_row2, lay.pole_row3)
        kernels.locate(a.ravel(), d.ravel(), level, lay.level_start, *self._larges, *poles, out)
        assert out.size == 0 or (out.max() < of_level.stop and out.min() >= -1)
        return out

    def cone(self, ra: float, dec: float, radius_deg: float, level: int) -> I64:
        """Regions that a cone touches.

        Parameters
        ----------
        ra, dec : float
            Centre, ICRS [deg].
        radius_deg : float
            Radius, 0 or more [deg].
        level : int
            Level of the regions wanted.

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices in increasing order: every region with a point within the radius, and
            none farther off than 1e-9 deg more.

        Raises
        ------
        PartitionError
            If the cone or the level does not exist.
        """
        self.at_level(level)
        if not (np.isfinite(ra) and -90.0 <= dec <= 90.0 and 0.0 <= radius_deg < np.inf):
            raise PartitionError(
                f"cone ({ra}, {dec}), radius {radius_deg} deg: give a finite centre with dec "
                "in [-90, 90] and a radius of 0 or more"
            )
        return kernels.cone_regions(float(ra), float(dec), float(radius_deg), level, *self.tree)

    def box(self, ra_min: float, ra_max: float, dec_min: float, dec_max: float, level: int) -> I64:
        """Regions that a box in right ascension and declination touches.

        Parameters
        ----------
        ra_min, ra_max : float
            Right ascension limits, ICRS, both included [deg]. The box runs eastward from
            ra_min, so with ra_min > ra_max it crosses RA 0; a width of 360 or more is the
            full circle.
        dec_min, dec_max : float
            Declination limits, ICRS, both included [deg].
        level : int
            Level of the regions wanted.

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices in increasing order: every region with a point in the box.

        Raises
        ------
        PartitionError
            If the box or the level does not exist.
        """
        self.at_level(level)
        if not (np.isfinite(ra_min) and np.isfinite(ra_max) and dec_min <= dec_max):
            raise PartitionError(
                f"box ra {ra_min}..{ra_max}, dec {dec_min}..{dec_max}: give finite limits "
                "with dec_min <= dec_max"
            )
        width = ra_max - ra_min
        width = 360.0 if width >= 360.0 else width % 360.0
        return kernels.box_regions(
            float(wrap_ra([ra_min])[0]),
            float(width),
            float(dec_min),
            float(dec_max),
            level,
            *self.tree,
        )

    def polygon(self, vertices: ArrayLike, level: int) -> I64:
        """Regions that a spherical polygon may touch.

        Parameters
        ----------
        vertices : array_like of float64, shape (n, 2)
            At least three corners ra, dec, ICRS [deg], in order either way round; sides are
            great circles and may make a concave shape. The polygon is the side that lies
            within 90 deg of its corners' mean direction.
        level : int
            Level of the regions wanted.

        Returns
        -------
        ndarray of int64, shape (n,)
            Indices in increasing order: every region with a point in the polygon, and some
            near it (a region counts by its enclosing circle).

        Raises
        ------
        ShapeError
            If the polygon does not exist or is larger than a hemisphere.
        PartitionError
            If there is no such level.
        """
        self.at_level(level)
        shape = SphericalPolygon(vertices)
        rows = np.zeros(1, np.int64)
        for _ in range(level):
            starts, ends = self.child_ranges(rows)
            rows = _runs(starts, ends)
            rows = rows[may_touch(shape, self.bounds(rows))]
        return rows

    def _checked(self, indices: ArrayLike) -> I64:
        rows = np.ascontiguousarray(indices, dtype=np.int64).reshape(-1)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            bad = rows[(rows < 0) | (rows >= len(self))][0]
            raise UnknownRegionError(f"no region has index {bad}; indices are 0 to {len(self) - 1}")
        return rows

    def child_ranges(self, indices: ArrayLike) -> tuple[I64, I64]:
        """Indices of the children of many regions.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Indices of regions.

        Returns
        -------
        starts, ends : ndarray of int64, shape (n,)
            First child of each region and the one behind its last; both 0 where it has none.

        Raises
        ------
        UnknownRegionError
            If an index is none of this table.
        """
        rows = self._checked(indices)
        start, lay = self._layout.level_start, self._layout
        starts, ends = np.zeros(rows.size, np.int64), np.zeros(rows.size, np.int64)
        is_upper = rows < start[4]
        starts[is_upper] = lay.child_start[rows[is_upper]]
        ends[is_upper] = lay.child_end[rows[is_upper]]
        is4 = (rows >= start[4]) & (rows < start[5])
        starts[is4] = start[5] + _FAN_OUT[4] * (rows[is4] - start[4])
        ends[is4] = starts[is4] + _FAN_OUT[4]
        is_deepest = rows >= start[self.max_level]
        starts[is_deepest] = ends[is_deepest] = 0
        return starts, ends

    def names_down_to(self, level: int) -> NDArray[np.bytes_]:
        """Names of all regions of the first levels; much faster than one by one.

        Parameters
        ----------
        level : int
            Deepest level.

        Returns
        -------
        ndarray of bytes
            Their names, in the order of indices.
        """
        out = [np.array(self._upper_names()[: self.at_level(min(level, 3)).stop], np.bytes_)]
        names = out[0][self.at_level(3).start :]
        for depth in range(4, level + 1):
            parts = [f".{part:02d}" for part in range(_FAN_OUT[depth - 1])]
            names = np.strings.add(names[:, None], np.array(parts, np.bytes_)).ravel()
            out.append(names)
        return np.concatenate(out)

    def _upper_names(self) -> tuple[str, ...]:
        """Names of levels 0 to 3."""
        if self._names is None:
            lay, start = self._layout, self._layout.level_start
            bands = np.searchsorted(lay.child_end[1:25], np.arange(start[2], start[3]), "right")
            names = ["fullsky", *BANDS]
            names += [f"{BANDS[band]}/z{i:03d}" for i, band in enumerate(bands)]
            numbers = lay.gsc_number[start[3] :].tolist()
            bands3 = bands[lay.parent[start[3] :] - start[2]].tolist()
            n_pole = 0
            for number, band in zip(numbers, bands3, strict=True):
                if number:
                    names.append(f"{BANDS[band]}/{number:04d}")
                else:
                    names.append(f"{BANDS[band]}/pole.{n_pole % 5}")
                    n_pole += 1
            self._names = tuple(names)
        return self._names


@lru_cache(maxsize=1)
def _standard() -> SkyTable:
    return SkyTable()


def _runs(starts: I64, ends: I64) -> I64:
    """All integers of start..end-1 of each pair, in order."""
    counts = ends - starts
    skipped = np.repeat(starts - (np.cumsum(counts) - counts), counts)
    return np.asarray(skipped + np.arange(skipped.size))


def may_touch(shape: SphericalPolygon, bounds: F64) -> NDArray[np.bool_]:
    """Tell which rectangles may touch a polygon: those whose enclosing circles meet it.

    Parameters
    ----------
    shape : SphericalPolygon
        The polygon.
    bounds : ndarray of float64, shape (n, 4)
        ra_min, ra_max, dec_min, dec_max of each rectangle [deg].

    Returns
    -------
    ndarray of bool, shape (n,)
        Never wrongly False.
    """
    ra = 0.5 * (bounds[:, 0] + bounds[:, 1])
    dec = 0.5 * (bounds[:, 2] + bounds[:, 3])
    half_width = 0.5 * (bounds[:, 1] - bounds[:, 0])
    # The farthest point is a corner as long as the rectangle is not wider than 180 deg.
    radius = np.maximum(
        separation(ra, dec, ra + half_width, bounds[:, 2]),
        separation(ra, dec, ra + half_width, bounds[:, 3]),
    )
    radius = np.where(half_width > 90.0, 180.0, radius) + 1e-7
    return shape.distance(ra, dec) <= radius
