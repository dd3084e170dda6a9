"""Check: does a database keep its own rules?

The quick check asks the manifest and the names and sizes of files. The deep one reads:
digests and FITS sums of all files, the tables of every region, and identifiers over the
whole database. Nothing is written and no lock is taken; one snapshot is looked at, while
others may write newer ones.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dvo.errors import (
    FormatVersionError,
    NotACatdirError,
    StorageError,
    UnknownSnapshotError,
)
from dvo.ids import pack_id, unpack_id
from dvo.partition import layout
from dvo.partition.catalog_rules import REMEDY, Catalog, find_catalog_faults, read_catalog
from dvo.partition.faults import RESTORE, CheckReport, Fault
from dvo.partition.image_rules import ImageRules
from dvo.partition.manifest import FileRow
from dvo.partition.repeats import RepeatFinder
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.fits import TableFile, verify

__all__ = ["CheckReport", "Fault", "check"]

U64 = NDArray[np.uint64]
Bool = NDArray[np.bool_]

_CACHE_BYTES = 1 << 28
_PIECE = 1 << 22
_TILES_SAMPLED = 6
_REPEATS_SHOWN = 5
_FORESEEN = 2000


def check(
    where: Store | str | os.PathLike[str],
    *,
    deep: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Check a database.

    Parameters
    ----------
    where : Store or path
        An open database, or its folder.
    deep : bool
        Whether to read all files, not only their names and sizes.
    progress : callable, optional
        Called with regions done and regions in all.

    Returns
    -------
    CheckReport
        What was found.

    Raises
    ------
    NotACatdirError
        If the folder holds no database, nor the records of one.
    """
    if isinstance(where, Store):
        return _Checker(where).run(deep=deep, progress=progress)
    try:
        with Store(where, cache_bytes=_CACHE_BYTES) as store:
            return _Checker(store).run(deep=deep, progress=progress)
    except FormatVersionError:
        raise
    except NotACatdirError as err:
        if not any(Path(where, layout.LOG).glob("*.fits")):
            raise
        return _without_manifest(Path(where), err)
    except StorageError as err:
        return _without_manifest(Path(where), err)


def _without_manifest(catdir: Path, err: StorageError) -> CheckReport:
    remedy = f"make it anew with: dvo check {catdir} --rebuild"
    return CheckReport([Fault(_first_clause(err), remedy, layout.MANIFEST)])


def _first_clause(err: Exception) -> str:
    return re.split(r"; (?:try|make)", str(err))[0]


