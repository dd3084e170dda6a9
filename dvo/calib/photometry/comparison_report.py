"""The report of programs that compare magnitudes of stars with those of another system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.photometry.reference_points import ReferencePoints
from dvo.calib.report.colours import ColourPoints, colour_picture
from dvo.calib.report.figures import ImagePoints
from dvo.calib.report.page import write_report
from dvo.calib.report.sky_grid import grid_of_images
from dvo.calib.report.tally import Residuals, ResidualTally

__all__ = ["NO_IMAGES", "Comparison", "report_comparison"]

F64 = NDArray[np.float64]

_NONE = np.empty(0)
NO_IMAGES = ImagePoints(_NONE, _NONE, _NONE, np.empty(0, np.int64), np.empty(0, np.bool_))
"""For a comparison that has nothing to do with zero points of images."""

_CAPTIONS = {
    "repeatability": "Scatter of stars about the fit (1.4826 times the median size of residuals), "
                     "by magnitude, and what the stated errors promise.",
    "residuals": "Differences of magnitudes less what the fit says.",
    "pulls": "Residuals in units of their errors: where the width is above 1, systems differ "
             "by more than errors say.",
    "sky": "Mean residual in cells of the sky, outliers beyond 5 sigma left out. A pattern is an "
           "error of zero points of the one or the other.",
    "zero_points": "Offset of each image from the nominal zero point of its photcode, with "
                   "what was found here; what makes stars fainter is down.",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Comparison:
    """Stars of one filter, and what was fitted to them.

    Parameters
    ----------
    name : str
        The filter or photcode.
    points : ReferencePoints
        The stars.
    curve : ndarray of float64, shape (n,)
        What the fit says of the difference of each [mag].
    """

    name: str
    points: ReferencePoints
    curve: F64


def report_comparison(
    folder: Path,
    title: str,
    facts: Mapping[str, Any],
    found: Sequence[Comparison],
    images: ImagePoints = NO_IMAGES,
    *,
    colour: str | None,
    difference: str,
) -> None:
    """Write the report.

    Parameters
    ----------
    folder : Path
        Where; see `check_report_folder`.
    title : str
        Heading of the page.
    facts : mapping
        What was done, for JSON.
    found : sequence of Comparison
        What was compared.
    images : ImagePoints
        Zero points of the images that follow, their filters counted as in `found`.
    colour : str or None
        Colour of which a term was fitted.
    difference : str
        What is less what.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    ra, dec = (np.concatenate([_NONE, *(getattr(c.points, n) for c in found)])
               for n in ("ra", "dec"))  # fmt: skip
    tally = ResidualTally([c.name for c in found], [], grid_of_images(ra, dec, np.zeros(len(ra))),
                          "stars about the fit")  # fmt: skip
    for band, each in enumerate(found):
        points, n = each.points, len(each.curve)
        unknown = np.full(n, np.nan)
        tally.add(Residuals(points.difference - each.curve, points.sigma, points.mag,
                            np.full(n, band), np.full(n, -1), points.ra, points.dec, unknown,
                            unknown))  # fmt: skip
    more = []
    if colour is not None:
        shown = [ColourPoints(c.name, c.points.colour, c.points.difference, c.curve) for c in found]
        more.append(colour_picture(shown, colour, difference))
    write_report(folder, title, facts, tally, images, captions=_CAPTIONS, more=more)
