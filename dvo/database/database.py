"""The Python way in: open a database, ask for a cone, a box, images, a light curve."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.database.arrow import to_arrow
from dvo.database.fields import Request, resolve
from dvo.errors import QueryError
from dvo.partition.bounds import Area, Box, Cone
from dvo.partition.manifest import ALL_SKY, SnapshotRow
from dvo.partition.store import DEFAULT_CACHE_BYTES, Store
from dvo.partition.view import View
from dvo.sphere import separation
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE, PhotcodeTable
from dvo.tables.schema import Column, TableSchema

__all__ = ["Database", "open_database"]

Array = NDArray[Any]

_ROW = Column("row", "i8", "row in its catalog")
_TABLES: dict[str, TableSchema] = {"average": AVERAGE, "measure": MEASURE, "image": IMAGE}
_LIGHTCURVE = ("time", "time_msec", "photcode", "mag:rel", "mag:err", "ra", "dec", "image_id",
               "det_id", "db_flags", "phot_flags")  # fmt: skip


def open_database(
    catdir: str | os.PathLike[str],
    *,
    snapshot: int | None = None,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> Database:
    """Open a database for reading; needs no write permission.

    Parameters
    ----------
    catdir : path
        The database directory.
    snapshot : int, optional
        Which state (see ``dvo log``); None for the newest.
    cache_bytes : int
        Memory for decoded columns.

    Returns
    -------
    Database
        Best used with ``with``.
    """
    return Database(catdir, snapshot=snapshot, cache_bytes=cache_bytes)


class Database:
    """A snapshot of a database, open for reading.

    Parameters
    ----------
    catdir : path
        The database directory.
    snapshot : int, optional
        Which state; None for the newest.
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
        snapshot: int | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self._store = Store(catdir, cache_bytes=cache_bytes)
        try:
            self.view: View = self._store.view(snapshot)
        except BaseException:
            self._store.close()
            raise

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
        ra: float,
        dec: float,
        radius_arcsec: float,
        *,
        table: str = "measure",
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows within a circle.

        Parameters
        ----------
        ra, dec : float
            Centre, ICRS [deg].
        radius_arcsec : float
            Radius [arcsec]; rows at just that distance are in.
        table : {'measure', 'average', 'image'}
            Which table; images are those whose field the circle touches.
        columns : sequence of str, optional
            Columns and magnitude words; None for all columns.

        Returns
        -------
        pyarrow.Table
            The rows, region after region, in the order in which they are stored.

        Raises
        ------
        UnknownColumnError
            If a column is not known.
        QueryError
            If the position, radius or table is not one.
        """
        area = Cone(ra, dec, radius_arcsec / 3600.0)
        if table == "image":
            return self.images(ra, dec, radius_arcsec, columns=columns)
        return self._gather(self._schema(table), columns, area)

    def box(
        self,
        ra_min: float,
        ra_max: float,
        dec_min: float,
        dec_max: float,
        *,
        table: str = "measure",
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Rows in a range of right ascension and declination.

        Parameters
        ----------
        ra_min, ra_max : float
            Right ascension [deg]; ra_min above ra_max means across RA 0.
        dec_min, dec_max : float
            Declination [deg].
        table : {'measure', 'average'}
            Which table.
        columns : sequence of str, optional
            Columns and magnitude words; None for all columns.

        Returns
        -------
        pyarrow.Table
            The rows.
        """
        schema = self._schema(table)
        return self._gather(schema, columns, Box(ra_min, ra_max, dec_min, dec_max))

    def scan(
        self,
        table: str = "measure",
        columns: Sequence[str] | None = None,
        *,
        where: Any = None,
        area: Area | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Go through a table, region by region.

        Parameters
        ----------
        table : {'measure', 'average', 'image', 'photcode'}
            Which table.
        columns : sequence of str, optional
            Columns and magnitude words; None for all columns.
        where : pyarrow.compute.Expression, optional
            Which rows, as a condition on the columns asked for.
        area : Area, optional
            Only rows in a `Cone` or `Box`.

        Yields
        ------
        pyarrow.RecordBatch
            Rows of one region at a time.
        """
        schema = PHOTCODE if table == "photcode" else self._schema(table)
        request = resolve(self.view, schema, columns)
        is_global = schema.name in (IMAGE.name, PHOTCODE.name)
        for region in [ALL_SKY] if is_global else self.view.regions(area):
            rows = self._read(request, region, None if is_global else area)
            found = to_arrow(request.outputs, request.values(self.view, region, rows))
            yield from (found if where is None else found.filter(where)).to_batches()

    def images(
        self,
        ra: float | None = None,
        dec: float | None = None,
        radius_arcsec: float = 0.0,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Images, all or those near a position.

        Parameters
        ----------
        ra, dec : float, optional
            Position, ICRS [deg]; None for all images.
        radius_arcsec : float
            Images whose circle of measurements comes this near to the position [arcsec].
        columns : sequence of str, optional
            Columns; None for all.

        Returns
        -------
        pyarrow.Table
            Rows of Image.
        """
        request = resolve(self.view, IMAGE, columns)
        table = self.view.images
        if ra is not None and dec is not None:
            Cone(ra, dec, radius_arcsec / 3600.0)  # checks the numbers
            n = len(table)
            centre_ra, centre_dec = table["ra_center"], table["dec_center"]
            far = separation(np.full(n, ra), np.full(n, dec), centre_ra, centre_dec)
            table = table.take(np.flatnonzero(far <= table["radius"] + radius_arcsec / 3600.0))
        return to_arrow(request.outputs, {o.name: table[o.name] for o in request.outputs})

    def lightcurve(
        self,
        ra: float,
        dec: float,
        radius_arcsec: float = 1.0,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Measures of the object nearest to a position, in order of time.

        Parameters
        ----------
        ra, dec : float
            Position, ICRS [deg].
        radius_arcsec : float
            How far the object may be [arcsec].
        columns : sequence of str, optional
            Columns and magnitude words of Measure; None for times, calibrated magnitudes
            and what identifies them.

        Returns
        -------
        pyarrow.Table
            The measures; empty if there is no object.
        """
        request = resolve(self.view, MEASURE, columns or _LIGHTCURVE)
        region, row = self._nearest_object(ra, dec, radius_arcsec)
        if region is None:
            rows = ColumnTable(MEASURE, {}, 0)
            return to_arrow(request.outputs, request.values(self.view, ALL_SKY, rows))
        names = dict.fromkeys([*request.stored, "ave_ref", "time", "time_msec"])
        whole = self._measures_of(region, row, list(names))
        order = np.lexsort((whole["time_msec"], whole["time"]))
        rows = whole.take(order)
        return to_arrow(request.outputs, request.values(self.view, region, rows))

    def _nearest_object(
        self, ra: float, dec: float, radius_arcsec: float
    ) -> tuple[int | None, int]:
        area = Cone(ra, dec, radius_arcsec / 3600.0)
        best: tuple[float, int | None, int] = (np.inf, None, 0)
        for region in self.view.regions(area):
            table = self.view.read(AVERAGE, region, ["ra", "dec"])
            inside = np.flatnonzero(area.holds(table["ra"], table["dec"]))
            if len(inside):
                n = len(inside)
                far = separation(
                    np.full(n, ra), np.full(n, dec), table["ra"][inside], table["dec"][inside]
                )
                i = int(far.argmin())
                best = min(best, (float(far[i]), region, int(inside[i])), key=lambda b: b[0])
        return best[1], best[2]

    def _measures_of(self, region: int, row: int, names: list[str]) -> ColumnTable:
        if self.view.catalog(region).is_sorted:
            link = self.view.read(AVERAGE, region, ["off_measure", "nmeasure"])
            start = int(link["off_measure"][row])
            return self.view.read_rows(
                MEASURE, region, names, start, start + int(link["nmeasure"][row])
            )
        whole = self.view.read(MEASURE, region, names)
        return whole.take(np.flatnonzero(whole["ave_ref"] == row))

    def _schema(self, table: str) -> TableSchema:
        found = _TABLES.get(table.lower())
        if found is None:
            raise QueryError(f"no table {table!r}; there are {', '.join(_TABLES)}")
        return found

    def _gather(
        self, schema: TableSchema, columns: Sequence[str] | None, area: Area | None
    ) -> pa.Table:
        request = resolve(self.view, schema, columns)
        pieces: dict[str, list[Array]] = {o.name: [] for o in request.outputs}
        for region in self.view.regions(area):
            for rows in self._read_pieces(request, region, area):
                for name, piece in request.values(self.view, region, rows).items():
                    pieces[name].append(piece)
        values: dict[str, Array] = {}
        for output in request.outputs:
            found = pieces[output.name]
            values[output.name] = (
                np.concatenate(found) if len(found) > 1 else found[0] if found
                else output.like.nulls(0)
            )  # fmt: skip
        return to_arrow(request.outputs, values)

    def _read_pieces(self, request: Request, region: int, area: Area | None) -> list[ColumnTable]:
        """Rows of a region as they come; magnitude words cost less for all rows at once."""
        if request.words:
            rows = self._read(request, region, area)
            return [rows] if len(rows) else []
        return self.view.area_pieces(request.schema, region, request.stored, area)

    def _read(self, request: Request, region: int, area: Area | None) -> ColumnTable:
        if request.words and request.schema.name == AVERAGE.name:
            # Magnitude words on objects need to know which row each object is.
            return self.view.read_numbered(request.schema, region, request.stored, area, _ROW)
        return self.view.read_area(request.schema, region, request.stored, area)

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
