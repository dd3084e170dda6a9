"""From true magnitudes to measured counts: noise, detection, saturation, flags."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ipp_pipeline.sim.camera import Camera
from ipp_pipeline.sim.plan import SurveyPlan

__all__ = ["Light", "Measured", "junk_light", "measure"]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

# psphot flags.
_PSFMODEL, _FITTED, _PSFSTAR, _SATSTAR = 0x1, 0x4, 0x40, 0x80
_DEFECT, _SATURATED, _CR_LIMIT, _AP_MAGS = 0x800, 0x1000, 0x2000, 0x200000


@dataclass(frozen=True, slots=True)
class Light:
    """How light becomes counts in one exposure.

    Parameters
    ----------
    zero_point : float
        Magnitude of one count in the whole exposure, before any dimming.
    sky_counts : float
        Sky in a pixel [counts].
    fwhm_pix : float
        Seeing [pix].
    mag_floor : float
        Scatter of a magnitude of a bright star [mag].
    """

    zero_point: float
    sky_counts: float
    fwhm_pix: float
    mag_floor: float

    def psf_area(self) -> float:
        """Pixels whose noise a point source gathers: 4 pi sigma^2.

        Returns
        -------
        float
            Area [pix].
        """
        return float(4 * np.pi * (self.fwhm_pix / 2.355) ** 2)

    def noise(self, counts: F64, read_noise: float) -> F64:
        """Noise of PSF photometry.

        Parameters
        ----------
        counts : ndarray of float64, shape (n,)
            Counts of the sources.
        read_noise : float
            Noise of a pixel [counts].

        Returns
        -------
        ndarray of float64, shape (n,)
            Standard deviation [counts].
        """
        background = self.psf_area() * (self.sky_counts + read_noise**2)
        return np.sqrt(np.maximum(counts, 0.0) + background)


@dataclass(frozen=True, slots=True)
class Measured:
    """Photometry of the sources of an exposure, detected or not.

    Parameters
    ----------
    counts, counts_err : ndarray of float64, shape (n,)
        PSF counts, and the error that photon statistics gives them.
    ap_counts, kron_counts : ndarray of float64, shape (n,)
        Counts in an aperture and in a Kron radius.
    true_snr : ndarray of float64, shape (n,)
        Signal to noise expected from the true magnitude.
    pos_err_pix : ndarray of float64, shape (n,)
        Error of a coordinate from photon statistics [pix].
    is_detected, is_saturated : ndarray of bool, shape (n,)
        Over the detection limit; over full well at the peak.
    flags : ndarray of int64, shape (n,)
        psphot flags.
    """

    counts: F64
    counts_err: F64
    ap_counts: F64
    kron_counts: F64
    true_snr: F64
    pos_err_pix: F64
    is_detected: NDArray[np.bool_]
    is_saturated: NDArray[np.bool_]
    flags: I64


def measure(
    plan: SurveyPlan, camera: Camera, light: Light, mags: F64, rng: np.random.Generator
) -> Measured:
    """Measure stars of given magnitudes.

    Parameters
    ----------
    plan : SurveyPlan
        The detection limit.
    camera : Camera
        The camera.
    light : Light
        The exposure.
    mags : ndarray of float64, shape (n,)
        Magnitudes with all dimming.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    Measured
        Their photometry. Noise is added to counts, so detection fades out around the limit.
    """
    n = mags.size
    expected = 10 ** (-0.4 * (mags - light.zero_point))
    noise = light.noise(expected, camera.read_noise)
    peak = expected / (2 * np.pi * (light.fwhm_pix / 2.355) ** 2) + light.sky_counts
    is_saturated = peak > camera.full_well
    floor = light.mag_floor + np.where(is_saturated, 0.05, 0.0)
    scintillating = expected * 10 ** (-0.4 * floor * rng.normal(size=n))
    shot = rng.normal(size=n)
    counts = scintillating + noise * shot
    # Wider apertures gather more sky, and share only part of the PSF fit's noise.
    ap_counts = scintillating + 1.5 * noise * (0.6 * shot + 0.8 * rng.normal(size=n))
    kron_counts = scintillating + 1.3 * noise * (0.7 * shot + 0.714 * rng.normal(size=n))
    counts_err = light.noise(counts, camera.read_noise)
    snr = counts / counts_err
    flags = np.full(n, _PSFMODEL | _FITTED | _AP_MAGS)
    flags |= np.where(is_saturated, _SATURATED | _SATSTAR, 0)
    flags |= np.where((snr > 50) & ~is_saturated, _PSFSTAR, 0)
    return Measured(
        counts=counts,
        counts_err=counts_err,
        ap_counts=ap_counts,
        kron_counts=kron_counts,
        true_snr=expected / noise,
        pos_err_pix=light.fwhm_pix / 2.355 / np.maximum(snr, 1e-3),
        is_detected=snr > plan.detection_nsigma,
        is_saturated=is_saturated,
        flags=flags,
    )


def junk_light(
    plan: SurveyPlan, camera: Camera, light: Light, n: int, rng: np.random.Generator
) -> Measured:
    """False detections: defects, cosmic rays, noise peaks.

    Parameters
    ----------
    plan : SurveyPlan
        The detection limit.
    camera : Camera
        The camera.
    light : Light
        The exposure.
    n : int
        How many.
    rng : numpy.random.Generator
        Random numbers.

    Returns
    -------
    Measured
        Their photometry; all detected, two of three with a flag that gives them away.
    """
    snr = plan.detection_nsigma * (1 + rng.pareto(2.0, n).clip(0, 100))
    background = light.noise(np.zeros(1), camera.read_noise)[0] ** 2
    counts = snr**2 / 2 + np.sqrt(snr**4 / 4 + snr**2 * background)
    kind = rng.integers(0, 3, n)
    flags = _PSFMODEL | _FITTED | np.choose(kind, [0, _DEFECT, _CR_LIMIT])
    return Measured(
        counts=counts,
        counts_err=counts / snr,
        ap_counts=counts * rng.uniform(0.5, 2.0, n),
        kron_counts=counts * rng.uniform(0.5, 3.0, n),
        true_snr=np.zeros(n),
        pos_err_pix=light.fwhm_pix / 2.355 / snr,
        is_detected=np.ones(n, dtype=np.bool_),
        is_saturated=np.zeros(n, dtype=np.bool_),
        flags=flags,
    )
