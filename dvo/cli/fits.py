"""``dvo fits``: pack, unpack, verify and describe FITS files with compressed tables."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.output import check_folder

__all__ = ["fits"]

_path = click.Path(path_type=Path)
_overwrite = click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
_threads = click.option(
    "--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Threads to use."
)


@click.group(cls=CommandGroup)
def fits() -> None:
    """Compress, restore and check the tables of FITS files.

    Files are those of fpack and funpack: either restores what the other has packed.

    \b
    Example:
      dvo fits unpack sky/n2230/1799.00000009-72cf.cpm measures.fits
    """


@fits.command()
@click.argument("source", metavar="IN", type=_path)
@click.argument("target", metavar="OUT", type=_path)
@click.option("--tile-rows", type=click.IntRange(1), help="Rows in a tile [FZTILELN, or 10 MB].")
@click.option("--best", is_flag=True, help="Choose the smaller codec for each integer column.")
@click.option("--fast", is_flag=True, help="Prefer speed to size.")
@_overwrite
@_threads
def pack(
    source: Path,
    target: Path,
    *,
    tile_rows: int | None,
    best: bool,
    fast: bool,
    overwrite: bool,
    threads: int,
) -> None:
    """Compress the binary tables of IN into OUT; other HDUs are copied.

    Keywords FZTILELN, FZALGOR and FZALGn in a header are followed. Images stay as they are.

    \b
    Example:
      dvo fits pack --tile-rows 8192 catalog.fits catalog.fits.fz
    """
    from dvo.tables.fits import pack as pack_file  # noqa: PLC0415 - keeps `dvo --help` quick

    check_folder(target)
    pack_file(
        source,
        target,
        tile_rows=tile_rows,
        codecs="best" if best else None,
        level="fast" if fast else "small",
        overwrite=overwrite,
        threads=threads,
    )


@fits.command()
@click.argument("source", metavar="IN", type=_path)
@click.argument("target", metavar="OUT", type=_path)
@_overwrite
@_threads
def unpack(source: Path, target: Path, *, overwrite: bool, threads: int) -> None:
    """Restore the compressed binary tables of IN into OUT; other HDUs are copied.

    \b
    Example:
      dvo fits unpack sky/n2230/1799.00000009-72cf.cpm measures.fits
    """
    from dvo.tables.fits import unpack as unpack_file  # noqa: PLC0415 - keeps `dvo --help` quick

    check_folder(target)
    unpack_file(source, target, overwrite=overwrite, threads=threads)


@fits.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_path)
def verify(files: tuple[Path, ...]) -> None:
    """Check sums, counts and lengths of files; stops at the first bad one.

    \b
    Example:
      dvo fits verify sky/n2230/*.cpm
    """
    from dvo.tables.fits import verify as verify_file  # noqa: PLC0415 - keeps `dvo --help` quick

    for file in files:
        n_hdus = verify_file(file)
        click.echo(f"{file}: sound, {n_hdus} HDUs")


@fits.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_path)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Show tables, columns, codecs and sizes of files.

    \b
    Example:
      dvo fits info --json sky/n2230/1799.00000009-72cf.cpm
    """
    from dvo.tables.fits import describe  # noqa: PLC0415 - keeps `dvo --help` quick

    described = {str(file): describe(file) for file in files}
    if as_json:
        click.echo(json.dumps(described, indent=1))
        return
    for file, hdus in described.items():
        click.echo(file)
        for hdu in hdus:
            _show(hdu)


def _show(hdu: dict[str, object]) -> None:
    head = f"  HDU {hdu['hdu']} {hdu['extname'] or '-'}: {hdu['kind']}, {hdu['bytes']} bytes"
    if "n_rows" in hdu:
        head += f", {hdu['n_rows']} rows"
    if "n_tiles" in hdu:
        head += f" in {hdu['n_tiles']} tiles of {hdu['tile_rows']}, ratio {hdu['ratio']}"
    click.echo(head)
    columns = hdu.get("columns", [])
    assert isinstance(columns, list)
    for column in columns:
        size = f"{column['codec']:<7} {column['bytes']:>11}" if "codec" in column else ""
        text = f"    {column['name']:<20} {column['type']:<8} {column['unit']:<12} {size}"
        click.echo(f"{text} {column.get('ratio', '')}".rstrip())
