"""Corrections for systematic effects written into Measure, with what follows; one commit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.astrometry.effect_measures import EFFECT_COLUMNS, EffectImages, EffectMeasures
from dvo.calib.astrometry.effects import CameraMaps, Effects, MagnitudeShifts, Refraction
from dvo.calib.astrometry.objects import (
    FIT_COLUMNS,
    ObjectOptions,
    ObjectSums,
    fit_measures,
    fitted_before,
    write_fits,
)
from dvo.partition.manifest import Reach
from dvo.partition.partition import overhang_deg
from dvo.partition.region_batches import region_batches
from dvo.partition.staged import pack_columns, read_lent_columns
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.partition.write_operations import Group, Runner, register_write, write_groups
from dvo.partition.writing import Writing
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE

__all__ = ["OffsetReport", "corrected_pixels", "write_offsets"]

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_OPERATION = "set-offsets"
_KINDS = ("kh", "dcr", "cam")
_OFFSETS = tuple(f"{axis}_off_{kind}" for axis in "xy" for kind in _KINDS)
_COLUMNS = tuple(dict.fromkeys((*FIT_COLUMNS, *EFFECT_COLUMNS, *_OFFSETS, "x_fix", "y_fix")))


@dataclass(frozen=True)
class OffsetReport:
    """What was written.

    Parameters
    ----------
    n_measures : int
        Measures whose pixels have new corrections.
    rms_pix : float
        Root mean square of all their corrections together [pix].
    n_objects : int
        Objects that were fitted anew.
    n_regions : int
        Regions that were looked at.
    snapshot : int
        The newest snapshot now.
    seconds : float
        Time taken [s].
    """

    n_measures: int
    rms_pix: float
    n_objects: int
    n_regions: int
    snapshot: int
    seconds: float


@dataclass(frozen=True)
class _Sums:
    n_measures: int = 0
    squares: float = 0.0
    n_objects: int = 0

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def corrected_pixels(raw: F32, *offsets: F32) -> F32:
    """Add corrections to raw pixels.

    Parameters
    ----------
    raw : ndarray of float32, shape (n,)
        Pixels.
    *offsets : ndarray of float32, shape (n,)
        Corrections [pix]; null counts as 0.

    Returns
    -------
    ndarray of float32, shape (n,)
        The exact sum, rounded once; null where all corrections are.
    """
    total = raw.astype(np.float64)
    for offset in offsets:
        total = total + np.nan_to_num(offset.astype(np.float64))
    some = np.any([np.isfinite(offset) for offset in offsets], axis=0)
    return np.where(some, total, np.nan).astype(np.float32)


def write_offsets(
    store: Store,
    effects: Effects,
    *,
    engine: Runner | None = None,
    progress: Callable[[str], None] | None = None,
) -> OffsetReport:
    """Correct the pixels of measures for systematic effects; one commit.

    Measure gets the corrections of the effects that are given; those of others stay. x_fix and
    y_fix are the raw pixels plus all of them, places are those of x_fix and y_fix, and objects
    of the regions are fitted anew, with what an earlier fit kept for any. Raw pixels stay.

    Parameters
    ----------
    store : Store
        The database, open for writing.
    effects : Effects
        The effects.
    engine : Runner, optional
        Where it is done; None for the threads of this process. The result is the same.
    progress : callable, optional
        Called with what is being done.

    Returns
    -------
    OffsetReport
        What was written.
    """
    begun = time.monotonic()
    view = store.view()
    regions = view.regions()
    groups: list[Group] = []
    for some in region_batches(view, regions):
        rows = view.catalogs(some)
        groups.append((some, sum(rows[region].n_measure for region in some)))
    given = [kind for kind in _KINDS if getattr(effects, kind) is not None]
    with store.begin("setastrom", {"offsets": ",".join(given)}, view) as change:
        names = {n: change.lend(pack_columns(c)) for n, c in _lendable(effects).items()}
        highest = fitted_before(view, regions)
        request = {"effects": names, "objects": ObjectOptions(highest).as_request()}
        facts = write_groups(
            change, _OPERATION, request, groups, engine=engine,
            progress=lambda done, n: progress and progress(f"{done} of {n} regions written"),
        )  # fmt: skip
        sums = sum((_Sums(**found) for found in facts), _Sums())
        change.commit(n_measures=sums.n_measures)
    rms = math.sqrt(sums.squares / sums.n_measures) if sums.n_measures else math.nan
    return OffsetReport(sums.n_measures, rms, sums.n_objects, len(regions),
                        store.view().snapshot.id, time.monotonic() - begun)  # fmt: skip


def _lendable(effects: Effects) -> dict[str, dict[str, NDArray[Any]]]:
    """Arrays of effects, flat, each with its shape."""
    found = {}
    for kind in _KINDS:
        effect = getattr(effects, kind)
        for f in fields(effect) if effect is not None else ():
            value = getattr(effect, f.name)
            found[f"{kind}.{f.name}"] = {"value": value.ravel()}
            found[f"{kind}.{f.name}.shape"] = {"value": np.array(value.shape, np.int64)}
    return found


def _lent(view: View, token: str, names: Mapping[str, str]) -> Effects:
    def read(name: str) -> NDArray[Any]:
        flat, shape = (read_lent_columns(view.catdir, token, names[n])["value"]
                       for n in (name, f"{name}.shape"))  # fmt: skip
        return np.array(flat).reshape(tuple(shape.tolist()))

    made = {
        kind: cls(**{f.name: read(f"{kind}.{f.name}") for f in fields(cls)})
        for kind, cls in zip(_KINDS, (MagnitudeShifts, Refraction, CameraMaps), strict=True)
        if f"{kind}.shift" in names
    }
    return Effects(**made)


def _write_group(
    change: Writing, regions: Sequence[int], request: Mapping[str, Any]
) -> dict[str, Any]:
    """Write some regions: the write operation."""
    view = change.base
    effects = _lent(view, change.token, request["effects"])
    options = ObjectOptions.of_request(request["objects"])
    return asdict(_write_regions(change, view, regions, effects, options))


def _write_regions(
    change: Writing, view: View, regions: Sequence[int], effects: Effects, options: ObjectOptions
) -> _Sums:
    measure, runs = view.read_many(MEASURE, regions, _COLUMNS, once=True)
    counts = np.cumsum([0, *(view.catalogs(regions)[r].n_average for r in regions)])
    objects = np.repeat(counts[:-1], np.diff(runs)) + measure["ave_ref"].astype(np.int64)
    images = EffectImages.read(view)
    seen = EffectMeasures.of(view, regions, measure, objects, images, effects)
    before = {n: measure[n] for n in (*_OFFSETS, "x_fix", "y_fix")}
    new = {n: before[n].copy() for n in before}
    for kind, values in zip(_KINDS, seen.corrections(effects), strict=True):
        if getattr(effects, kind) is not None:
            for a, axis in enumerate("xy"):
                # No correction is null: most measures have none, and take no room.
                given = np.where(values[:, a] == 0.0, np.nan, values[:, a])
                new[f"{axis}_off_{kind}"][seen.rows] = given.astype(np.float32)
    for axis in "xy":
        parts = [new[f"{axis}_off_{kind}"][seen.rows] for kind in _KINDS]
        new[f"{axis}_fix"][seen.rows] = corrected_pixels(measure[f"{axis}_ccd"][seen.rows], *parts)
    differs = np.zeros(len(measure), np.bool_)
    for name, values in new.items():
        differs |= (values != before[name]) & ~(np.isnan(values) & np.isnan(before[name]))
    if not differs.any():
        return _Sums()
    pixels = [np.where(np.isfinite(new[f"{axis}_fix"]), new[f"{axis}_fix"], measure[f"{axis}_ccd"])
              for axis in "xy"]  # fmt: skip
    rows = seen.rows[differs[seen.rows]]
    image = seen.image[differs[seen.rows]]
    ra, dec = images.model.to_sky(image, *(p[rows].astype(np.float64) for p in pixels))
    for name, places in (("ra", ra), ("dec", dec)):
        values = measure[name].copy()
        values[rows] = places
        measure[name] = values
    columns = {**new, "ra": measure["ra"], "dec": measure["dec"]}
    change.overlay_rows(ColumnTable(MEASURE, columns, len(measure)), regions, runs, differs)
    of = np.repeat(np.arange(len(regions)), np.diff(runs))[rows]
    over = overhang_deg(view.sky.bounds(np.asarray(regions))[of], ra, dec)
    change.widen(Reach(float(over.max(initial=0.0))))
    fits = fit_measures(view, regions, measure, runs, options)
    write_fits(change, regions, fits)
    total = [np.nan_to_num(new[f"{a}_fix"][rows].astype(np.float64) - measure[f"{a}_ccd"][rows])
             for a in "xy"]  # fmt: skip
    return _Sums(len(rows), float(np.sum(np.square(total))), ObjectSums.of(fits.fits).n_objects)


register_write(_OPERATION, _write_group)
