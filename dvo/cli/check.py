"""``dvo check``: does a database keep its own rules?"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import click

from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

__all__ = ["check"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Read all files, not only their names and sizes.")
@click.option(
    "--rebuild", is_flag=True, help="First make the manifest anew from the records of commits."
)
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object: ok, faults, notes, counts.")
def check(
    catdir: Path,
    *,
    deep: bool,
    rebuild: bool,
    snapshot: int | str | datetime | None,
    as_json: bool,
) -> None:
    """Look for faults in the database CATDIR; exit code 1 if there are any.

    Needs no write permission, and others may go on writing. --deep compares all files with
    their digests and tables with each other. --rebuild is for a lost or damaged dvo.sqlite;
    the old one is moved aside.

    \b
    Example:
      dvo check sky --deep
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick

    from dvo.cli.output import progress_line  # noqa: PLC0415
    from dvo.partition.check import check as find_faults  # noqa: PLC0415
    from dvo.partition.rebuild import rebuild as rebuild_manifest  # noqa: PLC0415

    lines = rebuild_manifest(catdir).lines() if rebuild else []
    show = progress_line()
    report = find_faults(
        catdir,
        snapshot=snapshot,
        deep=deep,
        progress=lambda done, total: show(f"{done} of {total} regions checked"),
    )
    show("")
    report.notes[:0] = lines
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        for note in report.notes:
            click.echo(f"note: {note}")
        for fault in report.faults:
            click.echo(f"fault: {fault}")
        counts = ", ".join(counted(n, name) for name, n in report.counts.items())
        verdict = "no faults" if report.ok else counted(len(report.faults), "faults")
        click.echo(f"{catdir}: snapshot {report.snapshot}: {verdict} ({counts})")
    sys.exit(0 if report.ok else 1)
