"""relphot: zero points of all images from the stars that they share, and the means after that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.alternate import solve_alternately
from dvo.calib.joint import JointOptions, JointResult, Round, solve_jointly
from dvo.calib.json_values import with_nulls
from dvo.calib.photometry.apply import write_catalogs, write_images
from dvo.calib.photometry.classic import reading_model, solve_classic
from dvo.calib.photometry.flat_grid import FlatGrid, solve_with_flats
from dvo.calib.photometry.flats import FlatFields
from dvo.calib.photometry.images import ImageSelection, PhotImages, filters_by_name
from dvo.calib.photometry.levels import Level, LevelModel, SolvedImages
from dvo.calib.photometry.measures import StarLimits, StarMeasures
from dvo.calib.photometry.residuals import report_residuals
from dvo.calib.photometry.spool import StarSpool
from dvo.calib.photometry.star_reading import StarReading
from dvo.calib.photometry.terms import PhotModel
from dvo.calib.photometry.zero_points import ZeroPoints
from dvo.calib.report.page import check_report_folder
from dvo.errors import ConfigError
from dvo.partition.store import Store
from dvo.partition.write_operations import Runner
from dvo.tables.flags import ImageFlag

__all__ = ["RelphotOptions", "RelphotReport", "relphot"]


@dataclass(frozen=True)
class RelphotOptions:
    """What relphot does.

    Parameters
    ----------
    filters : tuple of str
        Average filters, such as ``g``.
    levels : tuple of Level
        What has zero points of its own.
    spread : float
        Standard deviation of what lies below the coarsest level [mag].
    selection : ImageSelection
        Which images of the filters; those that stars connect with others take their level.
    loops : int
        Loops of the original's alternating solver, in place of the joint one; 0 for that.
    is_classic : bool
        Whether these loops go by the scheme of the original, each image at one level, in place
        of `levels` and `spread`.
    flat_cells : int
        Cells of flat fields that are solved for, of a chip in each direction; 0 to take flat
        fields as they are.
    stars : StarLimits
        Which measures count for zero points.
    solve : JointOptions
        How the solve goes.
    least_measures : int
        Measures below which an image is flagged PHOTOM_FEW.
    most_error : float
        Error of a zero point above which an image is flagged PHOTOM_POOR [mag].
    dry_run : bool
        Whether nothing is written.
    report : Path or None
        Folder that gets a report with pictures; it costs one more reading of the measures.
    """

    filters: tuple[str, ...]
    levels: tuple[Level, ...] = (Level.IMAGE,)
    spread: float = 0.02
    selection: ImageSelection = field(default_factory=ImageSelection)
    loops: int = 0
    is_classic: bool = False
    flat_cells: int = 0
    stars: StarLimits = field(default_factory=StarLimits)
    solve: JointOptions = field(default_factory=JointOptions)
    least_measures: int = 10
    most_error: float = 0.075
    dry_run: bool = False
    report: Path | None = None

    def __post_init__(self) -> None:
        if self.flat_cells and (self.loops or not self.selection.is_all):
            raise ConfigError(
                "flat fields are solved for from all images of their filters, jointly: no "
                "region, cone or time can be given, nor the alternating solver"
            )


@dataclass(frozen=True)
class RelphotReport:
    """What relphot did.

    Parameters
    ----------
    n_images : int
        Images whose zero points were solved for.
    n_frozen : int
        Images of ubercal, which keep theirs.
    n_unsolved : int
        Images of the filters that no star connects with another.
    n_stars, n_measures : int
        Stars (objects in one filter) and measures that counted in the last round.
    rounds : int
        Rounds of the solve.
    is_converged : bool
        Whether the zero points stood still at the end.
    chi2_dof : float
        Reduced chi-square of the measures that were not masked.
    components : int
        Sets of images that stars connect; one a filter if all is well.
    floating : int
        Those of them without an image of ubercal; the mean offset in each stays what it was.
    median_error : float
        Median error of the zero points [mag].
    n_poor, n_few : int
        Images flagged PHOTOM_POOR and PHOTOM_FEW.
    n_flats, n_flat_cells : int
        Flat fields that were solved for, and their cells that have measures enough.
    flat_change : float
        Root mean square of what these cells changed by [mag]; NaN if there are none.
    flat_turns : int
        Turns of zero points and cells until the cells stood still.
    is_flat_converged : bool
        Whether they did.
    n_means : int
        Mean magnitudes made anew.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    each_round : list of Round
        What each round did.
    """

    n_images: int
    n_frozen: int
    n_unsolved: int
    n_stars: int
    n_measures: int
    rounds: int
    is_converged: bool
    chi2_dof: float
    components: int
    floating: int
    median_error: float
    n_poor: int
    n_few: int
    n_flats: int = 0
    n_flat_cells: int = 0
    flat_change: float = np.nan
    flat_turns: int = 0
    is_flat_converged: bool = True
    n_means: int = 0
    snapshot: int = 0
    seconds: float = 0.0
    each_round: list[Round] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON.

        Returns
        -------
        dict
            With null for numbers that are not finite.
        """
        found: dict[str, Any] = with_nulls(asdict(self))
        return found


