"""Periods of light curves: Lomb-Scargle periodograms of several filters together.

Each filter has its own mean, amplitude and phase; what they share is the period (VanderPlas &
Ivezic 2015, ApJ 812, 18, the multi-phase model). Periodograms of the filters are those of
astropy; added up is what each takes from chi-square.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import QueryError

__all__ = ["LEAST_OF_FILTER", "Period", "false_alarm", "find_period"]

F64 = NDArray[np.float64]

LEAST_OF_FILTER = 5
"""Measures that a filter needs to have a say; a sine with its mean has 3 parameters."""

_SAMPLES = 8
_MOST_FREQUENCIES = 5_000_000
_SHORTEST_D = 0.1


@dataclass(frozen=True, eq=False)
class Period:
    """The best period of a light curve.

    Parameters
    ----------
    period_d : float
        The period [d].
    error_d : float
        Its error [d]: half the width over which chi-square, scaled so that it is one a degree of
        freedom, stays within one of the best. Says nothing of aliases.
    power : float
        Share of chi-square about constant filters that the best sines take, 0 to 1.
    false_alarm : float
        Probability that noise alone would have so high a peak anywhere in the range searched.
    n_measures : int
        Measures that it rests on.
    start_mjd : float
        Phase 0: the first maximum of light of the sine of the filter that varies most [d].
    amplitude : dict of str to float
        Peak to peak amplitude of the sine in each filter [mag].
    frequency, powers : ndarray of float64, shape (n,)
        The periodogram: frequencies [1/d] and powers.
    """

    period_d: float
    error_d: float
    power: float
    false_alarm: float
    n_measures: int
    start_mjd: float
    amplitude: dict[str, float]
    frequency: F64
    powers: F64

    def phase(self, mjd: F64) -> F64:
        """Phases of times.

        Parameters
        ----------
        mjd : ndarray of float64, shape (n,)
            Times [d].

        Returns
        -------
        ndarray of float64, shape (n,)
            From 0, the maximum of the sine, to 1.
        """
        return np.asarray(((mjd - self.start_mjd) / self.period_d) % 1.0)


def find_period(
    mjd: F64,
    mag: F64,
    error: F64,
    band: NDArray[Any],
    *,
    shortest_d: float | None = None,
    longest_d: float | None = None,
) -> Period:
    """Find the period of a light curve.

    Parameters
    ----------
    mjd : ndarray of float64, shape (n,)
        Times [d].
    mag, error : ndarray of float64, shape (n,)
        Magnitudes and their errors [mag]; measures with a NaN, or an error of 0, do not count.
    band : ndarray of str, shape (n,)
        Filter of each.
    shortest_d, longest_d : float, optional
        Range that is searched [d]; 0.1 (less where all lie within two days) and the time from
        the first measure to the last.

    Returns
    -------
    Period
        The best period.

    Raises
    ------
    QueryError
        If no filter has 5 measures of different times, or the range is none.
    """
    from astropy.timeseries import LombScargle  # noqa: PLC0415 - slow to import

    good = np.isfinite(mjd) & np.isfinite(mag) & (error > 0)
    names = [n for n in np.unique(band[good]).tolist() if len(np.unique(
        mjd[good & (band == n)])) >= LEAST_OF_FILTER]  # fmt: skip
    good &= np.isin(band, names)
    if not names:
        raise QueryError(f"no filter has {LEAST_OF_FILTER} measures of different times, too few "
                         "for a period")  # fmt: skip
    frequency = _frequencies(mjd[good], shortest_d, longest_d)
    rows = {name: good & (band == name) for name in names}
    sines = {n: LombScargle(mjd[r], mag[r], error[r]) for n, r in rows.items()}
    whole = sum(_chi2_of_constant(mag[r], error[r]) for r in rows.values())

    def powers_at(some: F64) -> F64:
        if whole <= 0:
            return np.zeros(len(some))
        return np.asarray(sum(2.0 * s.power(some, normalization="psd", method=_method(some))
                              for s in sines.values()) / whole)  # fmt: skip

    powers = powers_at(frequency)
    best, power, error_d = _refined(powers_at, frequency, powers, int(good.sum()), len(names))
    amplitude = {n: 2.0 * float(np.hypot(*s.model_parameters(best)[-2:]))
                 for n, s in sines.items()}  # fmt: skip
    strongest = max(amplitude, key=lambda n: amplitude[n])
    turn = np.linspace(0.0, 1.0 / best, 1001)
    first = float(mjd[good].min())
    light = sines[strongest].model(first + turn, best)
    return Period(
        1.0 / best, error_d, power,
        false_alarm(power, _width(mjd, rows) * float(frequency[-1]), int(good.sum()), len(names)),
        int(good.sum()), first + float(turn[np.argmin(light)]), amplitude, frequency, powers,
    )  # fmt: skip


def false_alarm(power: float, width: float, n: int, n_filters: int) -> float:
    """Probability that noise has a peak as high somewhere.

    Parameters
    ----------
    power : float
        Height of the peak, 0 to 1.
    width : float
        Highest frequency searched times ``sqrt(4 pi var(t))``: how many frequencies are
        independent.
    n : int
        Measures.
    n_filters : int
        Filters, each with a mean, a sine and a cosine of its own.

    Returns
    -------
    float
        Baluev's (2008, MNRAS 385, 1279) approximation from above, with powers of `n_filters`
        pairs of coefficients: for one filter it is that of astropy; 1 where there are too few
        measures.
    """
    free = n - 3 * n_filters
    if free < 1 or power <= 0.0:
        return 1.0
    if power >= 1.0:
        return 0.0
    half, rest = 0.5 * free, math.log1p(-power)
    # One frequency: the tail of a beta distribution, of whose numbers the first is whole.
    one = sum(
        math.exp(half * rest + math.lgamma(half + j) - math.lgamma(half) - math.lgamma(j + 1)
                 + j * math.log(power))
        for j in range(n_filters)
    )  # fmt: skip
    total = n - n_filters
    gamma = math.exp(math.lgamma(0.5 * total) - math.lgamma(0.5 * (total - 1))) * math.sqrt(
        2.0 / total
    )
    crossings = width * gamma * math.exp(
        0.5 * (free - 1) * rest + (n_filters - 0.5) * math.log(0.5 * total * power)
        - math.lgamma(n_filters)
    )  # fmt: skip
    return min(1.0, one - math.expm1(-crossings) * (1.0 - one))


def _frequencies(mjd: F64, shortest_d: float | None, longest_d: float | None) -> F64:
    baseline = float(np.ptp(mjd))
    shortest = min(_SHORTEST_D, baseline / 20.0) if shortest_d is None else shortest_d
    longest = baseline if longest_d is None else longest_d
    if not 0.0 < shortest < longest < np.inf:
        raise QueryError(f"no periods lie between {shortest:g} and {longest:g} d; give the "
                         "shortest first, both above 0")  # fmt: skip
    first, last = 1.0 / longest, 1.0 / shortest
    n = math.ceil((last - first) * baseline * _SAMPLES) + 2
    if n > _MOST_FREQUENCIES:
        raise QueryError(f"{n} frequencies are too many ({_MOST_FREQUENCIES} at most) for "
                         f"measures over {baseline:.0f} d: raise the shortest period")  # fmt: skip
    return np.linspace(first, last, n)


def _method(frequency: F64) -> str:
    return "fast" if len(frequency) > 1000 else "cython"


def _chi2_of_constant(mag: F64, error: F64) -> float:
    mean = np.average(mag, weights=error**-2.0)
    return float(np.sum(((mag - mean) / error) ** 2))


def _width(mjd: F64, rows: dict[str, NDArray[np.bool_]]) -> float:
    """sqrt(4 pi var(t)) of the filter that lasts longest [d]."""
    return float(np.sqrt(4.0 * np.pi * max(np.var(mjd[r]) for r in rows.values())))


def _refined(
    powers_at: Any, frequency: F64, powers: F64, n: int, n_filters: int
) -> tuple[float, float, float]:
    """The top of the highest peak: its frequency and power, and the error of the period."""
    k, reach = int(np.argmax(powers)), 2.0 * float(frequency[1] - frequency[0])
    near = np.linspace(max(frequency[k] - reach, 0.5 * frequency[0]), frequency[k] + reach, 801)
    fine = powers_at(near)
    best, power = float(near[np.argmax(fine)]), float(min(fine.max(), 1.0))
    # A power less by d takes d chi2_0 from the fit; scaled chi-square at the top is n - free.
    limit = power - (1.0 - power) / max(n - 3 * n_filters - 1, 1)
    half = max(0.5 * float(np.ptp(near[fine >= limit])), 0.5 * float(near[1] - near[0]))
    return best, power, half / best**2
