"""Rows of the manifest: snapshots, files, their parts, counts of catalogs, known images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

__all__ = [
    "ALL_SKY",
    "CatalogRow",
    "Change",
    "FileRow",
    "ImageRow",
    "Part",
    "SnapshotRow",
    "parse_names",
]

ALL_SKY = -1
"""Region number of tables that are not partitioned (Image, Photcode)."""


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One committed state of the database."""

    id: int
    token: str
    time: str
    command: str
    params: dict[str, Any]
    version: str
    counts: dict[str, int]
    kept: bool = True


@dataclass(frozen=True, slots=True)
class FileRow:
    """One data file."""

    path: str
    n_bytes: int
    digest: str
    id: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file that belong to one table of one region.

    `kind` is ``rows`` (whole rows), ``patch`` (new values of some columns for the rows
    named by the file's own column ROW) or ``overlay`` (new values of some
    columns, row for row, of the part `target`).

    Parameters
    ----------
    path : str
        File, relative to the catdir.
    table : str
        Name of the table.
    region : int
        Region, or `ALL_SKY`.
    kind : {'rows', 'patch', 'overlay'}
        What the rows are.
    row_start, row_stop : int
        Which rows of the file.
    target : int or None
        For an overlay, the id of the part that it changes.
    columns : tuple of str
        Columns that are stored.
    id : int
        Number, greater than that of every earlier part.
    """

    path: str
    table: str
    region: int
    kind: str
    row_start: int
    row_stop: int
    target: int | None = None
    columns: tuple[str, ...] = ()
    id: int = 0

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.row_stop - self.row_start


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """Counts of one catalog."""

    region: int
    n_average: int
    next_obj_id: int
    n_measure: int
    is_sorted: bool


@dataclass(frozen=True, slots=True)
class ImageRow:
    """How a repeated image is recognised."""

    image_id: int
    identity: str
    content: str


@dataclass(slots=True)
class Change:
    """What one commit does to the manifest; `forgotten` names snapshots that vanish."""

    files: list[FileRow] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    removed_parts: list[int] = field(default_factory=list)
    catalogs: list[CatalogRow] = field(default_factory=list)
    dropped_catalogs: list[int] = field(default_factory=list)
    images: list[ImageRow] = field(default_factory=list)
    dropped_images: list[int] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)
    forgotten: list[int] = field(default_factory=list)


@lru_cache(maxsize=256)
def parse_names(text: str) -> tuple[str, ...]:
    """Column names of a part from their JSON; the parts of a file share one tuple."""
    return tuple(json.loads(text))
