"""Rules that the Image table keeps, and that tie measures to images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dvo.partition.catalog_rules import REMEDY, Catalog
from dvo.partition.faults import Fault
from dvo.partition.manifest import ALL_SKY, ImageRow
from dvo.partition.view import View
from dvo.tables.image import IMAGE

__all__ = ["ImageRules"]

_SHOWN = 5


class ImageRules:
    """The Image table, and how many measures each image has.

    Parameters
    ----------
    view : View
        The snapshot.
    known : sequence of ImageRow
        What the manifest knows of its images.
    """

    def __init__(self, view: View, known: Sequence[ImageRow]) -> None:
        self._view = view
        self._known = known
        table = view.read(IMAGE, ALL_SKY, ["image_id", "photcode", "parent_id", "nstar"])
        self._rows = np.argsort(table["image_id"], kind="stable")
        self._table = table.take(self._rows)
        self._ids = self._table["image_id"]
        self._n_measures = np.zeros(len(self._ids), np.int64)

    def find_faults(self) -> Iterator[Fault]:
        """Compare the table with the manifest and with itself.

        Yields
        ------
        Fault
            What is wrong.
        """
        twice = np.flatnonzero(self._ids[1:] == self._ids[:-1])
        yield from self._each(twice, "image_id {id} is there twice")
        listed = np.array([i.image_id for i in self._known if i.image_id > 0], np.int64)
        yield from self._each(np.flatnonzero(~np.isin(self._ids, listed)),
                              "image {id} is not in the manifest's list")  # fmt: skip
        for lost in np.setdiff1d(listed, self._ids)[:_SHOWN]:
            yield Fault(f"image {lost} of the manifest's list is not there", REMEDY, "", "Image")
        parents = self._table["parent_id"]
        yield from self._each(np.flatnonzero((parents > 0) & ~np.isin(parents, self._ids)),
                              "image {id} has a parent_id that is no image")  # fmt: skip
        codes = self._table["photcode"]
        known = [0, *(p.code for p in self._view.photcodes)]
        yield from self._each(np.flatnonzero(~np.isin(codes, known)),
                              "image {id} has a photcode that is not in the table")  # fmt: skip
        n, counted = int(np.count_nonzero(codes)), self._view.snapshot.counts.get("images")
        if n != counted:
            yield Fault(f"there are {n} images, the manifest counts {counted}", REMEDY, "", "Image")

    def count(self, catalog: Catalog) -> Iterator[Fault]:
        """Count the measures of a region by image.

        Parameters
        ----------
        catalog : Catalog
            The region.

        Yields
        ------
        Fault
            Measures without image, or of another photcode than their image.
        """
        ids = catalog.measure["image_id"]
        rows = np.flatnonzero(ids > 0)
        if len(rows) == 0:
            return
        ids = ids[rows]
        at = np.minimum(np.searchsorted(self._ids, ids), max(0, len(self._ids) - 1))
        found = self._ids[at] == ids if len(self._ids) else np.zeros(len(ids), np.bool_)
        if len(self._ids):
            self._n_measures += np.bincount(at[found], minlength=len(self._ids))
            codes = self._table["photcode"][at]
            wrong = np.flatnonzero(found & (codes != catalog.measure["photcode"][rows]))
            if len(wrong):
                k = int(wrong[0])
                yield Fault(
                    f"photcode {catalog.measure['photcode'][rows[k]]}, but its image {ids[k]} "
                    f"has {codes[k]}", REMEDY, "", "Measure", catalog.name, int(rows[k]),
                )  # fmt: skip
        lost = np.flatnonzero(~found)
        if len(lost):
            yield Fault(
                f"image_id {ids[lost[0]]} is no image; {len(lost)} such rows", REMEDY, "",
                "Measure", catalog.name, int(rows[lost[0]]),
            )  # fmt: skip

    def find_wrong_counts(self) -> Iterator[Fault]:
        """Find images with more or fewer measures than were added from them.

        Yields
        ------
        Fault
            The first few; to be asked when all regions have been counted.
        """
        stated = self._table["nstar"].astype(np.int64)
        for k in np.flatnonzero(stated != self._n_measures)[:_SHOWN]:
            yield Fault(
                f"image {self._ids[k]} has {self._n_measures[k]} measures, but nstar says "
                f"{stated[k]}", REMEDY, "", "Image", "", int(self._rows[k]),
            )  # fmt: skip

    def _each(self, rows: NDArray[np.intp], words: str) -> Iterator[Fault]:
        for k in rows[:_SHOWN]:
            yield Fault(words.format(id=self._ids[k]), REMEDY, "", "Image", "", int(self._rows[k]))
