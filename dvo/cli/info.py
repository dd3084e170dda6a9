"""``dvo info``: what is in a database, in a few numbers."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from dvo.cli.snapshot_option import snapshot_option

__all__ = ["info"]


@click.command()
@click.argument("catdir", type=click.Path(path_type=Path))
@snapshot_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(catdir: Path, *, snapshot: int | str | datetime | None, as_json: bool) -> None:
    """Print how much is in CATDIR, and what it is.

    satellites are the rows of GalPhot, Lensing, LensObj, StarPar and Missing, of those that
    have any. bytes is the size of the data files that the newest snapshot and the older ones that
    are kept are made of. What there is none of, such as tags, is in the JSON only.

    \b
    Example:
      dvo info sky --json
    """
    import json  # noqa: PLC0415 - keeps `dvo --help` quick

    from dvo.partition.store import Store  # noqa: PLC0415
    from dvo.tables.satellites import SATELLITES  # noqa: PLC0415

    with Store(catdir, cache_bytes=0) as store:
        view = store.view(snapshot)
        counts, meta = view.snapshot.counts, store.manifest.meta
        rows = store.manifest.table_rows(view.snapshot.id)
        facts = {
            "n_images": counts["images"],
            "n_objects": counts["objects"],
            "n_measures": counts["measures"],
            "n_catalogs": counts["catalogs"],
            "satellites": {
                s.schema.name.lower(): rows[s.schema.name]
                for s in SATELLITES
                if s.schema.name in rows
            },
            "n_secfilt": view.n_secfilt,
            "level": view.partition.level,
            "n_split": len(view.partition.splits),
            "snapshot": view.snapshot.id,
            "tags": [tag.name for tag in store.manifest.tags()],
            "bytes": sum(f.n_bytes for f in store.manifest.files()),
            "filters": [p.name for p in view.photcodes.sec],
            "db_id": store.db_id,
            "format": int(meta["format"]),
            "changed": view.snapshot.time,
        }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        if value in ({}, []):
            continue
        text = " ".join(value) if isinstance(value, list) else value
        if isinstance(value, dict):
            text = ", ".join(f"{n} {table}" for table, n in value.items())
        click.echo(f"{name:10s} {text}")
