"""Write astrometric solutions: Image rows, places of measures, fits of objects; one commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.astrometry.new_solutions import NewSolutions
from dvo.calib.astrometry.objects import (
    FIT_COLUMNS,
    ObjectOptions,
    ObjectSums,
    fit_measures,
    write_fits,
)
from dvo.partition.manifest import Reach
from dvo.partition.partition import overhang_deg
from dvo.partition.region_batches import region_batches
from dvo.partition.staged import pack_columns, read_lent_columns
from dvo.partition.transaction import Transaction
from dvo.partition.view import View
from dvo.partition.write_operations import Group, Runner, register_write, write_groups
from dvo.partition.writing import Writing
from dvo.sphere import separation
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE

__all__ = ["MovedSums", "write_solutions"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_OPERATION = "set-astrometry"
_PIXELS = ("x_ccd", "y_ccd", "x_fix", "y_fix")


@dataclass(frozen=True)
class MovedSums:
    """What became of measures, to be added up.

    Parameters
    ----------
    n_moved : int
        Measures that have a new place.
    n_left : int
        Measures of the images that have none: they keep the old one.
    squares : float
        Sum of the squares of the shifts [arcsec^2].
    most : float
        Greatest shift [arcsec].
    """

    n_moved: int = 0
    n_left: int = 0
    squares: float = 0.0
    most: float = 0.0

    def __add__(self, other: MovedSums) -> MovedSums:
        added = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return MovedSums(**(added | {"most": max(self.most, other.most)}))


def write_solutions(
    change: Transaction,
    view: View,
    regions: Sequence[int],
    new: NewSolutions,
    options: ObjectOptions,
    *,
    all_objects: bool = False,
    engine: Runner | None = None,
    say: Callable[[str], None],
) -> tuple[MovedSums, ObjectSums]:
    """Write solutions into Image, and what follows from them into regions.

    Parameters
    ----------
    change : Transaction
        Where to write.
    view : View
        The snapshot that the change builds on.
    regions : sequence of int
        Regions that may hold measures of the images, ascending.
    new : NewSolutions
        The solutions.
    options : ObjectOptions
        How objects are fitted.
    all_objects : bool
        Whether objects are fitted where no measure moves, too.
    engine : Runner, optional
        Where it is done; None for the threads of this process.
    say : callable
        Called with what has been done.

    Returns
    -------
    moved : MovedSums
        What became of measures.
    objects : ObjectSums
        What the fits of objects gave.
    """
    new.write(change)
    request = {"solutions": change.lend(pack_columns(new.lendable())),
               "objects": options.as_request(), "all_objects": all_objects}  # fmt: skip
    groups: list[Group] = []
    for some in region_batches(view, regions):
        rows = view.catalogs(some)
        groups.append((some, sum(rows[region].n_measure for region in some)))
    facts = write_groups(
        change, _OPERATION, request, groups, engine=engine,
        progress=lambda done, n: say(f"{done} of {n} regions written"),
    )  # fmt: skip
    moved = sum((MovedSums(**found["moved"]) for found in facts), MovedSums())
    return moved, sum((ObjectSums(**found["objects"]) for found in facts), ObjectSums())


def _write_group(
    change: Writing, regions: Sequence[int], request: Mapping[str, Any]
) -> dict[str, Any]:
    """Write some regions: the write operation."""
    view = change.base
    lent = read_lent_columns(view.catdir, change.token, request["solutions"])
    options = ObjectOptions.of_request(request["objects"])
    moved, objects = _write_regions(change, view, regions, NewSolutions.lent(view, lent), options,
                                    all_objects=request["all_objects"])  # fmt: skip
    return {"moved": asdict(moved), "objects": asdict(objects)}


def _write_regions(
    change: Writing, view: View, regions: Sequence[int], new: NewSolutions, options: ObjectOptions,
    *, all_objects: bool,
) -> tuple[MovedSums, ObjectSums]:  # fmt: skip
    measure, runs = view.read_many(MEASURE, regions, (*FIT_COLUMNS, *_PIXELS), once=True)
    image = new.rows_of(measure["image_id"])
    ra, dec = new.moved(measure, image)
    is_moved = (image >= 0) & np.isfinite(ra) & np.isfinite(dec)
    rows = np.flatnonzero(is_moved)
    moved = MovedSums(len(rows), int((image >= 0).sum()) - len(rows))
    if len(rows):
        moved = _write_places(change, view, regions, measure, runs, moved, (rows, ra, dec))
    elif not all_objects:
        return moved, ObjectSums()
    fits = fit_measures(view, regions, measure, runs, options)
    write_fits(change, regions, fits)
    return moved, ObjectSums.of(fits.fits)


def _write_places(
    change: Writing, view: View, regions: Sequence[int], measure: ColumnTable, runs: I64,
    moved: MovedSums, places: tuple[I64, F64, F64],
) -> MovedSums:  # fmt: skip
    """Write new places of measures, into the table, too."""
    rows, ra, dec = places
    is_moved = np.zeros(len(measure), np.bool_)
    is_moved[rows] = True
    far = separation(measure["ra"][rows], measure["dec"][rows], ra[rows], dec[rows]) * 3600.0
    for name, values in (("ra", ra), ("dec", dec)):
        measure[name] = np.where(is_moved, values, measure[name])
    table = ColumnTable(MEASURE, {n: measure[n] for n in ("ra", "dec")}, len(measure))
    change.overlay_rows(table, regions, runs, is_moved)
    of = np.repeat(np.arange(len(regions)), np.diff(runs))[rows]
    bounds = view.sky.bounds(np.asarray(regions))[of]
    change.widen(Reach(float(overhang_deg(bounds, ra[rows], dec[rows]).max())))
    return replace(moved, squares=float(np.sum(np.square(far))), most=float(far.max()))


register_write(_OPERATION, _write_group)
