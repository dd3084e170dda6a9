"""Options that choose objects and measures, the same in every command that has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dvo.cli.moment import seconds_of, time_option

if TYPE_CHECKING:
    from dvo.calib.photometry.images import ImageSelection
    from dvo.merge.selection import Selection
    from dvo.partition.bounds import Area
    from dvo.partition.view import View

__all__ = ["area_of", "area_options", "image_options", "image_selection_of",
           "measure_options", "selection_of"]  # fmt: skip

_AREA = (
    click.option(
        "--region", nargs=4, type=float, metavar="RA0 RA1 DEC0 DEC1", help="Objects in a box [deg]."
    ),
    click.option(
        "--cone", nargs=3, type=float, metavar="RA DEC ARCSEC", help="Objects in a circle."
    ),
)
_IMAGES = (
    click.option(
        "--region", nargs=4, type=float, metavar="RA0 RA1 DEC0 DEC1",
        help="Images with their centre in a box [deg].",
    ),
    click.option(
        "--cone", nargs=3, type=float, metavar="RA DEC ARCSEC",
        help="Images with their centre in a circle.",
    ),
    time_option("Images"),
)  # fmt: skip
_MEASURES = (
    click.option(
        "--mjd", nargs=2, type=float, metavar="FIRST LAST", help="Measures of a time [d]."
    ),
    click.option(
        "--photcode", "photcodes", multiple=True, help="Measures of a photcode; repeatable."
    ),
    click.option(
        "--image", "images", multiple=True, metavar="NAME",
        help="Measures of images or whole exposures of a name, with * and ?; repeatable.",
    ),
    click.option(
        "--flags", metavar="0x…", help="Measures with any of these bits in phot_flags."
    ),
    click.option(
        "--mag", nargs=3, type=(str, float, float), metavar="FILTER BRIGHT FAINT",
        help="Objects with a mean magnitude between two.",
    ),
)  # fmt: skip


def area_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --region and --cone."""
    for option in reversed(_AREA):
        command = option(command)
    return command


def image_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --region, --cone and --time, of images."""
    for option in reversed(_IMAGES):
        command = option(command)
    return command


def measure_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of `area_options` and those that choose measures."""
    for option in reversed(_MEASURES):
        command = option(command)
    return area_options(command)


def area_of(asked: dict[str, Any]) -> Area | None:
    """Make the area that was asked for.

    Parameters
    ----------
    asked : dict
        Options of the command.

    Returns
    -------
    Area or None
        None if none was asked for.

    Raises
    ------
    click.UsageError
        If there are two.
    """
    from dvo.partition.bounds import Box, Cone  # noqa: PLC0415 - keeps --help quick

    if asked["region"] and asked["cone"]:
        raise click.UsageError("--region and --cone exclude each other")
    if asked["cone"]:
        ra, dec, arcsec = asked["cone"]
        return Cone(ra, dec, arcsec / 3600.0)
    return Box(*asked["region"]) if asked["region"] else None


def image_selection_of(asked: dict[str, Any]) -> ImageSelection:
    """Make the selection of images that was asked for.

    Parameters
    ----------
    asked : dict
        Options of the command, see `image_options`.

    Returns
    -------
    ImageSelection
        The selection.

    Raises
    ------
    click.UsageError
        If two areas are asked for.
    """
    from dvo.calib.photometry.images import ImageSelection  # noqa: PLC0415 - keeps --help quick

    return ImageSelection(area_of(asked), *seconds_of(asked["times"]))


def selection_of(view: View, asked: dict[str, Any]) -> Selection:
    """Make the selection that was asked for.

    Parameters
    ----------
    view : View
        The snapshot that it is to choose from.
    asked : dict
        Options of the command.

    Returns
    -------
    Selection
        The conditions; all have to hold.

    Raises
    ------
    click.UsageError
        If flags are no number, or two areas are asked for.
    """
    from dvo.merge.selection import Selection  # noqa: PLC0415 - keeps --help quick
    from dvo.reshape.sources import ImageChoice, choose_images  # noqa: PLC0415
    from dvo.tables.photcode import PhotClass  # noqa: PLC0415

    k, mag = -1, asked["mag"]
    if mag:
        code = view.photcodes.get(mag[0], PhotClass.SEC).code
        k = int(view.photcodes.sec_index_of_code[code])
    images = None
    if asked["images"]:
        images = tuple(choose_images(view, ImageChoice(tuple(asked["images"]))).tolist())
    return Selection(
        area_of(asked),
        asked["mjd"] or (-math.inf, math.inf),
        tuple(view.photcodes.get(name).code for name in asked["photcodes"]) or None,
        mag[1:] if mag else (-math.inf, math.inf),
        k,
        images,
        _flags(asked["flags"]),
    )


def _flags(text: str | None) -> int:
    if text is None:
        return 0
    try:
        value = int(text, 0)
    except ValueError:
        value = 0
    if not 0 < value < 2**32:
        raise click.UsageError(f"--flags {text}: is no set of bits, such as 0x8000")
    return value
