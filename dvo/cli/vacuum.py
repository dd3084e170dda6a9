"""``dvo vacuum``: forget old states and free their room."""

from __future__ import annotations

from pathlib import Path

import click

from dvo.counted import counted

__all__ = ["vacuum"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@click.option(
    "--keep", type=click.IntRange(1), required=True, help="How many states to keep, the newest."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def vacuum(catdir: Path, *, keep: int, as_json: bool) -> None:
    """Forget all but the newest states of CATDIR and remove files that only they used.

    States that have a tag stay, and so do those that a reader has open; a later vacuum
    forgets these. Files that a commit cut short left behind go too.

    \b
    Example:
      dvo vacuum sky --keep 3
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick
    from dataclasses import asdict  # noqa: PLC0415

    from dvo.partition.history import vacuum as forget  # noqa: PLC0415
    from dvo.partition.store import Store  # noqa: PLC0415

    with Store(catdir, writable=True, command="dvo vacuum") as store:
        report = forget(store, keep)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        for state in report.kept:
            click.echo(f"snapshot {state.snapshot} stays: {state.reason}")
        click.echo(
            f"{catdir}: {counted(len(report.forgotten), 'snapshots')} forgotten, "
            f"{counted(report.n_files, 'files')} removed, {report.n_bytes / 1e6:.1f} MB freed"
        )
