"""dvomerge, compaction, the deep check, and a column written back."""

from __future__ import annotations

import csv
import math
import os
import shutil
import time
from pathlib import Path

import databases
import lsdb_peer
import numpy as np
from figures import Figure
from stage import Stage
from timing import median, pair_ratio, take_turns, timed
from workload import Inputs

from dvo.merge.merge import MergeOptions, merge
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE

__all__ = ["measure"]

# What the exposures hold, and the star of each: LSDB writes all that a catalog has.
_OF_INPUT = ["ra", "dec", "mag", "mag_err", "time", "image_id", "photcode", "phot_flags",
             "obj_id", "x_ccd", "y_ccd", "det_id"]  # fmt: skip


def measure(stage: Stage) -> list[Figure]:
    """Measure every size.

    Parameters
    ----------
    stage : Stage
        Where to run.

    Returns
    -------
    list of Figure
        Rates in this process; a merge also against addstar of the same files, and an
        overlay against DuckDB's UPDATE and CHECKPOINT, and against LSDB, which writes the
        catalog anew.
    """
    stage.warm_up()
    figures = []
    for size in stage.sizes:
        inputs = stage.inputs(size)
        figures += [
            _merge_half(stage, inputs),
            _merge_little(stage, inputs),
            _compact(stage, inputs),
            _check(stage, inputs),
            *_overlay(stage, inputs),
        ]
    return figures


def _listing(inputs: Inputs, name: str, rows: slice) -> Path:
    """A part of the exposure list, beside it."""
    with inputs.listing.open(newline="") as file:
        head, *lines = list(csv.reader(file))
    path = inputs.listing.with_name(f"{name}.csv")
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *lines[rows]])
    return path


def _made(catdir: Path, listing: Path) -> Path:
    with Store(databases.create(catdir), writable=True) as store:
        databases.add_files(store, [listing])
    return catdir


def _copied(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    os.sync()


def _take_in(target: Path, source: Path) -> int:
    with Store(target, writable=True) as store, Store(source) as other:
        return merge(store, other, MergeOptions()).n_measures


def _merge_half(stage: Stage, inputs: Inputs) -> Figure:
    """The second half of the exposures into a database of the first."""
    base = _made(stage.scratch / "base.catdir", _listing(inputs, "first", slice(0, 50)))
    source = _made(stage.scratch / "source.catdir", _listing(inputs, "second", slice(50, None)))
    target = stage.scratch / "target.catdir"
    seconds, n = [], 0
    for _ in range(3):
        _copied(base, target)
        start = time.perf_counter()
        n = _take_in(target, source)
        seconds.append(time.perf_counter() - start)
    rate = n / median(seconds) / 1e6
    return Figure(
        "merge_rate", "dvomerge into an existing database", inputs.size, rate,
        "M measures/s", f"{rate:.2f} M measures/s", details={"seconds": seconds},
    )  # fmt: skip


def _merge_little(stage: Stage, inputs: Inputs) -> Figure:
    """One exposure of a hundred into a database of the others, against addstar of its file."""
    one, rest = _listing(inputs, "one", slice(99, 100)), _listing(inputs, "rest", slice(0, 99))
    base = _made(stage.scratch / "base.catdir", rest)
    source = _made(stage.scratch / "source.catdir", one)
    merged, added = stage.scratch / "merged.catdir", stage.scratch / "added.catdir"

    def add() -> None:
        with Store(added, writable=True) as store:
            databases.add_files(store, [one])

    seconds = take_turns(
        {"merge": lambda: _take_in(merged, source), "add": add},
        5,
        before={"merge": lambda: _copied(base, merged), "add": lambda: _copied(base, added)},
    )
    return Figure(
        "merge_little", "dvomerge of 1 % against addstar of its file", inputs.size,
        pair_ratio(seconds["merge"], seconds["add"]), "x its time",
        f"{median(seconds['merge']):.3f} s", f"{median(seconds['add']):.3f} s",
        details={"seconds": seconds},
    )  # fmt: skip


def _compact(stage: Stage, inputs: Inputs) -> Figure:
    base = stage.filled(inputs.size)
    target = stage.scratch / "target.catdir"
    seconds = []
    for _ in range(2):
        _copied(base, target)
        with Store(target, writable=True) as store:
            seconds.append(timed(lambda store=store: resort(store)))
    rate = inputs.n_rows / median(seconds) / 1e6
    return Figure(
        "compaction", "compaction of a whole database", inputs.size, rate, "M rows/s",
        f"{rate:.2f} M rows/s", details={"seconds": seconds},
    )  # fmt: skip


def _check(stage: Stage, inputs: Inputs) -> Figure:
    catdir = stage.compacted(inputs.size)
    seconds = [timed(lambda: check(catdir, deep=True)) for _ in range(2)]
    rate = inputs.n_rows / median(seconds) / 1e6
    return Figure(
        "check_deep", "dvo check --deep", inputs.size, rate, "M rows/s",
        f"{rate:.2f} M rows/s", details={"seconds": seconds},
    )  # fmt: skip


def _overlay(stage: Stage, inputs: Inputs) -> list[Figure]:
    """A zero point for each exposure, written to all its measures, durable."""
    target = stage.scratch / "target.catdir"
    _copied(stage.compacted(inputs.size), target)

    def ours() -> None:
        _write_back(target)

    what = "one column of all rows written back, vs "
    with stage.peer(inputs.size) as duck:
        seconds = take_turns({"ours": ours, "peer": duck.update_column}, 3)
    figures = [_written_back("overlay", what + "DuckDB UPDATE", inputs, seconds)]
    if not lsdb_peer.is_there():
        return [*figures, Figure("overlay_lsdb", what + "LSDB rewrite", inputs.size, math.nan,
                                 "x faster", note=lsdb_peer.ABSENT)]  # fmt: skip
    hats = lsdb_peer.exported(target, stage.scratch / "measures.hats", "measure", _OF_INPUT)
    rewritten = stage.scratch / "rewritten.hats"
    with lsdb_peer.LsdbPeer() as lsdb:

        def rewrite() -> None:
            lsdb.ask("write_back", hats, rewritten)

        seconds = take_turns({"ours": ours, "peer": rewrite}, 3)
    for folder in (hats, rewritten):
        shutil.rmtree(folder)
    return [*figures, _written_back("overlay_lsdb", what + "LSDB rewrite", inputs, seconds)]


def _write_back(catdir: Path) -> None:
    offsets = np.random.default_rng(5).normal(0, 0.02, 1000).astype(np.float32)
    with Store(catdir, writable=True) as store:
        view = store.view()
        changes = []
        for region in view.regions():
            ids = view.read(MEASURE, region, ["image_id"])["image_id"]
            (part,) = [p for p in view.parts(MEASURE, region) if p.kind == "rows"]
            changes.append((part, ColumnTable(MEASURE, {"m_cal": offsets[ids]}, len(ids))))
        with store.begin("bench", {}, view) as change:
            change.overlay(MEASURE, changes)
            change.commit()


def _written_back(key: str, what: str, inputs: Inputs, seconds: dict[str, list[float]]) -> Figure:
    rate = {who: inputs.n_rows / median(s) / 1e6 for who, s in seconds.items()}
    return Figure(
        key, what, inputs.size, pair_ratio(seconds["peer"], seconds["ours"]), "x faster",
        f"{rate['ours']:.1f} M rows/s", f"{rate['peer']:.2f} M rows/s",
        details={"seconds": seconds},
    )  # fmt: skip
