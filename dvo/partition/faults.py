"""What a check found: faults, each with its kind, its place and what to do, and notes."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["MENDS", "CheckReport", "Fault", "FaultKind", "Mend"]


class FaultKind(enum.StrEnum):
    """Kinds of faults; what can be done about each is in `MENDS`."""

    MANIFEST = "manifest"
    COUNTS = "counts"
    NUMBERS = "last-number"
    LEVEL = "level"
    FILE = "file"
    COLUMNS = "columns"
    TILE_INDEX = "tile-index"
    RECORD = "record"
    PARTS = "parts"
    ROWS = "rows"
    FILTER_ROWS = "filter-rows"
    UNREAD = "unread"
    LOST = "lost-measure"
    LINK = "link"
    N_MEASURE = "n-measure"
    ORDER = "order"
    MEAN_POSITION = "mean-position"
    MEAN_MAGNITUDE = "mean-magnitude"
    MOTION = "motion"
    REACH = "reach"
    NEXT_ID = "next-object"
    VALUE = "value"
    SOURCE = "source"
    UNLIKE_SOURCE = "unlike-source"
    IMAGE_LIST = "image-list"
    IMAGE_ROW = "image-row"
    N_STAR = "n-star"
    REPEATED_OBJECT = "repeated-object"
    REPEATED_DETECTION = "repeated-detection"
    SATELLITE = "satellite-row"
    SATELLITE_LINK = "satellite-link"
    SATELLITE_REPEAT = "repeated-satellite-row"
    LENSING_MEAN = "lensing-mean"


class Mend(enum.Enum):
    """From what a fault can be mended."""

    RECORDS = "the manifest, from the records of commits"
    ROWS = "from the rows of the database"
    NEVER = "cannot be derived"


@dataclass(frozen=True, slots=True)
class _Rule:
    """What a kind of fault is, from what it is mended, and what is done.

    Parameters
    ----------
    meaning : str
        What is wrong.
    mends : tuple of Mend
        What is tried, in this order.
    done : str
        What a repair does; where it can do nothing, what a person can do.
    """

    meaning: str
    mends: tuple[Mend, ...]
    done: str


_RECORDS, _ROWS, _NEVER = (Mend.RECORDS,), (Mend.ROWS,), (Mend.NEVER,)
_EITHER = (Mend.RECORDS, Mend.ROWS)
_BACK = "go back with dvo rollback to a snapshot before it, and report it"
_RESTORE = "restore the file from a backup, or go back with: dvo rollback"
_AGAIN = "dvo delete images takes its image out, to be added again; or go back with: dvo rollback"

MENDS: dict[FaultKind, _Rule] = {
    FaultKind.MANIFEST: _Rule(
        "the manifest is lost or damaged", _RECORDS, "the manifest is made anew"
    ),
    FaultKind.COUNTS: _Rule(
        "the snapshot counts other numbers than there are", _EITHER, "they are counted"
    ),
    FaultKind.NUMBERS: _Rule(
        "a number would be given twice", _EITHER, "the last number given is set"
    ),
    FaultKind.LEVEL: _Rule(
        "rows are in regions of another level", _RECORDS, "the level is that of the first commit"
    ),
    FaultKind.FILE: _Rule("a file is missing, or its bytes have changed", _NEVER, _RESTORE),
    FaultKind.COLUMNS: _Rule(
        "the manifest says other columns, or another table, of a file", _RECORDS,
        "what the record of its commit says counts",
    ),
    FaultKind.TILE_INDEX: _Rule(
        "a tile index does not fit its rows", _ROWS, "the rows are written anew"
    ),
    FaultKind.RECORD: _Rule(
        "the record of a commit is missing or damaged", _NEVER,
        "restore it from a backup; without it the manifest cannot be made anew: back that up",
    ),
    FaultKind.PARTS: _Rule(
        "a patch or overlay is of rows that are not there", _RECORDS,
        "what the records of commits say counts",
    ),
    FaultKind.ROWS: _Rule(
        "a table has not as many rows as the manifest says", _EITHER, "its rows are counted"
    ),
    FaultKind.FILTER_ROWS: _Rule(
        "SecFilt has not a row for each object and filter", _EITHER,
        "what it has of means is made anew of the measures",
    ),
    FaultKind.UNREAD: _Rule("tables cannot be read", _NEVER, _RESTORE),
    FaultKind.LOST: _Rule(
        "a measure names an object that is not there", _ROWS,
        "its obj_id and cat_id find the object; if that is gone, it is made anew of its measures",
    ),
    FaultKind.LINK: _Rule(
        "a measure has other ids than the object that it names", _ROWS,
        "the link by which all counts are right is kept; left alone if that is neither or both",
    ),
    FaultKind.N_MEASURE: _Rule(
        "an object counts more or fewer measures than name it", _ROWS, "they are counted"
    ),
    FaultKind.ORDER: _Rule(
        "measures are not where off_measure says", _ROWS, "the catalog is sorted"
    ),
    FaultKind.MEAN_POSITION: _Rule(
        "a mean position, its error, epoch or count cannot be that of the measures", _ROWS,
        "it is made anew of the measures",
    ),
    FaultKind.MEAN_MAGNITUDE: _Rule(
        "mean magnitudes or their counts cannot be those of the measures", _ROWS,
        "they are made anew of the measures",
    ),
    FaultKind.MOTION: _Rule(
        "a proper motion is none, or too fast", _ROWS,
        "that which a catalog among the measures gives is taken; left alone if none does",
    ),
    FaultKind.REACH: _Rule(
        "objects move farther than cones look", _EITHER, "the reach of the snapshot is widened"
    ),
    FaultKind.NEXT_ID: _Rule(
        "an obj_id would be given twice", _EITHER, "the next number is set"
    ),
    FaultKind.VALUE: _Rule(
        "a measure has a position, time or photcode that cannot be", _NEVER, _AGAIN
    ),
    FaultKind.SOURCE: _Rule(
        "a measure is of no image and no reference catalog, or of both", _RECORDS,
        "what the records of commits say of images and catalogs counts",
    ),
    FaultKind.UNLIKE_SOURCE: _Rule(
        "a measure has another photcode or time than its image or catalog", _RECORDS,
        "what the records of commits say of images and catalogs counts",
    ),
    FaultKind.IMAGE_LIST: _Rule(
        "the manifest knows images or catalogs otherwise than the tables", _RECORDS,
        "what the records of commits say counts",
    ),
    FaultKind.IMAGE_ROW: _Rule("a row of Image breaks a rule", _NEVER, _BACK),
    FaultKind.N_STAR: _Rule(
        "an image has not as many measures as nstar says", _ROWS, "they are counted"
    ),
    FaultKind.REPEATED_OBJECT: _Rule("two objects have one number", _NEVER, _BACK),
    FaultKind.REPEATED_DETECTION: _Rule(
        "a detection is there twice", _ROWS,
        "of rows that are the same in all columns one stays; left alone if they differ",
    ),
    FaultKind.SATELLITE: _Rule(
        "a row of a satellite table names an object or image that is not there, or another one",
        _NEVER, _BACK,
    ),
    FaultKind.SATELLITE_LINK: _Rule(
        "counts, offsets or order of satellite rows are wrong", _ROWS,
        "they are counted, and the catalog is sorted",
    ),
    FaultKind.SATELLITE_REPEAT: _Rule("a row of a satellite table is there twice", _NEVER, _BACK),
    FaultKind.LENSING_MEAN: _Rule(
        "LensObj is not the mean of Lensing", _NEVER, _BACK
    ),
}  # fmt: skip
"""What each kind of fault is, and what a repair does about it."""


def _remedy(kind: FaultKind) -> str:
    rule = MENDS[kind]
    if rule.mends == _NEVER:
        return rule.done
    return f"dvo repair CATDIR ({rule.done}), or {_BACK}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Parameters
    ----------
    kind : FaultKind
        What kind of fault it is.
    message : str
        What is wrong, with the value found.
    path : str
        File, relative to the catdir; empty if it is in no one file.
    table : str
        Table; empty if it is not about one.
    region : str
        Name of the region; empty for the whole sky.
    row : int
        Row of the table of that region; -1 if it is not about one row.
    remedy : str
        What to do; if empty, that of its kind.
    """

    kind: FaultKind
    message: str
    path: str = ""
    table: str = ""
    region: str = ""
    row: int = -1
    remedy: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "remedy", self.remedy or _remedy(self.kind))

    def __str__(self) -> str:
        places = [self.path, self.region and f"region {self.region}", self.table]
        places.append(f"row {self.row}" if self.row >= 0 else "")
        where = ", ".join(p for p in places if p)
        return (
            f"{where}: {self.message}; {self.remedy}"
            if where
            else (f"{self.message}; {self.remedy}")
        )


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Parameters
    ----------
    faults : list of Fault
        What is wrong.
    notes : list of str
        What is worth knowing but harms nothing.
    counts : dict of str to int
        What was looked at: files, bytes, catalogs, objects, measures, images.
    snapshot : int
        Snapshot that was checked; 0 if none could be read.
    """

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    snapshot: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {"ok": self.ok, **asdict(self)}
