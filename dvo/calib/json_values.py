"""Reports as JSON has them: it knows no numbers that are not finite."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["with_nulls"]


def with_nulls(value: Any) -> Any:
    """Put null in place of numbers that are not finite, at any depth.

    Parameters
    ----------
    value : object
        What is to become JSON: dictionaries, lists and plain values.

    Returns
    -------
    object
        The same, with None for such numbers.

    Examples
    --------
    >>> with_nulls({"chi2": float("nan"), "rounds": [1.0, float("inf")]})
    {'chi2': None, 'rounds': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: with_nulls(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_nulls(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
