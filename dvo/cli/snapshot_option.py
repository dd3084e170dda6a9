"""Which snapshot a command is about: its number, a tag, or a time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from dvo.errors import UnknownSnapshotError

__all__ = ["SNAPSHOT", "snapshot_option"]


class _SnapshotType(click.ParamType[int | str | datetime]):
    """A number, a tag or a time; the database knows which snapshot that is."""

    name = "snapshot"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str | datetime:
        from dvo.partition.snapshot_name import parse_snapshot  # noqa: PLC0415 - quick --help

        try:
            return parse_snapshot(value)
        except UnknownSnapshotError as err:
            self.fail(str(err), param, ctx)


SNAPSHOT = _SnapshotType()
"""Type of an argument that names a snapshot."""

snapshot_option = click.option(
    "--snapshot",
    type=SNAPSHOT,
    metavar="N|TAG|TIME",
    help="State to read: its number or tag (see: dvo log), or a time, UTC. [newest]",
)
