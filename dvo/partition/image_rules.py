"""Rules that images and reference catalogs keep, and that tie measures to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dvo.partition.catalog_batch import CatalogBatch
from dvo.partition.faults import Fault, FaultKind
from dvo.partition.manifest import ALL_SKY, ImageRow
from dvo.partition.view import View
from dvo.tables.image import IMAGE
from dvo.tables.measure import MEASURE

__all__ = ["ImageRules"]

I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]

_SHOWN = 5
_COLUMNS = ("image_id", "name", "photcode", "time", "exptime", "parent_id", "nstar",
            "extern_id", "source_id", "content")  # fmt: skip
_DAY_S = 86400.0
_MJD_1970 = 40587.0
_NONE, _IMAGE, _CATALOG = 0, 1, 2


class ImageRules:
    """The Image table, the manifest's list, and how many measures each image has.

    Parameters
    ----------
    view : View
        The snapshot.
    known : sequence of ImageRow
        What the manifest knows of its images; reference catalogs have negative numbers.

    Attributes
    ----------
    times : (float, float)
        Earliest and latest time of images and reference catalogs [s since 1970]; infinite, and
        the wrong way round, where there are none.
    """

    def __init__(self, view: View, known: Sequence[ImageRow]) -> None:
        self._view = view
        self._known = known
        table = view.read(IMAGE, ALL_SKY, _COLUMNS)
        self._rows = np.argsort(table["image_id"], kind="stable")
        self._table = table.take(self._rows)
        self._ids = self._table["image_id"].astype(np.int64)
        self._catalogs = [row for row in known if row.image_id < 0]
        # Images and catalogs are numbered in one series, so one array tells all of a number.
        size = 1 + max([0, *(-row.image_id for row in self._catalogs), *self._ids[-1:].tolist()])
        self._n_measures = np.zeros(size, np.int64)
        self._kind = np.zeros(size, np.int8)
        self._kind[self._ids] = _IMAGE
        self._kind[[-row.image_id for row in self._catalogs]] = _CATALOG
        self._time = np.zeros(size, np.int64)
        self._time[self._ids] = self._table["time"]
        self._codes, self._place, self._allowed = self._photcodes(size)
        self.times = self._find_times()

    def _find_times(self) -> tuple[float, float]:
        """Earliest and latest time of images and catalogs; the wrong way round without any."""
        null = IMAGE["time"].null
        times = [float(t) for t in self._table["time"].tolist() if t != null]
        times += [
            (row.match_mjd - _MJD_1970) * _DAY_S
            for row in self._catalogs
            if row.match_mjd is not None
        ]
        return min(times, default=np.inf), max(times, default=-np.inf)

    def _photcodes(self, size: int) -> tuple[U16, I64, NDArray[np.bool_]]:
        """Photcode of each image, place of each photcode, and whether a catalog may have it."""
        codes = np.zeros(size, np.uint16)
        codes[self._ids] = self._table["photcode"]
        place = np.zeros(65536, np.int64)
        names: dict[str, int] = {}
        for k, photcode in enumerate(self._view.photcodes, 1):
            place[photcode.code] = names[photcode.name] = k
        # The bands of a catalog are known each by itself, by one name and one content.
        bands: dict[tuple[str, str], set[int]] = {}
        for row in self._catalogs:
            code, name = _catalog_name(row)
            bands.setdefault((name, row.content), set()).add(names.get(code, 0))
        allowed = np.zeros((len(self._catalogs) + 1, len(names) + 1), np.bool_)
        for i, row in enumerate(self._catalogs):
            allowed[i, sorted(bands[_catalog_name(row)[1], row.content])] = True
            codes[-row.image_id] = i
        allowed[:, 0] = False
        return codes, place, allowed

    def find_faults(self) -> Iterator[Fault]:
        """Compare the table with the manifest and with itself.

        Yields
        ------
        Fault
            What is wrong.
        """
        twice = np.flatnonzero(self._ids[1:] == self._ids[:-1])
        yield from self._each(FaultKind.IMAGE_ROW, twice, "image_id {id} is there twice")
        listed = np.array([i.image_id for i in self._known if i.image_id > 0], np.int64)
        yield from self._each(FaultKind.IMAGE_LIST, np.flatnonzero(~np.isin(self._ids, listed)),
                              "image {id} is not in the manifest's list")  # fmt: skip
        for lost in np.setdiff1d(listed, self._ids)[:_SHOWN]:
            yield Fault(
                FaultKind.IMAGE_LIST,
                f"image {lost} of the manifest's list is not there",
                "",
                "Image",
            )
        parents = self._table["parent_id"]
        yield from self._each(FaultKind.IMAGE_ROW,
                              np.flatnonzero((parents > 0) & ~np.isin(parents, self._ids)),
                              "image {id} has a parent_id that is no image")  # fmt: skip
        codes = self._table["photcode"]
        known = [0, *(p.code for p in self._view.photcodes)]
        yield from self._each(FaultKind.IMAGE_ROW, np.flatnonzero(~np.isin(codes, known)),
                              "image {id} has a photcode that is not in the table")  # fmt: skip
        n, counted = int(np.count_nonzero(codes)), self._view.snapshot.counts.get("images")
        if n != counted:
            text = f"there are {n} images, the manifest counts {counted}"
            yield Fault(FaultKind.COUNTS, text, "", "Image")
        yield from self._find_wrong_names()
        yield from self._find_wrong_catalogs()

    def _find_wrong_names(self) -> Iterator[Fault]:
        """By name and content a repeated image is recognised, before anything is read of it."""
        facts = zip(*(self._table[c].tolist() for c in ("name", "photcode", "extern_id",
                    "source_id", "content")), strict=True)  # fmt: skip
        known = {row.image_id: row for row in self._known if row.image_id > 0}
        size, wrong = IMAGE["name"].numpy_dtype.itemsize, 0
        for k, (name, photcode, extern_id, source_id, content) in enumerate(facts):
            row = known.get(int(self._ids[k]))
            if row is None or wrong >= _SHOWN:
                continue
            kind, _, rest = row.identity.partition(":")
            if kind == "extern":
                is_right = rest == f"{source_id}:{extern_id}"
            else:
                # Longer names are cut off in the table.
                is_right = _stored(rest, size) == name.rstrip() and kind == (
                    "name" if photcode else "plane"
                )
            own = content.decode("ascii", "replace")
            if is_right and _stored(row.content, len(row.content)).startswith(content):
                continue
            wrong += 1
            text = name.decode("ascii", "replace")
            yield Fault(
                FaultKind.IMAGE_LIST,
                f"image {self._ids[k]} is {text!r} (number {extern_id} of {source_id} where it "
                f"came from, content {own}), the manifest knows it as {row.identity} (content "
                f"{row.content})", "", "Image", "", int(self._rows[k]),
            )  # fmt: skip

    def _find_wrong_catalogs(self) -> Iterator[Fault]:
        for row in self._catalogs:
            code, name = _catalog_name(row)
            if not row.identity.startswith("ref:") or not code or not name:
                yield Fault(FaultKind.IMAGE_LIST, f"reference catalog {-row.image_id} is known as "
                            f"{row.identity}, not as ref:<photcode>:<name>",
                            "dvo.sqlite")  # fmt: skip
            if row.match_mjd is None or not np.isfinite(row.match_mjd):
                yield Fault(FaultKind.IMAGE_LIST, f"reference catalog {-row.image_id} "
                            f"({row.identity}) has no time of its positions (match_mjd)",
                            "dvo.sqlite")  # fmt: skip
        twice = Counter(row.identity for row in self._known)
        for identity in [i for i, n in twice.items() if n > 1][:_SHOWN]:
            yield Fault(FaultKind.IMAGE_LIST,
                        f"{twice[identity]} images or catalogs are known as {identity}",
                        "dvo.sqlite")  # fmt: skip

    def count(self, batch: CatalogBatch) -> Iterator[Fault]:
        """Count the measures of some regions by image.

        Parameters
        ----------
        batch : CatalogBatch
            The regions.

        Yields
        ------
        Fault
            Measures without image or catalog, or of another photcode or time.
        """
        measure = batch.measure
        image, ref = measure["image_id"], measure["ref_id"]
        from_image, from_ref = image > 0, ref > 0
        yield from batch.faults(
            FaultKind.SOURCE, MEASURE, from_image == from_ref,
            lambda row: f"image_id {image[row]} and ref_id {ref[row]}: a measure has one of them",
        )  # fmt: skip
        for has, ids, kind, words in (
            (from_image & ~from_ref, image, _IMAGE, "image_id {} is no image"),
            (from_ref & ~from_image, ref, _CATALOG, "ref_id {} is no reference catalog"),
        ):
            rows = np.flatnonzero(has)
            if len(rows) == 0:
                continue
            # Nearly always all measures are of images, or of catalogs: nothing is copied then.
            numbers = (ids if len(rows) == len(ids) else ids[rows]).astype(np.int64)
            within = np.minimum(numbers, len(self._kind) - 1)
            is_known = (self._kind[within] == kind) & (within == numbers)
            yield from batch.faults(
                FaultKind.SOURCE, MEASURE, rows[~is_known],
                lambda row, ids=ids, words=words: words.format(ids[row]),  # type: ignore[misc]
            )  # fmt: skip
            if not is_known.all():
                rows, numbers = rows[is_known], numbers[is_known]
            self._n_measures += np.bincount(numbers, minlength=len(self._kind))
            if kind == _IMAGE:
                yield from self._unlike_images(batch, rows, numbers)
            else:
                yield from self._unlike_catalogs(batch, rows, numbers)

    def _unlike_images(self, batch: CatalogBatch, rows: I64, numbers: I64) -> Iterator[Fault]:
        photcode, time = batch.measure["photcode"], batch.measure["time"]
        ids, is_all = batch.measure["image_id"], len(rows) == len(batch.measure)
        codes = self._codes[numbers]
        yield from batch.faults(
            FaultKind.UNLIKE_SOURCE, MEASURE,
            rows[codes != (photcode if is_all else photcode[rows])],
            lambda row: f"photcode {photcode[row]}, but its image {ids[row]} has "
            f"{self._codes[ids[row]]}",
        )  # fmt: skip
        off = (time if is_all else time[rows]) - self._time[numbers]
        # A measure is of the exposure, which may take long, whatever instant of it is meant.
        yield from batch.faults(
            FaultKind.UNLIKE_SOURCE, MEASURE, rows[np.abs(off) > _DAY_S],
            lambda row: f"time {time[row]}, but that of its image {ids[row]} is "
            f"{self._time[ids[row]]}",
        )  # fmt: skip

    def _unlike_catalogs(self, batch: CatalogBatch, rows: I64, numbers: I64) -> Iterator[Fault]:
        photcode, ids = batch.measure["photcode"], batch.measure["ref_id"]
        is_right = self._allowed[self._codes[numbers], self._place[photcode[rows]]]
        names = {-row.image_id: row.identity for row in self._catalogs}
        yield from batch.faults(
            FaultKind.UNLIKE_SOURCE, MEASURE, rows[~is_right],
            lambda row: f"photcode {photcode[row]} is not that of a band of its reference "
            f"catalog {ids[row]} ({names[int(ids[row])]})",
        )  # fmt: skip

    def find(self, numbers: I64) -> tuple[NDArray[np.bool_], U16]:
        """Look images up.

        Parameters
        ----------
        numbers : ndarray of int64
            Their numbers, 0 or more.

        Returns
        -------
        is_known : ndarray of bool
            Whether there is such an image.
        photcodes : ndarray of uint16
            Its photcode, if so.
        """
        within = np.minimum(numbers, len(self._kind) - 1)
        is_known = (self._kind[within] == _IMAGE) & (within == numbers)
        return is_known, self._codes[within]

    def find_wrong_counts(self) -> Iterator[Fault]:
        """Find images with more or fewer measures than were added from them.

        Yields
        ------
        Fault
            The first few; to be asked when all regions have been counted.
        """
        stated, found = self._table["nstar"].astype(np.int64), self._n_measures[self._ids]
        for k in np.flatnonzero(stated != found)[:_SHOWN]:
            yield Fault(
                FaultKind.N_STAR,
                f"image {self._ids[k]} has {found[k]} measures, but nstar says {stated[k]}",
                "", "Image", "", int(self._rows[k]),
            )  # fmt: skip

    def _each(self, kind: FaultKind, rows: NDArray[np.intp], words: str) -> Iterator[Fault]:
        for k in rows[:_SHOWN]:
            yield Fault(kind, words.format(id=self._ids[k]), "", "Image", "", int(self._rows[k]))


def _catalog_name(row: ImageRow) -> tuple[str, str]:
    """Photcode and name by which a reference catalog is known; photcodes have no colons."""
    _, _, rest = row.identity.partition(":")
    photcode, _, name = rest.partition(":")
    return photcode, name


def _stored(text: str, size: int) -> bytes:
    return text.encode()[:size].rstrip()
