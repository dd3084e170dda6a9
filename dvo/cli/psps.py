"""``psps``: the public database, filled from batches."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.main import run
from dvo.cli.output import progress_line
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.psps.loading.load_folder import LoadReport

__all__ = ["main", "psps"]

_url = click.option(
    "--db", "url", required=True, metavar="URL", envvar="PSPS_DB",
    help="The public database: duckdb:///FILE, with a fourth slash for an absolute path; else "
    "that of PSPS_DB.",
)  # fmt: skip
_json = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


@click.group(cls=CommandGroup)
def psps() -> None:
    """Fill the public database (PSPS) with batches, and publish it.

    Batches, made by ipptopsps, are loaded into staging tables; merged, after checks, in one
    transaction; and published as a release. Any step can be done again: what is done already is
    passed over.

    \b
    Example:
      ipptopsps sky -o batches
      psps load --db duckdb:///public.duckdb batches
      psps merge --db duckdb:///public.duckdb
      psps publish --db duckdb:///public.duckdb DR1
    """


@psps.command(name="load")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@_url
@_json
def load_command(folder: Path, *, url: str, as_json: bool) -> None:
    """Load the batches of DIR that are not loaded yet; the database is made if it is not there.

    \b
    Example:
      psps load --db duckdb:///public.duckdb batches
    """
    from dvo.psps.batch_states import BatchState  # noqa: PLC0415 - keeps --help quick
    from dvo.psps.loading.load_folder import load_folder, note_states  # noqa: PLC0415
    from dvo.psps.loading.public_database import open_public_database  # noqa: PLC0415

    show = progress_line()

    def tell(report: LoadReport) -> None:
        show(f"{report.n_batches} of {report.n_found} batches, {report.n_rows} rows")

    with open_public_database(url, create=True) as database:
        report = load_folder(database, folder, tell)
        note_states(folder, database.batches_in("loaded"), BatchState.LOADED)
    show("")
    if as_json:
        click.echo(
            json.dumps(
                {"n_batches": report.n_batches, "n_rows": report.n_rows,
                 "n_known": report.n_known, "seconds": round(report.seconds, 3)}
            )
        )  # fmt: skip
        return
    click.echo(
        f"{counted(report.n_batches, 'batches')} loaded, {report.n_rows} rows in all tables; "
        f"{report.n_known} were loaded before; {report.seconds:.1f} s"
    )


@psps.command(name="merge")
@_url
@click.option(
    "--batches", "folder", type=click.Path(path_type=Path),
    help="Folder of the batches, to note there what has become of them.",
)  # fmt: skip
@_json
def merge_command(*, url: str, folder: Path | None, as_json: bool) -> None:
    """Check the batches that are loaded, and merge them, all or none.

    A batch takes the place of an earlier one of the same region. Nothing is merged if rows are
    missing, a number is there twice, or a row names an object that is not there.

    \b
    Example:
      psps merge --db duckdb:///public.duckdb
    """
    from dvo.psps.batch_states import BatchState  # noqa: PLC0415 - keeps --help quick
    from dvo.psps.loading.load_folder import note_states  # noqa: PLC0415
    from dvo.psps.loading.public_database import open_public_database  # noqa: PLC0415

    with open_public_database(url) as database:
        report = database.merge()
        if folder is not None:
            note_states(folder, database.batches_in("merged"), BatchState.MERGED)
    if as_json:
        click.echo(
            json.dumps(
                {"n_batches": len(report.batches), "n_superseded": len(report.superseded),
                 "n_rows": report.n_rows, "n_replaced": report.n_replaced}
            )
        )  # fmt: skip
        return
    click.echo(f"{counted(len(report.batches), 'batches')} merged")
    for table, n in report.n_rows.items():
        click.echo(f"  {table}: {n} rows in place of {report.n_replaced.get(table, 0)}")


@psps.command(name="publish")
@click.argument("name", metavar="RELEASE")
@_url
@click.option("--keep", type=click.IntRange(1), default=2, show_default=True,
              help="Releases to keep, this one counted; older ones are deleted.")  # fmt: skip
@_json
def publish_command(name: str, *, url: str, keep: int, as_json: bool) -> None:
    """Make a release of what is merged, and have the views of schema published show it.

    \b
    Example:
      psps publish --db duckdb:///public.duckdb DR1
    """
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.psps.loading.public_database import open_public_database  # noqa: PLC0415

    with open_public_database(url) as database:
        releases = database.publish(name, keep=keep)
    if as_json:
        click.echo(json.dumps([asdict(release) for release in releases]))
        return
    for release in releases:
        click.echo(f"{release.name}: {release.published}, {release.n_objects} objects")


@psps.command(name="status")
@_url
@_json
def status_command(*, url: str, as_json: bool) -> None:
    """Tell what is loaded, merged and published.

    \b
    Example:
      psps status --db duckdb:///public.duckdb
    """
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.psps.loading.public_database import open_public_database  # noqa: PLC0415

    with open_public_database(url) as database:
        states, counts, releases = database.states(), database.counts(), database.releases()
    if as_json:
        found = {"batches": states, "rows": counts, "releases": [asdict(r) for r in releases]}
        click.echo(json.dumps(found))
        return
    for kind, by_state in states.items():
        said = ", ".join(f"{n} {state}" for state, n in by_state.items())
        click.echo(f"batches {kind}: {said}")
    for table, n in counts.items():
        click.echo(f"{table}: {n} rows merged")
    for release in releases:
        click.echo(f"release {release.name}: {release.published}, {release.n_objects} objects")
    if not states:
        click.echo("no batch is loaded", err=True)
        sys.exit(0)


def main() -> None:
    """Run the command ``psps``."""
    run(psps)
