"""``dvo query``: SQL and ADQL."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from dvo.cli.engine_option import engine_option, workers_option
from dvo.cli.output import Output, format_option, output_option
from dvo.cli.size_type import SizeType
from dvo.cli.snapshot_option import snapshot_option
from dvo.cli.spare_memory import spare_memory

__all__ = ["query"]

_CACHE_BYTES = 1 << 23
_MOST_NAMED = 10


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
@click.option(
    "--memory",
    type=SizeType(),
    default="2GB",
    show_default=True,
    help="Memory that each process may take to evaluate, and for rows that are brought together.",
)
@click.option(
    "--allow-partial",
    is_flag=True,
    help="With --engine hosts: leave out regions whose hosts are gone. The answer is what is "
    "left, with a warning and exit code 3.",
)
@click.option("--explain", is_flag=True, help="Say how it would be answered; read nothing.")
@click.option("--analyze", is_flag=True, help="Answer it, and say what each step took.")
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
    memory: int,
    allow_partial: bool,
    explain: bool,
    analyze: bool,
    snapshot: int | str | datetime | None,
    form: str | None,
    output: Path | None,
) -> None:
    """Answer one SELECT, in SQL or ADQL.

    Tables are average, measure, secfilt, object (average and the means of every filter:
    g_mag, g_mag_err, ...), image, photcode, region and the satellite tables; columns are
    those of the FITS files in lower case. Without SQL, or with -, it is read from stdin.
    EXPLAIN SELECT ... and EXPLAIN ANALYZE SELECT ... are --explain and --analyze; with -f json
    these give a tree. Ctrl-C stops a query.

    \b
    Examples:
      dvo query sky "SELECT photcode, COUNT(*) AS n FROM measure GROUP BY photcode"
      dvo query sky "SELECT TOP 5 ra, dec, g_mag FROM object ORDER BY g_mag" -f csv
      dvo query sky "SELECT ra, dec FROM average
        WHERE CONTAINS(POINT(ra, dec), CIRCLE(56.75, 24.12, 0.1)) = 1" -o stars.fits
    """
    spare_memory()
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.query.run import MISSING  # noqa: PLC0415

    if allow_partial and engine != "hosts":
        raise click.UsageError("--allow-partial is about hosts; give --engine hosts, too")
    out = Output.choose(form, output)
    text = _text(sql, script)
    options: dict[str, Any] = {
        "uploads": dict(_upload(word) for word in uploads), "engine": engine, "workers": workers,
        "timeout_s": timeout, "memory_bytes": memory, "allow_partial": allow_partial,
    }  # fmt: skip
    # What is read once need not be remembered for long.
    with dvo.open(catdir, snapshot=snapshot, cache_bytes=_CACHE_BYTES) as db:
        if explain or analyze:
            explanation = db.explain(text, analyze=analyze, **options)
            click.echo(json.dumps(explanation.tree) if out.form == "json" else str(explanation))
            return
        if out.is_piecemeal:
            about = out.write_pieces(db.sql_batches(text, **options))
        else:
            found = db.sql(text, **options)
            out.write(found)
            about = found.schema.metadata or {}
    if MISSING.encode() in about:
        _warn(json.loads(about[MISSING.encode()]))
        sys.exit(3)


def _warn(missing: list[dict[str, Any]]) -> None:
    """Say that an answer is partial, and which regions it lacks."""
    regions = [region for group in missing for region in group["regions"]]
    some = ", ".join(regions[:_MOST_NAMED]) + (", ..." if len(regions) > _MOST_NAMED else "")
    reasons = dict.fromkeys(group["reason"] for group in missing)
    click.echo(
        f"warning: this answer is partial: {len(regions)} regions are missing ({some}): "
        f"{'; '.join(reasons)}",
        err=True,
    )


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


def _upload(word: str) -> tuple[str, Path]:
    name, sign, path = word.partition("=")
    if not sign or not path:
        raise click.UsageError(f"--upload {word}: write NAME=FILE")
    return name, Path(path)
