"""ubercal: zero points of photometric nights, airmass slopes and flat fields, all at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.joint import JointOptions, Round
from dvo.calib.json_values import with_nulls
from dvo.calib.photometry.apply import write_catalogs, write_images
from dvo.calib.photometry.flats import ALWAYS, FlatFields
from dvo.calib.photometry.images import PhotImages, filters_by_name
from dvo.calib.photometry.measures import StarLimits
from dvo.calib.photometry.nights import NightLimits, mean_of
from dvo.calib.photometry.periods import Periods
from dvo.calib.photometry.residuals import report_residuals
from dvo.calib.photometry.spool import StarSpool
from dvo.calib.photometry.star_reading import StarReading
from dvo.calib.photometry.ubercal_solve import UbercalResult, solve_ubercal
from dvo.calib.photometry.ubercal_survey import Seasons, Survey
from dvo.calib.photometry.zero_points import UNKNOWN_DISTANCE, ZeroPoints
from dvo.calib.report.page import check_report_folder
from dvo.errors import ConfigError
from dvo.partition.bounds import Area
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import Runner
from dvo.tables.flags import ImageFlag

__all__ = ["PeriodReport", "UbercalOptions", "UbercalReport", "ubercal"]

F64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class UbercalOptions:
    """What ubercal does.

    Parameters
    ----------
    filters : tuple of str
        Average filters, such as ``g``.
    stars : StarLimits
        Which measures count.
    solve : JointOptions
        How solves go.
    nights : NightLimits
        What a photometric night must be.
    flat_cells : int
        Cells of a chip in each direction; 0 for no flat fields.
    periods : Path or None
        File of periods; None to find them.
    write_periods : Path or None
        Where to write the periods with what was found of them.
    seasons : tuple of int or None
        Times at which seasons of flat fields begin, after the first [s since 1970 UTC]; None
        to find them.
    area : Area or None
        Where the stars are; None for all.
    times : tuple of int or None
        First second of images, and the first after them [s since 1970 UTC]; others are left
        alone.
    dry_run : bool
        Whether nothing is written to the database.
    report : Path or None
        Folder that gets a report with pictures; it costs one more reading of the measures.
    """

    filters: tuple[str, ...]
    stars: StarLimits = field(default_factory=StarLimits)
    solve: JointOptions = field(default_factory=JointOptions)
    nights: NightLimits = field(default_factory=NightLimits)
    flat_cells: int = 2
    periods: Path | None = None
    write_periods: Path | None = None
    seasons: tuple[int, ...] | None = None
    area: Area | None = None
    times: tuple[int, int] | None = None
    dry_run: bool = False
    report: Path | None = None


@dataclass(frozen=True)
class PeriodReport:
    """A period, and what was found of it.

    Parameters
    ----------
    filter : str
        Its average filter.
    start, stop : int
        First second, and the first after it [s since 1970 UTC].
    is_photometric : bool
        Whether it is.
    zero_point, zero_point_err : float
        Offset from the nominal zero points of its photcodes at airmass 1, and its error [mag];
        it is subtracted from magnitudes. NaN if it is not photometric.
    slope, slope_err : float
        Airmass slope beyond the nominal one, and its error [mag/airmass].
    n_images, n_exposures, n_measures : int
        Images and exposures of it, and measures that counted.
    chi2_dof, scatter : float
        Of its measures about zero point, slope and flat field; scatter in mag.
    """

    filter: str
    start: int
    stop: int
    is_photometric: bool
    zero_point: float
    zero_point_err: float
    slope: float
    slope_err: float
    n_images: int
    n_exposures: int
    n_measures: int
    chi2_dof: float
    scatter: float


@dataclass(frozen=True)
class UbercalReport:
    """What ubercal did.

    Parameters
    ----------
    n_images : int
        Images that have zero points of photometric periods now.
    n_poor : int
        Images of nights that are not photometric.
    n_unsolved : int
        Other images of the filters: of no period, without stars, or behind a cloud.
    n_photometric : int
        Photometric periods.
    n_stars, n_measures : int
        Stars (objects in one filter) and measures that counted in the last round.
    rounds, turns : int
        Rounds of the last solve, and solves until no night was left out any more.
    is_converged : bool
        Whether the parameters stood still at the end.
    chi2_dof : float
        Reduced chi-square of the measures that were not masked.
    components : int
        Sets of periods that stars connect; one a filter if all is well.
    null_modes : int
        Directions that the measures do not tell: a level for each set, and a constant that
        could be in the flat field of a season or in its nights.
    median_error : float
        Median error of the zero points of images [mag].
    n_flats, n_seasons : int
        Flat fields, each of a photcode and a season, and seasons of all filters.
    n_means : int
        Mean magnitudes made anew.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    periods : list of PeriodReport
        All periods.
    seasons : list of dict
        ``filter``, ``start`` and ``stop`` of each [s since 1970 UTC].
    each_round : list of Round
        What each round of the last solve did.
    """

    n_images: int
    n_poor: int
    n_unsolved: int
    n_photometric: int
    n_stars: int
    n_measures: int
    rounds: int
    turns: int
    is_converged: bool
    chi2_dof: float
    components: int
    null_modes: int
    median_error: float
    n_flats: int
    n_seasons: int
    n_means: int
    snapshot: int
    seconds: float
    periods: list[PeriodReport] = field(default_factory=list)
    seasons: list[dict[str, Any]] = field(default_factory=list)
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


def ubercal(
    store: Store,
    options: UbercalOptions,
    *,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> UbercalReport:
    """Calibrate photometric nights, and write what follows for images, measures and means.

    Images of photometric nights get the zero point of their night at their airmass, and are
    flagged PHOTOM_UBERCAL, by which `relphot` leaves them as they are; those of other nights are
    flagged NIGHT_POOR. All images of the filters get the new flat fields. One commit.

    Parameters
    ----------
    store : Store
        The database; open for writing unless it is a dry run.
    options : UbercalOptions
        What to do.
    engine : Runner, optional
        Where measures are read and written; None for here. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    UbercalReport
        What was done.

    Raises
    ------
    PhotcodeError
        If a filter is not one of the database.
    ConfigError
        If the file of periods cannot be understood, or periods cannot be written.
    """
    begun = time.monotonic()
    if options.report is not None:
        check_report_folder(options.report)
    say = progress or (lambda _: None)
    view = store.view()
    filters = filters_by_name(view.photcodes, options.filters)
    reading = StarReading(tuple(filters), options.stars, options.times, options.flat_cells)
    survey = _survey(view, filters, reading.images(view), options)
    with StarSpool() as stars:
        model = survey.reading_model()
        for some in reading.read(view, view.regions(options.area), engine=engine, say=say):
            stars.add(some.batch(model))
        result = solve_ubercal(
            survey, lambda: stars, limits=options.nights, solve=options.solve, say=say,
            seasons=_given_seasons(filters, options),
        )  # fmt: skip
    offset, error, zero_points = _zero_points(survey, result)
    flats = _flats(survey, result, options.times or ALWAYS)
    points = _points(survey, result, offset, error)
    n_means = 0
    if not options.dry_run and survey.images.is_wanted.any():
        n_means = _write(store, view, survey, result, points, flats, options, engine, say)
    periods = _period_reports(view, survey, result, *zero_points)
    if options.write_periods is not None:
        _write_periods(options.write_periods, view, survey, result, periods)
    report = _report(store, survey, result, points, flats, periods, view, n_means,
                     time.monotonic() - begun)  # fmt: skip
    if options.report is not None:
        used = survey.images.only(result.is_used)
        facts = report.as_dict()
        report_residuals(options.report, "Photometric nights by ubercal", facts, view, filters,
                         used, points, options.stars, flats=flats, progress=say)  # fmt: skip
    return report


def _survey(view: View, filters: list[int], images: PhotImages, options: UbercalOptions) -> Survey:
    when = images.table["time"]
    k = view.photcodes.sec_index_of_code[images.table["photcode"]].astype(np.int64)
    k[~images.is_wanted] = -1
    if options.periods is not None:
        periods = Periods.read(options.periods, view.photcodes)
        periods = periods.only(np.isin(periods.filter_index, filters))
    else:
        periods = Periods.find(k[images.is_wanted], when[images.is_wanted])
    return Survey.of(images, k, periods, options.flat_cells)


def _given_seasons(filters: list[int], options: UbercalOptions) -> Seasons | None:
    if options.seasons is None:
        return None
    first, last = options.times or ALWAYS
    starts = sorted({start for start in options.seasons if first < start < last})
    return Seasons(dict.fromkeys(filters, starts))


def _zero_points(survey: Survey, result: UbercalResult) -> tuple[F64, F64, tuple[F64, ...]]:
    """Offsets and errors of images, then zero points, slopes and their errors of periods.

    The mean offset of a set of images that stars connect stays what it was, as far as it was
    known.
    """
    joint, n = result.joint, len(survey.periods)
    night, slope = (joint.parameters.of(name).copy() for name in ("night", "slope"))
    night_err, slope_err = joint.error[:n], joint.error[n : 2 * n]
    # No range of airmasses tells no slope: what is known is the prior.
    prior = result.model.terms[1].block.prior
    assert prior is not None
    slope_err = np.where(np.isfinite(slope_err), slope_err, prior)
    middle = survey.mean_airmass(result.is_used)
    used = np.flatnonzero(result.is_used)
    of = survey.period[used]
    before = survey.images.table["mcal_psf"][used].astype(np.float64)
    new = night[of] + slope[of] * (survey.airmass[used] - middle[of])
    component = joint.solution.component[:n]
    known = np.isfinite(before) & (component[of] >= 0)
    if known.any():
        shift = mean_of(component[of][known], (before - new)[known],
                        joint.solution.n_components)  # fmt: skip
        night += np.where(component >= 0, shift[np.maximum(component, 0)], 0.0)
    offset, error = np.full((2, len(survey.period)), np.nan)
    over = survey.airmass[used] - middle[of]
    offset[used] = night[of] + slope[of] * over
    error[used] = np.hypot(night_err[of], slope_err[of] * over)
    at_one = night - slope * middle
    solved = result.is_photometric & np.isfinite(night_err)
    values = (at_one, np.hypot(night_err, slope_err * middle), slope, slope_err)
    return offset, error, tuple(np.where(solved, v, np.nan) for v in values)


def _flats(survey: Survey, result: UbercalResult, whole: tuple[int, int]) -> FlatFields:
    """Flat fields of all photcodes and seasons that were solved for."""
    if survey.cells is None:
        none = np.empty((0, 2), np.int64)
        return FlatFields.of_grids(none[:, 0], none, none, np.empty((0, 1, 1)))
    number, keys = survey.flat_keys(survey.seasons_of_images(result.seasons))
    joint, n = result.joint, survey.cells.n_x
    start = len(joint.parameters) - len(joint.parameters.of("flat"))
    grids = np.where(joint.solution.is_free, joint.parameters.values, np.nan)[start:]
    grids = grids.reshape(len(keys), n, n)
    sizes = np.zeros((len(keys), 2), np.int64)
    some = np.flatnonzero(number >= 0)
    for axis, size in enumerate(survey.cells.sizes()):
        np.maximum.at(sizes[:, axis], number[some], size[some].astype(np.int64))
    table = np.array(result.seasons.table(whole), np.int64).reshape(-1, 3)
    told = np.isfinite(grids).any(axis=(1, 2))
    season = table[keys[:, 0], 1:]
    return FlatFields.of_grids(keys[told, 1], season[told], sizes[told], grids[told])


def _points(survey: Survey, result: UbercalResult, offset: F64, error: F64) -> ZeroPoints:
    """New values of all rows of Image."""
    images, used = survey.images, result.is_used
    table, wanted = images.table, images.is_wanted
    flags = table["flags"].copy()
    flags[wanted] &= ~np.uint32(ImageFlag.PHOTOM_UBERCAL | ImageFlag.NIGHT_POOR)
    flags[used] &= ~np.uint32(
        ImageFlag.PHOTOM_FEW | ImageFlag.PHOTOM_POOR | ImageFlag.IMAGE_PHOTCAL
        | ImageFlag.MOSAIC_PHOTCAL | ImageFlag.MOSAIC_POOR
    )  # fmt: skip
    flags[used] |= np.uint32(ImageFlag.PHOTOM_UBERCAL | ImageFlag.TGROUP_PHOTCAL)
    flags[_of_poor_nights(survey, result)] |= np.uint32(ImageFlag.NIGHT_POOR)
    distance = np.where(wanted, np.where(used, 0, UNKNOWN_DISTANCE), table["ubercal_dist"])
    return ZeroPoints(
        np.where(used, offset, table["mcal_psf"]).astype(np.float32),
        np.where(used, offset, table["mcal_aper"]).astype(np.float32),
        np.where(used, error, table["dmcal"]).astype(np.float32),
        np.where(used, result.n_fit, table["n_fit_photom"]).astype(np.uint32),
        flags,
        distance.astype(np.int32),
    )


def _of_poor_nights(survey: Survey, result: UbercalResult) -> Bool:
    is_in = survey.period >= 0
    is_in[is_in] = ~result.is_photometric[survey.period[is_in]]
    return is_in


def _write(
    store: Store, view: View, survey: Survey, result: UbercalResult, points: ZeroPoints,
    flats: FlatFields, options: UbercalOptions, engine: Runner | None, say: Callable[[str], None],
) -> int:  # fmt: skip
    """One commit of all that is new; gives the number of means made anew."""
    params = {"filters": list(options.filters), "n_images": int(result.is_used.sum()),
              "n_periods": int(result.is_photometric.sum())}  # fmt: skip
    every = PhotImages.read(view, filters_by_name(view.photcodes, options.filters))
    seen = survey.images.is_wanted
    images = replace(every, is_selected=seen,
                     is_ubercal=np.where(seen, result.is_used, every.is_ubercal))  # fmt: skip
    old = FlatFields.read(view)
    new = old.without(flats.corrections["photcode"], options.times or ALWAYS).with_new(flats)
    with store.begin("ubercal", params, view) as change:
        write_images(change, images, points, new.numbers(images.table) if len(flats) else None)
        if len(flats):
            new.write(change)
        n_means = write_catalogs(change, view, view.regions(), images, points,
                                 new if len(flats) else None, engine=engine, say=say)  # fmt: skip
        change.commit(n_means=n_means)
    return n_means


def _period_reports(
    view: View, survey: Survey, result: UbercalResult, zero_point: F64, zero_point_err: F64,
    slope: F64, slope_err: F64,
) -> list[PeriodReport]:  # fmt: skip
    periods, seen = survey.periods, result.seen
    n = len(periods)
    is_in = survey.period >= 0
    n_images = np.bincount(survey.period[is_in], minlength=n)
    first = survey.first_images()
    of = survey.period[first]
    n_exposures = np.bincount(of[of >= 0], minlength=n)
    return [
        PeriodReport(
            view.photcodes.sec[int(periods.filter_index[i])].name,
            int(periods.start[i]), int(periods.stop[i]), bool(result.is_photometric[i]),
            float(zero_point[i]), float(zero_point_err[i]), float(slope[i]), float(slope_err[i]),
            int(n_images[i]), int(n_exposures[i]), int(seen.n_measures[i]), float(seen.chi2[i]),
            float(seen.scatter[i]),
        )
        for i in range(n)
    ]  # fmt: skip


def _write_periods(
    path: Path, view: View, survey: Survey, result: UbercalResult, periods: list[PeriodReport]
) -> None:
    remarks = [
        f"{p.n_exposures} exposures, zero point {p.zero_point:+.4f} slope {p.slope:+.4f} "
        f"scatter {p.scatter:.4f}" if p.is_photometric else f"{p.n_exposures} exposures"
        for p in periods
    ]  # fmt: skip
    judged = survey.periods.judged(result.is_photometric)
    try:
        judged.write(path, view.photcodes, remarks)
    except OSError as err:
        raise ConfigError(f"periods cannot be written to {path}: {err}") from err


def _report(
    store: Store, survey: Survey, result: UbercalResult, points: ZeroPoints, flats: FlatFields,
    periods: list[PeriodReport], view: View, n_means: int, seconds: float,
) -> UbercalReport:  # fmt: skip
    joint, used = result.joint, result.is_used
    last, wanted = joint.rounds[-1], survey.images.is_wanted
    poor = _of_poor_nights(survey, result)
    seasons = [
        {"filter": view.photcodes.sec[k].name,
         "start": None if start == ALWAYS[0] else start,
         "stop": None if stop == ALWAYS[1] else stop}
        for k, start, stop in result.seasons.table(ALWAYS)
    ]  # fmt: skip
    return UbercalReport(
        n_images=int(used.sum()),
        n_poor=int(poor.sum()),
        n_unsolved=int((wanted & ~used & ~poor).sum()),
        n_photometric=int(result.is_photometric.sum()),
        n_stars=last.n_stars,
        n_measures=last.n_measures,
        rounds=len(joint.rounds),
        turns=result.n_turns,
        is_converged=joint.is_converged,
        chi2_dof=last.chi2_dof,
        components=joint.solution.n_components,
        null_modes=joint.solution.n_null,
        median_error=float(np.median(points.error[used])) if used.any() else np.nan,
        n_flats=len(flats),
        n_seasons=len(seasons),
        n_means=n_means,
        snapshot=store.view().snapshot.id,
        seconds=seconds,
        periods=periods,
        seasons=seasons,
        each_round=joint.rounds,
    )
