"""setastrom: astrometric solutions from tables or headers, given to images and measures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from dvo.calib.astrometry.apply import write_solutions
from dvo.calib.astrometry.given_solutions import GivenSolutions
from dvo.calib.astrometry.new_solutions import NewSolutions
from dvo.calib.astrometry.objects import ObjectOptions, fitted_before
from dvo.calib.json_values import with_nulls
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import Runner

__all__ = ["SetastromReport", "setastrom"]


@dataclass(frozen=True)
class SetastromReport:
    """What setastrom did.

    Parameters
    ----------
    n_given : int
        Solutions that were given.
    n_images : int
        Images with measures that have a new way to the sky; those whose terms are what they were
        are not among them, and are left as they are.
    n_planes : int
        Focal planes that changed.
    unmatched : list of str
        What was given for no image.
    fit_error_mas : float
        Greatest error of a solution that was fitted to another form [mas].
    median_shift_mas : float
        Median over images of the root mean square shift of their places [mas].
    n_measures : int
        Measures that have a new place.
    n_left : int
        Measures of these images that have none, and keep the old one.
    rms_shift_mas, most_shift_mas : float
        Root mean square and greatest shift of measures [mas].
    model : str
        What was fitted to objects: mean, motion or parallax.
    n_objects : int
        Objects that were fitted anew.
    n_regions : int
        Regions that may have such measures.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    """

    n_given: int
    n_images: int
    n_planes: int
    unmatched: list[str]
    fit_error_mas: float
    median_shift_mas: float
    n_measures: int = 0
    n_left: int = 0
    rms_shift_mas: float = math.nan
    most_shift_mas: float = math.nan
    model: str = ""
    n_objects: int = 0
    n_regions: int = 0
    snapshot: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON.

        Returns
        -------
        dict
            With null for numbers that are not finite.
        """
        found: dict[str, Any] = with_nulls(asdict(self))
        return found


def setastrom(
    store: Store,
    given: GivenSolutions,
    *,
    dry_run: bool = False,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> SetastromReport:
    """Give images astrometric solutions; one commit.

    Measures of the images, and of all chips of a focal plane that changes, get the places that
    their pixels have by the new solutions. In the regions that have such measures places of
    objects are fitted anew, with motions and parallaxes if an earlier fit gave any there.

    Parameters
    ----------
    store : Store
        The database; open for writing unless it is a dry run.
    given : GivenSolutions
        The solutions.
    dry_run : bool
        Whether nothing is written.
    engine : Runner, optional
        Where it is done; None for the threads of this process. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    SetastromReport
        What was done; no commit is made if no image changes.
    """
    begun = time.monotonic()
    view = store.view()
    new = NewSolutions.read(view, given.rows, given.columns)
    shifts = new.shifts_arcsec() * 1e3
    known = shifts[np.isfinite(shifts)]
    n_planes = int((new.is_touched & ~new.is_measured).sum())
    report = SetastromReport(
        n_given=len(given.rows) + len(given.unmatched), n_images=int(new.is_measured.sum()),
        n_planes=n_planes, unmatched=list(given.unmatched),
        fit_error_mas=given.error_arcsec * 1e3,
        median_shift_mas=float(np.median(known)) if len(known) else math.nan,
        snapshot=view.snapshot.id,
    )  # fmt: skip
    if new.is_touched.any() and not dry_run:
        report = _write(store, view, new, report, engine, progress or (lambda _: None))
    return replace(report, seconds=time.monotonic() - begun)


def _write(
    store: Store, view: View, new: NewSolutions, report: SetastromReport, engine: Runner | None,
    say: Callable[[str], None],
) -> SetastromReport:  # fmt: skip
    regions = new.regions(view)
    highest = fitted_before(view, regions)
    params = {"n_images": report.n_images, "model": highest.name.lower()}
    with store.begin("setastrom", params, view) as change:
        sums, objects = write_solutions(change, view, regions, new, ObjectOptions(highest),
                                        engine=engine, say=say)  # fmt: skip
        change.commit(n_measures=sums.n_moved, n_objects=objects.n_objects)
    rms = math.sqrt(sums.squares / sums.n_moved) if sums.n_moved else math.nan
    return replace(
        report, n_measures=sums.n_moved, n_left=sums.n_left, rms_shift_mas=1e3 * rms,
        most_shift_mas=1e3 * sums.most, model=highest.name.lower(), n_objects=objects.n_objects,
        n_regions=len(regions), snapshot=store.view().snapshot.id,
    )  # fmt: skip
