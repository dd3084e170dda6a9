"""``dvo split``: crowded catalogs are dealt out to smaller regions."""

from __future__ import annotations

from pathlib import Path

import click

from dvo.cli.engine_option import engine_option, open_writing_engine, workers_option
from dvo.counted import counted

__all__ = ["split"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("regions", nargs=-1, metavar="[REGION]...")
@click.option(
    "--larger-than",
    type=click.IntRange(1),
    metavar="N",
    help="Split catalogs of more than N measures, down to level 5.",
)
@click.option(
    "--split-at",
    type=click.IntRange(0),
    metavar="N",
    help="From now on split catalogs above N measures when they are compacted; 0 for never.",
)
@engine_option
@workers_option
@click.option("--dry-run", is_flag=True, help="Say what would be split; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def split(
    catdir: Path,
    regions: tuple[str, ...],
    *,
    larger_than: int | None,
    split_at: int | None,
    engine: str,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Split regions of CATDIR: the regions of the next level take their place.

    Objects keep all their numbers, and queries find what they found before. Regions that are
    split already are left alone. All is one commit; `dvo rollback` joins them again.

    \b
    Examples:
      dvo split sky n0000/0001
      dvo split sky --larger-than 1000000 --dry-run
    """
    import json  # noqa: PLC0415 - keeps --help quick
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.cli.output import progress_line  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415
    from dvo.reshape.partition import (  # noqa: PLC0415
        choose_splits,
        set_split_limit,
        split_regions,
    )

    if not regions and not larger_than and split_at is None:
        raise click.UsageError("name regions to split, or give --larger-than or --split-at")
    with Store(catdir, writable=not dry_run, command="dvo split") as store:
        if dry_run:
            view = store.view()
            splits = choose_splits(view, regions, larger_than or 0)
            counts = [row for r, row in view.catalogs(splits).items() if r in set(splits)]
            shown = view.sky.names(splits)
            facts = {
                "regions": shown,
                "n_objects": sum(row.n_average for row in counts),
                "n_measures": sum(row.n_measure for row in counts),
            }
            click.echo(json.dumps(facts) if as_json else "\n".join(shown))
            return
        if split_at is not None:
            set_split_limit(store, split_at)
        show = progress_line()
        with open_writing_engine(engine, store, workers) as opened:
            done = split_regions(
                store, regions, larger_than=larger_than or 0, engine=opened,
                progress=lambda k, of: show(f"{k} of {of} catalogs dealt out"),
            )  # fmt: skip
        show("")
    if as_json:
        click.echo(json.dumps(asdict(done)))
    else:
        click.echo(
            f"{catdir}: {counted(len(done.regions), 'regions')} split, "
            f"{counted(done.n_measures, 'measures')} of {counted(done.n_objects, 'objects')} dealt "
            f"out; {counted(done.n_catalogs, 'catalogs')}"
        )
