"""Colour terms of a photcode, fitted to the magnitudes of another system.

The equation is that of `dvo.tables.magnitudes.colour_term`: what the colour of a star adds is
``sum_i X_i (colour - dX)^i``. The fit has a constant beside it, which is a matter of zero points
and is reported, not written.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.comparison_report import Comparison, report_comparison
from dvo.calib.photometry.object_means import ObjectMeans, colour_of_words
from dvo.calib.photometry.reference_points import ReferencePoints
from dvo.calib.report.page import check_report_folder
from dvo.calib.robust_fit import RobustFit, fit_robustly
from dvo.errors import PhotcodeError
from dvo.partition.bounds import Area
from dvo.partition.region_batches import region_batches
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.averages import LEAST_MAG_ERR, mean_magnitudes
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PHOTCODE, PhotClass, Photcode, PhotcodeTable
from dvo.tables.ranks import photometric_error

__all__ = ["ColourFit", "ColourFitOptions", "fit_colour_terms"]

F64 = NDArray[np.float64]

_COLUMNS = ("mag", "mag_err", "m_cal", "m_flat", "airmass", "photcode", "ave_ref")
_MOST_TERMS = 4
_ROUNDS = 4


@dataclass(frozen=True)
class ColourFitOptions:
    """What is fitted.

    Parameters
    ----------
    colour : str
        Colour of objects, such as ``g-r``.
    order : int
        Colour terms, 1 to 4.
    colour_offset : float or None
        Colour at which the terms vanish [mag]; None takes the median of the stars, to 0.001.
    most_error : float
        Greatest error of the magnitudes and the colour that are compared [mag].
    mag : (float, float)
        Brightest and faintest mean magnitude [mag].
    colours : (float, float)
        Bluest and reddest colour [mag].
    area : Area or None
        Where the objects are; None for everywhere.
    times : (float, float)
        Of the measures of a DEP photcode: from when until before when [s since 1970 UTC].
    is_applied : bool
        Whether the terms are written into the photcode table.
    report : Path or None
        Folder that gets a report with pictures.
    """

    colour: str
    order: int = 1
    colour_offset: float | None = None
    most_error: float = 0.05
    mag: tuple[float, float] = (-math.inf, math.inf)
    colours: tuple[float, float] = (-math.inf, math.inf)
    area: Area | None = None
    times: tuple[float, float] = (-math.inf, math.inf)
    is_applied: bool = False
    report: Path | None = None


@dataclass(frozen=True)
class ColourFit:
    """Colour terms found.

    Parameters
    ----------
    photcode, reference : str
        Photcode whose magnitudes get the terms, and the one whose system they then are in.
    colour : str
        The colour.
    colour_offset : float
        dX, at which the terms vanish [mag].
    terms, term_errors : list of float
        X_1 to X_order and their errors [mag per mag^i].
    offset, offset_error : float
        Constant of the fit: the reference less the photcode at the colour dX [mag].
    n_points, n_outliers : int
        Magnitudes compared, and those of them that lost most of their weight.
    scatter, intrinsic : float
        Scatter about the fit, and what of it is beyond the stated errors [mag].
    colour_range : list of float
        Percentiles 1 and 99 of the colours [mag]; the terms are good between them.
    is_applied : bool
        Whether they were written.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    """

    photcode: str
    reference: str
    colour: str
    colour_offset: float
    terms: list[float]
    term_errors: list[float]
    offset: float
    offset_error: float
    n_points: int
    n_outliers: int
    scatter: float
    intrinsic: float
    colour_range: list[float] = field(default_factory=list)
    is_applied: bool = False
    snapshot: int = 0
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON.

        Returns
        -------
        dict
            Its fields.
        """
        return asdict(self)


