"""What addstar is asked to do, and what it says it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from dvo.errors import ConfigError
from dvo.ingest.selection import EPOCH_RANGE, Selection
from dvo.proper_motion import mjd_to_epoch

__all__ = ["AddstarOptions", "AddstarReport"]


@dataclass(frozen=True, slots=True)
class AddstarOptions:
    """What addstar does with its input.

    Parameters
    ----------
    radius_arcsec : float
        Match radius.
    one_to_one : bool
        Whether an object takes at most one detection of an image (else, as in the
        original, any number).
    replace : bool
        Whether an image that is in with other content is replaced, not refused.
    skip_bad : bool
        Whether files that are malformed and images of bad astrometry are left out, and
        told in the report; else the first of them is an error.
    batch_rows : int
        Detections after which a batch is committed.
    compact_parts : int
        Parts of a catalog at which it is compacted after a commit; 0 for never.
    match_epoch_mjd : float or None
        For reference catalogs: time to which rows with proper motions are brought for
        matching; None for the epoch of the catalog.
    selection : Selection
        Which detections and images to take.
    """

    radius_arcsec: float = 1.0
    one_to_one: bool = True
    replace: bool = False
    skip_bad: bool = False
    batch_rows: int = 1_000_000
    compact_parts: int = 24
    match_epoch_mjd: float | None = None
    selection: Selection = field(default_factory=Selection)

    def __post_init__(self) -> None:
        if not 0 < self.radius_arcsec < 3600:
            raise ConfigError(
                f"match radius {self.radius_arcsec:g} arcsec; give more than 0 and less than 3600"
            )
        if self.batch_rows < 1:
            raise ConfigError(f"batches of {self.batch_rows} rows; give at least 1")
        if self.match_epoch_mjd is not None:
            epoch = float(mjd_to_epoch(self.match_epoch_mjd))
            if not EPOCH_RANGE[0] <= epoch <= EPOCH_RANGE[1]:
                raise ConfigError(
                    f"epoch for matching {epoch:g}; give a Julian year within "
                    f"{EPOCH_RANGE[0]:g}-{EPOCH_RANGE[1]:g}"
                )


@dataclass(slots=True)
class AddstarReport:
    """What a run of addstar did.

    Parameters
    ----------
    n_images, n_skipped, n_replaced : int
        Images added, passed over because they are in, and put in the place of others.
    n_removed : int
        Measures that went with the images that were replaced.
    n_detections, n_matched, n_new : int
        Detections added; those of known objects, and those that made new ones.
    n_measures : int
        Measures added: as many as detections, but for catalogs of several bands.
    n_satellites : dict of str to int
        Rows of satellite tables added, by table.
    n_commits : int
        Commits made.
    n_dropped : dict of str to int
        Detections and rows of satellite tables left out, and magnitudes taken as missing, by
        reason.
    left_out : list of str
        What was wrong with each file or image that was left out for being bad.
    notes : dict of str to list of str
        What looks wrong but need not be, with the images or catalogs it was seen in.
    seconds : float
        Time taken [s].
    """

    n_images: int = 0
    n_skipped: int = 0
    n_replaced: int = 0
    n_removed: int = 0
    n_detections: int = 0
    n_matched: int = 0
    n_new: int = 0
    n_measures: int = 0
    n_satellites: dict[str, int] = field(default_factory=dict)
    n_commits: int = 0
    n_dropped: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return asdict(self)
