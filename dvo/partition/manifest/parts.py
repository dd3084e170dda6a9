"""Parts of many regions as columns, and what one commit does to the manifest.

A catalogue of the whole sky has hundreds of thousands of parts; as arrays they can be
compared, written and read by the file, where one object each would cost more than the
rows that they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dvo.partition.manifest.rows import CatalogRow, FileRow, ImageRow, Part

__all__ = ["CatalogCounts", "Change", "PartRun", "PartSizes", "PartTable"]

I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class PartRun:
    """Parts of one file that a commit adds.

    Parameters
    ----------
    path : str
        The file, relative to the catdir.
    ids, regions : ndarray of int64, shape (n,)
        Number and region of each part.
    starts, stops : ndarray of int64, shape (n,)
        Which rows of the file.
    targets : ndarray of int64, shape (n,)
        For overlays, the part that each one changes; else 0.
    """

    path: str
    ids: I64
    regions: I64
    starts: I64
    stops: I64
    targets: I64

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class PartTable:
    """Parts as a snapshot has them, in the order of regions and numbers.

    Parameters
    ----------
    ids, files, regions : ndarray of int64, shape (n,)
        Number, file and region of each part.
    starts, stops : ndarray of int64, shape (n,)
        Which rows of the file.
    targets : ndarray of int64, shape (n,)
        For overlays, the part that each one changes; else 0.
    rows_of_files : mapping of int to FileRow
        The files, by their number.
    """

    ids: I64
    files: I64
    regions: I64
    starts: I64
    stops: I64
    targets: I64
    rows_of_files: Mapping[int, FileRow]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sizes(self) -> I64:
        """Rows of each part."""
        return self.stops - self.starts

    def take(self, rows: I64 | Bool) -> PartTable:
        """Pick parts.

        Parameters
        ----------
        rows : ndarray of int64 or bool
            Which, in which order.

        Returns
        -------
        PartTable
            These parts.
        """
        return PartTable(
            self.ids[rows], self.files[rows], self.regions[rows], self.starts[rows],
            self.stops[rows], self.targets[rows], self.rows_of_files,
        )  # fmt: skip

    def are(self, *, table: str, kind: str | None = None) -> Bool:
        """Tell which parts belong to a table, and are of a kind.

        Parameters
        ----------
        table : str
            Name of the table.
        kind : str, optional
            ``rows``, ``patch`` or ``overlay``; None for any.

        Returns
        -------
        ndarray of bool, shape (n,)
            True for those.
        """
        good = [
            number
            for number, file in self.rows_of_files.items()
            if file.table == table and kind in (None, file.kind)
        ]
        return np.isin(self.files, np.array(good, np.int64))

    def parts(self) -> list[Part]:
        """All of them, one by one."""
        out = []
        columns = (self.ids, self.files, self.regions, self.starts, self.stops, self.targets)
        for i, file, region, start, stop, target in zip(
            *(c.tolist() for c in columns), strict=True
        ):
            row = self.rows_of_files[file]
            out.append(
                Part(row.path, row.table, region, row.kind, start, stop, target or None,
                     row.columns, i)
            )  # fmt: skip
        return out


@dataclass(frozen=True, slots=True, eq=False)
class CatalogCounts:
    """Rows of many catalogs.

    Parameters
    ----------
    regions : ndarray of int64, shape (n,)
        Their regions, ascending.
    n_average, n_measure : ndarray of int64, shape (n,)
        Objects and measures of each.
    """

    regions: I64
    n_average: I64
    n_measure: I64

    def __len__(self) -> int:
        return len(self.regions)

    def of(self, regions: I64) -> CatalogCounts:
        """Those of some regions.

        Parameters
        ----------
        regions : ndarray of int64, shape (m,)
            Regions, ascending; those without a catalog are passed over.

        Returns
        -------
        CatalogCounts
            Their counts.
        """
        at = np.searchsorted(self.regions, regions)
        at = at[at < len(self.regions)]
        rows = at[self.regions[at] == regions[: len(at)]]
        return CatalogCounts(self.regions[rows], self.n_average[rows], self.n_measure[rows])


@dataclass(frozen=True, slots=True)
class PartSizes:
    """How much the parts of a table are.

    Parameters
    ----------
    n_parts, n_rows : int
        Parts, and their rows.
    n_files, n_bytes : int
        Files that they are of, and bytes of these, whole.
    """

    n_parts: int
    n_rows: int
    n_files: int
    n_bytes: int


def _no_parts() -> NDArray[np.int64]:
    return np.empty((0, 2), np.int64)


@dataclass(slots=True)
class Change:
    """What one commit does to the manifest.

    Parameters
    ----------
    files : list of FileRow
        Files that it made.
    parts : list of PartRun
        Parts that it adds, of these files or of older ones.
    removed_parts : ndarray of int64, shape (n, 2)
        Region and number of the parts that it takes away.
    catalogs : list of CatalogRow
        Catalogs whose counts change, as they are then.
    images : list of ImageRow
        Images that it adds.
    dropped_images : list of int
        Numbers of images that it takes away.
    meta : dict
        Properties of the database that it sets.
    forgotten : list of int
        Snapshots that vanish.
    tags : dict of str to int
        Tags that it sets, and the snapshots that they name then; 0 for a tag that goes.
    split, joined : list of int
        Regions that are split from then on, and those that are so no more.
    """

    files: list[FileRow] = field(default_factory=list)
    parts: list[PartRun] = field(default_factory=list)
    removed_parts: NDArray[np.int64] = field(default_factory=_no_parts)
    catalogs: list[CatalogRow] = field(default_factory=list)
    images: list[ImageRow] = field(default_factory=list)
    dropped_images: list[int] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)
    forgotten: list[int] = field(default_factory=list)
    tags: dict[str, int] = field(default_factory=dict)
    split: list[int] = field(default_factory=list)
    joined: list[int] = field(default_factory=list)
