"""Make the records of a large survey without its data: manifest, SkyTable, HostTable.

Usage: python tools/scale/survey_records.py FOLDER [--catalogs N] [--hosts N]

The database is made by the code that makes every database; only the files that its manifest
names are not there. So it can be opened and queries can be planned, but nothing can be read.
By default it has the size of the Pan-STARRS database PV3: 151,984 catalogs of 8 tables each
on 64 hosts (docs/scale.md).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

import dvo
from dvo.partition import layout
from dvo.partition.host_table import HostEntry, write_host_table
from dvo.partition.hosts.assign import assign
from dvo.partition.manifest import CatalogRow, Change, FileRow, PartRun, SnapshotRow
from dvo.partition.store import Store, create_store
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.satellites import SATELLITES
from dvo.tables.secfilt import SECFILT

__all__ = ["FILTERS", "TABLES", "Survey", "make_records"]

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

FILTERS = ("g", "r", "i", "z", "y", "J", "H", "K", "w")
"""Average filters of PV3."""

TABLES = (AVERAGE, SECFILT, MEASURE, *(satellite.schema for satellite in SATELLITES))
"""The eight tables of a catalog."""

_LEVEL = 4
# Bytes of a row that make 70 TB of all, 4 TB of them Average and SecFilt; the shares are assumed.
_BYTES = {"Average": 120, "SecFilt": 31, "Measure": 137, "Lensing": 500, "LensObj": 200,
          "StarPar": 200, "GalPhot": 400, "Missing": 20}  # fmt: skip
_COMMIT_CATALOGS = 20_000


@dataclass(frozen=True)
class Survey:
    """How large the survey is.

    Parameters
    ----------
    n_catalogs : int
        Regions that have catalogs, of the 151,984 of level 4; spread over the sky.
    n_hosts : int
        Partition hosts; 0 for none.
    n_objects, n_measures : float
        Rows of Average and Measure, all catalogs together.
    seed : int
        Where chance comes from.
    """

    n_catalogs: int = 151_984
    n_hosts: int = 64
    n_objects: float = 1.0e10
    n_measures: float = 2.0e11
    seed: int = 1


def make_records(catdir: Path, survey: Survey) -> dict[str, float]:
    """Make the database.

    Parameters
    ----------
    catdir : Path
        Folder to make; must not exist, or be empty.
    survey : Survey
        How large.

    Returns
    -------
    dict of str to float
        Seconds of each step [s], number of files that are named, bytes of what was made.
    """
    rng = np.random.default_rng(survey.seed)
    seconds = {}
    begin = time.perf_counter()
    create_store(catdir, level=_LEVEL, photcodes=_photcodes(), split_at=0)
    with Store(catdir, writable=True, command="survey_records") as store:
        leaves = store.view().partition.leaves
        at = np.linspace(0, len(leaves) - 1, survey.n_catalogs).round().astype(np.int64)
        regions = leaves[at]
        rows = _rows_of_catalogs(store, regions, survey, rng)
        edges = range(0, len(regions), _COMMIT_CATALOGS)
        for start in edges:
            here = slice(start, start + _COMMIT_CATALOGS)
            _commit(store, regions[here], {name: n[here] for name, n in rows.items()})
    seconds["commits_s"] = time.perf_counter() - begin
    seconds["files"] = float(len(regions) * len(TABLES))
    if survey.n_hosts:
        begin = time.perf_counter()
        write_host_table(catdir, list(_hosts(survey.n_hosts)))
        with Store(catdir) as store:
            assign(store, range(1, survey.n_hosts + 1), by="load", rng=rng)
        seconds["assign_s"] = time.perf_counter() - begin
    sizes = {
        f"{name}_bytes": float((catdir / path).stat().st_size)
        for name, path in (("manifest", layout.MANIFEST), ("sky_table", layout.SKY_TABLE))
    }
    return seconds | sizes


def _photcodes() -> PhotcodeTable:
    codes = PhotcodeTable()
    for name in FILTERS:
        codes = codes.add(name, PhotClass.SEC)
    for name in FILTERS[:5]:
        for chip in range(60):
            codes = codes.add(f"GPC1.{name}.XY{chip:02d}", PhotClass.DEP, filter_name=name,
                              zero_point=25.0)  # fmt: skip
    return codes


def _rows_of_catalogs(
    store: Store, regions: I64, survey: Survey, rng: np.random.Generator
) -> dict[str, I64]:
    """Rows of each table in each catalog: many towards the plane of the Galaxy, with scatter."""
    west, east, low, high = store.sky.bounds(regions).T
    area = (east - west) * (np.sin(np.radians(high)) - np.sin(np.radians(low)))
    sine = _sine_of_galactic_latitude(0.5 * (west + east), 0.5 * (low + high))
    weight = area / (0.08 + np.abs(sine)) * rng.lognormal(0.0, 0.3, len(regions))
    weight /= weight.sum()
    objects = np.maximum(1, (weight * survey.n_objects).astype(np.int64))
    measures = np.maximum(1, (weight * survey.n_measures).astype(np.int64))
    shares = {"Lensing": 0.3 * measures, "LensObj": 3.0 * objects, "StarPar": 0.1 * objects,
              "GalPhot": 0.5 * objects, "Missing": 0.1 * measures}  # fmt: skip
    rows = {AVERAGE.name: objects, SECFILT.name: objects * len(FILTERS), MEASURE.name: measures}
    return rows | {name: np.maximum(1, n.astype(np.int64)) for name, n in shares.items()}


def _sine_of_galactic_latitude(ra: F64, dec: F64) -> F64:
    pole_ra, pole_dec = np.radians([192.859508, 27.128336])
    a, d = np.radians(ra), np.radians(dec)
    return np.asarray(
        np.sin(pole_dec) * np.sin(d) + np.cos(pole_dec) * np.cos(d) * np.cos(a - pole_ra)
    )


def _commit(store: Store, regions: I64, rows: dict[str, I64]) -> None:
    """Put catalogs into the manifest as a compaction does: one file a table and catalog."""
    manifest = store.manifest
    before = manifest.snapshot()
    token = layout.make_token(before.id + 1)
    names = store.sky.names(regions)
    change = Change()
    number = manifest.last_part()
    one = np.zeros(1, np.int64)
    for schema in TABLES:
        n_bytes = _BYTES[schema.name]
        for region, name, n_rows in zip(
            regions.tolist(), names, rows[schema.name].tolist(), strict=True
        ):
            number += 1
            path = layout.catalog_path(name, token, schema.suffix)
            digest = f"{number:032x}"
            change.files.append(
                FileRow(path, schema.name, "rows", schema.stored_names, n_rows * n_bytes, digest)
            )
            change.parts.append(PartRun(path, one + number, one + region, one, one + n_rows, one))
    change.catalogs = [
        CatalogRow(region, objects, objects + 1, measures, True, 1, measures)
        for region, objects, measures in zip(
            regions.tolist(), rows[AVERAGE.name].tolist(), rows[MEASURE.name].tolist(), strict=True
        )
    ]
    counts = {
        "images": 0,
        "objects": before.counts["objects"] + int(rows[AVERAGE.name].sum()),
        "measures": before.counts["measures"] + int(rows[MEASURE.name].sum()),
        "catalogs": before.counts["catalogs"] + len(regions),
    }
    time_of_commit = datetime.now(UTC).isoformat(timespec="milliseconds")
    manifest.apply(
        SnapshotRow(before.id + 1, token, time_of_commit, "resort", {}, dvo.__version__, counts,
                    _LEVEL),
        change,
    )  # fmt: skip


def _hosts(number: int) -> Iterator[HostEntry]:
    for k in range(1, number + 1):
        key = zmq.curve_keypair()[0].decode()
        yield HostEntry(k, f"node{k:02d}", "/data/survey", f"tcp://node{k:02d}:5780", key)


def main(words: list[str] | None = None) -> int:
    """Make the database that the arguments describe.

    Parameters
    ----------
    words : list of str, optional
        The command's arguments; None for those of this process.

    Returns
    -------
    int
        0.
    """
    plain = Survey()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the database directory to make")
    parser.add_argument("--catalogs", type=int, default=plain.n_catalogs,
                        help="regions that have catalogs (%(default)s)")  # fmt: skip
    parser.add_argument("--hosts", type=int, default=plain.n_hosts, help="hosts (%(default)s)")
    asked = parser.parse_args(words)
    if not 1 <= asked.catalogs <= plain.n_catalogs:
        parser.error(f"--catalogs: 1 to {plain.n_catalogs}")
    if asked.hosts < 0:
        parser.error("--hosts: 0 or more")
    made = make_records(asked.folder, Survey(asked.catalogs, asked.hosts))
    print(json.dumps({key: round(value, 3) for key, value in made.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
