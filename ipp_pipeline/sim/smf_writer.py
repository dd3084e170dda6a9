"""Writer of ``.smf`` files: a mosaic exposure as psphot and psastro leave it.

The primary header carries the exposure and the focal plane's astrometry (CTYPE ``-DIS``);
each chip has a header HDU without pixels (``-WRP``) and a PS1_V5 table of 232 bytes a row.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ipp_pipeline.sim.camera import FILTERS
from ipp_pipeline.sim.exposure import Exposure, World
from ipp_pipeline.sim.fits_blocks import CardValue, header_block, table_hdu
from ipp_pipeline.sim.polymap import POWERS, PolyMaps
from ipp_pipeline.sim.satellites import RADII_ARCSEC, Satellites
from ipp_pipeline.sim.shapes import LENS_TERMS, MODELS

__all__ = ["PS1_V5", "exposure_name", "image_number", "photcode_name", "write_smf"]

_FIRST_MJD = 50000.0
_N_SLOTS = 2**25 - 1  # minutes from then, 63 years; with a chip of 64 each, 31 bits
_CHIPS = 64
_N_SOURCES = 32767
_BLANK: dict[str, CardValue] = {"XTENSION": "IMAGE", "BITPIX": 16, "NAXIS": 0, "PCOUNT": 0,
                                "GCOUNT": 1}  # fmt: skip

PS1_V5 = np.dtype(
    [("IPP_IDET", ">i4")]
    + [
        (name, ">f4")
        for name in (
            *("X_PSF", "Y_PSF", "X_PSF_SIG", "Y_PSF_SIG", "POSANGLE", "PLTSCALE"),
            *("PSF_INST_MAG", "PSF_INST_MAG_SIG", "PSF_INST_FLUX", "PSF_INST_FLUX_SIG"),
            *("AP_MAG", "AP_MAG_RAW", "AP_MAG_RADIUS", "AP_FLUX", "AP_FLUX_SIG"),
        )
    ]
    + [("AP_NPIX", ">i4"), ("CAL_PSF_MAG", ">f4"), ("CAL_PSF_MAG_SIG", ">f4")]
    + [("RA_PSF", ">f8"), ("DEC_PSF", ">f8"), ("PEAK_FLUX_AS_MAG", ">f4")]
    + [
        (name, ">f4")
        for name in (
            *("SKY", "SKY_SIGMA", "PSF_CHISQ", "CR_NSIGMA", "EXT_NSIGMA"),
            *("PSF_MAJOR", "PSF_MINOR", "PSF_THETA", "PSF_CORE", "PSF_FWHM_MAJ"),
            *("PSF_FWHM_MIN", "PSF_QF", "PSF_QF_PERFECT"),
        )
    ]
    + [("PSF_NDOF", ">i4"), ("PSF_NPIX", ">i4")]
    + [
        (name, ">f4")
        for name in (
            *("MOMENTS_XX", "MOMENTS_XY", "MOMENTS_YY", "MOMENTS_M3C", "MOMENTS_M3S"),
            *("MOMENTS_M4C", "MOMENTS_M4S", "MOMENTS_R1", "MOMENTS_RH"),
            *("KRON_FLUX", "KRON_FLUX_ERR", "KRON_FLUX_INNER", "KRON_FLUX_OUTER"),
            *("SKY_LIMIT_RAD", "SKY_LIMIT_FLUX", "SKY_LIMIT_SLOPE"),
        )
    ]
    + [("FLAGS", ">i4"), ("FLAGS2", ">i4"), ("N_FRAMES", ">i2"), ("PADDING", ">i2")]
)
"""One detection, as on disk."""


def exposure_name(world: World, number: int) -> str:
    """Name of an exposure, after its night and number, such as o57388g0003o.

    Parameters
    ----------
    world : World
        The survey.
    number : int
        Number of the exposure.

    Returns
    -------
    str
        Its name; also the stem of its file.
    """
    night = int(world.schedule.night_mjd[world.schedule.night[number]])
    return f"o{night}g{number:04d}o"


def image_number(world: World, number: int, chip: int) -> int:
    """Number of a chip image, made from the minute in which its exposure began.

    Parameters
    ----------
    world : World
        The survey.
    number : int
        Number of the exposure.
    chip : int
        Index of the chip.

    Returns
    -------
    int
        Positive, of 31 bits, and of no other image of the survey. Surveys of other seeds
        have another SOURCEID besides.
    """
    minutes = np.floor((world.schedule.mjd - _FIRST_MJD) * 1440).astype(np.int64)
    # Exposures of one minute: each takes the next that is free.
    steps = np.arange(minutes.size)
    slot = int((np.maximum.accumulate(minutes - steps) + steps)[number]) % _N_SLOTS
    return slot * _CHIPS + int(world.camera.chip_ids[chip]) + 1


def photcode_name(world: World, filter_index: int, chip: int) -> str:
    """Photcode of a chip and filter.

    Parameters
    ----------
    world : World
        The survey.
    filter_index : int
        Index into ``FILTERS``.
    chip : int
        Index of the chip.

    Returns
    -------
    str
        Name such as GPC1.g.XY01.
    """
    return f"{world.camera.name}.{FILTERS[filter_index]}.{world.camera.chip_names[chip]}"


def write_smf(
    world: World, exposure: Exposure, folder: Path, satellites: Satellites | None = None
) -> Path:
    """Write an exposure.

    Parameters
    ----------
    world : World
        The survey.
    exposure : Exposure
        One of its exposures.
    folder : Path
        Where to write; it exists.
    satellites : Satellites or None
        What goes into further columns and extensions.

    Returns
    -------
    Path
        The file.
    """
    rows = _rows(world, exposure)
    if satellites is not None:
        rows = _with_lens(rows, satellites)
    limits = np.searchsorted(exposure.chip, np.arange(len(world.camera.places) + 1))
    parts = [header_block(_primary_cards(world, exposure))]
    for i, chip_name in enumerate(world.camera.chip_names):
        own = rows[limits[i] : limits[i + 1]]
        parts.append(header_block(_chip_cards(world, exposure, i, own.size)))
        cards = {"EXTNAME": f"{chip_name}.psf", "EXTHEAD": f"{chip_name}.hdr"}
        parts.append(table_hdu(own, cards | {"EXTTYPE": "PS1_V5"}))
        if satellites is not None:
            parts += _extensions(world, satellites, i)
    path = folder / f"{exposure_name(world, exposure.number)}.smf"
    path.write_bytes(b"".join(parts))
    return path


def _with_lens(rows: NDArray[np.void], satellites: Satellites) -> NDArray[np.void]:
    """Rows of detections with the columns of lensing behind the others."""
    names = [f"LENS_{term}" for term in LENS_TERMS]
    out = np.zeros(rows.size, dtype=[*rows.dtype.descr, *((name, ">f4") for name in names)])
    for name in rows.dtype.names or ():
        out[name] = rows[name]
    for k, name in enumerate(names):
        out[name] = satellites.lens[:, k]
    return out


def _extensions(world: World, satellites: Satellites, chip: int) -> list[bytes]:
    """The extensions of a chip; one without rows is a header."""
    numbers: dict[str, CardValue] = {"MTNUM": len(MODELS)}
    for i, (name, number) in enumerate(MODELS.items()):
        numbers |= {f"MTNAM{i:02d}": f"PS_MODEL_{name}", f"MTVAL{i:02d}": number}
    scale = world.camera.scale_arcsec
    radii: dict[str, CardValue] = {f"RMAX_{i:02d}": r / scale for i, r in enumerate(RADII_ARCSEC)}
    cards: dict[str, dict[str, CardValue]] = {"xfit": numbers, "xgal": {}, "xrad": radii}
    out = []
    for suffix, more in cards.items():
        rows = satellites.rows[suffix][satellites.chip[suffix] == chip]
        named: dict[str, CardValue] = {"EXTNAME": f"{world.camera.chip_names[chip]}.{suffix}"}
        if rows.size:
            out.append(table_hdu(rows, named | more))
        else:
            out.append(header_block(_BLANK | named | more))
    return out


def _primary_cards(world: World, exposure: Exposure) -> dict[str, CardValue]:
    i, schedule, plan = exposure.number, world.schedule, world.plan
    rotation = float(schedule.rotation_deg[i])
    return {
        "SIMPLE": True,
        "BITPIX": 8,
        "NAXIS": 0,
        "EXTEND": True,
        "FILENAME": exposure_name(world, i),
        "OBSTYPE": "OBJECT",
        "OBJECT": "simulated field",
        "INSTRUME": world.camera.name,
        "FILTERID": f"{FILTERS[int(schedule.filter_index[i])]}.00000",
        "MJD-OBS": float(schedule.mjd[i]),
        "EXPTIME": float(plan.exptime_s),
        "EXPREQ": float(plan.exptime_s),
        "EQUINOX": 2000.0,
        "RADESYS": "ICRS",
        "RA": exposure.boresight[0],
        "DEC": exposure.boresight[1],
        "AIRMASS": float(schedule.airmass[i]),
        "ALT": float(schedule.altitude_deg[i]),
        "AZ": float(schedule.azimuth_deg[i]),
        "ROT": rotation,
        "POSANGLE": rotation,
        "ZPT_OBS": exposure.zero_point_obs,
        "ZPT_REF": float(world.camera.zero_points[int(schedule.filter_index[i])]),
        "ZPT_ERR": 0.01,
        **_astrometry_cards(exposure.sky_solution, 0, "DIS", exposure.boresight),
    }


def _chip_cards(world: World, exposure: Exposure, chip: int, n_rows: int) -> dict[str, CardValue]:
    camera, plan = world.camera, world.plan
    filter_index = int(world.schedule.filter_index[exposure.number])
    shift = exposure.chip_solution.shift[chip]
    fwhm = exposure.light.fwhm_pix
    floor = exposure.light.noise(np.zeros(1), camera.read_noise)[0]
    peak = 2 * np.pi * (fwhm / 2.355) ** 2 * (camera.full_well - exposure.light.sky_counts)
    name = camera.chip_names[chip]
    return {
        **_BLANK,
        "EXTNAME": f"{name}.hdr",
        "IMNAXIS1": camera.chip_nx,
        "IMNAXIS2": camera.chip_ny,
        "PHOTCODE": photcode_name(world, filter_index, chip),
        "IMAGEID": image_number(world, exposure.number, chip),
        "SOURCEID": 1 + plan.seed % _N_SOURCES,
        "CCDNUM": int(camera.chip_ids[chip]),
        "NSTARS": n_rows,
        "NASTRO": n_rows,
        "CERROR": plan.solution_error_mas / 1000 * float(np.sqrt(2)),
        "FWHM_X": fwhm,
        "FWHM_Y": fwhm,
        "FSATUR": float(-2.5 * np.log10(max(peak, 1.0))),
        "DETEFF.MAGREF": float(-2.5 * np.log10(plan.detection_nsigma * floor)),
        "ZPT_OBS": exposure.zero_point_obs,
        "ZPT_ERR": 0.01,
        **_astrometry_cards(
            exposure.chip_solution, chip, "WRP", (float(shift[0]), float(shift[1]))
        ),
    }


def _astrometry_cards(
    maps: PolyMaps, i: int, kind: str, crval: tuple[float, float]
) -> dict[str, CardValue]:
    cards: dict[str, CardValue] = {"CTYPE1": f"RA---{kind}", "CTYPE2": f"DEC--{kind}"}
    for axis in (1, 2):
        cards[f"CRVAL{axis}"] = crval[axis - 1]
        cards[f"CRPIX{axis}"] = float(maps.reference[i, axis - 1])
        cards[f"CDELT{axis}"] = float(maps.scale[i, axis - 1])
    for axis in (1, 2):
        for other in (1, 2):
            cards[f"PC{axis}_{other}"] = float(maps.pc[i, axis - 1, other - 1])
    cards["NPLYTERM"] = 3
    for axis in (1, 2):
        for k, (power_x, power_y) in enumerate(POWERS):
            cards[f"PCA{axis}X{power_x}Y{power_y}"] = float(maps.terms[i, axis - 1, k])
    return cards


def _rows(world: World, exposure: Exposure) -> NDArray[np.void]:
    """All detections of an exposure as rows of PS1_V5."""
    camera, schedule, m = world.camera, world.schedule, exposure.measured
    fwhm = exposure.light.fwhm_pix
    sigma = fwhm / 2.355
    filter_index = int(schedule.filter_index[exposure.number])
    extinction = camera.airmass_slopes[filter_index] * (schedule.airmass[exposure.number] - 1)
    to_cal = exposure.zero_point_obs + 2.5 * np.log10(world.plan.exptime_s) - extinction
    mag, mag_err = -2.5 * np.log10(m.counts), 1.0857362 * m.counts_err / m.counts
    ap_mag = -2.5 * np.log10(np.maximum(m.ap_counts, 1.0))
    is_junk = exposure.star_id < 0
    edge = np.minimum.reduce(
        [exposure.x, camera.chip_nx - exposure.x, exposure.y, camera.chip_ny - exposure.y]
    )
    quality = np.clip(0.55 + edge / (4 * fwhm), 0.5, 0.998)
    quality = np.where(is_junk, 0.3 + 0.6 * np.modf(exposure.true_x)[0], quality)
    turned = np.array([column >= camera.turned_columns for column, _ in camera.places])
    values: dict[str, object] = {
        "IPP_IDET": exposure.det_id,
        "X_PSF": exposure.x,
        "Y_PSF": exposure.y,
        "X_PSF_SIG": m.pos_err_pix,
        "Y_PSF_SIG": m.pos_err_pix,
        "POSANGLE": (schedule.rotation_deg[exposure.number] + 180 * turned[exposure.chip]) % 360,
        "PLTSCALE": camera.scale_arcsec,
        "PSF_INST_MAG": mag,
        "PSF_INST_MAG_SIG": mag_err,
        "PSF_INST_FLUX": m.counts,
        "PSF_INST_FLUX_SIG": m.counts_err,
        "AP_MAG": ap_mag,
        "AP_MAG_RAW": ap_mag,
        "AP_MAG_RADIUS": 2.5 * fwhm,
        "AP_FLUX": m.ap_counts,
        "AP_FLUX_SIG": 1.5 * m.counts_err,
        "AP_NPIX": round(np.pi * (2.5 * fwhm) ** 2),
        "CAL_PSF_MAG": mag + to_cal,
        "CAL_PSF_MAG_SIG": mag_err,
        "RA_PSF": exposure.ra,
        "DEC_PSF": exposure.dec,
        "PEAK_FLUX_AS_MAG": mag + 2.5 * np.log10(2 * np.pi * sigma**2),
        "SKY": exposure.light.sky_counts,
        "SKY_SIGMA": np.sqrt(exposure.light.sky_counts),
        "PSF_CHISQ": 1.0 + 4.0 * is_junk,
        "EXT_NSIGMA": np.where(is_junk, -5.0, 0.0),
        "CR_NSIGMA": np.where(is_junk, 5.0, 0.0),
        "PSF_MAJOR": sigma,
        "PSF_MINOR": sigma,
        "PSF_CORE": 1.0,
        "PSF_FWHM_MAJ": fwhm,
        "PSF_FWHM_MIN": fwhm,
        "PSF_QF": quality,
        "PSF_QF_PERFECT": quality,
        "PSF_NDOF": 80,
        "PSF_NPIX": 84,
        "MOMENTS_XX": sigma**2,
        "MOMENTS_YY": sigma**2,
        "MOMENTS_R1": 1.2 * sigma,
        "MOMENTS_RH": 0.6 * sigma,
        "KRON_FLUX": m.kron_counts,
        "KRON_FLUX_ERR": 1.3 * m.counts_err,
        "SKY_LIMIT_RAD": 4 * fwhm,
        "FLAGS": m.flags,
        "N_FRAMES": 1,
    }
    rows = np.zeros(exposure.x.size, dtype=PS1_V5)
    for name, value in values.items():
        rows[name] = value
    return rows
