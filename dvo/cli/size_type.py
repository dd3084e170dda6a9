"""Sizes of memory on the command line: ``500MB``, ``2GB``, ``2GiB``, or plain bytes."""

from __future__ import annotations

import re
from typing import Any

import click

__all__ = ["SizeType"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]i?)?B?", re.IGNORECASE)
_FACTORS = {"": 1} | {
    prefix + binary: base**power
    for power, prefix in enumerate("kmgt", 1)
    for binary, base in (("", 1000), ("i", 1024))
}


class SizeType(click.ParamType[int]):
    """A number of bytes, with a unit or without."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a size; see click."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            self.fail(f"{value!r} is no size; write it as 500MB or 2GB", param, ctx)
        return int(float(found[1]) * _FACTORS[(found[2] or "").lower()])
