"""relastro: the astrometry of images, and places, motions and parallaxes of objects."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from dvo.calib.astrometry.apply import write_solutions
from dvo.calib.astrometry.images import ImageFit, SolveOptions, fit_images
from dvo.calib.astrometry.new_solutions import NewSolutions
from dvo.calib.astrometry.objects import (
    OBJECT_OPERATION,
    ObjectOptions,
    ObjectSums,
    fit_regions,
)
from dvo.calib.json_values import with_nulls
from dvo.partition.bounds import Area
from dvo.partition.manifest import ALL_SKY
from dvo.partition.region_batches import region_batches
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import Group, Runner, write_groups
from dvo.tables.column_table import ColumnTable
from dvo.tables.image import IMAGE

__all__ = ["RelastroOptions", "RelastroReport", "relastro"]


@dataclass(frozen=True)
class RelastroOptions:
    """What relastro does.

    Parameters
    ----------
    objects : ObjectOptions
        How objects are fitted.
    images : SolveOptions or None
        How images are solved for before that; None for leaving them as they are. Their area is
        `area`.
    area : Area, optional
        Catalogs that touch it are worked on, whole; None for all.
    dry_run : bool
        Whether nothing is written.
    """

    objects: ObjectOptions = field(default_factory=ObjectOptions)
    images: SolveOptions | None = None
    area: Area | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class RelastroReport:
    """What relastro did.

    Parameters
    ----------
    n_images : int
        Images in the database, or those that have new astrometry where images were solved for.
    n_objects, n_pm, n_par : int
        Objects that have a place, of these with a motion, of these with a parallax.
    n_none : int
        Objects without measures that count.
    n_bad_pm : int
        Objects whose motion or parallax came out beyond all limits; they have a simpler fit.
    n_measures, n_masked : int
        Measures used, and masked as outliers.
    rms_mas : float
        Root mean square residual of the measures used, in one direction [mas].
    rounds : int
        Rounds of the solve for images, or most rounds of weighing that an object took.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    n_refused : int
        Images whose new astrometry was worse for stars kept from the solve (ASTROM_FAIL).
    n_few : int
        Images with too few stars to be solved for (ASTROM_FEW).
    is_converged : bool
        Whether the astrometry of images stood still at the end.
    median_shift_mas : float
        Median over images of the root mean square change of their places [mas].
    """

    n_images: int
    n_objects: int
    n_pm: int
    n_par: int
    n_none: int
    n_bad_pm: int
    n_measures: int
    n_masked: int
    rms_mas: float
    rounds: int
    snapshot: int
    seconds: float
    n_refused: int = 0
    n_few: int = 0
    is_converged: bool = True
    median_shift_mas: float = math.nan

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON.

        Returns
        -------
        dict
            With null for numbers that are not finite.
        """
        found: dict[str, Any] = with_nulls(asdict(self))
        return found


def relastro(
    store: Store,
    options: RelastroOptions = RelastroOptions(),
    *,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> RelastroReport:
    """Fit places, motions and parallaxes of objects to all their measures, and write them.

    Images are solved for before that if asked for: their corrections jointly, with the places
    and motions of all stars; measures get the places that their pixels have then. Average gets
    places, motions and parallaxes with errors, chi-squares and flags, Measure the flags of what
    became of each measure; one commit.

    Parameters
    ----------
    store : Store
        The database; open for writing unless it is a dry run.
    options : RelastroOptions
        What to do.
    engine : Runner, optional
        Where it is done; None for the threads of this process. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    RelastroReport
        What was done.
    """
    begun = time.monotonic()
    say = progress or (lambda _: None)
    view = store.view()
    regions = view.regions() if options.area is None else view.regions(options.area)
    sums, fitted = ObjectSums(), None
    if options.images is not None:
        fitted = fit_images(view, replace(options.images, area=options.area), progress=say)
    if fitted is not None and not options.dry_run and regions:
        sums = _write_images(store, view, regions, fitted, options, engine, say)
    elif options.dry_run:
        for some in region_batches(view, regions):
            sums += ObjectSums.of(fit_regions(view, some, options.objects).fits)
            say(f"{sums.n_objects} objects fitted")
    elif regions:
        params = {"model": options.objects.highest.name.lower(),
                  "n_resamples": options.objects.n_resamples}  # fmt: skip
        with store.begin("relastro", params, view) as change:
            facts = write_groups(
                change, OBJECT_OPERATION, options.objects.as_request(), _groups(view, regions),
                engine=engine, progress=lambda done, n: say(f"{done} of {n} regions written"),
            )  # fmt: skip
            sums = sum((ObjectSums(**found) for found in facts), sums)
            change.commit(n_objects=sums.n_objects, n_pm=sums.n_pm, n_par=sums.n_par)
    rms = math.sqrt(sums.squares / (2 * sums.n_measures)) if sums.n_measures else np.nan
    report = RelastroReport(
        n_images=len(view.read(IMAGE, ALL_SKY, ["image_id"])),
        **{n: getattr(sums, n) for n in ("n_objects", "n_pm", "n_par", "n_none", "n_bad_pm",
                                         "n_measures", "n_masked", "rounds")},
        rms_mas=1e3 * rms,
        snapshot=store.view().snapshot.id,
        seconds=time.monotonic() - begun,
    )  # fmt: skip
    return report if fitted is None else _with_images(report, fitted)


def _with_images(report: RelastroReport, fitted: ImageFit) -> RelastroReport:
    shift = fitted.shift_arcsec
    return replace(
        report, n_images=len(fitted.rows), rounds=len(fitted.rounds), n_refused=fitted.n_refused,
        n_few=fitted.n_few, is_converged=fitted.is_converged,
        median_shift_mas=1e3 * float(np.median(shift)) if len(shift) else math.nan,
    )  # fmt: skip


def _write_images(
    store: Store, view: View, regions: list[int], fitted: ImageFit, options: RelastroOptions,
    engine: Runner | None, say: Callable[[str], None],
) -> ObjectSums:  # fmt: skip
    """Write images, places of their measures, and fits of all objects; one commit."""
    new = NewSolutions.read(view, fitted.rows, fitted.columns)
    params = {"model": options.objects.highest.name.lower(), "n_images": len(fitted.rows)}
    images = view.read(IMAGE, ALL_SKY, ["flags", "n_fit_astrom"])
    counts = fitted.counts.astype(np.uint32)
    with store.begin("relastro", params, view) as change:
        columns = {"flags": fitted.flags, "n_fit_astrom": counts}
        is_new = (fitted.flags != images["flags"]) | (counts != images["n_fit_astrom"])
        change.overlay_rows(ColumnTable(IMAGE, columns, len(images)), [ALL_SKY],
                            np.array([0, len(images)]), is_new)  # fmt: skip
        moved, sums = write_solutions(
            change, view, sorted({*regions, *new.regions(view)}), new, options.objects,
            all_objects=True, engine=engine, say=say,
        )  # fmt: skip
        change.commit(n_measures=moved.n_moved, n_objects=sums.n_objects, n_pm=sums.n_pm)
    return sums


def _groups(view: View, regions: list[int]) -> list[Group]:
    out: list[Group] = []
    for some in region_batches(view, regions):
        rows = view.catalogs(some)
        out.append((some, sum(rows[region].n_measure for region in some)))
    return out
