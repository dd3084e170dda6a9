"""``dvo relevel``: a database brought to another level of the sky partition."""

from __future__ import annotations

from pathlib import Path

import click

from dvo.cli.engine_option import engine_option, open_writing_engine, workers_option
from dvo.counted import counted

__all__ = ["relevel"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.argument("level", type=click.IntRange(0, 5))
@engine_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def relevel(catdir: Path, level: int, *, engine: str, workers: int | None, as_json: bool) -> None:
    """Bring all of CATDIR to LEVEL; regions that were split are so no more.

    Objects keep all their numbers, and queries find what they found before. All is one
    commit; `dvo rollback` takes it back.

    \b
    Example:
      dvo relevel sky 3
    """
    import json  # noqa: PLC0415 - keeps --help quick
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.cli.output import progress_line  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415
    from dvo.reshape.partition import relevel as change_level  # noqa: PLC0415

    show = progress_line()
    with (
        Store(catdir, writable=True, command="dvo relevel") as store,
        open_writing_engine(engine, store, workers) as opened,
    ):
        done = change_level(
            store, level, engine=opened,
            progress=lambda k, of: show(f"{k} of {of} catalogs dealt out"),
        )  # fmt: skip
        show("")
    if as_json:
        facts = asdict(done)
        facts["n_dealt"] = len(facts.pop("regions"))
        click.echo(json.dumps(facts | {"level": level}))
    else:
        click.echo(
            f"{catdir}: level {level}, {counted(len(done.regions), 'catalogs')} dealt out, "
            f"{done.n_catalogs} now"
        )
