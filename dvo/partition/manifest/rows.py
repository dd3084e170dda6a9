"""Rows of the manifest: snapshots, files, parts, counts of catalogs, known images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "ALL_SKY",
    "CatalogRow",
    "FileRow",
    "ImageRow",
    "Part",
    "Reach",
    "SnapshotRow",
    "TagRow",
]

ALL_SKY = -1
"""Region number of tables that are not partitioned (Image, Photcode)."""

_SAME_STATE = frozenset({"tag", "vacuum"})
# Commands whose commits change no table.

_YEAR_S = 31557600.0


@dataclass(frozen=True, slots=True)
class Reach:
    """How far rows of a snapshot may lie outside the region they are filed under.

    Parameters
    ----------
    pad_deg : float
        Greatest distance of a measure, or of a mean that has moved [deg].
    max_motion_arcsec_yr : float
        Greatest proper motion of an object; 0 if none is known.
    first_motion_epoch_s, last_motion_epoch_s : float
        Earliest and latest epoch of a position with a motion [s since 1970].
    """

    pad_deg: float = 0.0
    max_motion_arcsec_yr: float = 0.0
    first_motion_epoch_s: float = 0.0
    last_motion_epoch_s: float = 0.0

    def joined(self, other: Reach) -> Reach:
        """The least reach that covers this one and another."""
        pad = max(self.pad_deg, other.pad_deg)
        moving = [r for r in (self, other) if r.max_motion_arcsec_yr > 0]
        if not moving:
            return Reach(pad)
        return Reach(
            pad,
            max(r.max_motion_arcsec_yr for r in moving),
            min(r.first_motion_epoch_s for r in moving),
            max(r.last_motion_epoch_s for r in moving),
        )

    def motion_deg(self, first_s: float, last_s: float) -> float:
        """Tell how far a moving object may get from its place.

        Parameters
        ----------
        first_s, last_s : float
            Earliest and latest time of interest [s since 1970].

        Returns
        -------
        float
            Greatest displacement [deg]; 0 if no motion is known.
        """
        if self.max_motion_arcsec_yr == 0:
            return 0.0
        epochs = (self.first_motion_epoch_s, self.last_motion_epoch_s)
        span = max(abs(time - epoch) for time in (first_s, last_s) for epoch in epochs)
        return self.max_motion_arcsec_yr * span / _YEAR_S / 3600.0


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
    level: int
    reach: Reach = Reach()
    kept: bool = True

    @property
    def is_new_state(self) -> bool:
        """Whether its tables may differ from those of the snapshot before."""
        return self.command not in _SAME_STATE


@dataclass(frozen=True, slots=True)
class TagRow:
    """A snapshot called by a name.

    Parameters
    ----------
    name : str
        The tag.
    snapshot : int
        Number of the snapshot that it names.
    added : int
        Number of the commit that made it so.
    """

    name: str
    snapshot: int
    added: int


@dataclass(frozen=True, slots=True)
class FileRow:
    """One data file, and what all its parts have in common.

    Parameters
    ----------
    path : str
        File, relative to the catdir.
    table : str
        Name of the table that its rows belong to.
    kind : {'rows', 'patch', 'overlay'}
        What its rows are, see `Part`.
    columns : tuple of str
        Columns that are stored.
    n_bytes : int
        Size.
    digest : str
        BLAKE2b of its bytes, 32 hexadecimal digits.
    id : int
        Number in the manifest; 0 if it has none yet.
    """

    path: str
    table: str
    kind: str
    columns: tuple[str, ...]
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
    """Counts of one catalog.

    Parameters
    ----------
    region : int
        Its region.
    n_average : int
        Objects.
    next_obj_id : int
        Number that the next new object gets.
    n_measure : int
        Measures.
    is_sorted : bool
        Whether its rows are in the order that compaction makes.
    n_parts, n_largest : int
        Parts of kind ``rows`` of its Measure table, and rows of the largest of them; a
        commit counts them itself.
    """

    region: int
    n_average: int
    next_obj_id: int
    n_measure: int
    is_sorted: bool
    n_parts: int = 0
    n_largest: int = 0


@dataclass(frozen=True, slots=True)
class ImageRow:
    """How a repeated image is recognised.

    Parameters
    ----------
    image_id : int
        Its number; below 0 for a reference catalog.
    identity : str
        What it is known by in the system it came from.
    content : str
        Checksum of what was added.
    match_mjd : float or None
        For a reference catalog, the time that association took it to be of, MJD [d].
    """

    image_id: int
    identity: str
    content: str
    match_mjd: float | None = None
