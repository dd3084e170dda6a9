"""Lists of names in options: with commas between them."""

from __future__ import annotations

__all__ = ["names_in"]


def names_in(text: str | None) -> tuple[str, ...]:
    """Take a list apart.

    Parameters
    ----------
    text : str or None
        Names with commas between them; None for none.

    Returns
    -------
    tuple of str
        The names, without blanks around.

    Examples
    --------
    >>> names_in("g, r,")
    ('g', 'r')
    """
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
