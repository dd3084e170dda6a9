"""``dvomerge``: take databases into another."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.engine_option import engine_option, open_writing_engine, workers_option
from dvo.cli.main import run
from dvo.cli.output import progress_line
from dvo.cli.snapshot_option import SNAPSHOT
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.merge.merge import MergeReport

__all__ = ["dvomerge", "main"]


@click.command()
@click.argument("catdir", metavar="DST", type=click.Path(path_type=Path))
@click.argument("sources", metavar="SRC…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--radius", type=float, default=1.0, show_default=True, metavar="ARCSEC", help="Match radius."
)
@click.option(
    "--region",
    nargs=4,
    type=float,
    metavar="RA0 RA1 DEC0 DEC1",
    help="Only regions of the sources that touch this box [deg]; the rest can follow.",
)
@click.option(
    "--snapshot",
    type=SNAPSHOT,
    metavar="N|TAG|TIME",
    help="State of the sources: a number, a tag, or a time, UTC. [newest]",
)
@click.option("--continue", "go_on", is_flag=True, help="Only finish merges that were cut short.")
@click.option("--dry-run", is_flag=True, help="Say what would come; change nothing.")
@click.option("--verify", is_flag=True, help="Check the whole database in the end.")
@click.option(
    "--batch-rows",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="Measures after which is committed.",
)
@engine_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def dvomerge(
    catdir: Path,
    sources: tuple[Path, ...],
    *,
    radius: float,
    region: tuple[float, float, float, float] | None,
    snapshot: int | str | datetime | None,
    go_on: bool,
    dry_run: bool,
    verify: bool,
    batch_rows: int,
    engine: str,
    workers: int | None,
    as_json: bool,
) -> None:
    """Take the databases SRC… into the database DST.

    Objects within the match radius become one, nearest first, each at most once; others
    are new. Images, photcodes and ids are translated; the sources are only read, and may
    have another level. What DST has already is passed over: merging again does nothing, and
    merging a source that has grown adds what is new. A merge that was cut short goes on
    when it is run again. `dvo rollback` undoes it.

    With --engine hosts the partition hosts read the rows of SRC… and write those of the regions
    of DST that they have: SRC… must be on a disk that they share, under the same path. What
    comes, and the commits, are the same in any case.

    \b
    Examples:
      dvomerge sky night1 night2
      dvomerge sky wise --radius 3
      dvomerge sky night3 --dry-run
      dvomerge sky night4 --engine hosts
    """
    from dvo.errors import ConfigError  # noqa: PLC0415 - keeps --help quick
    from dvo.ingest.admission import PLANE  # noqa: PLC0415
    from dvo.merge.merge import MergeOptions, merge  # noqa: PLC0415
    from dvo.merge.progress import find_progress  # noqa: PLC0415
    from dvo.partition.bounds import Box  # noqa: PLC0415
    from dvo.partition.check import check  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if dry_run and engine != "inline":
        raise click.UsageError("--dry-run changes nothing, so that --engine has nothing to write")
    box = Box(*region) if region else None
    show = progress_line()
    reports: list[MergeReport] = []
    n_all: list[int] = []  # images of each source
    with (
        Store(catdir, writable=not dry_run, command="dvomerge") as store,
        open_writing_engine(engine, store, workers) as opened,
    ):
        for path in sources:
            with Store(path) as source:
                if go_on:
                    state = find_progress(store.manifest.log(), source.db_id)
                    if state is None or state.finished:
                        raise ConfigError(f"{path}: no merge of it into {catdir} was cut short")
                view = source.view(snapshot)
                picked = tuple(view.regions(box)) if box is not None else None
                options = MergeOptions(
                    radius,
                    batch_rows=batch_rows,
                    regions=picked,
                    dry_run=dry_run,
                    snapshot=snapshot,
                )

                def tell(report: MergeReport, path: Path = path) -> None:
                    show(f"{path}: {_words(report, 0)}")

                rows = source.manifest.images(view.snapshot.id)
                chips = [r for r in rows if r.image_id > 0 and not r.identity.startswith(PLANE)]
                n_all.append(len(chips))
                reports.append(merge(store, source, options, engine=opened, progress=tell))
        show("")
        found = check(store, deep=True) if verify else None
    if as_json:
        click.echo(json.dumps(_sum(reports)))
    else:
        for path, report, n in zip(sources, reports, n_all, strict=True):
            would = "would come: " if dry_run else ""
            click.echo(f"{path}: {would}{_words(report, n)}")
            for note in report.notes:
                click.echo(f"note: {note}")
    if found is not None:
        for fault in found.faults:
            click.echo(f"fault: {fault}", err=True)
        verdict = "no faults" if found.ok else counted(len(found.faults), "faults")
        click.echo(f"{catdir}: checked, {verdict}", err=as_json)
        if not found.ok:
            raise click.exceptions.Exit(1)


def _sum(reports: list[MergeReport]) -> dict[str, Any]:
    """The reports of all sources as one."""
    each = [report.as_dict() for report in reports]
    total: dict[str, Any] = {
        key: sum(r[key] for r in each) for key in each[0] if key not in ("finished", "notes")
    }
    total["finished"] = all(r["finished"] for r in each)
    total["notes"] = [note for r in each for note in r["notes"]]
    return total


def _words(report: MergeReport, n_images: int) -> str:
    """What a merge did of a source with so many images."""
    # What the report counts as skipped are reference catalogs, too.
    n_known = max(0, n_images - report.n_images) if report.skipped else 0
    if report.finished and not report.n_measures:
        return f"nothing new; {n_known} images are in already" if n_known else "nothing new"
    skipped = f", {n_known} skipped, being in already" if n_known else ""
    state = (
        ""
        if report.finished
        else (f"; not finished: {report.n_regions_done} of {report.n_regions} regions done")
    )
    return (
        f"{counted(report.n_images, 'images')}{skipped}; {counted(report.n_measures, 'measures')}; "
        f"{counted(report.n_matched, 'objects')} known, {report.n_new} new; "
        f"{report.seconds:.1f} s{state}"
    )


def main() -> None:
    """Entry point of ``dvomerge``."""
    run(dvomerge)
