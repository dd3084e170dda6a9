"""Options of addstar as people give them, made into what ingest takes."""

from __future__ import annotations

from dvo.errors import ConfigError
from dvo.ingest.report import AddstarOptions
from dvo.ingest.selection import MAX_CERROR_ARCSEC, Selection
from dvo.proper_motion import epoch_to_mjd

__all__ = ["make_options"]


def make_options(
    *,
    radius_arcsec: float,
    one_to_one: bool,
    replace: bool,
    batch_rows: int,
    match_epoch: float | None,
    min_snr: float,
    exclude_flags: str,
    area: tuple[float, float, float, float] | None,
    max_cerror_arcsec: float | None,
    accept_bad_astrometry: bool,
    skip_bad: bool = False,
) -> AddstarOptions:
    """Make the options of a run.

    Parameters
    ----------
    radius_arcsec : float
        Match radius.
    one_to_one : bool
        See `AddstarOptions`.
    replace : bool
        See `AddstarOptions`.
    batch_rows : int
        See `AddstarOptions`.
    match_epoch : float or None
        Julian epoch for matching rows with proper motions [yr].
    min_snr : float
        Least signal to noise.
    exclude_flags : str
        phot_flags bits, decimal or 0x….
    area : tuple of float or None
        Good area of a chip: x0, x1, y0, y1 [pixel].
    max_cerror_arcsec : float or None
        Limit of an image's astrometric error; None takes the original's.
    accept_bad_astrometry : bool
        Take images whose astrometry failed.
    skip_bad : bool
        See `AddstarOptions`.

    Returns
    -------
    AddstarOptions
        The options.

    Raises
    ------
    ConfigError
        If a value cannot be.
    """
    try:
        flags = int(exclude_flags, 0)
    except ValueError:
        raise ConfigError(
            f"flags to exclude {exclude_flags!r}; give a number such as 0x1000"
        ) from None
    x_min, x_max, y_min, y_max = area or (None, None, None, None)
    return AddstarOptions(
        radius_arcsec=radius_arcsec,
        one_to_one=one_to_one,
        replace=replace,
        skip_bad=skip_bad,
        batch_rows=batch_rows,
        match_epoch_mjd=None if match_epoch is None else float(epoch_to_mjd(match_epoch)),
        selection=Selection(
            min_snr=min_snr,
            exclude_flags=flags,
            x_min=x_min,
            x_max=x_max,
            y_min=y_min,
            y_max=y_max,
            max_cerror_arcsec=max_cerror_arcsec or MAX_CERROR_ARCSEC,
            accept_bad_astrometry=accept_bad_astrometry,
        ),
    )
