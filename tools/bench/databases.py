"""Our side: databases made from a workload, in this process or by the commands."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from timing import ProcessCost, run_process
from workload import COLUMN_MAP, FILTERS, RADIUS_ARCSEC, Inputs, photcode_name

from dvo.ingest.addstar import addstar
from dvo.ingest.column_map import parse_column_map
from dvo.ingest.report import AddstarOptions, AddstarReport
from dvo.ingest.sources import exposure_sources
from dvo.partition.compact import resort
from dvo.partition.store import Store, create_store
from dvo.query.session import open_database
from dvo.tables.photcode import PhotClass, PhotcodeTable

__all__ = ["LEVEL", "add_files", "add_process", "association_score", "bytes_by_table", "compact",
           "create", "labels", "program"]  # fmt: skip

LEVEL = 4
_SUFFIXES = {".cpt": "average", ".cps": "secfilt", ".cpm": "measure"}


def create(catdir: Path) -> Path:
    """Make an empty database in place of what is there.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    Path
        The same.
    """
    shutil.rmtree(catdir, ignore_errors=True)
    codes = PhotcodeTable()
    for name in FILTERS:
        codes = codes.add(name, PhotClass.SEC)
    for i, name in enumerate(FILTERS):
        codes = codes.add(photcode_name(i), PhotClass.DEP, filter_name=name, zero_point=25.0)
    create_store(catdir, level=LEVEL, photcodes=codes)
    return catdir


def add_files(store: Store, lists: Sequence[Path]) -> AddstarReport:
    """Run addstar on exposure lists, in this process."""
    sources = exposure_sources(lists, parse_column_map(COLUMN_MAP))
    return addstar(store, sources, AddstarOptions(radius_arcsec=RADIUS_ARCSEC))


def program(name: str) -> Path:
    """Full path of one of our commands."""
    return Path(sys.executable).parent / name


def add_process(catdir: Path, listing: Path) -> ProcessCost:
    """Run the command addstar on an exposure list."""
    words: list[str | Path] = [
        "--images",
        listing,
        "--map",
        COLUMN_MAP,
        "--radius",
        str(RADIUS_ARCSEC),
        "--json",
    ]
    return run_process(program("addstar"), catdir, *words)


def compact(catdir: Path) -> None:
    """Compact all catalogs."""
    with Store(catdir, writable=True) as store:
        resort(store)


def bytes_by_table(catdir: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Sizes and counts of a compacted database.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    bytes : dict of str to int
        Whole files of the newest snapshot, headers and all, by table.
    counts : dict of str to int
        Rows of the newest snapshot (``measures``, ``objects``, …).
    """
    sizes: Counter[str] = Counter()
    with Store(catdir, writable=False) as store:
        snapshot = store.view().snapshot
        paths = {p.path for p in store.manifest.parts(snapshot.id)}
        for path in paths:
            table = _SUFFIXES.get(Path(path).suffix)
            if table:
                sizes[table] += (catdir / path).stat().st_size
        return dict(sizes), dict(snapshot.counts)


def labels(catdir: Path, inputs: Inputs) -> tuple[NDArray[Any], NDArray[Any]]:
    """Object and true star of every detection, for `association_score`.

    Parameters
    ----------
    catdir : Path
        Database that holds all exposures.
    inputs : Inputs
        The files it was made from; their rows number the detections of an image.

    Returns
    -------
    tuple of ndarray
        A number of the object, and the star, of each detection.
    """
    truth = [pq.read_table(f, columns=["obj_true"])["obj_true"].to_numpy() for f in inputs.files]
    found, stars = [], []
    with open_database(catdir) as db:
        images = db.images(columns=["image_id", "name"])
        names = [n.rsplit("/", 1)[-1] for n in images["name"].to_pylist()]
        by_name = {f.stem: t for f, t in zip(inputs.files, truth, strict=True)}
        of_image = dict(zip(images["image_id"].to_pylist(), names, strict=True))
        for batch in db.scan("measure", ["image_id", "det_id", "cat_id", "obj_id"]):
            image, det, cat, obj = (c.to_numpy(zero_copy_only=False) for c in batch.columns)
            found.append((cat.astype("i8") << 32) + obj)
            star = np.empty(len(det), np.int64)
            for number in np.unique(image):
                rows = np.flatnonzero(image == number)
                star[rows] = by_name[of_image[int(number)]][det[rows]]
            stars.append(star)
    _, label = np.unique(np.concatenate(found), return_inverse=True)
    return label, np.concatenate(stars)


def association_score(label: NDArray[Any], star: NDArray[Any]) -> dict[str, float]:
    """How well groups of detections agree with the stars.

    Parameters
    ----------
    label, star : ndarray of int
        Group and true star of each detection, numbered from 0.

    Returns
    -------
    dict of str to float
        ``n_rows``, ``n_groups``, the share of stars that are one group each
        (``objects_whole``) and of groups that are one star each (``groups_pure``).
    """
    base = int(star.max()) + 1
    pairs = np.unique(label.astype("i8") * base + star)
    groups_of_star = np.bincount(pairs % base)
    stars_of_group = np.bincount(pairs // base)
    seen, used = groups_of_star[groups_of_star > 0], stars_of_group[stars_of_group > 0]
    return {
        "n_rows": len(label),
        "n_groups": len(used),
        "objects_whole": round(float((seen == 1).mean()), 6),
        "groups_pure": round(float((used == 1).mean()), 6),
    }