def relphot(
    store: Store,
    options: RelphotOptions,
    *,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> RelphotReport:
    """Solve for the zero points of images, and write them and what rests on them.

    Zero points are offsets from the nominal ones of the photcodes, subtracted from magnitudes,
    so clouds make them positive. Stars do not tell the level of images that are not connected
    with any of ubercal: there the mean of the offsets that were known stays (0 if none was).
    Offset and error go to Image, the offset to all measures of the image, and mean magnitudes of
    the filters are made anew; one commit. Where flat fields are solved for, they take the places
    of those of the same photcodes and seasons, and measures get what they say.

    Parameters
    ----------
    store : Store
        The database; open for writing unless it is a dry run.
    options : RelphotOptions
        What to do.
    engine : Runner, optional
        Where measures are read and written; None for here. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    RelphotReport
        What was done.

    Raises
    ------
    PhotcodeError
        If a filter is not one of the database.
    """
    begun = time.monotonic()
    if options.report is not None:
        check_report_folder(options.report)
    say = progress or (lambda _: None)
    view = store.view()
    filters = filters_by_name(view.photcodes, options.filters)
    images = PhotImages.read(view, filters, options.selection)
    regions = images.regions(view)
    reading = StarReading(tuple(filters), options.stars, flat_cells=options.flat_cells)
    stars = reading.read(view, regions, engine=engine, say=say)
    old = FlatFields.read(view)
    if options.flat_cells:
        result, model, flag, of_flats = _solve_with_flats(stars, images, old, options, say)
    else:
        result, model, flag = _solve(stars, images, options, say)
        of_flats = _Flats()
    found = model.read_off(result)
    points = ZeroPoints.of(images, found, flag,
                           least_measures=options.least_measures,
                           most_error=options.most_error)  # fmt: skip
    n_means = 0
    if not options.dry_run and images.is_selected.any():
        params = {"filters": list(options.filters), "n_images": int(found.is_solved.sum())}
        with store.begin("relphot", params, view) as change:
            flats = None if of_flats.new is None else old.with_new(of_flats.new)
            write_images(change, images, points,
                         None if flats is None else flats.numbers(images.table))  # fmt: skip
            if flats is not None:
                flats.write(change)
            n_means = write_catalogs(change, view, regions, images, points, flats, engine=engine,
                                     say=say)  # fmt: skip
            change.commit(n_means=n_means)
    report = _report(images, result, found, points)
    report = replace(report, **of_flats.facts, n_means=n_means, snapshot=store.view().snapshot.id,
                     seconds=time.monotonic() - begun)  # fmt: skip
    if options.report is not None:
        report_residuals(options.report, "Zero points by relphot", report.as_dict(), view, filters,
                         images, points, options.stars, flats=of_flats.new,
                         progress=say)  # fmt: skip
    return report


_FLAGS = {Level.NIGHT: ImageFlag.TGROUP_PHOTCAL, Level.EXPOSURE: ImageFlag.MOSAIC_PHOTCAL,
          Level.IMAGE: ImageFlag.IMAGE_PHOTCAL}  # fmt: skip
"""What says at which level an image got its zero point: the finest."""


def _solve(
    found: Iterable[StarMeasures],
    images: PhotImages,
    options: RelphotOptions,
    say: Callable[[str], None],
) -> tuple[JointResult, LevelModel, NDArray[np.uint32]]:
    """Solve; gives what was solved for, too, and the flag of each image that tells its level."""
    model = LevelModel.of(images, options.levels, options.spread)
    flag = np.full(len(images), _FLAGS[model.levels[-1]], np.uint32)
    by_image = reading_model(images)
    with StarSpool() as stars:
        for some in found:
            stars.add(some.batch(by_image if options.is_classic else model.model))
        if options.is_classic:
            result, model, owner = solve_classic(images, lambda: stars, loops=options.loops,
                                                 options=options.solve, say=say)  # fmt: skip
            return result, model, np.array([_FLAGS[v] for v in model.levels], np.uint32)[owner]
        parameters = model.model.parameters()
        if options.loops:
            result = solve_alternately(parameters, lambda: stars, loops=options.loops,
                                       is_robust=options.solve.is_robust,
                                       progress=lambda k, _: say(f"loop {k} done"))  # fmt: skip
        else:
            result = solve_jointly(parameters, lambda: stars, options.solve,
                                   progress=lambda k, _: say(f"round {k} solved"))  # fmt: skip
    return result, model, flag


@dataclass(frozen=True, eq=False)
class _Flats:
    """Flat fields that were found, None if there are none; and what the report says of them."""

    new: FlatFields | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def _solve_with_flats(
    found: Iterable[StarMeasures], images: PhotImages, old: FlatFields, options: RelphotOptions,
    say: Callable[[str], None],
) -> tuple[JointResult, LevelModel, NDArray[np.uint32], _Flats]:  # fmt: skip
    """Solve for flat fields, too."""
    model = LevelModel.of(images, options.levels, options.spread)
    flag = np.full(len(images), _FLAGS[model.levels[-1]], np.uint32)
    grid = FlatGrid.of(images, options.flat_cells, old)
    with_cells = PhotModel([*model.model.terms, grid.term])
    with StarSpool() as stars:
        for some in found:
            stars.add(some.batch(with_cells))
        done = solve_with_flats(
            model.model.parameters(), lambda: stars, grid, options.solve,
            progress=lambda k, step: say(f"turn {k}: flat fields moved by {step:.2g} sigma"),
        )  # fmt: skip
    change = (done.values - grid.term.block.start)[done.is_told]
    facts = {
        "n_flats": len(grid.photcode), "n_flat_cells": len(change),
        "flat_change": float(np.sqrt(np.mean(change**2))) if len(change) else np.nan,
        "flat_turns": done.n_turns, "is_flat_converged": done.is_still,
    }  # fmt: skip
    new = grid.flats(done.values) if len(grid.photcode) else None
    return done.joint, model, flag, _Flats(new, facts)


def _report(
    images: PhotImages, result: JointResult, found: SolvedImages, points: ZeroPoints
) -> RelphotReport:
    solved, last = found.is_solved, result.rounds[-1]
    free = images.is_free

    def count(flag: ImageFlag) -> int:
        return int(((points.flags[free] & np.uint32(flag)) != 0).sum())

    return RelphotReport(
        n_images=int(solved.sum()),
        n_frozen=int((images.is_frozen & images.is_chip).sum()),
        n_unsolved=int((free & ~solved).sum()),
        n_stars=last.n_stars,
        n_measures=last.n_measures,
        rounds=len(result.rounds),
        is_converged=result.is_converged,
        chi2_dof=last.chi2_dof,
        components=result.solution.n_components,
        floating=result.solution.n_floating,
        median_error=float(np.median(points.error[solved])) if solved.any() else np.nan,
        n_poor=count(ImageFlag.PHOTOM_POOR),
        n_few=count(ImageFlag.PHOTOM_FEW),
        each_round=result.rounds,
    )
