"""Pictures of periods: a light curve by phase, and its periodogram."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from dvo.database.plots import curve_of, save_figure
from dvo.tables.photcode import PhotcodeTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dvo.variability.period import Period

__all__ = ["draw_period", "period_figure", "period_line"]

_MOST_POINTS = 20_000


def period_line(period: Period) -> str:
    """Say what the period is, in a line.

    Parameters
    ----------
    period : Period
        The period.

    Returns
    -------
    str
        Period with its error, false-alarm probability and amplitudes.
    """
    digits = int(np.clip(1 - np.floor(np.log10(period.error_d)), 2, 9))
    sizes = ", ".join(f"{n} {a:.3f}" for n, a in period.amplitude.items())
    return (f"period {period.period_d:.{digits}f} +- {period.error_d:.{digits}f} d, false-alarm "
            f"probability {period.false_alarm:.2g}, from {period.n_measures} measures; "
            f"peak to peak of the sine: {sizes} mag")  # fmt: skip


def draw_period(
    table: pa.Table,
    period: Period,
    path: Path,
    title: str = "",
    *,
    photcodes: PhotcodeTable | None = None,
) -> None:
    """Draw a light curve by phase into a file; see `period_figure`.

    Parameters
    ----------
    table : pyarrow.Table
        From `Database.lightcurve`.
    period : Period
        Its period.
    path : Path
        File to write; its ending says what kind of picture it is.
    title : str
        What to write above it.
    photcodes : PhotcodeTable, optional
        Says which filter a photcode is of, and which photcodes are of reference catalogs.
    """
    save_figure(period_figure(table, period, title, photcodes=photcodes), path)


def period_figure(
    table: pa.Table, period: Period, title: str = "", *, photcodes: PhotcodeTable | None = None
) -> Figure:
    """Draw a light curve by phase, two turns of it, and the periodogram below.

    Parameters
    ----------
    table : pyarrow.Table
        From `Database.lightcurve`: mjd, photcode_name, and mag:rel and mag:err of some kind.
    period : Period
        Its period.
    title : str
        What to write above it.
    photcodes : PhotcodeTable, optional
        Says which filter a photcode is of, and which photcodes are of reference catalogs.

    Returns
    -------
    matplotlib.figure.Figure
        The picture.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import

    whole = curve_of(table, photcodes)
    phase = period.phase(whole.mjd)
    figure = Figure(figsize=(8, 7), layout="constrained")
    folded, spectrum = figure.subplots(2, 1, height_ratios=(2, 1))
    shown = whole.is_shown & (whole.mag >= whole.low) & (whole.mag <= whole.high)
    for band in whole.bands:
        rows = band.rows & shown
        for turn in (0, 1) if rows.any() else ():
            folded.errorbar(
                phase[rows] + turn, whole.mag[rows], whole.err[rows], fmt=band.mark, ms=4, lw=0,
                elinewidth=1, color=band.colour, label=band.label if turn == 0 else None,
            )  # fmt: skip
    folded.set(xlim=(0, 2), ylim=(whole.high, whole.low), ylabel="magnitude (level rel) [mag]",
               xlabel=f"phase, 0 at MJD {period.start_mjd:.5f}")  # fmt: skip
    folded.set_title(f"{title}\nperiod {period.period_d:.7g} d, false-alarm probability "
                     f"{period.false_alarm:.2g}", size=10)  # fmt: skip
    folded.legend(fontsize=8, loc="upper right", ncols=3)
    folded.grid(alpha=0.3)
    # The highest of some neighbours each: thin peaks must not be missed.
    n = len(period.powers)
    step = -(-n // _MOST_POINTS)
    top = [k + int(np.argmax(period.powers[k : k + step])) for k in range(0, n, step)]
    spectrum.plot(period.frequency[top], period.powers[top], lw=0.6, color="#444444")
    spectrum.plot(1 / period.period_d, period.power, "v", ms=8, color="#d1495b",
                  label="the best period")  # fmt: skip
    spectrum.set(xlabel="frequency [1/d]", ylabel="power", ylim=(0, None))
    spectrum.margins(x=0)
    spectrum.legend(fontsize=8)
    spectrum.grid(alpha=0.3)
    return figure
