"""Mean magnitudes of objects less those of an outside reference: what a database is tied with.

References are measures of REF photcodes that are in the database, or a table of stars, which are
found by their places.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.calib.photometry.images import filters_by_name
from dvo.calib.photometry.object_means import ObjectMeans
from dvo.errors import BadCatalogError, PhotcodeError
from dvo.neighbours import SkyGrid
from dvo.partition.view import View
from dvo.tables.averages import LEAST_MAG_ERR
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable

__all__ = [
    "PhotcodeReference",
    "Reference",
    "ReferencePoints",
    "TableReference",
    "reference_of_table",
]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_FACTS = b"dvo.reference"


@dataclass(frozen=True, eq=False)
class ReferencePoints:
    """Objects of one filter that a reference has, too.

    Parameters
    ----------
    difference, sigma : ndarray of float64, shape (n,)
        Mean magnitude less that of the reference, and its error [mag].
    colour, colour_error : ndarray of float64, shape (n,)
        Colour of the objects and its error [mag]; 0 where none is asked for.
    ra, dec : ndarray of float64, shape (n,)
        Their places, ICRS [deg].
    mag : ndarray of float64, shape (n,)
        Their mean magnitudes [mag].
    """

    difference: F64
    sigma: F64
    colour: F64
    colour_error: F64
    ra: F64
    dec: F64
    mag: F64

    @classmethod
    def joined(cls, parts: Sequence[ReferencePoints]) -> ReferencePoints:
        """Put points after one another.

        Parameters
        ----------
        parts : sequence of ReferencePoints
            In any number.

        Returns
        -------
        ReferencePoints
            All of them.
        """
        return cls(*(np.concatenate([np.empty(0), *(getattr(p, field.name) for p in parts)])
                     for field in fields(cls)))  # fmt: skip


class Reference(Protocol):
    """Magnitudes from elsewhere, by filter."""

    @property
    def names(self) -> Mapping[int, str]:
        """What the reference of each filter is called, by its number in SecFilt."""
        ...

    def as_table(self) -> pa.Table:
        """All of it as a table, from which `reference_of_table` makes it again."""
        ...

    def find(
        self, view: View, regions: Sequence[int], means: ObjectMeans
    ) -> Mapping[int, tuple[I64, F64, F64]]:
        """Find the reference magnitudes of the objects of some regions.

        Parameters
        ----------
        view : View
            The snapshot.
        regions : sequence of int
            Which regions, ascending.
        means : ObjectMeans
            Their objects.

        Returns
        -------
        mapping of int to tuple
            By filter: rows of objects, each once, their magnitudes and the errors of these,
            0.001 where they are not known [mag].
        """
        ...


@dataclass(frozen=True)
class PhotcodeReference:
    """Measures of REF photcodes in the database.

    Parameters
    ----------
    codes : mapping of int to int
        Photcode of each filter.
    names : mapping of int to str
        Their names.
    """

    codes: Mapping[int, int]
    names: Mapping[int, str]

    @classmethod
    def of_words(
        cls, table: PhotcodeTable, words: Sequence[str], filters: Sequence[str] = ()
    ) -> PhotcodeReference:
        """Find the photcodes that are meant.

        Parameters
        ----------
        table : PhotcodeTable
            The photcodes.
        words : sequence of str
            Names of REF photcodes that belong to an average filter, or ``FILTER=PHOTCODE``.
        filters : sequence of str
            Filters that are wanted; empty for all that the words give.

        Returns
        -------
        PhotcodeReference
            For these filters.

        Raises
        ------
        PhotcodeError
            If a photcode is not known or no REF, a filter has none, or two.
        """
        codes: dict[int, int] = {}
        names: dict[int, str] = {}
        for word in words:
            left, equals, right = word.partition("=")
            photcode = table.get(right if equals else word, PhotClass.REF)
            if photcode.kind is not PhotClass.REF:
                raise PhotcodeError(f"{photcode.name} is a {photcode.kind.name} photcode; a "
                                    "database is tied to a REF, or to a table")  # fmt: skip
            k = filters_by_name(table, [left])[0] if equals else _own_filter(table, photcode)
            if k in codes:
                raise PhotcodeError(f"filter {table.sec[k].name} has two references, {names[k]} "
                                    f"and {photcode.name}; give one")  # fmt: skip
            codes[k], names[k] = photcode.code, photcode.name
        for k in filters_by_name(table, filters):
            if k not in codes:
                raise PhotcodeError(f"filter {table.sec[k].name} has no reference among "
                                    f"{', '.join(words)}")  # fmt: skip
        wanted = filters_by_name(table, filters) if filters else sorted(codes)
        return cls({k: codes[k] for k in wanted}, {k: names[k] for k in wanted})

    def as_table(self) -> pa.Table:
        """See `Reference`; a row a filter."""
        return pa.table({"filter": list(self.codes), "photcode": list(self.codes.values()),
                         "name": [self.names[k] for k in self.codes]})  # fmt: skip

    def find(
        self, view: View, regions: Sequence[int], means: ObjectMeans
    ) -> Mapping[int, tuple[I64, F64, F64]]:
        """See `Reference`; of several measures of an object that of least error counts."""
        columns = ("photcode", "ave_ref", "mag", "mag_err")
        measure, runs = view.read_many(MEASURE, regions, columns, once=True)
        objects = np.repeat(means.edges[:-1], np.diff(runs)) + measure["ave_ref"].astype(np.int64)
        mag = measure["mag"].astype(np.float64)
        found = {}
        for k, code in self.codes.items():
            rows = np.flatnonzero((measure["photcode"] == code) & np.isfinite(mag))
            error = _known(measure["mag_err"][rows])
            order = np.lexsort((error, objects[rows]))
            each, first = np.unique(objects[rows][order], return_index=True)
            best = order[first]
            found[k] = each, mag[rows[best]], error[best]
        return found


class TableReference:
    """A table of stars, found by their places.

    Parameters
    ----------
    ra, dec : ndarray of float64, shape (n,)
        Their places, ICRS [deg].
    mags : mapping of int to (ndarray, ndarray), each of float64, shape (n,)
        Magnitudes and their errors by filter [mag]; NaN where one is not known.
    names : mapping of int to str
        What each is called.
    radius_arcsec : float
        How far apart a star and its object may be.
    """

    def __init__(
        self, ra: F64, dec: F64, mags: Mapping[int, tuple[F64, F64]], names: Mapping[int, str],
        radius_arcsec: float,
    ) -> None:  # fmt: skip
        bad = np.flatnonzero(np.abs(dec) > 90.0)
        if len(bad):
            raise BadCatalogError(f"reference, row {bad[0] + 1}: declination {dec[bad[0]]} is not "
                                  "within -90..90 degrees")  # fmt: skip
        self._places = ra, dec, radius_arcsec
        self._grid = SkyGrid(ra, dec, radius_arcsec)
        self._mags = mags
        self._names = dict(names)

    @property
    def names(self) -> Mapping[int, str]:
        """See `Reference`."""
        return self._names

    def as_table(self) -> pa.Table:
        """See `Reference`; a row a star."""
        ra, dec, radius_arcsec = self._places
        columns: dict[str, Any] = {"ra": ra, "dec": dec}
        for k, (mag, error) in self._mags.items():
            columns |= {f"mag{k}": mag, f"error{k}": error}
        facts = {"radius_arcsec": radius_arcsec, "names": self._names}
        return pa.table(columns, metadata={_FACTS: json.dumps(facts)})

    def find(
        self, view: View, regions: Sequence[int], means: ObjectMeans
    ) -> Mapping[int, tuple[I64, F64, F64]]:
        """See `Reference`; a star belongs to the nearest of the objects that it is nearest to."""
        del view, regions
        star, apart = self._grid.nearest(means.ra, means.dec)
        objects = np.flatnonzero(star >= 0)
        order = objects[np.lexsort((apart[objects], star[objects]))]
        objects = np.sort(order[np.diff(star[order], prepend=-1) > 0])
        star = star[objects]
        found = {}
        for k, (mag, error) in self._mags.items():
            known = np.isfinite(mag[star])
            rows = star[known]
            found[k] = objects[known], mag[rows], _known(error[rows])
        return found


def reference_of_table(table: pa.Table) -> Reference:
    """Make a reference of a table again.

    Parameters
    ----------
    table : pyarrow.Table
        What `Reference.as_table` gave.

    Returns
    -------
    Reference
        The same.
    """
    columns: dict[str, Any] = {name: table[name] for name in table.column_names}
    if "photcode" in columns:
        filters = columns["filter"].to_pylist()
        codes, names = (dict(zip(filters, columns[n].to_pylist(), strict=True))
                        for n in ("photcode", "name"))  # fmt: skip
        return PhotcodeReference(codes, names)
    facts = json.loads((table.schema.metadata or {})[_FACTS])
    names = {int(k): str(name) for k, name in facts["names"].items()}
    mags = {k: (columns[f"mag{k}"].to_numpy(), columns[f"error{k}"].to_numpy()) for k in names}
    return TableReference(columns["ra"].to_numpy(), columns["dec"].to_numpy(), mags, names,
                          float(facts["radius_arcsec"]))  # fmt: skip


def _own_filter(table: PhotcodeTable, photcode: Photcode) -> int:
    k = int(table.sec_index_of_code[photcode.code])
    if k < 0:
        raise PhotcodeError(
            f"{photcode.name} belongs to no average filter; say which it is a reference of, such "
            f"as {table.sec[0].name}={photcode.name}"
        )
    return k


def _known(error: NDArray[np.floating]) -> F64:
    """Errors, the least one where they are not known: the scatter of the fit will tell."""
    stated = error.astype(np.float64)
    return np.where(stated > 0, np.maximum(stated, LEAST_MAG_ERR), LEAST_MAG_ERR)
