"""Mean magnitudes made anew from zero points as they are, of all catalogs or changed ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dvo.calib.photometry.apply import write_catalogs
from dvo.calib.photometry.images import PhotImages, filters_by_name
from dvo.calib.photometry.zero_points import ZeroPoints
from dvo.partition.snapshot_name import SnapshotName
from dvo.partition.store import Store
from dvo.partition.write_operations import Runner

__all__ = ["AverageReport", "reaverage"]


@dataclass(frozen=True)
class AverageReport:
    """What was averaged.

    Parameters
    ----------
    n_regions : int
        Catalogs whose means were made anew.
    n_means : int
        Mean magnitudes made anew; 0 in a dry run.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    """

    n_regions: int
    n_means: int
    snapshot: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


def reaverage(
    store: Store,
    filters: Sequence[str],
    *,
    since: SnapshotName | None = None,
    dry_run: bool = False,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> AverageReport:
    """Make the mean magnitudes of some filters anew, by the rules of relphot.

    Measures get the offsets that their images have; images stay as they are. One commit.

    Parameters
    ----------
    store : Store
        The database; open for writing unless it is a dry run.
    filters : sequence of str
        Average filters, such as ``g``.
    since : int, str or datetime, optional
        A snapshot; only catalogs that have changed since then are touched.
    dry_run : bool
        Whether nothing is written.
    engine : Runner, optional
        Where it is done; None for here. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    AverageReport
        What was done.

    Raises
    ------
    PhotcodeError
        If a filter is not one of the database.
    UnknownSnapshotError
        If there is no such snapshot.
    """
    begun = time.monotonic()
    view = store.view()
    images = PhotImages.read(view, filters_by_name(view.photcodes, filters))
    regions = view.regions()
    if since is not None:
        changed = set(store.manifest.changed_regions(store.view(since).snapshot.id,
                                                     view.snapshot.id))  # fmt: skip
        regions = [region for region in regions if region in changed]
    n_means = 0
    if regions and not dry_run:
        points = ZeroPoints.as_they_are(images)
        with store.begin("relphot", {"filters": list(filters), "averages": True}, view) as change:
            n_means = write_catalogs(change, view, regions, images, points, engine=engine,
                                     say=progress or (lambda _: None))  # fmt: skip
            change.commit(n_means=n_means)
    return AverageReport(len(regions), n_means, store.view().snapshot.id, time.monotonic() - begun)
