"""Operations that only tests ask for; imported by name in workers and hosts too."""

from __future__ import annotations

import ctypes
import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from dvo.calib.photometry import apply
from dvo.errors import UnknownColumnError
from dvo.ingest import add_elsewhere
from dvo.merge import add_elsewhere as merge_elsewhere
from dvo.partition import compact
from dvo.partition.layout import STAGED
from dvo.partition.operations import register
from dvo.partition.write_operations import register_write
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE


def rows(view, regions, request, tables):
    """Columns of Measure or Average, as they are stored."""
    schema = {"measure": MEASURE, "average": AVERAGE}[request["table"]]
    found = [view.read(schema, r, request["columns"]) for r in regions]
    edges = [np.full(len(t), r) for r, t in zip(regions, found, strict=True)]
    columns = {
        n: np.concatenate([t[n] for t in found] or [schema[n].nulls(0)]) for n in request["columns"]
    }
    columns["region"] = np.concatenate([*edges, np.empty(0, np.int64)]).astype(np.int64)
    return pa.table(columns, metadata={"snapshot": str(view.snapshot.id)})


def mean(view, regions, request, tables):
    """A sum that depends on the order of its terms: what a group is must not change."""
    values = np.concatenate([view.read(MEASURE, r, ["mag"])["mag"] for r in regions])
    return pa.table({"n": [len(values)], "sum": [np.sum(values.astype(np.float32))]})


def echo(view, regions, request, tables):
    """What came in."""
    names = sorted(tables)
    return pa.table(
        {
            "regions": [list(regions)],
            "request": [repr(request)],
            "tables": [[f"{n} {tables[n].num_rows} {tables[n].schema}" for n in names]],
            "pid": [os.getpid()],
        }
    )


def big(view, regions, request, tables):
    """Many rows that nobody stored."""
    n = request["n"]
    return pa.table({"i": np.arange(n) + regions[0], "x": np.sin(np.arange(n) * 0.1)})


def refuse(view, regions, request, tables):
    """An error of ours, for one of the regions."""
    if request["region"] in regions:
        raise UnknownColumnError(f"no column 'x' in region {request['region']}")
    return pa.table({"region": list(regions)})


def crash(view, regions, request, tables):
    """A mistake in an operation."""
    return pa.table({"x": [1 / request["zero"]]})


def wrong(view, regions, request, tables):
    """Not a table."""
    return 42


def die(view, regions, request, tables):
    """End the process, as often as the file named has lines left."""
    path = Path(request["file"])
    if request["region"] in regions and (path.read_text() if path.exists() else ""):
        path.write_text(path.read_text()[1:])
        os._exit(7)
    return pa.table({"region": list(regions)})


def wait(view, regions, request, tables):
    """Leave a mark in a folder, then wait until the file `go` is there."""
    folder = Path(request["folder"])
    (folder / f"begun-{regions[0]}").write_text(str(os.getpid()))
    while not (folder / "go").exists():
        time.sleep(0.01)
    return pa.table({"region": list(regions)})


def overlay(change, regions, request):
    """New values for all measures of each region, as calibration writes them."""
    for region in regions:
        parts = [p for p in change.base.parts(MEASURE, region) if p.kind == "rows"]
        values = [np.arange(p.n_rows, dtype=np.float32) + p.id + request["shift"] for p in parts]
        tables = [ColumnTable(MEASURE, {"airmass": v}) for v in values]
        change.overlay(MEASURE, list(zip(parts, tables, strict=True)))
    return {"n": len(regions)}


WRITES, SYNCS, NAMES = 1, 2, 4


def arm(change, number, mode, kinds=WRITES | NAMES):
    """Have a call of this process fail that writes into the folder of a commit, see shim.c."""
    root = os.fsencode(change.base.catdir / STAGED)
    ctypes.CDLL(None).fault_arm(root, ctypes.c_long(number), mode, kinds)


def write(operation, change, regions, request):
    """Write as files beside the database tell.

    `full` names processes whose disk is full. Who finds `dying` is killed in the middle of its
    first file. `sweep` has a number and a mode: that call fails; `swept` then has a line more,
    with the number of calls. Where `wait` is, leave a mark with the work done and untold, and
    wait for `go`.
    """
    folder = change.base.catdir.parent
    with suppress(FileNotFoundError):
        (folder / "dying").unlink()
        arm(change, 2, 1)
    has_no_room = str(os.getpid()) in folder.joinpath("full").read_text().split()
    if has_no_room:
        arm(change, 3, 4)
    sweep = folder / "sweep"
    is_swept = sweep.exists()
    if is_swept:
        number, mode = map(int, sweep.read_text().split())
        arm(change, number, mode, WRITES | SYNCS | NAMES)
    try:
        facts = operation(change, regions, request)
    finally:
        if is_swept:
            with (folder / "swept").open("a") as file:
                file.write(f"{ctypes.CDLL(None).fault_count()}\n")
        if has_no_room or is_swept:
            arm(change, 0, 0)
    if (folder / "wait").exists():
        (folder / f"begun-{regions[0]}").write_text(str(os.getpid()))
        while not (folder / "go").exists():
            time.sleep(0.01)
    return facts


for _operation in (rows, mean, echo, big, refuse, crash, wrong, die, wait):
    register(f"test-{_operation.__name__}", _operation)
register("test-secret", echo, role="ingest")
register_write("test-write", partial(write, compact._compact))
register_write("test-overlay", overlay)
register_write("test-add", partial(write, add_elsewhere._add))
register_write("test-merge", partial(write, merge_elsewhere._merge))
register_write("test-calibrate", partial(write, apply._write_group))
