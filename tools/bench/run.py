"""Measure speeds and sizes against peers; print a table, write bench/report.json.

Usage: python tools/bench/run.py [--size SIZE ...] [--only NAME ...] [--json]

Ours and the peer take turns in one run on the same data; what counts is the ratio, which
shifts less with the machine and its load than times do. docs/performance.md says the rest.
"""

from __future__ import annotations

import argparse
import datetime as dt
import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import association
import astrometry
import calibration
import codec
import cones
import crossmatch
import exchange
import growth
import hosting
import ingest
import merging
import programs
import scale
import scans
import sizes
import streaming
from figures import Figure, as_table
from stage import Stage
from timing import load
from workload import SIZES

__all__ = ["MEASURES", "main"]

MEASURES: dict[str, Callable[[Stage], list[Figure]]] = {
    "help": programs.measure,
    "shell": programs.measure_shell,
    "codec": codec.measure,
    "association": association.measure,
    "ingest": ingest.measure,
    "growth": growth.measure,
    "sizes": sizes.measure,
    "cones": cones.measure,
    "streaming": streaming.measure,
    "scans": scans.measure,
    "hosting": hosting.measure,
    "merging": merging.measure,
    "crossmatch": crossmatch.measure,
    "exchange": exchange.measure,
    "calibration": calibration.measure,
    "astrometry": astrometry.measure,
    "scale": scale.measure,
}
"""In the order in which they run: later ones use what earlier ones leave."""


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--size", action="append", choices=list(SIZES), help="default: small and medium"
    )
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="default: all")
    parser.add_argument("--json", action="store_true", help="print the report, not the table")
    parser.add_argument(
        "--folder", type=Path, default=Path("bench"), help="where to work and to report"
    )
    return parser.parse_args(words)


def _machine() -> dict[str, Any]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(pages / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {n: version(n) for n in ("numpy", "numba", "pyarrow", "duckdb", "scipy")},
    }


def main(words: list[str] | None = None) -> int:
    """Run the measures.

    Parameters
    ----------
    words : list of str, optional
        The command's arguments; None for those of this process.

    Returns
    -------
    int
        0; a goal that is missed is a fact to report, not a failure.
    """
    asked = _arguments(words)
    chosen = [name for name in MEASURES if not asked.only or name in asked.only]
    stage = Stage(asked.folder, [s for s in SIZES if s in (asked.size or ["small", "medium"])])
    report: dict[str, Any] = {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "sizes": stage.sizes,
        "load": {"start": load()},
        "seconds": {},
    }
    figures: list[Figure] = []
    try:
        for name in chosen:
            begin = time.perf_counter()
            print(f"{name} …", file=sys.stderr, flush=True)
            figures += MEASURES[name](stage)
            gc.collect()
            report["load"][name] = load()
            report["seconds"][name] = round(time.perf_counter() - begin, 1)
    finally:
        stage.close()
    report["load"]["end"] = load()
    report["figures"] = [f.as_dict() for f in figures]
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (asked.folder / "report.json").write_text(text + "\n")
    print(text if asked.json else as_table(figures))
    print(f"load {report['load']}; seconds {report['seconds']}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
