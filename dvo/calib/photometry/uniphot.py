"""uniphot: the whole database tied to an outside reference, by one offset a filter."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dvo.calib.json_values import with_nulls
from dvo.calib.photometry.apply import write_catalogs, write_images
from dvo.calib.photometry.comparison_report import Comparison, report_comparison
from dvo.calib.photometry.images import PhotImages
from dvo.calib.photometry.object_means import ObjectMeans, colour_of_words
from dvo.calib.photometry.reference_points import (
    Reference,
    ReferencePoints,
    reference_of_table,
)
from dvo.calib.photometry.residuals import image_points
from dvo.calib.photometry.zero_points import ZeroPoints
from dvo.calib.report.page import check_report_folder
from dvo.calib.robust_fit import RobustFit, fit_robustly
from dvo.healpix import nested_pixels
from dvo.partition.bounds import Area
from dvo.partition.operations import Job, register
from dvo.partition.region_batches import region_batches
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import Runner
from dvo.query.scan import area_from_json, area_to_json

__all__ = ["FilterTie", "UniphotOptions", "UniphotReport", "tie_of", "uniphot"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_OPERATION = "calibrate-compare"
_REFERENCE = "reference"
_COLUMNS = tuple(field.name for field in fields(ReferencePoints))

_STILL = 1e-6
"""An offset that is none [mag]: what is tied already stays as it is, to the bit."""

_ROUNDS = 4
_COARSEST, _FINEST, _CELLS_WANTED = 4, 9, 16
_LEAST_OF_CELL = 5


@dataclass(frozen=True)
class UniphotOptions:
    """What uniphot does.

    Parameters
    ----------
    colour : str or None
        Colour of which a term is fitted beside the offset, such as ``g-r``.
    colour_offset : float or None
        Colour at which the offset is that of the fit [mag]; None takes the median.
    mag : (float, float)
        Brightest and faintest magnitude of the reference [mag].
    most_error : float
        Greatest error of a mean magnitude, of the reference and of the colour [mag].
    least_stars : int
        Stars that a filter needs; with less it is left alone.
    area : Area or None
        Where the objects are that are compared; the offsets are for all images all the same.
    dry_run : bool
        Whether nothing is written.
    report : Path or None
        Folder that gets a report with pictures.
    """

    colour: str | None = None
    colour_offset: float | None = None
    mag: tuple[float, float] = (-math.inf, math.inf)
    most_error: float = 0.05
    least_stars: int = 10
    area: Area | None = None
    dry_run: bool = False
    report: Path | None = None


@dataclass(frozen=True)
class FilterTie:
    """How a filter is tied.

    Parameters
    ----------
    name, reference : str
        The filter and its reference.
    n_stars, n_outliers : int
        Stars that were compared, and those of them that lost most of their weight.
    offset, error : float
        What is added to the offsets of images, mean magnitude less reference, and its error; NaN
        with too few stars [mag].
    scatter, intrinsic : float
        Scatter of stars, and what of it is beyond the stated errors [mag].
    colour_term, colour_error : float
        Change of the difference with colour, and its error; NaN if none was fitted.
    colour_offset : float
        Colour at which the offset holds [mag]; NaN if no term was fitted.
    cell_rms, cell_error : float
        Scatter of the offsets of parts of the sky, and what of it stars alone make [mag].
    n_cells, cell_order : int
        These parts, HEALPix cells with five stars or more, and their order: 4 (3.7 degrees), or
        finer where there are less than 16 of them.
    n_images : int
        Images that get the offset; none if it is less than 1e-6.
    """

    name: str
    reference: str
    n_stars: int
    n_outliers: int = 0
    offset: float = math.nan
    error: float = math.nan
    scatter: float = math.nan
    intrinsic: float = math.nan
    colour_term: float = math.nan
    colour_error: float = math.nan
    colour_offset: float = math.nan
    cell_rms: float = math.nan
    cell_error: float = math.nan
    n_cells: int = 0
    cell_order: int = 0
    n_images: int = 0


@dataclass(frozen=True)
class UniphotReport:
    """What uniphot did.

    Parameters
    ----------
    filters : list of FilterTie
        How each filter was tied.
    n_images : int
        Images that got an offset.
    n_means : int
        Mean magnitudes made anew.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    """

    filters: list[FilterTie] = field(default_factory=list)
    n_images: int = 0
    n_means: int = 0
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


def uniphot(
    store: Store,
    reference: Reference,
    options: UniphotOptions = UniphotOptions(),
    *,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> UniphotReport:
    """Tie the magnitudes of a database to a reference: one offset a filter, for all its images.

    What images are to each other stays as it is. The offset goes to Image and to all measures of
    the images, and the mean magnitudes are made anew; one commit.

    Parameters
    ----------
    store : Store
        The database; open for writing unless it is a dry run.
    reference : Reference
        What it is tied to.
    options : UniphotOptions
        What to do.
    engine : Runner, optional
        Where objects are compared and measures written; None for here. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    UniphotReport
        What was done; no commit is made if no filter has stars enough, or all are tied.

    Raises
    ------
    PhotcodeError
        If the colour is none of this database.
    """
    begun = time.monotonic()
    if options.report is not None:
        check_report_folder(options.report)
    say = progress or (lambda _: None)
    view = store.view()
    colour = None if options.colour is None else colour_of_words(view.photcodes, options.colour)
    ties = {}
    compared = _points(view, reference, colour, options, engine, say)
    for k, points in sorted(compared.items()):
        name = view.photcodes.sec[k].name
        ties[k] = tie_of(name, reference.names[k], points, options)
    report = UniphotReport(list(ties.values()), snapshot=view.snapshot.id)
    # NaN is no offset, either.
    offsets = {k: tie.offset for k, tie in ties.items() if abs(tie.offset) > _STILL}
    images = PhotImages.read(view, sorted(offsets))
    of_image = view.photcodes.sec_index_of_code[images.table["photcode"]]
    n_images = {k: int((images.is_wanted & (of_image == k)).sum()) for k in offsets}
    report = replace(
        report,
        filters=[replace(tie, n_images=n_images.get(k, 0)) for k, tie in ties.items()],
        n_images=int(images.is_wanted.sum()),
    )
    shift = np.zeros(len(images))
    for k, offset in offsets.items():
        shift[of_image == k] = offset
    points_of_images = ZeroPoints.as_they_are(images).shifted(shift, images.is_wanted)
    if images.is_wanted.any() and not options.dry_run:
        params = {"offsets": {ties[k].name: round(v, 6) for k, v in offsets.items()},
                  "reference": [ties[k].reference for k in offsets]}  # fmt: skip
        report = _write(store, view, images, points_of_images, params, report, engine, say)
    report = replace(report, seconds=time.monotonic() - begun)
    if options.report is not None:
        shown = [Comparison(tie.name, compared[k], _curve(tie, compared[k]))
                 for k, tie in ties.items()]  # fmt: skip
        offsets_now = image_points(view, list(ties), images, points_of_images)
        report_comparison(options.report, "Tie to a reference by uniphot", report.as_dict(), shown,
                          offsets_now, colour=options.colour,
                          difference="mean less reference")  # fmt: skip
    return report


def _curve(tie: FilterTie, points: ReferencePoints) -> F64:
    """What the fit says of the difference of each star [mag]; 0 if there is none."""
    slope, middle = np.nan_to_num([tie.colour_term, tie.colour_offset])
    return np.asarray(np.nan_to_num(tie.offset) + slope * (points.colour - middle))


def _points(
    view: View, reference: Reference, colour: tuple[int, int] | None, options: UniphotOptions,
    engine: Runner | None, say: Callable[[str], None],
) -> dict[int, ReferencePoints]:  # fmt: skip
    """Objects that the reference has, too, by filter."""
    parts: dict[int, list[ReferencePoints]] = {k: [] for k in reference.names}
    regions = view.regions(options.area)
    groups, done = list(region_batches(view, regions)), 0
    if engine is None:
        found: Iterable[dict[int, ReferencePoints]] = (
            _of_group(view, some, reference, colour, options) for some in groups
        )
    else:
        request = {
            "colour": colour,
            "most_error": options.most_error,
            "mag": [m if math.isfinite(m) else None for m in options.mag],
            "area": None if options.area is None else area_to_json(options.area),
        }
        job = Job(_OPERATION, request, groups, {_REFERENCE: reference.as_table()},
                  snapshot=view.snapshot.id)  # fmt: skip
        found = map(_from_arrow, engine.run(job))
    for some, each in zip(groups, found, strict=True):
        for k, points in each.items():
            parts[k].append(points)
        done += len(some)
        say(f"{done} of {len(regions)} regions read")
    return {k: ReferencePoints.joined(each) for k, each in parts.items()}


def _of_group(
    view: View, regions: Sequence[int], reference: Reference, colour: tuple[int, int] | None,
    options: UniphotOptions,
) -> dict[int, ReferencePoints]:  # fmt: skip
    """Objects of some regions that the reference has, too, by filter."""
    means = ObjectMeans.read(view, regions, options.area)
    return {k: _compared(means, k, found, colour, options)
            for k, found in reference.find(view, regions, means).items()}  # fmt: skip


def _compare_group(
    view: View, regions: Sequence[int], request: Mapping[str, Any], tables: Mapping[str, pa.Table]
) -> pa.Table:
    """The operation: a row an object and filter."""
    bright, faint = request["mag"]
    colour, area = request["colour"], request["area"]
    options = UniphotOptions(
        mag=(-math.inf if bright is None else bright, math.inf if faint is None else faint),
        most_error=request["most_error"],
        area=None if area is None else area_from_json(area),
    )
    reference = reference_of_table(tables[_REFERENCE])
    pair = None if colour is None else (int(colour[0]), int(colour[1]))
    found = _of_group(view, regions, reference, pair, options)
    of = [np.full(len(points.difference), k, np.int32) for k, points in found.items()]
    joined = ReferencePoints.joined(list(found.values()))
    columns: dict[str, Any] = {n: getattr(joined, n) for n in _COLUMNS}
    columns["filter"] = np.concatenate([np.empty(0, np.int32), *of])
    return pa.table(columns)


def _from_arrow(table: pa.Table) -> dict[int, ReferencePoints]:
    of = table["filter"].to_numpy()
    columns = [table[name].to_numpy() for name in _COLUMNS]
    return {int(k): ReferencePoints(*(values[of == k] for values in columns))
            for k in np.unique(of)}  # fmt: skip


def _compared(
    means: ObjectMeans, k: int, found: tuple[I64, F64, F64], colour: tuple[int, int] | None,
    options: UniphotOptions,
) -> ReferencePoints:  # fmt: skip
    rows, mag, error = found
    mean, mean_error = means.mag[rows, k], means.error[rows, k]
    tint = tint_error = np.zeros(len(rows))
    if colour is not None:
        tint, tint_error = (values[rows] for values in means.colour(*colour))
    used = np.isfinite(mean) & np.isfinite(tint)
    for each in (error, mean_error, tint_error):
        used &= each <= options.most_error
    used &= (mag >= options.mag[0]) & (mag <= options.mag[1])
    columns = (mean - mag, np.hypot(mean_error, error), tint, tint_error, means.ra[rows],
               means.dec[rows], mean)  # fmt: skip
    return ReferencePoints(*(values[used] for values in columns))


def tie_of(
    name: str, reference: str, points: ReferencePoints, options: UniphotOptions
) -> FilterTie:
    """Fit the offset of a filter.

    Parameters
    ----------
    name, reference : str
        What the filter and its reference are called.
    points : ReferencePoints
        Stars that both have.
    options : UniphotOptions
        Whether a colour term is fitted, and how many stars are needed.

    Returns
    -------
    FilterTie
        With NaN where there are too few stars. The error is that of the fit, or where it is
        greater that of the offsets of parts of the sky, which share errors of zero points.
    """
    n = len(points.difference)
    tie = FilterTie(name, reference, n)
    if n < options.least_stars:
        return tie
    middle = options.colour_offset
    if middle is None:
        middle = round(float(np.median(points.colour)), 3)
    design = np.ones((n, 1))
    if options.colour is not None:
        design = np.column_stack([design, points.colour - middle])
    _, group = _cells(points, 0)
    order, cell = _cells(points, _COARSEST)
    sigma = points.sigma
    for _ in range(_ROUNDS):
        fit = fit_robustly(design, points.difference, sigma, group)
        if design.shape[1] == 1 or not np.isfinite(fit.values).all():
            break
        # An error of the colour is one of the difference, by the slope.
        sigma = np.hypot(points.sigma, fit.values[1] * points.colour_error)
    if not np.isfinite(fit.values).all():
        return tie
    rms, alone, n_cells = _scatter_of_cells(fit, sigma, cell)
    has_term = options.colour is not None
    return replace(
        tie,
        n_outliers=n - fit.n_kept,
        offset=float(fit.values[0]),
        error=float(fit.error[0]),
        scatter=fit.scatter,
        intrinsic=fit.intrinsic,
        colour_term=float(fit.values[1]) if has_term else math.nan,
        colour_error=float(fit.error[1]) if has_term else math.nan,
        colour_offset=middle if has_term else math.nan,
        cell_rms=rms,
        cell_error=alone,
        n_cells=n_cells,
        cell_order=order,
    )


def _cells(points: ReferencePoints, coarsest: int) -> tuple[int, I64]:
    """Parts of the sky as large as may be, for what they have in common, but 16 of them."""
    for order in range(coarsest, _FINEST + 1):
        pixel = nested_pixels(points.ra, points.dec, order)
        each, group = np.unique(pixel, return_inverse=True)
        if len(each) >= _CELLS_WANTED:
            break
    return order, group.reshape(-1).astype(np.int64)


def _scatter_of_cells(fit: RobustFit, sigma: F64, group: I64) -> tuple[float, float, int]:
    """Scatter of the medians of cells, what stars alone make of it, and cells with enough."""
    order = np.lexsort((fit.residual, group))
    counts = np.bincount(group)
    starts = np.cumsum(counts) - counts
    low, high = starts + (counts - 1) // 2, starts + counts // 2
    values = fit.residual[order]
    medians = 0.5 * (values[low] + values[high])
    used = counts >= _LEAST_OF_CELL
    if used.sum() < 2:
        return math.nan, math.nan, int(used.sum())
    variance = np.bincount(group, np.hypot(sigma, fit.intrinsic) ** 2)[used] / counts[used]
    # The median of a normal distribution scatters pi / 2 times as much as the mean, in squares.
    alone = math.sqrt(float((0.5 * math.pi * variance / counts[used]).mean()))
    return float(medians[used].std(ddof=1)), alone, int(used.sum())


def _write(
    store: Store, view: View, images: PhotImages, points: ZeroPoints, params: dict[str, Any],
    report: UniphotReport, engine: Runner | None, say: Callable[[str], None],
) -> UniphotReport:  # fmt: skip
    with store.begin("uniphot", params, view) as change:
        write_images(change, images, points)
        n_means = write_catalogs(
            change, view, view.regions(), images, points, engine=engine, say=say
        )
        change.commit(n_means=n_means)
    return replace(report, n_means=n_means, snapshot=store.view().snapshot.id)


register(_OPERATION, _compare_group)
