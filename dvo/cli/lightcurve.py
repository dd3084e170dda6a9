"""``dvo lightcurve``: the measures of one object in order of time."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dvo.cli.name_list import names_in
from dvo.cli.negative_numbers import NumbersCommand
from dvo.cli.output import Output, check_folder, format_option, output_option
from dvo.cli.snapshot_option import snapshot_option
from dvo.counted import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from dvo.tables.photcode import PhotcodeTable
    from dvo.variability.period import Period

__all__ = ["lightcurve"]

_PICTURES = (".png", ".pdf", ".svg")


@click.command(cls=NumbersCommand)
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("ra", type=float)
@click.argument("dec", type=float)
@click.option(
    "--radius", type=float, default=1.0, show_default=True, help="How far it may be [arcsec]."
)
@click.option(
    "--kind",
    type=click.Choice(["psf", "ap", "kron"]),
    default="psf",
    show_default=True,
    help="Which magnitudes.",
)
@click.option("--columns", help="Columns and magnitude words of Measure, split by commas.")
@click.option("--period", "with_period", is_flag=True, help="Find its period, and give phases.")
@click.option(
    "--period-range",
    nargs=2,
    type=float,
    metavar="SHORTEST LONGEST",
    help="Periods that --period searches [d]; else from 0.1 to the whole time.",
)
@click.option("--filters", metavar="F,F,…", help="Filters that --period looks at; else all.")
@click.option(
    "--plot", type=click.Path(path_type=Path), help="Draw it to this file, too: .png, .pdf or .svg."
)
@snapshot_option
@format_option
@output_option
def lightcurve(
    catdir: Path,
    ra: float,
    dec: float,
    *,
    radius: float,
    kind: str,
    columns: str | None,
    with_period: bool,
    period_range: tuple[float, float] | None,
    filters: str | None,
    plot: Path | None,
    snapshot: int | str | datetime | None,
    form: str | None,
    output: Path | None,
) -> None:
    """List the measures of the object nearest to RA DEC (ICRS degrees), in order of time.

    Magnitudes are calibrated as far as the database is (level rel: the zero point and flat
    field of the image are taken off). Times are MJD (UTC); raw ones are the columns time and
    time_msec, and numbers of photcodes photcode.

    With --period, the period is searched by Lomb-Scargle periodograms of all filters together,
    over the measures that would be averaged; the table gets a column phase (0 is the maximum
    of the sine fitted), and --plot shows the light curve by phase.

    \b
    Examples:
      dvo lightcurve sky 31.0427 46.6879 --plot hatp32.png
      dvo lightcurve sky 31.0427 46.6879 --columns mjd,mag:rel,mag:err -f csv
      dvo lightcurve sky 23.2017 1.0299 --period --plot folded.png
    """
    import dvo  # noqa: PLC0415 - keeps `dvo --help` quick
    from dvo.errors import QueryError  # noqa: PLC0415

    out = Output.choose(form, output)
    if plot is not None:
        _check_picture(plot)
    if not with_period and (period_range is not None or filters is not None):
        raise click.UsageError("--period-range and --filters are for --period")
    names = [c.strip() for c in columns.split(",")] if columns else None
    with dvo.open(catdir, snapshot=snapshot) as db:
        found = db.lightcurve(ra, dec, radius, columns=names, kind=kind)
        if found.num_rows == 0:
            raise QueryError(
                f"no object within {radius:g} arcsec of {ra} {dec}; look further with --radius"
            )
        photcodes = db.photcodes
        usual = columns is None or not (plot or with_period)
        drawn = found if usual else db.lightcurve(ra, dec, radius, kind=kind)
        period = None
        if with_period:
            shortest, longest = period_range or (None, None)
            wanted = list(names_in(filters)) if filters else None
            period = db.period(ra, dec, radius, filters=wanted, kind=kind, shortest_d=shortest,
                               longest_d=longest)  # fmt: skip
    heading = [_object_line(found, ra, dec)]
    if period is not None:
        from dvo.database.period_plot import period_line  # noqa: PLC0415

        found = _with_phase(found, drawn, period)
        heading.append(period_line(period))
        if out.form != "table":
            click.echo(period_line(period), err=True)
    if plot is not None:
        _draw(drawn, plot, photcodes, period)
    out.write(found, heading=heading)


def _with_phase(table: pa.Table, timed: pa.Table, period: Period) -> pa.Table:
    """The table with a column of phases, and the period in its metadata."""
    import pyarrow as pa  # noqa: PLC0415 - keeps `dvo --help` quick

    about = {"description": "phase of the period, 0 at the maximum of the sine fitted"}
    phases = pa.array(period.phase(timed["mjd"].to_numpy()))
    facts = {"period_d": f"{period.period_d:.12g}", "period_error_d": f"{period.error_d:.3g}",
             "false_alarm": f"{period.false_alarm:.6g}"}  # fmt: skip
    found = table.append_column(pa.field("phase", pa.float64(), metadata=about), phases)
    known = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
    return found.replace_schema_metadata(known | facts)


def _check_picture(path: Path) -> None:
    if path.suffix.lower() not in _PICTURES:
        raise click.UsageError(f"--plot {path}: give a file that ends in {', '.join(_PICTURES)}")
    check_folder(path)


def _draw(table: pa.Table, path: Path, photcodes: PhotcodeTable, period: Period | None) -> None:
    from dvo.database.period_plot import draw_period  # noqa: PLC0415 - slow to import
    from dvo.database.plots import draw_lightcurve  # noqa: PLC0415

    if period is None:
        draw_lightcurve(table, path, _title(table), photcodes=photcodes)
    else:
        draw_period(table, period, path, _title(table), photcodes=photcodes)
    click.echo(f"wrote {path}", err=True)


def _title(table: pa.Table) -> str:
    fact = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    place = f"RA {float(fact['obj_ra']):.6f}, Dec {float(fact['obj_dec']):+.6f}"
    return f"object {fact['cat_id']}.{fact['obj_id']} at {place}"


def _object_line(table: pa.Table, ra: float, dec: float) -> str:
    """Say which object it is: the nearest one need not be the one that was meant."""
    fact = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    return (
        f"object {fact['cat_id']}.{fact['obj_id']} (ext_id {fact['ext_id']}) at "
        f"{float(fact['obj_ra']):.8f} {float(fact['obj_dec']):+.8f}, "
        f"{float(fact['distance']):.3f} arcsec from {ra} {dec}; "
        f"{counted(table.num_rows, 'measures')}"
    )
