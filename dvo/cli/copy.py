"""``dvo copy``: a whole copy of a database."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from dvo.cli.output import progress_line
from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

__all__ = ["copy"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("target", metavar="NEW", type=click.Path(path_type=Path))
@click.option("--link", is_flag=True, help="Give files a second name instead of copying them.")
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="Print what was copied as JSON.")
def copy(
    catdir: Path,
    target: Path,
    *,
    link: bool,
    snapshot: int | str | datetime | None,
    as_json: bool,
) -> None:
    """Copy CATDIR to the folder NEW, while others may go on writing to it.

    Every file is compared with its digest. The copy is the same database, with its history:
    dvomerge does not take one into the other. With --snapshot it has that state, and what
    came after is only told in its log. For a database of its own see dvo extract.

    \b
    Examples:
      dvo copy sky /backup/sky
      dvo copy sky trial --link
    """
    from dvo.partition.copy import copy_database  # noqa: PLC0415 - keeps --help quick
    from dvo.partition.store import Store  # noqa: PLC0415

    show = progress_line()

    def tell(done: int, total: int) -> None:
        show(f"{done} of {total} files")

    with Store(catdir) as source:
        report = copy_database(source, target, snapshot=snapshot, link=link, progress=tell)
    show("")
    if as_json:
        click.echo(
            json.dumps(
                {
                    "n_files": report.n_files,
                    "bytes": report.n_bytes,
                    "snapshot": report.snapshot,
                    **report.counts,
                }
            )
        )
    else:
        counts = ", ".join(counted(n, name) for name, n in report.counts.items())
        click.echo(
            f"{target}: {counted(report.n_files, 'files')}, {report.n_bytes} bytes ({counts})"
        )
