"""``dvo repair``: what is wrong with a database mended, where it can be derived."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from dvo.cli.output import progress_line

__all__ = ["repair"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be mended; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def repair(catdir: Path, *, dry_run: bool, as_json: bool) -> None:
    """Mend what dvo check --deep finds wrong with CATDIR, where it can be derived.

    The manifest is made anew from the records of commits; links, counts and means from the
    measures. Measures are never made up: what is lost is named, with what to do, and the exit
    code is 1. Each repair is a commit; dvo rollback takes it back.

    \b
    Examples:
      dvo repair sky --dry-run
      dvo repair sky
    """
    from dvo.reshape.repair import repair as mend  # noqa: PLC0415 - keeps --help quick

    show = progress_line()

    def tell(done: int, total: int) -> None:
        show(f"{done} of {total} regions")

    report = mend(catdir, dry_run=dry_run, progress=tell)
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict() | {"dry_run": dry_run}))
    else:
        for note in report.notes:
            click.echo(f"note: {note}")
        for kind, n in report.mended.items():
            click.echo(f"{'would be mended' if dry_run else 'mended'}: {kind}, {n}")
        for fault in report.left:
            click.echo(f"left: {fault}")
        if not report.found and not report.notes:
            click.echo(f"{catdir}: no faults; nothing to do")
        else:
            verdict = f"{len(report.left)} faults are left" if report.left else "no faults are left"
            click.echo(f"{catdir}: {verdict}")
    sys.exit(1 if report.left else 0)
