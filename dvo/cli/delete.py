"""``dvo delete``: images go, with their measures."""

from __future__ import annotations

import json
from pathlib import Path

import click

__all__ = ["delete"]


@click.group()
def delete() -> None:
    """Delete something from a database; `dvo rollback` brings it back.

    \b
    Example:
      dvo delete images sky 'night7/*'
    """


@delete.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("names", nargs=-1)
@click.option("--photcode", help="Only images of this photcode.")
@click.option("--mjd", nargs=2, type=float, metavar="FIRST LAST", help="Only of this time [d].")
@click.option("--dry-run", is_flag=True, help="Say which images would go; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
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

    NAMES are names of images or of whole exposures, with * and ?. Means of the objects are
    made anew of what stays; objects left without any measure go, too.

    \b
    Examples:
      dvo delete images sky o5512g0017o
      dvo delete images sky --photcode GPC1.g.XY01 --mjd 55500 55510 --dry-run
    """
    from dvo.partition.store import Store  # noqa: PLC0415 - keeps --help quick
    from dvo.reshape.delete import ImageChoice, choose_images, delete_images  # noqa: PLC0415

    choice = ImageChoice(names, photcode, mjd)
    with Store(catdir, writable=not dry_run, command="dvo delete") as store:
        if dry_run:
            found = choose_images(store.view(), choice)
            click.echo(
                json.dumps({"image_ids": found.tolist()})
                if as_json
                else f"{len(found)} rows of Image would go, focal planes without chips included"
            )
            return
        done = delete_images(store, choice)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "n_images": len(done.names),
                    "n_measures": done.n_measures,
                    "n_objects": done.n_objects,
                    "images": done.names,
                    "snapshot": done.snapshot,
                }
            )
        )
    elif done.names:
        click.echo(
            f"{len(done.names)} images, {done.n_measures} measures and {done.n_objects} objects "
            f"are gone; snapshot {done.snapshot}"
        )
    else:
        click.echo("no such image; nothing has changed")
