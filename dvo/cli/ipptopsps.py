"""``ipptopsps``: batches of the public database."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.main import run
from dvo.cli.output import progress_line
from dvo.cli.selection_options import area_of, area_options
from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.psps.make_batches import BatchReport

__all__ = ["ipptopsps", "main"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--type", "types", multiple=True, type=click.Choice(["IN", "OB"]),
    help="IN: metadata; OB: objects, a batch for each region; repeatable, all if not given.",
)  # fmt: skip
@click.option(
    "-o", "--output", "folder", required=True, type=click.Path(path_type=Path),
    help="Folder for the batches; it remembers what has become of them.",
)  # fmt: skip
@area_options
@click.option("--survey", default="3PI", show_default=True, help="Name of the survey.")
@click.option("--survey-id", type=click.IntRange(0, 255), default=0, show_default=True,
              help="Number of the survey.")  # fmt: skip
@click.option("--description", default="", help="What the survey is, for its table.")
@click.option("--processing-version", type=click.IntRange(0, 255), default=1, show_default=True,
              help="Version of the processing, as you count.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Batches made at a time; as many as "
              "processors if not given.")  # fmt: skip
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def ipptopsps(
    catdir: Path,
    folder: Path,
    *,
    types: tuple[str, ...],
    survey: str,
    survey_id: int,
    description: str,
    processing_version: int,
    threads: int | None,
    snapshot: int | str | datetime | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Make batches of the public database (PSPS) of what CATDIR holds.

    A batch is a FITS file with tables of the public schema, and a manifest. Batches that the
    folder has, made of the same content, are passed over; regions that have changed get new
    ones, which take the place of the old when they are merged (psps load, psps merge).

    \b
    Examples:
      ipptopsps sky -o batches
      ipptopsps sky --type OB -o batches --region 150 152 1 3
      ipptopsps sky -o batches --snapshot calibrated --json
    """
    from dvo.partition.store import Store  # noqa: PLC0415 - keeps --help quick
    from dvo.psps.make_batches import BatchOptions, make_batches  # noqa: PLC0415
    from dvo.psps.schema.batches import BatchType  # noqa: PLC0415

    wanted = tuple(BatchType(t) for t in dict.fromkeys(types)) or tuple(BatchType)
    options = BatchOptions(
        wanted, area_of(asked), survey_id, survey, description, processing_version,
        threads or os.cpu_count() or 1,
    )  # fmt: skip
    show = progress_line()

    def tell(report: BatchReport) -> None:
        show(f"{report.n_batches} of {counted(report.n_wanted, 'batches')}, {report.n_rows} rows")

    with Store(catdir) as store:
        report = make_batches(store.view(snapshot), folder, options, tell)
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        click.echo(
            f"{folder}: {counted(report.n_batches, 'batches')} made, {report.n_there} there "
            f"already; {report.n_rows} rows, {report.n_bytes / 1e6:.1f} MB; {report.seconds:.1f} s"
        )
    for number, text in report.failures.items():
        click.echo(f"batch {number}: {text}", err=True)
    sys.exit(1 if report.failures else 0)


def main() -> None:
    """Run the command."""
    run(ipptopsps)
