"""What a snapshot is called: by its number, by a tag, or by a time.

A tag begins with a letter, so it can be taken for neither of the others. Here is only
what can be said without a database; which snapshot is meant the manifest knows.
"""

from __future__ import annotations

import operator
import re
from datetime import UTC, datetime
from typing import SupportsIndex, TypeAlias

from dvo.errors import ConfigError, UnknownSnapshotError

__all__ = ["NEWEST", "SnapshotName", "check_tag", "parse_snapshot"]

SnapshotName: TypeAlias = SupportsIndex | str | datetime
"""Number, tag, or time of a snapshot; text may be any of them."""

NEWEST = "newest"
"""Word for the newest snapshot; no tag may be called so."""

_MOST_LETTERS = 64
_TAG = re.compile(rf"[A-Za-z][A-Za-z0-9._+-]{{0,{_MOST_LETTERS - 1}}}")


def parse_snapshot(name: SnapshotName) -> int | str | datetime:
    """Tell what is meant: a number, a tag, or a time.

    Parameters
    ----------
    name : int, str or datetime
        What the caller has. A time without a zone is UTC.

    Returns
    -------
    int, str or datetime
        The number; the tag, or `NEWEST`; the time, in UTC.

    Raises
    ------
    UnknownSnapshotError
        If it can be none of them.
    """
    if isinstance(name, datetime):
        return name.replace(tzinfo=UTC) if name.tzinfo is None else name.astimezone(UTC)
    if isinstance(name, str):
        text = name.strip()
        if text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        if _TAG.fullmatch(text):
            return text
        try:
            return parse_snapshot(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            pass
    elif not isinstance(name, bool):
        try:
            return operator.index(name)
        except TypeError:
            pass
    raise UnknownSnapshotError(
        f"{name!r} is no snapshot; give its number, a tag, {NEWEST}, or a time in UTC such as "
        "2026-01-31T12:00 (see: dvo log)"
    )


def check_tag(name: str) -> str:
    """Refuse a name that no tag can have.

    Parameters
    ----------
    name : str
        The name.

    Returns
    -------
    str
        The name.

    Raises
    ------
    ConfigError
        If it is no name for a tag.
    """
    if name != NEWEST and _TAG.fullmatch(name):
        return name
    raise ConfigError(
        f"{name!r} cannot be a tag; it begins with a letter, has up to {_MOST_LETTERS} letters, "
        f"digits and . _ + -, and is not {NEWEST}"
    )