def fit_colour_terms(
    store: Store,
    photcode: str,
    reference: str,
    options: ColourFitOptions,
    *,
    progress: Callable[[str], None] | None = None,
) -> ColourFit:
    """Fit the colour terms that bring magnitudes of a photcode to the system of another.

    Of a DEP photcode its measures, calibrated but for colour terms, are compared with the means
    of its average filter; of an average filter (SEC, or an ALT of it) the means with measures of
    a REF photcode.

    Parameters
    ----------
    store : Store
        The database; open for writing if the terms are to be applied.
    photcode : str
        Photcode that gets the terms.
    reference : str
        The other one.
    options : ColourFitOptions
        What is fitted.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    ColourFit
        The terms; if they are applied, the photcode table has them, in one commit.

    Raises
    ------
    PhotcodeError
        If a photcode is not known, the two cannot be compared, or there are too few stars or
        colours.
    """
    begun = time.monotonic()
    if options.report is not None:
        check_report_folder(options.report)
    if not 1 <= options.order <= _MOST_TERMS:
        raise PhotcodeError(f"{options.order} colour terms; a photcode has 1 to {_MOST_TERMS}")
    view = store.view()
    ours, other = (view.photcodes.get(name) for name in (photcode, reference))
    _assert_comparable(ours, other)
    blue, red = colour_of_words(view.photcodes, options.colour)
    parts = []
    regions = view.regions(options.area)
    done = 0
    for some in region_batches(view, regions):
        parts.append(_compare(view, some, ours, other, (blue, red), options))
        done += len(some)
        if progress is not None:
            progress(f"{done} of {len(regions)} regions read")
    points = ReferencePoints.joined(parts)
    found = _fit(points, ours, other, options)
    if options.is_applied:
        sec = view.photcodes.sec
        new = replace(ours, color_codes=(sec[blue].code, sec[red].code),
                      color_terms=tuple(found.terms),
                      color_offset=found.colour_offset)  # fmt: skip
        _write(store, view, ours, new, found)
    found = replace(found, is_applied=options.is_applied, snapshot=store.view().snapshot.id,
                    seconds=time.monotonic() - begun)  # fmt: skip
    if options.report is not None:
        off = points.colour - found.colour_offset
        coefficients = np.array([found.offset, *found.terms])
        curve = off[:, None] ** np.arange(len(coefficients)) @ coefficients
        report_comparison(options.report, "Colour terms by photcode fit", found.as_dict(),
                          [Comparison(found.photcode, points, curve)], colour=options.colour,
                          difference=f"{found.reference} - {found.photcode}")  # fmt: skip
    return found


def _assert_comparable(ours: Photcode, other: Photcode) -> None:
    if ours.kind is PhotClass.DEP and other.kind is PhotClass.SEC and ours.equiv == other.code:
        return
    if ours.kind in (PhotClass.SEC, PhotClass.ALT) and other.kind is PhotClass.REF:
        return
    raise PhotcodeError(
        f"{ours.name} ({ours.kind.name}) cannot be fitted to {other.name} ({other.kind.name}); a "
        "DEP photcode is fitted to its own average filter, an average filter (SEC) to a REF"
    )


