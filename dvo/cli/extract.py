"""``dvo extract``: a part of a database, as a database of its own."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.output import progress_line
from dvo.cli.selection_options import measure_options, selection_of
from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.merge.merge import MergeReport

__all__ = ["extract"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@measure_options
@click.option("--level", type=click.IntRange(0, 5), help="Level of OUT; else that of CATDIR.")
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def extract(
    catdir: Path,
    target: Path,
    *,
    level: int | None,
    snapshot: int | str | datetime | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Make the database OUT of a part of CATDIR.

    All conditions have to hold. Objects keep all that is known of them; where only some of
    their measures come, their means are made of these. Without any condition OUT has all
    rows and no history, at another level if asked; dvo copy is quicker and keeps history.

    \b
    Examples:
      dvo extract sky pleiades --cone 56.75 24.1 7200
      dvo extract sky bright --mag g 10 16
      dvo extract sky coarse --level 3
    """
    from dvo.partition.store import Store  # noqa: PLC0415 - keeps --help quick
    from dvo.reshape.extract import extract as make  # noqa: PLC0415

    show = progress_line()

    def tell(report: MergeReport) -> None:
        show(f"{report.n_regions_done} of {report.n_regions} regions, {report.n_measures} measures")

    with Store(catdir) as source:
        selection = selection_of(source.view(snapshot), asked)
        report = make(source, target, selection, level=level, snapshot=snapshot, progress=tell)
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        click.echo(
            f"{target}: {counted(report.n_images, 'images')}, "
            f"{counted(report.n_new, 'objects')}, {counted(report.n_measures, 'measures')}; "
            f"{report.seconds:.1f} s"
        )
        if report.n_new == 0:
            click.echo(f"nothing in {catdir} meets the conditions: {target} is empty", err=True)
