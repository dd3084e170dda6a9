"""Where a measurement came from: a chip image, a forced warp, or a stack.

All three go into the same Measure table and are told apart by their photcode, whose last
word says what made it: ``GPC1.r.XY33`` is a chip, ``GPC1.r.ForcedWarp`` (or any word that
begins with or ends in ``warp``) a warp, ``GPC1.r.SkyChip`` (or ``Stack``) a stack.
"""

from __future__ import annotations

import enum

__all__ = ["PhotSource", "source_of"]


class PhotSource(enum.Enum):
    """Kinds of images that make measurements."""

    CHIP = "chip"
    WARP = "warp"
    STACK = "stack"


def source_of(photcode_name: str) -> PhotSource:
    """Tell what kind of image a photcode belongs to.

    Parameters
    ----------
    photcode_name : str
        Name of a DEP photcode.

    Returns
    -------
    PhotSource
        By the last word of the name; CHIP if it says nothing else.

    Examples
    --------
    >>> source_of("GPC1.r.SkyChip").value
    'stack'
    """
    word = photcode_name.rpartition(".")[2].lower()
    if word.startswith("warp") or word.endswith("warp"):
        return PhotSource.WARP
    if word.startswith(("stack", "skychip")) or word.endswith("stack"):
        return PhotSource.STACK
    return PhotSource.CHIP
