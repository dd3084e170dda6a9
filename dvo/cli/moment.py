"""Times on the command line: dates (UTC) or modified Julian dates."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

__all__ = ["MOMENT", "seconds_of", "time_option"]

_MJD_0 = datetime(1858, 11, 17, tzinfo=UTC).timestamp()
_DAY_S = 86400.0


class _MomentType(click.ParamType[float]):
    """A moment, as seconds since 1970 UTC."""

    name = "moment"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a moment; see click."""
        if isinstance(value, float):
            return value
        try:
            mjd = float(value)
        except ValueError:
            pass
        else:
            if math.isfinite(mjd):
                return _MJD_0 + mjd * _DAY_S
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no date; write 2011-05-01, or an MJD such as 55682.0",
                      param, ctx)  # fmt: skip
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


MOMENT = _MomentType()


def time_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the option --time of a command.

    Parameters
    ----------
    what : str
        What it chooses, such as ``Images``.

    Returns
    -------
    callable
        Gives a command the option; see `seconds_of` for its value.
    """
    return click.option(
        "--time",
        "times",
        nargs=2,
        type=MOMENT,
        metavar="FIRST LAST",
        help=f"{what} from one time until before another: dates such as 2010-05-01, or MJD.",
    )


def seconds_of(times: tuple[float, float] | None) -> tuple[float, float]:
    """Look at the value of --time.

    Parameters
    ----------
    times : (float, float) or None
        What was given.

    Returns
    -------
    tuple of float
        First moment, and the first after it [s since 1970 UTC]; all times if none was given.

    Raises
    ------
    click.BadParameter
        If the second is not after the first.
    """
    if times is None:
        return -math.inf, math.inf
    if not times[0] < times[1]:
        raise click.BadParameter("the second time is not after the first", param_hint="--time")
    return times
