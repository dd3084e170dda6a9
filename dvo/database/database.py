"""The Python way in: open a database, ask for a cone, a box, images, a light curve."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn, to_arrow
from dvo.database.brightness import BrightnessQueries
from dvo.database.changes import diff_table, table_name
from dvo.database.fields import resolve
from dvo.database.given_table import as_given
from dvo.database.images import ImageQueries
from dvo.database.match import MatchRule, collect, find_matches
from dvo.database.match_sides import ObjectSide, Side, TableSide
from dvo.database.quantities import area_of, cone_of, mjd_of, number_in, whole_number
from dvo.database.rows import image_values, read_region, values_in
from dvo.errors import QueryError
from dvo.partition.bounds import Box
from dvo.partition.history import SnapshotDiff, diff, diff_rows
from dvo.partition.manifest import ALL_SKY, SnapshotRow
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import DEFAULT_CACHE_BYTES, Store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE, PhotcodeTable
from dvo.tables.satellites import SATELLITES
from dvo.tables.schema import TableSchema

if TYPE_CHECKING:
    from dvo.database.quantities import Angle, Epoch, Place, SkyArea

__all__ = ["Database"]

Array = NDArray[Any]

_TABLES: dict[str, TableSchema] = {
    "average": AVERAGE,
    "measure": MEASURE,
    "image": IMAGE,
    **{s.schema.name.lower(): s.schema for s in SATELLITES},
}
_SORTS = ("distance", "stored")
_MJD_1970 = 40587.0
_MATCH_COLUMNS = ("cat_id", "obj_id", "ext_id", "ra", "dec")


class Database(BrightnessQueries, ImageQueries):
    """A snapshot of a database, open for reading.

    Parameters
    ----------
    catdir : path
        The database directory.
    snapshot : int, str or datetime, optional
        Which state: number, tag or time; None for the newest.
    cache_bytes : int
        Memory for decoded columns.

    Examples
    --------
    >>> with dvo.open("sky") as db:  # doctest: +SKIP
    ...     stars = db.cone(56.75, 24.12, 60, table="average", columns=["ra", "dec", "g", "g:err"])
    """

    def __init__(
        self,
        catdir: str | os.PathLike[str],
        *,
        snapshot: SnapshotName | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        budget = whole_number(cache_bytes, "cache_bytes", "bytes", least=0)
        self._store = Store(catdir, cache_bytes=budget)
        try:
            self.view: View = self._store.view(snapshot)
        except BaseException:
            self._store.close()
            raise

    def __repr__(self) -> str:
        row = self.view.snapshot
        counts = ", ".join(f"{row.counts[k]} {k}" for k in ("images", "objects", "measures"))
        return f"<Database {str(self._store.catdir)!r}, snapshot {row.id}: {counts}>"

    @property
    def snapshot(self) -> SnapshotRow:
        """The state that is open."""
        return self.view.snapshot

    @property
    def photcodes(self) -> PhotcodeTable:
        """The photcodes."""
        return self.view.photcodes

    def cone(
        self,
        ra: Place,
        dec: Angle | None = None,
        radius_arcsec: Angle | None = None,
        *,
        table: str = "average",
        columns: Sequence[str] | None = None,
        sort: str | None = None,
    ) -> pa.Table:
        """Rows within a circle.

        Parameters
        ----------
        ra, dec : float or Quantity
            Centre, ICRS [deg]; or the centre as a SkyCoord, and then the radius.
        radius_arcsec : float or Quantity
            Radius [arcsec]; rows at just that distance are in.
        table : {'average', 'measure', 'image', 'galphot', 'lensing', 'lensobj', ...}
            Which table; images are those whose field the circle touches. Rows of satellite
            tables (starpar, missing, too) are where their objects are.
        columns : sequence of str, optional
            Columns, derived columns such as ``distance`` from the centre [arcsec], and
            magnitude words; None for all columns of the table.
        sort : {'distance', 'stored'}, optional
            Order of the rows: the nearest first, or region after region as they are
            stored, which costs nothing. None sorts if ``distance`` is among the columns.

        Returns
        -------
        pyarrow.Table
            The rows.

        Raises
        ------
        UnknownColumnError
            If a column is not known.
        QueryError
            If the position, radius, table or order is not one.
        """
        area = cone_of(ra, dec, radius_arcsec)
        place = (area.ra, area.dec)
        schema = self._schema(table)
        request = resolve(self.view.photcodes, schema, columns, place)
        outputs = request.outputs
        if _by_distance(sort, outputs):
            request = resolve(
                self.view.photcodes, schema, [*(o.name for o in outputs), "distance"], place
            )
        values = (
            image_values(self.view, request, area)
            if schema is IMAGE
            else values_in(self.view, request, area)
        )
        if _by_distance(sort, outputs):
            order = np.argsort(values["distance"], kind="stable")
            values = {output.name: values[output.name][order] for output in outputs}
        return to_arrow(outputs, values)

    def box(
        self,
        ra_min: Angle,
        ra_max: Angle,
        dec_min: Angle,
        dec_max: Angle,
        *,
        table: str = "average",
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows in a range of right ascension and declination.

        Parameters
        ----------
        ra_min, ra_max : float or Quantity
            Right ascension [deg]; ra_min above ra_max means across RA 0.
        dec_min, dec_max : float or Quantity
            Declination [deg].
        table : {'average', 'measure', 'galphot', 'lensing', 'lensobj', 'starpar', 'missing'}
            Which table.
        columns : sequence of str, optional
            Columns and magnitude words; None for all columns.

        Returns
        -------
        pyarrow.Table
            The rows.
        """
        schema = self._schema(table)
        if schema is IMAGE:
            raise QueryError("no boxes of images; ask for a cone of them, or images()")
        edges = {"ra_min": ra_min, "ra_max": ra_max, "dec_min": dec_min, "dec_max": dec_max}
        area = Box(*(number_in(value, "deg", name) for name, value in edges.items()))
        request = resolve(self.view.photcodes, schema, columns)
        return to_arrow(request.outputs, values_in(self.view, request, area))

    def scan(
        self,
        table: str = "average",
        columns: Sequence[str] | None = None,
        *,
        where: Any = None,
        area: SkyArea | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Go through a table, region by region.

        Parameters
        ----------
        table : {'average', 'measure', 'image', 'photcode', 'galphot', 'lensing', ...}
            Which table; also lensobj, starpar, missing.
        columns : sequence of str, optional
            Columns and magnitude words; None for all columns.
        where : pyarrow.compute.Expression, optional
            Which rows, as a condition on the columns asked for.
        area : Area or tuple, optional
            Only rows in a `dvo.Cone` or `dvo.Box`, or in the circle (SkyCoord, radius) or
            (ra, dec, radius), the radius in arcseconds or a Quantity.

        Yields
        ------
        pyarrow.RecordBatch
            Rows of one region at a time.
        """
        if where is not None and not isinstance(where, pc.Expression):
            raise QueryError(
                f"where is {where!r}; give an expression of pyarrow.compute, such as "
                "pc.field('mag') < 20, or ask in SQL with db.sql"
            )
        schema = PHOTCODE if table == "photcode" else self._schema(table)
        request = resolve(self.view.photcodes, schema, columns)
        is_global = schema.name in (IMAGE.name, PHOTCODE.name)
        area = area_of(area)
        for region in [ALL_SKY] if is_global else self.view.regions(area):
            rows = read_region(self.view, request, region, None if is_global else area)
            found = to_arrow(request.outputs, request.values(self.view, region, rows))
            yield from (found if where is None else found.filter(where)).to_batches()

    def images(
        self,
        ra: Place | None = None,
        dec: Angle | None = None,
        radius_arcsec: Angle | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Images, all or those near a position.

        Parameters
        ----------
        ra, dec : float or Quantity, optional
            Position, ICRS [deg], or a SkyCoord, and then the radius; None for all images.
        radius_arcsec : float or Quantity, optional
            Images whose circle of measurements comes this near to the position [arcsec]; 0 if
            not given.
        columns : sequence of str, optional
            Columns; None for all. Near a position there is ``distance``, too: from it to
            the centre of the image [arcsec].

        Returns
        -------
        pyarrow.Table
            Rows of Image.
        """
        if ra is None:
            request = resolve(self.view.photcodes, IMAGE, columns)
            return to_arrow(request.outputs, image_values(self.view, request, None))
        area = cone_of(ra, dec, radius_arcsec, least_arcsec=0.0)
        request = resolve(self.view.photcodes, IMAGE, columns, (area.ra, area.dec))
        return to_arrow(request.outputs, image_values(self.view, request, area))

    def match(
        self,
        other: Any,
        radius_arcsec: Angle,
        *,
        mode: str = "nearest",
        join: str = "inner",
        columns: Sequence[str] | None = None,
        other_columns: Sequence[str] | None = None,
        position: tuple[str | None, str | None] | None = None,
        suffix: str = "_other",
        epoch_mjd: Epoch | None = None,
    ) -> pa.Table:
        """Cross-match: find the objects that the rows of another table, or database, are.

        Parameters
        ----------
        other : table, path, pair of arrays, SkyCoord, or Database
            What asks: a table of pyarrow, pandas or astropy (a column of it may be a
            SkyCoord), a file with one, a mapping of arrays, the two arrays ra and dec [deg],
            the places of a SkyCoord, or another database, whose objects ask.
        radius_arcsec : float or Quantity
            How far apart a pair may be, at most 3600; the edge counts [arcsec].
        mode : {'nearest', 'all', 'mutual'}
            What a row finds: its nearest object; all objects within the radius; its nearest
            object if that has no nearer row in turn, so that each occurs once at most.
        join : {'inner', 'left'}
            Which rows of `other` come out: those that find something, or all.
        columns : sequence of str, optional
            Columns and magnitude words of the objects; None for ids and positions.
        other_columns : sequence of str, optional
            Columns of `other`; None for all of a table, ids and positions of objects.
        position : tuple of str, optional
            Columns of right ascension and declination in a table [deg, unless they say which
            unit]; None for ra and dec.
        suffix : str
            What a column of `other` is called besides if the objects have one of its name.
        epoch_mjd : float or Time, optional
            Time at which places are compared, MJD [d]: objects whose proper motion is known
            are moved there; a table is taken to be of that time. None moves nothing.

        Returns
        -------
        pyarrow.Table
            Columns of `other`, of the objects, and ``separation_arcsec``, in the order of
            `other`, the nearest first. What a row without an object lacks is null.

        Raises
        ------
        QueryError
            If the other table has no positions, or the radius, mode or join is not one.
        UnknownColumnError
            If a column is not known.

        Notes
        -----
        At equal distance the object of lower declination is nearer, then that of lower
        right ascension.

        Examples
        --------
        >>> with dvo.open("sky") as db:  # doctest: +SKIP
        ...     pairs = db.match({"ra": [56.75], "dec": [24.12]}, 2.0, columns=["ext_id", "g"])
        """
        asked = self._match(
            other, radius_arcsec, mode=mode, join=join, columns=columns,
            other_columns=other_columns, position=position, suffix=suffix, epoch_mjd=epoch_mjd,
        )  # fmt: skip
        return collect(*asked)

    def match_batches(
        self, other: Any, radius_arcsec: Angle, **options: Any
    ) -> Iterator[pa.RecordBatch]:
        """Cross-match as `match` does, in pieces that fit into memory.

        Parameters
        ----------
        other : table, path, pair of arrays, SkyCoord, or Database
            What asks.
        radius_arcsec : float or Quantity
            How far apart a pair may be [arcsec].
        **options
            As for `match`.

        Yields
        ------
        pyarrow.RecordBatch
            Rows that lie together on the sky; their order is that of the regions.
        """
        for _, found in find_matches(*self._match(other, radius_arcsec, **options)):
            yield from found.to_batches()

    def _match(
        self,
        other: Any,
        radius_arcsec: Angle,
        *,
        mode: str = "nearest",
        join: str = "inner",
        columns: Sequence[str] | None = None,
        other_columns: Sequence[str] | None = None,
        position: tuple[str | None, str | None] | None = None,
        suffix: str = "_other",
        epoch_mjd: Epoch | None = None,
    ) -> tuple[Side, ObjectSide, MatchRule]:
        """What a cross-match takes: who asks, this database, and the rule."""
        rule = MatchRule(number_in(radius_arcsec, "arcsec", "radius_arcsec"), mode, join, suffix)
        mjd = mjd_of(epoch_mjd)
        epoch_s = None if mjd is None else (mjd - _MJD_1970) * 86400.0

        def side(view: View, names: Sequence[str] | None) -> ObjectSide:
            request = resolve(view.photcodes, AVERAGE, _MATCH_COLUMNS if names is None else names)
            return ObjectSide(view, request, epoch_s)

        searched = side(self.view, columns)
        if isinstance(other, Database):
            return side(other.view, other_columns), searched, rule
        return TableSide(as_given(other, position), other_columns), searched, rule

    def _schema(self, table: str) -> TableSchema:
        found = _TABLES.get(table.lower())
        if found is None:
            raise QueryError(f"no table {table!r}; there are {', '.join(_TABLES)}")
        return found

    @property
    def tags(self) -> dict[str, int]:
        """Snapshots that have names: their numbers by tag."""
        return {tag.name: tag.snapshot for tag in self._store.manifest.tags()}

    def diff(
        self,
        old: SnapshotName,
        new: SnapshotName | None = None,
        *,
        tables: Collection[str] | None = None,
        regions: Collection[str] | None = None,
    ) -> SnapshotDiff:
        """Count the rows that were added, have changed or are gone between two snapshots.

        Parameters
        ----------
        old : int, str or datetime
            The older one: number, tag or time (UTC).
        new : int, str or datetime, optional
            The newer one; None for the one that is open.
        tables : collection of str, optional
            Tables that are looked at, such as ``["Measure"]``; None for all.
        regions : collection of str, optional
            Names of regions that are looked at; None for all.

        Returns
        -------
        SnapshotDiff
            Counts by table, region and column.

        Raises
        ------
        UnknownSnapshotError
            If there is no such snapshot.
        """
        names = None if tables is None else [table_name(name) for name in tables]
        return diff(self._store, old, self._other(new), tables=names, regions=regions)

    def diff_rows(
        self,
        old: SnapshotName,
        new: SnapshotName | None = None,
        *,
        table: str,
        columns: Sequence[str] | None = None,
        regions: Collection[str] | None = None,
    ) -> pa.Table:
        """Rows of a table that differ between two snapshots.

        Parameters
        ----------
        old : int, str or datetime
            The older one: number, tag or time (UTC).
        new : int, str or datetime, optional
            The newer one; None for the one that is open.
        table : str
            The table, such as ``Measure``.
        columns : sequence of str, optional
            Columns; None for all that are stored. Those that say which row it is come first.
        regions : collection of str, optional
            Names of regions that are looked at; None for all.

        Returns
        -------
        pyarrow.Table
            The rows, with their region, and in the column ``change``: ``added``, ``gone``, or,
            for one that has changed, ``before`` and ``after`` in two rows.

        Raises
        ------
        UnknownSnapshotError
            If there is no such snapshot.
        UnknownColumnError
            If the table has no such column.
        """
        name = table_name(table)
        found = diff_rows(self._store, old, self._other(new), table=name, regions=regions)
        return diff_table(self.view, name, found, columns)

    def _other(self, snapshot: SnapshotName | None) -> View:
        return self.view if snapshot is None else self._store.view(snapshot)

    def close(self) -> None:
        """Close files; safe to call twice."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _by_distance(sort: str | None, outputs: Sequence[OutputColumn]) -> bool:
    if sort is not None and sort not in _SORTS:
        raise QueryError(f"no order {sort!r}; there are {', '.join(_SORTS)}")
    return sort == "distance" or (sort is None and any(o.name == "distance" for o in outputs))
