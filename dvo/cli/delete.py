"""``dvo delete``: images, measures, a part of the sky or reference catalogs go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.command_group import CommandGroup
from dvo.cli.output import progress_line
from dvo.cli.selection_options import area_of, area_options, measure_options, selection_of
from dvo.counted import counted

if TYPE_CHECKING:
    from dvo.reshape.delete import Deleted

__all__ = ["delete"]

_catdir = click.argument("catdir", type=click.Path(path_type=Path))
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
_json = click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")


@click.group(cls=CommandGroup)
def delete() -> None:
    """Delete something from a database; `dvo rollback` brings it back.

    Means of the objects are made anew of the measures that stay; objects left without any
    measure go, too.

    \b
    Example:
      dvo delete images sky 'night7/*'
    """


@delete.command()
@_catdir
@click.argument("names", nargs=-1)
@click.option("--photcode", help="Only images of this photcode.")
@click.option("--mjd", nargs=2, type=float, metavar="FIRST LAST", help="Only of this time [d].")
@_dry_run
@_json
def images(
    catdir: Path,
    names: tuple[str, ...],
    *,
    photcode: str | None,
    mjd: tuple[float, float] | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete images of CATDIR with their measures.

    NAMES are names of images or of whole exposures, with * and ?. The images can be added
    again afterwards.

    \b
    Examples:
      dvo delete images sky o5512g0017o
      dvo delete images sky --photcode GPC1.g.XY01 --mjd 55500 55510 --dry-run
    """
    if not (names or photcode or mjd):
        raise click.UsageError("say which images: NAMES, --photcode or --mjd")
    from dvo.reshape.delete import delete_images  # noqa: PLC0415 - keeps --help quick
    from dvo.reshape.sources import ImageChoice  # noqa: PLC0415

    choice = ImageChoice(names, photcode, mjd)
    _run(catdir, lambda store, **how: delete_images(store, choice, **how), dry_run, as_json,
         "images")  # fmt: skip


@delete.command()
@_catdir
@measure_options
@_dry_run
@_json
def measures(catdir: Path, *, dry_run: bool, as_json: bool, **asked: Any) -> None:
    """Delete measures of CATDIR; all conditions have to hold.

    The images stay, with fewer measures, and are still known: the same file added again is
    passed over. To have its measures back, roll back, or delete the image and add it again.

    \b
    Examples:
      dvo delete measures sky --photcode GPC1.g.XY01 --mjd 55500 55510 --dry-run
      dvo delete measures sky --image o5512g0017o --cone 56.75 24.1 300
    """
    if not any(asked.values()):
        raise click.UsageError(
            "say which measures: by photcode, time, image, flags, magnitude or place"
        )
    from dvo.reshape.delete import delete_measures  # noqa: PLC0415 - keeps --help quick

    _run(
        catdir,
        lambda store, **how: delete_measures(store, selection_of(store.view(), asked), **how),
        dry_run, as_json,
    )  # fmt: skip


@delete.command()
@_catdir
@area_options
@_dry_run
@_json
def region(catdir: Path, *, dry_run: bool, as_json: bool, **asked: Any) -> None:
    """Delete the objects of a part of the sky of CATDIR, with all their measures.

    An object lies where its mean position is. The images stay, with fewer measures.

    \b
    Examples:
      dvo delete region sky --cone 56.75 24.1 300
      dvo delete region sky --region 359 1 -5 5 --dry-run
    """
    from dvo.reshape.delete import delete_region  # noqa: PLC0415 - keeps --help quick

    area = area_of(asked)
    if area is None:
        raise click.UsageError("say where: --region RA0 RA1 DEC0 DEC1 or --cone RA DEC ARCSEC")
    _run(catdir, lambda store, **how: delete_region(store, area, **how), dry_run, as_json)


@delete.command()
@_catdir
@click.argument("names", nargs=-1, required=True)
@_dry_run
@_json
def catalog(catdir: Path, names: tuple[str, ...], *, dry_run: bool, as_json: bool) -> None:
    """Delete reference catalogs of CATDIR with their measures, all bands of each.

    NAMES are those under which they were added, or PHOTCODE:NAME, with * and ?. They can be
    added again afterwards.

    \b
    Examples:
      dvo delete catalog sky gaia.fits
      dvo delete catalog sky '2MASS.J:*' --dry-run
    """
    from dvo.reshape.delete import delete_catalogs  # noqa: PLC0415 - keeps --help quick

    _run(catdir, lambda store, **how: delete_catalogs(store, names, **how), dry_run, as_json,
         "catalogs")  # fmt: skip


def _run(
    catdir: Path,
    work: Callable[..., Deleted],
    dry_run: bool,
    as_json: bool,
    sources: str = "",
) -> None:
    """Delete, and say what went; `sources` names what has names."""
    from dvo.partition.store import Store  # noqa: PLC0415 - keeps --help quick

    show = progress_line()

    def tell(done: int, total: int) -> None:
        show(f"{done} of {total} regions")

    with Store(catdir, writable=not dry_run, command="dvo delete") as store:
        before = store.view().snapshot.id
        done = work(store, dry_run=dry_run, progress=tell)
    show("")
    if as_json:
        facts: dict[str, Any] = {"n_measures": done.n_measures, "n_objects": done.n_objects}
        if sources:
            facts |= {f"n_{sources}": len(done.names), sources: done.names}
        click.echo(json.dumps(facts | {"dry_run": dry_run, "snapshot": done.snapshot}))
        return
    what = f"{counted(len(done.names), sources)}, " if sources else ""
    what += f"{counted(done.n_measures, 'measures')} and {counted(done.n_objects, 'objects')}"
    if dry_run:
        click.echo(f"{what} would go")
    elif done.snapshot == before:
        click.echo(f"no such {sources or 'measures'}; nothing has changed")
    else:
        click.echo(f"{what} are gone; snapshot {done.snapshot}")