class _Checker:
    """A check of one snapshot."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.report = CheckReport()

    def run(self, *, deep: bool, progress: Callable[[int, int], None] | None) -> CheckReport:
        # Listed first: what a commit adds meanwhile is no orphan.
        listed = list(_list_data_files(self.store.catdir))
        self._add(
            Fault(line, f"make the manifest anew with: dvo check {self.store.catdir} --rebuild",
                  layout.MANIFEST)
            for line in self.store.manifest.find_damage()
        )  # fmt: skip
        if self.report.faults:
            return self.report
        view = self.store.view()
        self.report.snapshot = view.snapshot.id
        self._check_counts(view)
        files = self.store.manifest.files()
        bad = self._check_files(files, deep=deep)
        self._check_records(deep=deep)
        self._note_orphans(listed)
        if deep:
            self._check_tables(view, bad, progress)
        self.report.counts |= {"files": len(files), "bytes": sum(f.n_bytes for f in files)}
        return self.report

    def _add(self, faults: Iterator[Fault] | list[Fault]) -> None:
        self.report.faults += faults

    # ---- quick

    def _check_counts(self, view: View) -> None:
        rows = self.store.manifest.catalogs(view.snapshot.id)
        images = self.store.manifest.images(view.snapshot.id)
        counts = view.snapshot.counts
        found = {
            "objects": sum(r.n_average for r in rows),
            "measures": sum(r.n_measure for r in rows),
            "catalogs": sum(r.n_average > 0 for r in rows),
        }
        self.report.counts |= found | {"images": counts.get("images", 0)}
        for name, n in found.items():
            if counts.get(name) != n:
                self._add([Fault(f"snapshot {view.snapshot.id} counts {counts.get(name)} {name}, "
                                 f"its catalogs have {n}", REMEDY, layout.MANIFEST)])  # fmt: skip
        # Focal planes are known too, so there may be more of them than images.
        if len(images) < counts.get("images", 0):
            self._add([Fault(f"snapshot {view.snapshot.id} counts {counts['images']} images, "
                             f"{len(images)} are known", REMEDY, layout.MANIFEST)])  # fmt: skip

    def _check_files(self, files: list[FileRow], *, deep: bool) -> set[str]:
        """Look at all files; gives those with faults."""
        db_id, catdir = self.store.db_id, self.store.catdir

        def look(file: FileRow) -> list[Fault]:
            found = _size_faults(catdir, file)
            if deep and not found:
                found = _content_faults(catdir, file, db_id)
            return found

        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            found = [fault for faults in pool.map(look, files) for fault in faults]
        if found:
            # A vacuum may have taken files away since they were listed.
            still = {f.path for f in self.store.manifest.files()}
            found = [fault for fault in found if fault.path in still]
        self._add(found)
        return {fault.path for fault in found}

    def _check_records(self, *, deep: bool) -> None:
        remedy = "without it the manifest cannot be made anew: back up the manifest"
        for snapshot in self.store.manifest.log():
            path = layout.log_path(snapshot.token)
            try:
                if deep:
                    verify(self.store.catdir / path)
                elif not (self.store.catdir / path).is_file():
                    raise StorageError(f"{path}: is missing")
            except StorageError as err:
                self._add([Fault(f"record of commit {snapshot.id} cannot be read ({err})",
                                 remedy, path)])  # fmt: skip
        if not (self.store.catdir / layout.SKY_TABLE).is_file():
            self.report.notes.append(f"{layout.SKY_TABLE}: is missing; dvo does without it")

    def _note_orphans(self, listed: list[str]) -> None:
        known = self.store.known_paths() | set(self.store.manifest.pending())
        orphans = [path for path in listed if path not in known]
        shown = ", ".join(orphans[:3]) + (", ..." if len(orphans) > 3 else "")
        if orphans:
            self.report.notes.append(
                f"{len(orphans)} files belong to no snapshot ({shown}): a commit was cut short; "
                "dvo vacuum removes them"
            )

    # ---- deep

    def _check_tables(
        self, view: View, bad: set[str], progress: Callable[[int, int], None] | None
    ) -> None:
        try:
            images = ImageRules(view, self.store.manifest.images(view.snapshot.id))
            self._add(list(images.find_faults()))
        except StorageError as err:
            self._add_unread(err, bad)
            return
        with ExitStack() as stack:
            objects, public, detections = (stack.enter_context(RepeatFinder()) for _ in range(3))
            regions = view.regions()
            is_whole = True
            for done, region in enumerate(regions):
                if done % _FORESEEN == 0:
                    view.foresee(regions[done : done + _FORESEEN])
                catalog = self._check_region(view, region, bad)
                is_whole &= catalog is not None
                if catalog is not None:
                    objects.add(pack_id(catalog.average["cat_id"], catalog.average["obj_id"]))
                    public.add(catalog.average["ext_id"])
                    detections.add(_detections(catalog))
                    self._add(list(images.count(catalog)))
                if progress is not None:
                    progress(done + 1, len(regions))
            self._add_repeats(view, "object", objects.find())
            self._add_repeats(view, "public object id", public.find())
            self._add_repeats(view, "detection", detections.find())
            if is_whole:
                self._add(list(images.find_wrong_counts()))

    def _check_region(self, view: View, region: int, bad: set[str]) -> Catalog | None:
        try:
            catalog, faults = find_catalog_faults(view, region)
        except UnknownSnapshotError:
            raise
        except StorageError as err:
            self._add_unread(err, bad, view.sky.names([region])[0])
            return None
        self._add(faults)
        return catalog

    def _add_unread(self, err: StorageError, bad: set[str], name: str = "") -> None:
        # A damaged file is named once, not again for every region with rows in it.
        if not any(path in str(err) for path in bad):
            self._add([Fault(_first_clause(err), RESTORE, "", "", name)])

    def _add_repeats(self, view: View, what: str, repeats: U64) -> None:
        if len(repeats) == 0:
            return
        shown = repeats[:_REPEATS_SHOWN]
        for number in shown:
            self._add([_locate(view, what, number, len(repeats))])


def _list_data_files(catdir: Path) -> Iterator[str]:
    """Paths of files, relative to the catdir, that have the name of a data file."""
    for folder, _, names in os.walk(catdir):
        for name in names:
            path = Path(folder, name).relative_to(catdir)
            if layout.is_data_path(path):
                yield path.as_posix()


def _size_faults(catdir: Path, file: FileRow) -> list[Fault]:
    try:
        size = (catdir / file.path).stat().st_size
    except OSError as err:
        return [Fault(f"is missing or cannot be read ({err.strerror})", RESTORE, file.path)]
    if size != file.n_bytes:
        return [Fault(f"has {size} bytes, not {file.n_bytes}", RESTORE, file.path)]
    return []


def _content_faults(catdir: Path, file: FileRow, db_id: str) -> list[Fault]:
    path = catdir / file.path
    digest = hashlib.blake2b(digest_size=16)
    try:
        with path.open("rb") as data:
            while piece := data.read(_PIECE):
                digest.update(piece)
        if digest.hexdigest() != file.digest:
            return [Fault(f"its digest is {digest.hexdigest()}, not {file.digest}: its bytes "
                          "have changed", RESTORE, file.path)]  # fmt: skip
        verify(path)
        with TableFile(path, 1) as table:
            found = table.primary.get("DVO_DBID")
            if found != db_id:
                return [Fault(f"belongs to database {found}, not {db_id}", RESTORE, file.path)]
            return [Fault(message, REMEDY, file.path) for message in _index_faults(table)]
    except OSError as err:
        return [Fault(str(err), RESTORE, file.path)]


def _index_faults(table: TableFile) -> Iterator[str]:
    """Compare the least and greatest values recorded for tiles with a sample of the tiles."""
    n_tiles = table.n_tiles
    sample = np.unique(np.linspace(0, n_tiles - 1, min(n_tiles, _TILES_SAMPLED)).astype(int))
    bounds = {name: b for name in table.names if (b := table.tile_bounds(name)) is not None}
    for tile in sample.tolist() if bounds else ():
        start = tile * table.tile_rows
        columns = table.read(list(bounds), start=start, stop=start + table.tile_rows)
        for name, values in columns.items():
            least, most = bounds[name][0][tile], bounds[name][1][tile]
            good = values[~np.isnan(values)] if values.dtype.kind == "f" else values
            if len(good) and not (least <= good.min() and good.max() <= most):
                yield (
                    f"tile {tile}: {name} is {good.min()}..{good.max()}, "
                    f"its index says {least}..{most}"
                )


def _detections(catalog: Catalog) -> U64:
    measure = catalog.measure
    packed: U64 = pack_id(measure["image_id"], measure["det_id"])
    return packed[measure["image_id"] > 0]


def _locate(view: View, what: str, number: np.uint64, n_repeats: int) -> Fault:
    """Find where a number that should be there once is twice."""
    places: list[Fault] = []
    table = "Measure" if what == "detection" else "Average"
    text = f"{int(number)}"
    if what != "public object id":
        high, low = (int(part) for part in unpack_id(number))
        text = f"({high}, {low})"
    for region in view.regions():
        catalog = read_catalog(view, region)
        a, m = catalog.average, catalog.measure
        if what == "detection":
            numbers = pack_id(m["image_id"], m["det_id"])
        else:
            numbers = (
                a["ext_id"] if what == "public object id" else pack_id(a["cat_id"], a["obj_id"])
            )
        places += [
            Fault("", REMEDY, "", table, catalog.name, int(row))
            for row in np.flatnonzero(numbers == number)
        ]
        if len(places) > 1:
            break
    also = f" and in region {places[1].region}, row {places[1].row}" if len(places) > 1 else ""
    return replace(
        places[0], message=f"{what} {text} is here{also}; {n_repeats} {what}s are there twice"
    )
