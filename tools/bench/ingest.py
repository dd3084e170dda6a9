"""addstar from files to a durable commit, against loading and associating in DuckDB."""

from __future__ import annotations

import os
from pathlib import Path

import databases
from duckdb_peer import DuckDBPeer
from figures import Figure
from stage import Stage
from timing import file_bytes, median, pair_ratio, take_turns, timed
from workload import RADIUS_ARCSEC, Inputs

from dvo.partition.store import Store

__all__ = ["measure"]


def measure(stage: Stage) -> list[Figure]:
    """Measure every size.

    Parameters
    ----------
    stage : Stage
        Where to run; the databases of the last round are left there.

    Returns
    -------
    list of Figure
        Rates in this process, and for information of the command as a whole.
    """
    stage.warm_up()
    figures = []
    for size in stage.sizes:
        figures += _measure_size(stage, size)
    return figures


def _measure_size(stage: Stage, size: str) -> list[Figure]:
    inputs = stage.inputs(size)
    catdir, file = stage.catdir(size), stage.peer_file(size)
    peer_parts: dict[str, list[float]] = {"load": [], "association": []}

    def ours() -> None:
        with Store(catdir, writable=True) as store:
            databases.add_files(store, [inputs.listing])

    def peer() -> None:
        with DuckDBPeer(file) as duck:
            peer_parts["load"].append(timed(lambda: duck.load(inputs.files)))
            radius = RADIUS_ARCSEC / 3600.0
            peer_parts["association"].append(timed(lambda: duck.associate(inputs.files, radius)))

    seconds = take_turns(
        {"peer": peer, "ours": ours},
        2 if size == "medium" else 4,
        before={"peer": lambda: _forget(file), "ours": lambda: _begin(catdir)},
    )
    return [
        _compare(size, inputs, seconds, peer_parts, catdir, file),
        _as_program(stage, size, inputs),
    ]


def _begin(catdir: Path) -> None:
    databases.create(catdir)
    os.sync()


def _forget(file: Path) -> None:
    file.unlink(missing_ok=True)
    file.with_name(file.name + ".wal").unlink(missing_ok=True)
    os.sync()


def _compare(
    size: str,
    inputs: Inputs,
    seconds: dict[str, list[float]],
    peer_parts: dict[str, list[float]],
    catdir: Path,
    file: Path,
) -> Figure:
    own = databases.association_score(*databases.labels(catdir, inputs))
    with DuckDBPeer(file) as duck:
        other = databases.association_score(*duck.labels())
    rate = {who: inputs.n_rows / median(s) / 1e6 for who, s in seconds.items()}
    parts = {name: median(s) for name, s in peer_parts.items()}
    note = (
        f"stars whole / groups pure: ours {own['objects_whole']:.5f} / {own['groups_pure']:.5f}, "
        f"DuckDB {other['objects_whole']:.5f} / {other['groups_pure']:.5f}; "
        f"DuckDB's load {parts['load']:.2f} s, association {parts['association']:.2f} s"
    )
    if own["n_rows"] != inputs.n_rows or other["n_rows"] != inputs.n_rows:
        note = f"ROWS LOST: {own['n_rows']}, {other['n_rows']} of {inputs.n_rows}; {note}"
    return Figure(
        "addstar",
        "addstar, files to durable commit, vs DuckDB",
        size,
        pair_ratio(seconds["peer"], seconds["ours"]),
        "x faster",
        f"{rate['ours']:.2f} M rows/s",
        f"{rate['peer']:.2f} M rows/s",
        note,
        {"seconds": seconds, "peer_parts": peer_parts, "score": own, "peer_score": other,
         "bytes": file_bytes(catdir), "peer_bytes": file_bytes(file)},
    )  # fmt: skip


def _as_program(stage: Stage, size: str, inputs: Inputs) -> Figure:
    """The command, started and ended: also what it takes of memory."""
    catdir = databases.create(stage.scratch / "program.catdir")
    cost = databases.add_process(catdir, inputs.listing)
    key = "addstar_peak_gb" if size == "medium" else "addstar_program"
    return Figure(
        key,
        "peak memory of the command addstar",
        size,
        cost.peak_bytes / 1e9,
        "GB",
        f"{cost.peak_bytes / 1e9:.2f} GB",
        "",
        f"the whole command took {cost.seconds:.2f} s, {cost.cpu_seconds:.2f} s of processor: "
        f"{inputs.n_rows / cost.seconds / 1e6:.2f} M rows/s",
        {"seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds},
    )
