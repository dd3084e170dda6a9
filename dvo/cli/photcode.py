"""``dvo photcode``: the photometric systems of a database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.engine_option import report_option
from dvo.cli.moment import seconds_of, time_option
from dvo.cli.snapshot_option import snapshot_option
from dvo.cli.without_scipy import allow_scipy
from dvo.counted import counted

__all__ = ["photcode"]

_catdir = click.argument("catdir", type=click.Path(path_type=Path))


@click.group(cls=CommandGroup)
def photcode() -> None:
    """List, add, set, import and export photcodes.

    A photcode names a photometric system: SEC an average filter, DEP a detector and
    filter with image metadata, REF the values of an outside catalog.

    \b
    Example:
      dvo photcode add sky GPC1.g.XY01 --class dep --filter g --zero 24.56 --airmass 0.147
    """


@photcode.command(name="list")
@_catdir
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a photcode.")
def list_command(catdir: Path, *, snapshot: int | str | datetime | None, as_json: bool) -> None:
    """List the photcodes of CATDIR in the text form of the original.

    \b
    Example:
      dvo photcode list sky
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.ingest.photcode_text import format_photcodes  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    with Store(catdir) as store:
        table = store.view(snapshot).photcodes
    if as_json:
        for entry in table:
            click.echo(json.dumps(asdict(entry) | {"kind": entry.kind.name}))
    else:
        click.echo(format_photcodes(table), nl=False)


@photcode.command(name="export")
@_catdir
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@snapshot_option
def export_command(
    catdir: Path, file: Path, *, overwrite: bool, snapshot: int | str | datetime | None
) -> None:
    """Write the photcodes of CATDIR to FILE, in the text form of the original.

    \b
    Example:
      dvo photcode export sky photcodes.txt
    """
    from dvo.errors import StorageError  # noqa: PLC0415
    from dvo.ingest.photcode_text import write_photcodes  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    if file.is_file() and not overwrite:
        raise StorageError(f"{file}: exists already; say --overwrite to replace it")
    with Store(catdir) as store:
        table = store.view(snapshot).photcodes
    write_photcodes(table, file)
    click.echo(f"wrote {file}, {counted(len(table), 'photcodes')}", err=True)


@photcode.command(name="import")
@_catdir
@click.argument("file", type=click.Path(path_type=Path))
def import_command(catdir: Path, file: Path) -> None:
    """Add the photcodes of FILE (text form of the original) to CATDIR.

    Photcodes that are there with the same parameters are left; a name with other
    parameters is an error.

    \b
    Example:
      dvo photcode import sky photcodes.txt
    """
    from dvo.ingest.photcode_text import read_photcodes  # noqa: PLC0415
    from dvo.ingest.photcodes import import_photcodes  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    table = read_photcodes(file)
    with Store(catdir, writable=True, command="dvo photcode import") as store:
        added = import_photcodes(store, table, source=str(file))
    click.echo(f"{counted(added, 'photcodes')} added, {len(table) - added} were there")


@photcode.command(name="add")
@_catdir
@click.argument("name")
@click.option(
    "--class",
    "kind",
    type=click.Choice(["dep", "ref", "alt"]),
    required=True,
    help="dep: detector and filter; ref: outside catalog; alt: other transformation of a SEC.",
)
@click.option("--filter", "sec", help="Average filter that it belongs to.")
@click.option("--zero", type=float, default=0.0, help="Nominal zero point [mag].")
@click.option(
    "--airmass", type=float, default=0.0, help="Extinction in one airmass [mag], positive."
)
@click.option(
    "--code", type=click.IntRange(1, 65535), help="Number; the next free one if not given."
)
def add_command(
    catdir: Path,
    name: str,
    *,
    kind: str,
    sec: str | None,
    zero: float,
    airmass: float,
    code: int | None,
) -> None:
    """Add the photcode NAME to CATDIR.

    \b
    Example:
      dvo photcode add sky GPC1.g.XY01 --class dep --filter g --zero 24.56 --airmass 0.147
      dvo photcode add sky GAIA.G --class ref
    """
    from dvo.ingest.photcodes import add_photcode  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415
    from dvo.tables.photcode import PhotClass  # noqa: PLC0415

    if kind in ("dep", "alt") and sec is None:
        raise click.UsageError(f"a {kind} photcode needs --filter, its average filter")
    with Store(catdir, writable=True, command="dvo photcode add") as store:
        photcode, is_new = add_photcode(
            store, name, PhotClass[kind.upper()], filter_name=sec, code=code,
            zero_point=zero, airmass_slope=airmass,
        )  # fmt: skip
    there = "" if is_new else " is in the database already, just so"
    click.echo(f"photcode {photcode.code} {name}{there}")


