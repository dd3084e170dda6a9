"""relastro: places, proper motions and parallaxes of objects from all their measures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

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
from dvo.tables.image import IMAGE

__all__ = ["RelastroOptions", "RelastroReport", "relastro"]


@dataclass(frozen=True)
class RelastroOptions:
    """What relastro does.

    Parameters
    ----------
    objects : ObjectOptions
        How objects are fitted.
    area : Area, optional
        Catalogs that touch it are worked on, whole; None for all.
    dry_run : bool
        Whether nothing is written.
    """

    objects: ObjectOptions = field(default_factory=ObjectOptions)
    area: Area | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class RelastroReport:
    """What relastro did.

    Parameters
    ----------
    n_images : int
        Images in the database.
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
        Most rounds of weighing that an object took.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
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

    Average gets them with errors, chi-squares and flags, Measure the flags of what became of
    each measure; one commit.

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
    sums = ObjectSums()
    if options.dry_run:
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
    return RelastroReport(
        n_images=len(view.read(IMAGE, ALL_SKY, ["image_id"])),
        **{n: getattr(sums, n) for n in ("n_objects", "n_pm", "n_par", "n_none", "n_bad_pm",
                                         "n_measures", "n_masked", "rounds")},
        rms_mas=1e3 * rms,
        snapshot=store.view().snapshot.id,
        seconds=time.monotonic() - begun,
    )  # fmt: skip


def _groups(view: View, regions: list[int]) -> list[Group]:
    out: list[Group] = []
    for some in region_batches(view, regions):
        rows = view.catalogs(some)
        out.append((some, sum(rows[region].n_measure for region in some)))
    return out