def _compare(
    view: View, regions: Sequence[int], ours: Photcode, other: Photcode, colour: tuple[int, int],
    options: ColourFitOptions,
) -> ReferencePoints:  # fmt: skip
    """Magnitudes of the reference system less ours, of some regions."""
    codes = view.photcodes
    means = ObjectMeans.read(view, regions, options.area)
    k = int(codes.sec_index_of_code[ours.code])
    code = ours.code if ours.kind is PhotClass.DEP else other.code
    measure, runs = view.read_many(MEASURE, regions, (*_COLUMNS, "time"), once=True)
    objects = np.repeat(means.edges[:-1], np.diff(runs)) + measure["ave_ref"].astype(np.int64)
    rows = np.flatnonzero(measure["photcode"] == code)
    measure, objects = measure.take(rows), objects[rows]
    mag, stated = mean_magnitudes(measure, "psf", codes)
    error = photometric_error(stated, measure["photcode"], codes)
    mean, mean_error = means.mag[objects, k], means.error[objects, k]
    if ours.kind is PhotClass.DEP:
        difference = mean - mag.astype(np.float64)
        in_time = (measure["time"] >= options.times[0]) & (measure["time"] < options.times[1])
    else:
        difference = measure["mag"].astype(np.float64) - mean - ours.zero_point
        # What errors a catalog does not state, the intrinsic scatter finds.
        error = np.where(stated > 0, error, LEAST_MAG_ERR)
        in_time = np.ones(len(rows), np.bool_)
    tint, tint_error = (values[objects] for values in means.colour(*colour))
    used = np.isfinite(difference) & np.isfinite(tint) & in_time
    used &= (error <= options.most_error) & (mean_error <= options.most_error)
    used &= tint_error <= options.most_error
    used &= (mean >= options.mag[0]) & (mean <= options.mag[1])
    used &= (tint >= options.colours[0]) & (tint <= options.colours[1])
    return ReferencePoints(difference[used], np.hypot(error, mean_error)[used], tint[used],
                           tint_error[used], means.ra[objects][used], means.dec[objects][used],
                           mean[used])  # fmt: skip


def _fit(
    points: ReferencePoints, ours: Photcode, other: Photcode, options: ColourFitOptions
) -> ColourFit:
    n = len(points.difference)
    what = f"{ours.name} and {other.name}, colour {options.colour}"
    if n < options.order + 2:
        raise PhotcodeError(f"{what}: {n} magnitudes can be compared within the limits; "
                            f"{options.order + 2} are needed at least")  # fmt: skip
    middle = options.colour_offset
    if middle is None:
        middle = round(float(np.median(points.colour)), 3)
    off = points.colour - middle
    design = off[:, None] ** np.arange(options.order + 1)
    slope = np.zeros(n)
    for _ in range(_ROUNDS):
        # An error of the colour is one of the difference, by the slope of the curve.
        fit = fit_robustly(design, points.difference,
                           np.hypot(points.sigma, slope * points.colour_error))  # fmt: skip
        if not np.isfinite(fit.values).all():
            raise PhotcodeError(f"{what}: the {n} colours are too much alike for "
                                f"{options.order} terms")  # fmt: skip
        powers = np.arange(1, options.order + 1)
        slope = (off[:, None] ** (powers - 1)) @ (powers * fit.values[1:])
    return _found(fit, points, middle, ours, other, options)


def _found(
    fit: RobustFit, points: ReferencePoints, middle: float, ours: Photcode, other: Photcode,
    options: ColourFitOptions,
) -> ColourFit:  # fmt: skip
    n = len(points.difference)
    return ColourFit(
        photcode=ours.name,
        reference=other.name,
        colour=options.colour,
        colour_offset=middle,
        terms=fit.values[1:].tolist(),
        term_errors=fit.error[1:].tolist(),
        offset=float(fit.values[0]),
        offset_error=float(fit.error[0]),
        n_points=n,
        n_outliers=n - fit.n_kept,
        scatter=fit.scatter,
        intrinsic=fit.intrinsic,
        colour_range=np.percentile(points.colour, [1, 99]).tolist(),
    )


def _write(store: Store, view: View, old: Photcode, new: Photcode, found: ColourFit) -> None:
    # Means are of magnitudes without colour terms: no other table changes.
    table = PhotcodeTable(tuple(new if p is old else p for p in view.photcodes))
    params = {"name": old.name, "reference": found.reference, "colour": found.colour,
              "terms": found.terms, "n_points": found.n_points}  # fmt: skip
    with store.begin("photcode fit", params, view) as change:
        columns = {n.lower(): v for n, v in table.to_columns().items()}
        change.put_global(ColumnTable(PHOTCODE, columns), "Photcodes", replace_all=True)
        change.commit()
