"""A snapshot of the database as it is read: parts put together into tables.

Measure is a list of runs of rows; Average and SecFilt are rows plus patches (new values
of some columns of some rows); any of them may have overlays. All of that ends here:
callers see plain tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.partition.bounds import Area
from dvo.partition.cache import TileCache
from dvo.partition.column_range import ColumnRange, parts_that_may_hold, unchanged_ranges
from dvo.partition.detection_ids import DetectionIds
from dvo.partition.gather import gather_rows, patched_rows
from dvo.partition.manifest import (
    ALL_SKY,
    CatalogCounts,
    CatalogRow,
    ImageRow,
    Manifest,
    Part,
    PartSizes,
    PartTable,
    SnapshotRow,
)
from dvo.partition.newest import newest_values
from dvo.partition.partition import partition_of
from dvo.partition.pieces import Make, column_pieces
from dvo.partition.pins import Pin
from dvo.partition.sky_table import SkyTable
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE, PhotcodeTable
from dvo.tables.schema import TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["View"]

Array = NDArray[Any]

_FEW_REGIONS = 5000
"""Regions that are asked for one by one; for more, all catalogs are read."""


class View:
    """One snapshot, open for reading.

    Parameters
    ----------
    manifest : Manifest
        The manifest.
    cache : TileCache
        Where data files are read through.
    sky : SkyTable
        All regions of the sky; those that have catalogs are in `partition`.
    snapshot : SnapshotRow
        Which state.
    pin : Pin, optional
        Keeps its files from a vacuum, as long as the view is there.
    """

    def __init__(
        self,
        manifest: Manifest,
        cache: TileCache,
        sky: SkyTable,
        snapshot: SnapshotRow,
        pin: Pin | None = None,
    ) -> None:
        self._manifest = manifest
        self._cache = cache
        self.sky = sky
        self.snapshot = snapshot
        self._pin = pin
        self._overrides: dict[tuple[int, str], ColumnTable] = {}
        self._parts: dict[tuple[int, str], list[Part]] = {}
        self._catalogs: dict[int, CatalogRow] = {}
        self._changed: dict[int, CatalogRow] = {}  # counts of the catalogs in _overrides
        self._asked_counts: tuple[tuple[int, ...], dict[int, CatalogRow]] = ((), {})
        self._asked_parts: tuple[tuple[int, ...], PartTable] | None = None
        self.partition = partition_of(sky, snapshot.level, manifest.splits(snapshot.id))
        self.pad_deg = snapshot.reach.pad_deg
        self.catdir, self.db_id = manifest.catdir, str(manifest.meta["db_id"])

    @cached_property
    def photcodes(self) -> PhotcodeTable:
        """The photcode table."""
        table = self.read(PHOTCODE, ALL_SKY)
        return PhotcodeTable.from_columns({n: table[n] for n in PHOTCODE.names})

    def motion_pad_deg(self, times: Array) -> float:
        """How far objects with known motion may have left the place of their rows.

        Parameters
        ----------
        times : ndarray of float64
            Times of interest [s since 1970].

        Returns
        -------
        float
            Greatest displacement at any of the times [deg]; 0 if no motion is known.
        """
        if len(times) == 0:
            return 0.0
        return self.snapshot.reach.motion_deg(float(times.min()), float(times.max()))

    @property
    def n_secfilt(self) -> int:
        """Average filters, so SecFilt rows of each object."""
        return len(self.photcodes.sec)

    def regions(self, area: Area | None = None) -> list[int]:
        """Regions that have a catalog, those that may touch an area.

        Parameters
        ----------
        area : Area, optional
            The area; None for all.

        Returns
        -------
        list of int
            Region indices, ascending.
        """
        found: list[int] = self.counts([] if area is None else [area]).regions.tolist()
        return found

    def counts(self, areas: Sequence[Area] = ()) -> CatalogCounts:
        """Counts of the catalogs that have objects, and may touch each of some areas.

        Parameters
        ----------
        areas : sequence of Area
            The areas; none for all catalogs.

        Returns
        -------
        CatalogCounts
            Regions, ascending, and rows, as columns: there may be 100,000 of them.
        """
        if not areas:
            return self._counts
        near = reduce(np.intersect1d, (a.regions(self.partition, self.pad_deg) for a in areas))
        if len(near) < _FEW_REGIONS:
            return self._manifest.catalog_counts(self.snapshot.id, near.tolist())
        return self._counts.of(near)

    @cached_property
    def _counts(self) -> CatalogCounts:
        return self._manifest.catalog_counts(self.snapshot.id)

    def catalog(self, region: int) -> CatalogRow:
        """Counts of one catalog (zero where there is none)."""
        found = self._changed.get(region) or self._catalogs.get(region)
        if found is None:
            found = self._catalogs[region] = self._manifest.catalog(self.snapshot.id, region)
        return found

    def catalogs(self, regions: Iterable[int]) -> dict[int, CatalogRow]:
        """Counts of many catalogs at once.

        Parameters
        ----------
        regions : iterable of int
            Which.

        Returns
        -------
        dict of int to CatalogRow
            Those that there are, by region, ascending.
        """
        wanted, asked = tuple(regions), self._asked_counts
        if asked[0] != wanted:
            found = self._manifest.catalogs(self.snapshot.id, wanted)
            asked = self._asked_counts = (wanted, {row.region: row for row in found})
        return asked[1] | {r: row for r, row in self._changed.items() if r in asked[1]}

    def part_table(self, regions: Iterable[int]) -> PartTable:
        """Parts of all tables of many regions, as columns."""
        wanted, asked = tuple(regions), self._asked_parts
        # The tables of the same regions are read one after the other.
        if asked is None or asked[0] != wanted:
            found = self._manifest.part_table(self.snapshot.id, wanted)
            asked = self._asked_parts = (wanted, found)
        return asked[1]

    def part_sizes(self, schema: TableSchema, regions: Iterable[int]) -> PartSizes:
        """Tell how much the parts of a table of many regions are."""
        return self._manifest.part_sizes(self.snapshot.id, schema.name, regions)

    def parts(self, schema: TableSchema, region: int) -> list[Part]:
        """Parts of a table of a region, in the order in which they apply."""
        found = self._parts.get((region, schema.name))
        if found is None:
            known = self._parts
            known |= self._parts_of([region])
            found = known.setdefault((region, schema.name), [])
        return found

    def _parts_of(self, regions: Iterable[int]) -> dict[tuple[int, str], list[Part]]:
        """Parts of the tables of regions; no region lacks the tables of a catalog."""
        parts: dict[tuple[int, str], list[Part]] = {
            (int(region), schema.name): []
            for region in regions
            for schema in (AVERAGE, SECFILT, MEASURE)
        }
        for part in self.part_table(regions).parts():
            parts.setdefault((part.region, part.table), []).append(part)
        return parts

    @cached_property
    def _detection_ids(self) -> DetectionIds:
        return DetectionIds(self.read(IMAGE, ALL_SKY, DetectionIds.COLUMNS), self.photcodes)

    def foresee(self, regions: Sequence[int]) -> None:
        """Read what the manifest says of many regions at once, and forget others.

        Parameters
        ----------
        regions : sequence of int
            Regions that will be read; much cheaper than asking for one after the other.
        """
        catalogs = {int(r): CatalogRow(int(r), 0, 0, 0, is_sorted=True) for r in regions}
        catalogs |= self.catalogs(regions)
        # Other threads may be reading: they find the old or the new, never the half.
        self._parts, self._catalogs = self._parts_of(regions), catalogs

    def reference_catalogs(self) -> list[ImageRow]:
        """Reference catalogs that are in; they have no rows in Image."""
        return self._manifest.reference_catalogs(self.snapshot.id)

    @cached_property
    def images(self) -> ColumnTable:
        """The Image table, every row and column."""
        return self.read(IMAGE, ALL_SKY)

    def changed(self, tables: dict[int, list[ColumnTable]], rows: Iterable[CatalogRow]) -> View:
        """This snapshot with some catalogs replaced in memory, as a change will leave them.

        Parameters
        ----------
        tables : dict of int to list of ColumnTable
            Whole tables of the regions that are replaced.
        rows : iterable of CatalogRow
            Their counts.

        Returns
        -------
        View
            What the change builds on.
        """
        view = View(self._manifest, self._cache, self.sky, self.snapshot, self._pin)
        for region, found in tables.items():
            view._overrides |= {(region, t.schema.name): t for t in found}
        view._changed = {row.region: row for row in rows}
        return view

    def n_rows(self, schema: TableSchema, region: int) -> int:
        """Rows of a table of a region."""
        if schema.name == AVERAGE.name:
            return self.catalog(region).n_average
        if schema.name == SECFILT.name:
            return self.catalog(region).n_average * self.n_secfilt
        return sum(p.n_rows for p in self.parts(schema, region) if p.kind == "rows")

    def read(
        self, schema: TableSchema, region: int, columns: Iterable[str] | None = None
    ) -> ColumnTable:
        """Read a table of a region, all its rows.

        Parameters
        ----------
        schema : TableSchema
            Which table.
        region : int
            Which region.
        columns : iterable of str, optional
            Which columns; None for all.

        Returns
        -------
        ColumnTable
            The rows. Columns wholly null may be left unset. Arrays may be read-only.
        """
        names = list(schema.names if columns is None else dict.fromkeys(columns))
        override = self._overrides.get((region, schema.name))
        if override is not None:
            kept = {n: override[n] for n in names if n in override}
            return ColumnTable(schema, kept, len(override))
        parts = self.parts(schema, region)
        stored = sum(p.n_rows for p in parts if p.kind == "rows")
        if any(p.kind == "patch" for p in parts) or stored != self.n_rows(schema, region):
            n_rows = self.n_rows(schema, region)
            return newest_values(schema, names, n_rows, parts, partial(self._stored, schema))
        return ColumnTable.concatenate(
            schema,
            [self._rows(schema, p, names, p.row_start, p.row_stop, parts)
             for p in parts if p.kind == "rows"]
            or [ColumnTable(schema, {}, 0)],
        )  # fmt: skip

    def read_many(
        self,
        schema: TableSchema,
        regions: Sequence[int],
        columns: Iterable[str],
        *,
        ranges: Sequence[ColumnRange] = (),
        once: bool = False,
    ) -> tuple[ColumnTable, Array]:
        """Read a table of many regions at once, all their rows.

        Much quicker than one region after the other where they have few rows each.

        Parameters
        ----------
        schema : TableSchema
            Which table.
        regions : sequence of int
            Which regions, ascending.
        columns : iterable of str
            Which columns, of those that are stored.
        ranges : sequence of ColumnRange
            Rows outside of any may be left out; some are where that saves reading.
        once : bool
            Whether nobody will ask for these rows again, as in `TileCache.deal_out`.

        Returns
        -------
        table : ColumnTable
            The rows, region after region. Columns wholly null may be left unset.
        edges : ndarray of int64, shape (len(regions) + 1,)
            Where the rows of each region begin, and where the last ones end.
        """
        names = list(dict.fromkeys(columns))
        if any((region, schema.name) in self._overrides for region in regions):
            tables = [self.read(schema, region, names) for region in regions]
            edges = np.cumsum([0, *(len(t) for t in tables)])
            return ColumnTable.concatenate(schema, tables), edges
        parts = self.part_table(regions)
        parts = parts.take(parts.are(table=schema.name))
        of = np.array(regions, np.int64)
        if schema.name in (AVERAGE.name, SECFILT.name):
            known = self.catalogs(regions)
            sizes = np.array([known[r].n_average if r in known else 0 for r in regions], np.int64)
            sizes *= 1 if schema.name == AVERAGE.name else self.n_secfilt
        else:
            parts = parts_that_may_hold(self._cache, parts, ranges)
            is_rows = parts.are(table=schema.name, kind="rows")
            sizes = np.zeros(len(of), np.int64)
            np.add.at(sizes, np.searchsorted(of, parts.regions[is_rows]), parts.sizes[is_rows])
        edges = np.concatenate([[0], np.cumsum(sizes)])
        return gather_rows(self._cache, schema, names, parts, of, edges, once=once), edges

    def pieces(
        self,
        schema: TableSchema,
        regions: Sequence[int],
        names: Sequence[str],
        make: Make,
        ranges: Sequence[ColumnRange] = (),
    ) -> dict[str, list[Any]] | None:
        """Find columns of many regions as they lie in memory, without a copy.

        Parameters
        ----------
        schema : TableSchema
            Which table.
        regions : sequence of int
            Which regions, ascending.
        names : sequence of str
            Which columns, of those that are stored.
        make : callable
            What to make of each tile; it is made once.
        ranges : sequence of ColumnRange
            Rows outside of any may be left out, and are in whole tiles.

        Returns
        -------
        dict of str to list, or None
            Pieces of each column, region after region; None where the table has to be put
            together (`read_many` does that).
        """
        changed = any((region, schema.name) in self._overrides for region in regions)
        if changed or any(name not in schema.stored_names for name in names):
            return None
        parts = self.part_table(regions)
        parts = parts.take(parts.are(table=schema.name))
        ranges = unchanged_ranges(parts, ranges)
        parts = parts_that_may_hold(self._cache, parts, ranges)
        return column_pieces(self._cache, schema, names, parts, make, ranges)

    def read_area(
        self, schema: TableSchema, region: int, columns: Sequence[str], area: Area | None
    ) -> ColumnTable:
        """Read the rows of a region that lie in an area, skipping tiles that cannot.

        Parameters
        ----------
        schema : TableSchema
            Which table; it has ra and dec.
        region : int
            Which region.
        columns : sequence of str
            Which columns.
        area : Area or None
            Which area; None for all rows.

        Returns
        -------
        ColumnTable
            The rows in the area, in the order in which they are stored.
        """
        found = self.area_pieces(schema, region, columns, area)
        return ColumnTable.concatenate(schema, found or [ColumnTable(schema, {}, 0)])

    def area_pieces(
        self, schema: TableSchema, region: int, columns: Sequence[str], area: Area | None
    ) -> list[ColumnTable]:
        """Read as `read_area` does, without putting the pieces together.

        Parameters
        ----------
        schema : TableSchema
            Which table; it has ra and dec.
        region : int
            Which region.
        columns : sequence of str
            Which columns; ra and dec come along.
        area : Area or None
            Which area; None for all rows.

        Returns
        -------
        list of ColumnTable
            The rows in the area, in the order in which they are stored; none is empty.
        """
        if area is None:
            whole = self.read(schema, region, columns)
            return [whole] if len(whole) else []
        names = list(dict.fromkeys([*columns, "ra", "dec"]))
        parts = self.parts(schema, region)
        if any(p.kind != "rows" for p in parts):
            table = self.read(schema, region, names)
            found = table.take(np.flatnonzero(area.holds(table["ra"], table["dec"])))
            return [found] if len(found) else []
        pieces = []
        for part in parts:
            near = self._tiles_near(part, area)
            # A few tiles are soonest read at once; of many, first what tells rows apart.
            self._cache.fetch(part.path, names if len(near) <= 2 else ["ra", "dec"], near)
            kept = []
            for start, stop in near:
                where = self._cache.rows(part.path, ["ra", "dec"], start, stop)
                rows = np.flatnonzero(area.holds(where["ra"], where["dec"]))
                if len(rows):
                    kept.append((start, stop, rows))
            self._cache.fetch(part.path, names, [(start, stop) for start, stop, _ in kept])
            # Decoded tiles are used where they lie, only rows that are kept are copied.
            for start, stop, rows in kept:
                table = self._rows(schema, part, names, start, stop, [])
                pieces.append(table if len(rows) == len(table) else table.take(rows))
        return pieces

    def read_rows(
        self, schema: TableSchema, region: int, columns: Sequence[str], start: int, stop: int
    ) -> ColumnTable:
        """Read a run of rows of a compacted table.

        Parameters
        ----------
        schema : TableSchema
            Which table.
        region : int
            Which region.
        columns : sequence of str
            Which columns.
        start, stop : int
            Rows.

        Returns
        -------
        ColumnTable
            The rows.
        """
        parts = self.parts(schema, region)
        rows = [p for p in parts if p.kind == "rows"]
        if len(rows) != 1 or any(p.kind == "patch" for p in parts):
            return self.read(schema, region, columns).take(slice(start, stop))
        first = rows[0].row_start
        return self._rows(schema, rows[0], columns, first + start, first + stop, parts)

    def read_parts(self, schema: TableSchema, parts: Sequence[Part]) -> ColumnTable:
        """Read some parts of a table of one region, all columns.

        Parameters
        ----------
        schema : TableSchema
            Which table.
        parts : sequence of Part
            Parts that follow each other; all of them if there are patches or overlays.

        Returns
        -------
        ColumnTable
            Their rows.
        """
        names = schema.stored_names
        if any(p.kind != "rows" for p in parts):
            return self.read(schema, parts[0].region, names)
        tables = [self._rows(schema, p, names, p.row_start, p.row_stop, ()) for p in parts]
        return ColumnTable.concatenate(schema, tables)

    def patched_rows(self, parts: PartTable) -> Iterator[tuple[Array, Array, Array]]:
        """Find which rows of their tables patches change; see `gather.patched_rows`."""
        return patched_rows(self._cache, parts)

    def _tiles_near(self, part: Part, area: Area) -> list[tuple[int, int]]:
        """Rows of each tile of a part that may touch an area."""
        found = self._cache.tile_bounds(part.path, ["ra", "dec"])
        if found is None:
            return [(part.row_start, part.row_stop)]
        tile, (ra, dec) = found
        first, last = part.row_start // tile, -(-part.row_stop // tile)
        near = area.may_hold(
            ra[0][first:last], ra[1][first:last], dec[0][first:last], dec[1][first:last]
        )
        return [
            (max(t * tile, part.row_start), min((t + 1) * tile, part.row_stop))
            for t in (np.flatnonzero(near) + first).tolist()
        ]

    def _rows(
        self,
        schema: TableSchema,
        part: Part,
        names: Sequence[str],
        start: int,
        stop: int,
        parts: Iterable[Part],
    ) -> ColumnTable:
        """Rows of one part, with the newest overlay of each column."""
        if schema.name == MEASURE.name and "ext_id" in names:
            rest = [n for n in names if n != "ext_id"]
            with_keys = [*dict.fromkeys([*rest, "image_id", "det_id"])]
            table = self._rows(schema, part, with_keys, start, stop, parts)
            kept = {n: v for n, v in table.columns.items() if n in rest}
            kept["ext_id"] = self._detection_ids.of(table["image_id"], table["det_id"])
            return ColumnTable(schema, kept, stop - start)
        columns = self._cache.rows(part.path, names, start, stop)
        for over in parts:
            if over.kind == "overlay" and over.target == part.id:
                shift = over.row_start - part.row_start
                columns |= self._cache.rows(over.path, names, start + shift, stop + shift)
        return ColumnTable(schema, columns, stop - start)

    def _stored(self, schema: TableSchema, part: Part, names: list[str]) -> dict[str, Array]:
        """Columns of one part, of those that it has, without what changes them."""
        if part.kind == "patch":
            return self._cache.rows(part.path, names, part.row_start, part.row_stop)
        return self._rows(schema, part, names, part.row_start, part.row_stop, ()).columns
