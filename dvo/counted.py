"""Counts in words: 1 row, 2 rows."""

from __future__ import annotations

__all__ = ["counted"]


def counted(n: int, things: str) -> str:
    """Say how many there are of something.

    Parameters
    ----------
    n : int
        How many.
    things : str
        What, in the plural, which ends in s.

    Returns
    -------
    str
        Number and word, that in the singular for one.

    Examples
    --------
    >>> counted(1, "new objects"), counted(0, "rows")
    ('1 new object', '0 rows')
    """
    return f"{n} {things.removesuffix('s') if n == 1 else things}"
