"""Rules that tie measures to objects: who names whom, how many, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from dvo.partition.catalog_batch import CatalogBatch
from dvo.partition.faults import Fault, FaultKind
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.photsource import PhotSource, source_of
from dvo.tables.secfilt import SECFILT

__all__ = ["find_link_faults", "find_lost_measures"]

_SLACK_DEG = 0.01 / 3600.0
_MOST_DEC_DEG = 89.0


def find_lost_measures(batch: CatalogBatch) -> Iterator[Fault]:
    """Find measures of objects that are not there.

    Parameters
    ----------
    batch : CatalogBatch
        Some regions.

    Yields
    ------
    Fault
        What is wrong; without such faults the other links can be followed.
    """
    ref, counts = batch.measure["ave_ref"], np.diff(batch.edges)

    def words(row: int) -> str:
        k = int(np.searchsorted(batch.runs, row, side="right")) - 1
        return f"ave_ref {ref[row]}, but {counts[k]} objects"

    yield from batch.faults(FaultKind.LOST, MEASURE, batch.is_lost, words)


def find_link_faults(batch: CatalogBatch) -> Iterator[Fault]:
    """Find broken links between the tables of regions, of which no measure is lost.

    Parameters
    ----------
    batch : CatalogBatch
        Some regions.

    Yields
    ------
    Fault
        What is wrong.
    """
    average, measure = batch.average, batch.measure
    for name in ("obj_id", "cat_id"):
        theirs = average[name].take(batch.objects)
        yield from batch.faults(
            FaultKind.LINK, MEASURE, measure[name] != theirs, partial(_unlike_object, batch, name)
        )
    counted = np.bincount(batch.objects, minlength=len(average))
    stated = average["nmeasure"]
    yield from batch.faults(
        FaultKind.N_MEASURE, AVERAGE, counted != stated,
        lambda row: f"nmeasure {stated[row]}, but {counted[row]} measures",
    )  # fmt: skip
    yield from _find_order_faults(batch)
    yield from _find_wrong_sides(batch)
    yield from _find_filter_counts(batch)


def _unlike_object(batch: CatalogBatch, name: str, row: int) -> str:
    at = int(batch.objects[row])
    return (
        f"{name} {batch.measure[name][row]}, but its object (Average row "
        f"{batch.measure['ave_ref'][row]}) has {batch.average[name][at]}"
    )


def _find_order_faults(batch: CatalogBatch) -> Iterator[Fault]:
    """In a sorted catalog the measures of an object lie together, in the order of objects."""
    is_sorted = np.array([row.is_sorted for row in batch.rows], np.bool_)
    if not is_sorted.any():
        return
    offsets = batch.average["off_measure"]
    counts = batch.average["nmeasure"].astype(np.int64)
    n_objects = np.diff(batch.edges)
    first = np.repeat(np.concatenate([[0], np.cumsum(counts)])[batch.edges[:-1]], n_objects)
    wrong = (offsets != np.cumsum(counts) - counts - first) & np.repeat(is_sorted, n_objects)
    yield from batch.faults(
        FaultKind.ORDER, AVERAGE, wrong,
        lambda row: f"off_measure {offsets[row]} is not where its measures begin",
    )  # fmt: skip
    # Regions follow each other, so that nothing goes down from one to the next.
    down = np.flatnonzero(batch.objects[1:] < batch.objects[:-1]) + 1
    down = down[is_sorted[batch.regions_of(MEASURE, down)]]
    yield from batch.faults(
        FaultKind.ORDER, MEASURE, down, lambda _: "out of the order of objects in a sorted catalog"
    )


def _find_wrong_sides(batch: CatalogBatch) -> Iterator[Fault]:
    """A mean position lies among its measures: not all are to one side of it.

    Not so for objects that move, whose measures follow them; nor near the poles, where
    sides are not those of right ascension.
    """
    average, measure = batch.average, batch.measure
    moves = np.isfinite(average["u_ra"]) | np.isfinite(average["u_dec"])
    asked = ~moves & (np.abs(average["dec"]) < _MOST_DEC_DEG)
    n_measure = average["nmeasure"]
    wrong = np.zeros(len(average), np.bool_)
    for name in ("dec", "ra"):
        off = measure[name] - average[name].take(batch.objects)
        for sign in (1, -1):
            is_off = np.flatnonzero(off * sign > _SLACK_DEG)
            if name == "ra":
                # Off by half a turn and more is off to the other side, across RA 0.
                far = np.abs(off) > 180
                if far.any():
                    is_off = np.flatnonzero(np.where(far, -sign, sign) * off > _SLACK_DEG)
            one_side = np.bincount(batch.objects[is_off], minlength=len(average))
            wrong |= (one_side == n_measure) & (n_measure > 0)
    yield from batch.faults(
        FaultKind.MEAN_POSITION, AVERAGE, wrong & asked,
        lambda row: f"position ({average['ra'][row]:.7f}, {average['dec'][row]:.7f}) is "
        f"outside its {n_measure[row]} measures",
    )  # fmt: skip


def _find_filter_counts(batch: CatalogBatch) -> Iterator[Fault]:
    """Counts of SecFilt are of measures of chip images in the filter."""
    secfilt, n = batch.secfilt, batch.view.n_secfilt
    k = _filters_of_codes(batch.view.photcodes)[batch.measure["photcode"]]
    counted = np.bincount((batch.objects * n + k)[k >= 0], minlength=len(secfilt))
    stated = secfilt["ncode"]
    yield from batch.faults(
        FaultKind.MEAN_MAGNITUDE, SECFILT, counted != stated,
        lambda row: f"ncode {stated[row]}, but {counted[row]} measures in the filter",
    )  # fmt: skip
    for name in ("nused", "nused_ap", "nused_kron"):
        if name in secfilt:
            used = secfilt[name]
            yield from batch.faults(
                FaultKind.MEAN_MAGNITUDE, SECFILT, used > stated,
                lambda row, name=name, used=used: (  # type: ignore[misc]
                    f"{name} {used[row]} of {stated[row]} measures"
                ),
            )  # fmt: skip


def _filters_of_codes(codes: PhotcodeTable) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Filter k of SecFilt that measures of each photcode count for; -1 for none."""
    k = codes.sec_index_of_code.astype(np.int64)
    for photcode in codes:
        if photcode.kind is not PhotClass.DEP or source_of(photcode.name) is not PhotSource.CHIP:
            k[photcode.code] = -1
    return k
