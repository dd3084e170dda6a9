"""``dvo query``: SQL and ADQL."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from dvo.cli.engine_option import engine_option, workers_option
from dvo.cli.output import Output, format_option, output_option
from dvo.cli.snapshot_option import snapshot_option

__all__ = ["query"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("sql", required=False)
@click.option(
    "--file", "-i", "script", type=click.Path(path_type=Path), help="Read the query from a file."
)
@click.option(
    "--upload",
    "uploads",
    multiple=True,
    metavar="NAME=FILE",
    help="A table (FITS, VOTable, CSV, Parquet) that the query calls upload.NAME; repeatable.",
)
@engine_option
@workers_option
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Time limit [s].")
@click.option("--explain", is_flag=True, help="Say how it would be answered; read nothing.")
@snapshot_option
@format_option
@output_option
def query(
    catdir: Path,
    sql: str | None,
    *,
    script: Path | None,
    uploads: tuple[str, ...],
    engine: str,
    workers: int | None,
    timeout: float | None,
    explain: bool,
    snapshot: int | str | datetime | None,
    form: str | None,
    output: Path | None,
) -> None:
    """Answer one SELECT, in SQL or ADQL.

    Tables are average, measure, secfilt, object (average and the means of every filter:
    g_mag, g_mag_err, ...), image, photcode, region and the satellite tables; columns are
    those of the FITS files in lower case. Without SQL, or with -, it is read from stdin.

    \b
    Examples:
      dvo query sky "SELECT photcode, COUNT(*) AS n FROM measure GROUP BY photcode"
      dvo query sky "SELECT TOP 5 ra, dec, g_mag FROM object ORDER BY g_mag" -f csv
      dvo query sky "SELECT ra, dec FROM average
        WHERE CONTAINS(POINT(ra, dec), CIRCLE(56.75, 24.12, 0.1)) = 1" -o stars.fits
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick

    out = Output.choose(form, output)
    text = _text(sql, script)
    tables = dict(_upload(word) for word in uploads)
    with dvo.open(catdir, snapshot=snapshot) as db:
        if explain:
            from dvo.query.explain import explain_plan  # noqa: PLC0415

            click.echo(explain_plan(db.view, db.plan(text, uploads=tables)))
            return
        found = db.sql(text, uploads=tables, engine=engine, workers=workers, timeout_s=timeout)
    out.write(found)


def _text(sql: str | None, script: Path | None) -> str:
    if script is not None:
        if sql is not None:
            raise click.UsageError("give the query itself or --file, not both")
        try:
            return script.read_text("utf-8")
        except OSError as err:
            raise click.UsageError(f"--file {script}: cannot be read ({err.strerror})") from err
        except UnicodeDecodeError as err:
            raise click.UsageError(f"--file {script}: is no text in UTF-8; write it anew") from err
    return sys.stdin.read() if sql in (None, "-") else str(sql)


def _upload(word: str) -> tuple[str, Any]:
    from dvo.database.given_table import table_of  # noqa: PLC0415
    from dvo.ingest.table_files import read_chosen  # noqa: PLC0415

    name, sign, path = word.partition("=")
    if not sign or not path:
        raise click.UsageError(f"--upload {word}: write NAME=FILE")
    raw = read_chosen(path, lambda present: present)
    return name, table_of(raw.columns, raw.units)
