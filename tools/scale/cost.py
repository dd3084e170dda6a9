"""Estimate what a large survey takes on N hosts, from rates that `make bench` has measured.

Usage: python tools/scale/cost.py [--report bench/report.json] [--hosts 1 16 64] [--png FILE]

The rates are those of one machine with a database of 10 million measures at most; that they hold
for 70 TB is an assumption (docs/scale.md says what speaks for it). What is in no report is taken
from the figures of docs/performance.md, and the table says so.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["OPERATIONS", "Cluster", "Estimate", "Rates", "estimate", "read_rates"]

_NUMBER = re.compile(r"([0-9.]+) (M rows/s|M measures/s|MB/s)")
_DAY = 86400.0


@dataclass(frozen=True)
class Rates:
    """What one machine does.

    Parameters
    ----------
    cores : int
        Processors that the figures were measured with; all of them are counted as used.
    ingest, merge, compaction, check, scan : float
        Measures a second of addstar, dvomerge, dvo resort, dvo check --deep, and of a query that
        reads 4 columns from the disk [1/s].
    bytes_per_row : float
        Compressed bytes of a measure with its share of Average and SecFilt, as measured.
    columns : int
        Columns of Measure that the rows of the bench have.
    stream : float
        Bytes a second of a result that one client gets from one host over loopback [B/s].
    files_per_s : float
        Files a second that commits put into the manifest [1/s].
    plan_s : float
        To plan a query of the full sky and choose hosts for all its groups [s].
    unmeasured : tuple of str
        Which of these are in no report that was given.
    """

    cores: int = 2
    ingest: float = 1.12e6
    merge: float = 0.5e6
    compaction: float = 0.69e6
    check: float = 1.58e6
    scan: float = 20e6
    bytes_per_row: float = 33.0
    columns: int = 12
    stream: float = 103e6
    files_per_s: float = 23e3
    plan_s: float = 0.3
    unmeasured: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """The machines, and the survey.

    Parameters
    ----------
    n_hosts, cores : int
        Hosts, and processors of each.
    disk, network : float
        Bytes a second that the disks of a host, and its network, give [B/s].
    n_bytes : float
        The survey, compressed.
    n_catalogs, n_tables : int
        Catalogs, and tables of each.
    """

    n_hosts: int = 64
    cores: int = 16
    disk: float = 500e6
    network: float = 1.1e9
    n_bytes: float = 70e12
    n_catalogs: int = 151_984
    n_tables: int = 8


@dataclass(frozen=True)
class Estimate:
    """How long one operation takes.

    Parameters
    ----------
    name : str
        The operation.
    seconds : float
        From begin to end [s].
    limit : str
        What it waits for: processors, disks, network, or the one that commits or collects.
    shares : dict of str to float
        Seconds of each of these alone [s].
    """

    name: str
    seconds: float
    limit: str
    shares: dict[str, float]


_FIGURES = {
    "ingest": "addstar",
    "merge": "merge_rate",
    "compaction": "compaction",
    "check": "check_deep",
    "scan": "scan_all_cold_duckdb",
    "stream": "host_stream",
}


def read_rates(report: Mapping[str, Any]) -> Rates:
    """Take rates from a report of ``make bench``.

    Parameters
    ----------
    report : mapping
        What ``bench/report.json`` holds; any part of it may be missing.

    Returns
    -------
    Rates
        Those of the largest size that was measured; the rest are those of the documentation.
    """
    figures = {f["key"]: f for f in report.get("figures", ())}  # later sizes come later
    found: dict[str, Any] = {}
    for name, key in _FIGURES.items():
        text = _NUMBER.search(figures.get(key, {}).get("ours", ""))
        if text:
            found[name] = float(text.group(1)) * 1e6
    details = figures.get("scale_manifest", {}).get("details", {})
    if "commits_s" in details:
        found["files_per_s"] = details["files"] / details["commits_s"]
    if "scale_full_sky" in figures and "scale_route" in figures:
        parts = (figures["scale_full_sky"]["value"], figures["scale_route"]["value"])
        found["plan_s"] = sum(parts) / 1e3
    lacking = tuple(n for n in (*_FIGURES, "files_per_s", "plan_s") if n not in found)
    cores = report.get("machine", {}).get("cores", Rates.cores)
    return replace(Rates(), cores=cores, unmeasured=lacking, **found)


OPERATIONS = {
    "ingest everything": ("ingest", 1.0, 1.0, 1.0),
    "merge everything": ("merge", 2.0, 1.0, 1.0),
    "compact everything": ("compaction", 2.0, 0.0, 1.0),
    "check --deep": ("check", 1.0, 0.0, 0.0),
    "query, 4 columns of all rows": ("scan", None, 0.0, 0.0),
}
"""Rate; bytes that go over disks and network, as parts of the survey; files that are committed."""


def estimate(name: str, rates: Rates, cluster: Cluster) -> Estimate:
    """Estimate one operation.

    Parameters
    ----------
    name : str
        A key of `OPERATIONS`.
    rates : Rates
        What was measured.
    cluster : Cluster
        What it is to run on.

    Returns
    -------
    Estimate
        The slowest of processors, disks and network, which work side by side, and after them
        what one process does alone.
    """
    which, disk, network, files = OPERATIONS[name]
    # Rows are as wide as bytes say: what counts is how many bytes a processor gets through.
    rows = cluster.n_bytes / rates.bytes_per_row
    if disk is None:
        disk = 4 / rates.columns
    shares = {
        "processors": rows / (getattr(rates, which) / rates.cores * cluster.cores)
        / cluster.n_hosts,
        "disks": cluster.n_bytes * disk / cluster.disk / cluster.n_hosts,
        "network": cluster.n_bytes * network / cluster.network / cluster.n_hosts,
    }  # fmt: skip
    limit = max(shares, key=lambda share: shares[share])
    alone = cluster.n_catalogs * cluster.n_tables * files / rates.files_per_s
    if which == "scan":
        alone = rates.plan_s
    shares["one process"] = alone
    seconds = shares[limit] + alone
    return Estimate(name, seconds, "one process" if alone > shares[limit] else limit, shares)


def as_time(seconds: float) -> str:
    """Write a time as people say it."""
    for unit, length in (("d", _DAY), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _table(rates: Rates, cluster: Cluster, hosts: Sequence[int]) -> str:
    survey = (
        f"{cluster.n_bytes / 1e12:.0f} TB, {cluster.n_catalogs:,} catalogs of {cluster.n_tables} "
        f"tables; hosts of {cluster.cores} processors, {cluster.disk / 1e6:.0f} MB/s of disks, "
        f"{cluster.network / 1e6:.0f} MB/s of network"
    )
    lines = [
        survey,
        "",
        "| operation | " + " | ".join(f"{n} hosts" if n > 1 else "1 host" for n in hosts) + " |",
        "|---|" + "---|" * len(hosts),
    ]
    for name in OPERATIONS:
        found = [estimate(name, rates, replace(cluster, n_hosts=n)) for n in hosts]
        cells = " | ".join(f"{as_time(e.seconds)} ({e.limit})" for e in found)
        lines.append(f"| {name} | {cells} |")
    gigabyte = as_time(1e9 / min(rates.stream, cluster.network))
    lines += ["", f"a result of 1 GB at one client: {gigabyte}"]
    if rates.unmeasured:
        lines.append(f"not in the report, assumed: {', '.join(rates.unmeasured)}")
    return "\n".join(lines)


def _draw(path: Path, rates: Rates, cluster: Cluster) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    hosts = [2**k for k in range(11)]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for name in OPERATIONS:
        found = [estimate(name, rates, replace(cluster, n_hosts=n)) for n in hosts]
        axes.loglog(hosts, [e.seconds for e in found], "o-", ms=3, label=name, base=10)
    for text, seconds in (("a minute", 60.0), ("an hour", 3600.0), ("a day", _DAY),
                          ("a month", 30 * _DAY)):  # fmt: skip
        axes.axhline(seconds, color="0.85", lw=1, zorder=0)
        axes.text(hosts[-1], seconds, text, ha="right", va="bottom", color="0.5", fontsize=8)
    axes.set_xticks(hosts, [str(n) for n in hosts])
    axes.minorticks_off()
    title = f"{cluster.n_bytes / 1e12:.0f} TB, estimated from the rates of one machine"
    axes.set(xlabel=f"hosts of {cluster.cores} processors", ylabel="seconds", title=title)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    plain = Cluster()
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0],
        epilog="example: python tools/scale/cost.py --hosts 16 64 --cores 32 --png cost.png",
    )
    parser.add_argument("--report", type=Path, default=Path("bench/report.json"),
                        help="of make bench; without one the rates of the docs")  # fmt: skip
    parser.add_argument("--hosts", type=int, nargs="+", default=[1, 16, 64, 256])
    parser.add_argument("--cores", type=int, default=plain.cores, help="of a host (%(default)s)")
    parser.add_argument("--disk", type=float, default=plain.disk / 1e6,
                        help="MB/s of the disks of a host (%(default)s)")  # fmt: skip
    parser.add_argument("--network", type=float, default=plain.network / 1e6,
                        help="MB/s of the network of a host (%(default)s)")  # fmt: skip
    parser.add_argument("--terabytes", type=float, default=plain.n_bytes / 1e12,
                        help="of the survey, compressed (%(default)s)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print numbers, not a table")
    parser.add_argument("--png", type=Path, help="draw times over numbers of hosts")
    asked = parser.parse_args(words)
    numbers = [*asked.hosts, asked.cores, asked.disk, asked.network, asked.terabytes]
    if min(numbers) <= 0:
        parser.error("hosts, processors, rates and sizes are greater than 0")
    return asked


def main(words: Sequence[str] | None = None) -> int:
    """Print the estimate that the arguments ask for.

    Parameters
    ----------
    words : sequence of str, optional
        The command's arguments; None for those of this process.

    Returns
    -------
    int
        0; 1 if the report cannot be read.
    """
    asked = _arguments(words)
    try:
        report = json.loads(asked.report.read_text())
    except FileNotFoundError:
        report = {}
    except (OSError, ValueError) as err:
        print(f"{asked.report}: cannot be read ({err})", file=sys.stderr)
        return 1
    rates = read_rates(report)
    cluster = Cluster(
        cores=asked.cores, disk=asked.disk * 1e6, network=asked.network * 1e6,
        n_bytes=asked.terabytes * 1e12,
    )  # fmt: skip
    if asked.json:
        found = {
            name: {
                n: estimate(name, rates, replace(cluster, n_hosts=n)).shares for n in asked.hosts
            }
            for name in OPERATIONS
        }
        print(json.dumps({"unmeasured": rates.unmeasured, "seconds": found}, indent=1))
    else:
        print(_table(rates, cluster, asked.hosts))
    if asked.png:
        _draw(asked.png, rates, cluster)
    return 0


if __name__ == "__main__":
    sys.exit(main())