@photcode.command(name="set")
@_catdir
@click.argument("name")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def set_command(catdir: Path, name: str, changes: tuple[str, ...], *, as_json: bool) -> None:
    """Give the photcode NAME of CATDIR other parameters, in one commit.

    Keys are the words of the text form (see dvo photcode list): name, zero, airmass, offset,
    c1, c2, slope, color, filter, astromSys, and so on; as in that form, airmass is negative.
    Magnitudes are calibrated when they are read. Stored means that rest on the zero point,
    airmass term, filter or error model are made anew of the measures.

    \b
    Examples:
      dvo photcode set sky GPC1.g.XY01 zero=24.58 airmass=-0.15
      dvo photcode set sky SIMCAM.g.XY00 name=SIMCAM.g.XY90
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.partition.store import Store  # noqa: PLC0415
    from dvo.reshape.photcodes import set_photcode  # noqa: PLC0415

    pairs = [change.partition("=") for change in changes]
    if any(not (key and equals and value) for key, equals, value in pairs):
        raise click.UsageError("write changes as KEY=VALUE, such as zero=24.58")
    with Store(catdir, writable=True, command="dvo photcode set") as store:
        done = set_photcode(store, name, {key: value for key, _, value in pairs})
    if as_json:
        entry = asdict(done.photcode) | {"kind": done.photcode.kind.name}
        facts = {"changed": done.is_new, "n_objects": done.n_objects, "snapshot": done.snapshot}
        click.echo(json.dumps({"photcode": entry, **facts}))
    elif done.is_new:
        means = (
            f"; means of {counted(done.n_objects, 'objects')} made anew" if done.n_objects else ""
        )
        click.echo(f"photcode {done.photcode.code} {done.photcode.name} is set{means}")
    else:
        click.echo(f"photcode {done.photcode.code} {name} is just so already")


@photcode.command(name="fit")
@_catdir
@click.argument("name", metavar="FROM")
@click.argument("reference", metavar="TO")
@click.option("--color", "colour", required=True, metavar="C1-C2", help="Colour, such as g-r.")
@click.option(
    "--order", type=click.IntRange(1, 4), default=1, show_default=True, help="Colour terms."
)
@click.option(
    "--color-offset", "offset", type=float, metavar="MAG",
    help="Colour at which the terms vanish; the median of the stars if not given.",
)  # fmt: skip
@click.option("--mag", nargs=2, type=float, metavar="BRIGHT FAINT", help="Mean magnitudes.")
@click.option("--colors", nargs=2, type=float, metavar="BLUE RED", help="Colours that count.")
@click.option(
    "--most-error", type=click.FloatRange(0, min_open=True), default=0.05, show_default=True,
    metavar="MAG", help="Greatest error of what is compared.",
)  # fmt: skip
@click.option(
    "--region", nargs=4, type=float, metavar="RA0 RA1 DEC0 DEC1", help="Objects in a box [deg]."
)
@time_option("Measures")
@click.option("--apply", "apply_them", is_flag=True, help="Write the terms into the photcode.")
@report_option
@click.option("--json", "as_json", is_flag=True, help="Print the fit as JSON.")
def fit_command(
    catdir: Path,
    name: str,
    reference: str,
    *,
    colour: str,
    order: int,
    offset: float | None,
    mag: tuple[float, float] | None,
    colors: tuple[float, float] | None,
    most_error: float,
    region: tuple[float, float, float, float] | None,
    times: tuple[float, float] | None,
    apply_them: bool,
    report: Path | None,
    as_json: bool,
) -> None:
    """Fit the colour terms that bring magnitudes of FROM to the system of TO.

    FROM is a detector and filter (DEP) and TO its average filter, or FROM an average filter and
    TO a reference (REF). The difference of magnitudes is sum X_i (colour - dX)^i and a constant,
    fitted robustly. With --apply the photcode FROM of CATDIR gets X_i, dX and the colour, in one
    commit; the constant is a matter of zero points, and is only printed.

    \b
    Examples:
      dvo photcode fit sky GPC1.g.XY01 g --color g-r
      dvo photcode fit sky g SDSS.g --color g-r --order 2 --apply
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick
    import math  # noqa: PLC0415

    allow_scipy()  # reports have sparse matrices of images
    from dvo.calib.photometry.colour_terms import (  # noqa: PLC0415
        ColourFitOptions,
        fit_colour_terms,
    )
    from dvo.cli.output import progress_line  # noqa: PLC0415
    from dvo.partition.bounds import Box  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    every = (-math.inf, math.inf)
    options = ColourFitOptions(
        colour, order, offset, most_error, mag or every, colors or every,
        Box(*region) if region else None, seconds_of(times), apply_them, report,
    )  # fmt: skip
    show = progress_line()
    with Store(catdir, writable=apply_them, command="dvo photcode fit") as store:
        found = fit_colour_terms(store, name, reference, options, progress=show)
    show("")
    if as_json:
        click.echo(json.dumps(found.as_dict()))
        return
    blue, red = found.colour_range
    click.echo(f"{found.reference} - {found.photcode} against {found.colour}, {blue:.2f} to "
               f"{red:.2f}: {counted(found.n_points, 'magnitudes')}, "
               f"{found.n_outliers} of them outliers")  # fmt: skip
    click.echo(f"constant {found.offset:+.4f} +- {found.offset_error:.4f} mag at dX = "
               f"{found.colour_offset:.3f}")  # fmt: skip
    for i, (term, error) in enumerate(zip(found.terms, found.term_errors, strict=True), start=1):
        click.echo(f"X{i} = {term:+.5f} +- {error:.5f}")
    click.echo(f"scatter {1e3 * found.scatter:.1f} mmag, {1e3 * found.intrinsic:.1f} of it beyond "
               "the stated errors")  # fmt: skip
    if found.is_applied:
        click.echo(f"photcode {found.photcode} of {catdir} has these terms now")
