"""``dvo resort``: compact catalogs, so that reading them is quick."""

from __future__ import annotations

from pathlib import Path

import click

from dvo.cli.engine_option import engine_option, open_writing_engine, workers_option
from dvo.counted import counted

__all__ = ["resort"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option("--region", "names", multiple=True, help="Only the region of this name; repeatable.")
@engine_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def resort(
    catdir: Path, *, names: tuple[str, ...], engine: str, workers: int | None, as_json: bool
) -> None:
    """Give each region of CATDIR files of its own, objects in sky order, measures by object.

    Regions that are so already are left alone. addstar does this by itself for catalogs
    that are in many pieces; doing it for all makes queries quickest. With --engine hosts each
    partition host sorts and writes the catalogs that it has; all is one commit in any case.

    \b
    Example:
      dvo resort sky
      dvo resort sky --region n0000/0001.05
      dvo resort sky --engine hosts
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick

    from dvo.cli.output import progress_line  # noqa: PLC0415
    from dvo.partition.compact import resort as compact  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    show = progress_line()
    with (
        Store(catdir, writable=True, command="dvo resort") as store,
        open_writing_engine(engine, store, workers) as opened,
    ):
        asked = [store.sky.by_name(name).index for name in names]
        regions = store.view().partition.overlapping(asked).tolist() if asked else None
        n = compact(
            store, regions, engine=opened,
            progress=lambda k, of: show(f"{k} of {of} regions compacted"),
        )  # fmt: skip
        show("")
        snapshot = store.view().snapshot.id
    if as_json:
        click.echo(json.dumps({"n_catalogs": n, "snapshot": snapshot}))
    else:
        click.echo(f"{catdir}: {counted(n, 'catalogs')} compacted")
