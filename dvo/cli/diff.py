"""``dvo diff``: what changed from one snapshot to another."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.output import Output, format_option, output_option, progress_line
from dvo.cli.snapshot_option import SNAPSHOT

if TYPE_CHECKING:
    from dvo.partition.history import SnapshotDiff

__all__ = ["diff"]

_MOST_REGIONS = 20
_MOST_COLUMNS = 8
_CACHE_BYTES = 2**28


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("old", type=SNAPSHOT)
@click.argument("new", type=SNAPSHOT, default="newest")
@click.option("--table", "tables", multiple=True, help="Only this table; repeatable.")
@click.option(
    "--region", "regions", multiple=True, help="Only this region and those in it; repeatable."
)
@click.option("--all", "show_all", is_flag=True, help="Print all regions, not only the first.")
@click.option("--rows", is_flag=True, help="Print or write the rows of one --table that differ.")
@click.option("--columns", help="Columns of --rows, split by commas; all if not given.")
@format_option
@output_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object: old, new, tables, regions.")
def diff(
    catdir: Path,
    old: int | str | datetime,
    new: int | str | datetime,
    *,
    tables: tuple[str, ...],
    regions: tuple[str, ...],
    show_all: bool,
    rows: bool,
    columns: str | None,
    form: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Count the rows of CATDIR that were added, have changed or are gone from OLD to NEW.

    OLD and NEW are numbers or tags of snapshots (see: dvo log), or times, UTC; NEW is the
    newest if not given. Rows are known by their ids, so sorting or splitting catalogs
    changes nothing; a row has changed if any value does that is not a mere link (ave_ref
    and the like). With --rows one that has changed is there twice, before and after.

    \b
    Examples:
      dvo diff sky dr1
      dvo diff sky 12 15 --table Average --region n0000/0001
      dvo diff sky dr1 dr2 --table Measure --rows --columns mag,m_cal -o changed.parquet
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick

    import dvo  # noqa: PLC0415
    from dvo.partition.history import diff as compare  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if rows and (len(tables) != 1 or as_json):
        raise click.UsageError("--rows is about one table, and has no --json: --table NAME -f json")
    if not rows and (columns is not None or form is not None or output is not None):
        raise click.UsageError("--columns, -f and -o are for --rows")
    if rows:
        out = Output.choose(form, output)
        names = [c.strip() for c in columns.split(",") if c.strip()] if columns else None
        with dvo.open(catdir, snapshot=new, cache_bytes=_CACHE_BYTES) as db:
            out.write(db.diff_rows(old, table=tables[0], columns=names, regions=regions or None))
        return
    from dvo.database.changes import table_name  # noqa: PLC0415

    show = progress_line()
    with Store(catdir, cache_bytes=_CACHE_BYTES) as store:
        report = compare(
            store,
            old,
            new,
            tables=[table_name(name) for name in tables] or None,
            regions=regions or None,
            progress=lambda done, total: show(f"{done} of {total} regions compared"),
        )
    show("")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        for line in _lines(report, show_all=show_all):
            click.echo(line)


def _lines(report: SnapshotDiff, *, show_all: bool) -> list[str]:
    """The report for people: the whole first, then columns, then regions."""
    old, new = report.old, report.new
    more = ", ".join(f"{n:+d} {name}" for name, n in report.counts.items())
    lines = [f"from snapshot {old.id} ({old.time[:19]}) to {new.id} ({new.time[:19]}): {more}"]
    if not report.tables:
        return [*lines, "no row differs"]
    head = ["table", "added", "changed", "gone", "regions"]
    lines += ["", *_aligned([head, *(
        [t.table, *map(str, t.totals.values()), str(int((t.regions >= 0).sum()) or "-")]
        for t in report.tables
    )])]  # fmt: skip
    changed = [t for t in report.tables if t.columns]
    if changed:
        lines += ["", "changed columns, and in how many rows"]
    for t in changed:
        some = list(t.columns.items())[: None if show_all else _MOST_COLUMNS]
        rest = len(t.columns) - len(some)
        words = ", ".join(f"{name} {n}" for name, n in some)
        lines.append(f"  {t.table}: {words}" + (f", and {rest} more (see --all)" if rest else ""))
    return [*lines, *_region_lines(report, show_all=show_all)]


def _region_lines(report: SnapshotDiff, *, show_all: bool) -> list[str]:
    """Regions, those with the most rows that differ first unless all are shown."""
    rows = [
        (region["region"], region["table"], region["added"], region["changed"], region["gone"])
        for region in report.as_dict()["regions"]
        if region["region"] is not None
    ]
    if not rows:
        return []
    shown = rows
    if not show_all:
        shown = sorted(rows, key=lambda row: -(row[2] + row[3] + row[4]))[:_MOST_REGIONS]
    head = ["region", "table", "added", "changed", "gone"]
    lines = ["", *_aligned([head, *([str(value) for value in row] for row in shown)], 2)]
    rest = len(rows) - len(shown)
    return [*lines, f"and {rest} more lines; see --all or --json"] if rest else lines


def _aligned(rows: list[list[str]], n_words: int = 1) -> list[str]:
    """Rows of cells in columns: words to the left, numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if k < n_words else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
