"""What several surveys need made of their columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dvo.ingest.surveys.forms import Rows

__all__ = ["errors_of_ellipse", "letter_a_band"]


def errors_of_ellipse(rows: Rows) -> None:
    """Make errors along ra and dec of error ellipses, where there are such.

    Parameters
    ----------
    rows : Rows
        Rows with ``err_maj``, ``err_min`` [arcsec] and ``err_ang``, the position angle of the
        major axis from north to east [deg]; ``ra_err`` and ``dec_err`` are set.
    """
    if not {"err_maj", "err_min", "err_ang"} <= rows.values.keys():
        return
    major, minor = rows.values["err_maj"], rows.values["err_min"]
    angle = np.radians(rows.values["err_ang"].astype(np.float64))
    rows.values["ra_err"] = np.hypot(major * np.sin(angle), minor * np.cos(angle))
    rows.values["dec_err"] = np.hypot(major * np.cos(angle), minor * np.sin(angle))


def letter_a_band(rows: Rows, keys: Sequence[str]) -> None:
    """Deal words that have a letter for each band out to the bands.

    Parameters
    ----------
    rows : Rows
        Rows with such words.
    keys : sequence of str
        Columns that hold them; those that are absent are passed over. Too short a word has
        no letter for the last bands.
    """
    n_bands = len(rows.bands)
    for key in keys:
        if key not in rows.values:
            continue
        words = rows.values.pop(key).astype(f"S{n_bands}")
        every = words.view("S1").reshape(rows.n, n_bands)
        for k, band in enumerate(rows.bands):
            band[key] = np.ascontiguousarray(every[:, k])
