"""Truth tables of a simulated survey, as Parquet files beside its exposures.

``stars``, ``exposures``, ``chips``, ``nights``, ``flats`` and ``detections`` link by
star_id, exposure, chip and night; (exposure, chip, det_id) is one row of an smf file.
Dimming has the sign of DVO's Mcal: positive makes stars fainter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ipp_pipeline.sim.camera import FILTERS
from ipp_pipeline.sim.exposure import Exposure, World
from ipp_pipeline.sim.instrument import sky_map
from ipp_pipeline.sim.polymap import POWERS, PolyMaps
from ipp_pipeline.sim.sky import EPOCH_MJD, VARIABLE_BY_FILTER
from ipp_pipeline.sim.smf_writer import exposure_name, photcode_name

__all__ = ["TruthWriter", "detection_table", "write_plan", "write_tables"]

Column = NDArray[np.generic] | list[str]


def write_plan(world: World, folder: Path) -> None:
    """Write the survey's plan and constants to plan.json.

    Parameters
    ----------
    world : World
        The survey.
    folder : Path
        Where to write.
    """
    content = {
        "plan": asdict(world.plan),
        "camera": asdict(world.camera),
        "chips": list(world.camera.chip_names),
        "filters": list(FILTERS),
        "epoch_mjd": EPOCH_MJD,
        "variable_by_filter": VARIABLE_BY_FILTER.tolist(),
    }
    (folder / "plan.json").write_text(json.dumps(content, indent=1) + "\n")


def detection_table(exposure: Exposure) -> pa.Table:
    """Truth of the detections of an exposure.

    Parameters
    ----------
    exposure : Exposure
        The exposure.

    Returns
    -------
    pyarrow.Table
        exposure, chip, det_id, star_id (-1: junk), ra_true, dec_true at the time (ICRS
        [deg]), x_true, y_true [pix], mag_true at the time (NaN: junk), dimming [mag],
        snr_true, is_saturated.
    """
    n = exposure.chip.size
    return _arrow(
        {
            "exposure": np.full(n, exposure.number, np.int32),
            "chip": exposure.chip.astype(np.int16),
            "det_id": exposure.det_id.astype(np.int32),
            "star_id": exposure.star_id,
            "ra_true": exposure.true_ra,
            "dec_true": exposure.true_dec,
            "x_true": exposure.true_x,
            "y_true": exposure.true_y,
            "mag_true": exposure.true_mag,
            "dimming": exposure.true_dimming,
            "snr_true": exposure.measured.true_snr,
            "is_saturated": exposure.measured.is_saturated,
        }
    )


class TruthWriter:
    """Writes a truth table, an exposure at a time; use with ``with``.

    Parameters
    ----------
    folder : Path
        Where to write.
    name : str
        Name of the table.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.parquet"
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> TruthWriter:  # noqa: PYI034 - no subclass is meant
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def append(self, table: pa.Table) -> None:
        """Add the rows of an exposure.

        Parameters
        ----------
        table : pyarrow.Table
            Such as `detection_table` gave; in order of exposures.
        """
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self._writer.write_table(table)


def write_tables(
    world: World,
    folder: Path,
    *,
    n_detections: NDArray[np.int64],
    n_on_chip: NDArray[np.int64],
    n_detected: NDArray[np.int64],
    max_snr: NDArray[np.float64],
    solutions: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> dict[str, Path]:
    """Write all tables but the detections.

    Parameters
    ----------
    world : World
        The survey.
    folder : Path
        Where to write.
    n_detections : ndarray of int64, shape (n_exposures, n_chips)
        Rows of each smf table.
    n_on_chip, n_detected : ndarray of int64, shape (n_stars,)
        How often each star fell on pixels, and was detected.
    max_snr : ndarray of float64, shape (n_stars,)
        Greatest signal to noise that a star's magnitude promised; 0 if never on pixels.
    solutions : tuple of ndarray of float64
        Boresights as solved, shape (n_exposures, 2) [deg], and chips' CRVAL as solved,
        shape (n_exposures, n_chips, 2) [pix].

    Returns
    -------
    dict of Path
        The files by table name.
    """
    counts: dict[str, Column] = {
        "n_on_chip": n_on_chip,
        "n_detected": n_detected,
        "max_snr": max_snr,
    }
    tables: dict[str, Mapping[str, Column]] = {
        "stars": _stars(world) | counts,
        "exposures": _exposures(world, n_detections, solutions[0]),
        "chips": _chips(world, n_detections, solutions[1]),
        "nights": _nights(world),
        "flats": _flats(world),
    }
    paths = {}
    for name, columns in tables.items():
        paths[name] = folder / f"{name}.parquet"
        pq.write_table(_arrow(columns), paths[name], compression="zstd")
    return paths


def _arrow(columns: Mapping[str, Column]) -> pa.Table:
    return pa.table({name: pa.array(column) for name, column in columns.items()})


def _stars(world: World) -> dict[str, Column]:
    stars = world.stars
    names = [name for name in type(stars).__slots__ if name != "mags"]
    columns: dict[str, Column] = {name: getattr(stars, name) for name in names}
    return columns | {f"mag_{name}": stars.mags[:, i].copy() for i, name in enumerate(FILTERS)}


def _map_columns(maps: PolyMaps) -> dict[str, Column]:
    """True astrometric terms, under their FITS names."""
    columns: dict[str, Column] = {}
    for axis in (0, 1):
        columns[f"crpix{axis + 1}"] = maps.reference[:, axis].copy()
        columns[f"crval{axis + 1}"] = maps.shift[:, axis].copy()
        columns[f"cdelt{axis + 1}"] = maps.scale[:, axis].copy()
        for other in (0, 1):
            columns[f"pc{axis + 1}_{other + 1}"] = maps.pc[:, axis, other].copy()
        for k, (i, j) in enumerate(POWERS):
            columns[f"pca{axis + 1}x{i}y{j}"] = maps.terms[:, axis, k].copy()
    return columns


def _exposures(
    world: World, n_detections: NDArray[np.int64], boresight: NDArray[np.float64]
) -> dict[str, Column]:
    schedule, n = world.schedule, world.schedule.mjd.size
    maps = [_map_columns(sky_map(world.camera, schedule, i)) for i in range(n)]
    terms = {name: np.concatenate([one[name] for one in maps]) for name in maps[0]}
    terms["crval1"], terms["crval2"] = schedule.ra, schedule.dec
    night, index = schedule.night, schedule.filter_index
    return {
        "exposure": np.arange(n, dtype=np.int32),
        "name": [exposure_name(world, i) for i in range(n)],
        "file": [f"smf/{exposure_name(world, i)}.smf" for i in range(n)],
        "mjd": schedule.mjd,
        "night": night,
        "filter": [FILTERS[i] for i in index],
        "exptime_s": np.full(n, world.plan.exptime_s),
        "airmass": schedule.airmass,
        "fwhm_arcsec": schedule.fwhm_arcsec,
        "rotation_deg": schedule.rotation_deg,
        "altitude_deg": schedule.altitude_deg,
        "azimuth_deg": schedule.azimuth_deg,
        "cloud": schedule.cloud,
        "night_zp": schedule.night_zp[night, index],
        "night_slope": schedule.night_slope[night, index],
        "mcal": schedule.night_zp[night, index]
        + schedule.night_slope[night, index] * (schedule.airmass - 1)
        + schedule.cloud,
        "ra_solved": boresight[:, 0].copy(),
        "dec_solved": boresight[:, 1].copy(),
        "n_chips": np.full(n, len(world.camera.places)),
        "n_detections": n_detections.sum(axis=1),
        **terms,
    }


def _chips(
    world: World, n_detections: NDArray[np.int64], crval: NDArray[np.float64]
) -> dict[str, Column]:
    """One row an exposure and chip; the true terms are the same in all exposures."""
    n_exposures, n_chips = n_detections.shape
    index = world.schedule.filter_index
    chip = np.tile(np.arange(n_chips), n_exposures)
    exposure = np.repeat(np.arange(n_exposures), n_chips)
    terms = _map_columns(world.instrument.chip_maps)
    return {
        "exposure": exposure.astype(np.int32),
        "chip": chip.astype(np.int16),
        "chip_name": [world.camera.chip_names[i] for i in chip],
        "photcode": [
            photcode_name(world, int(index[e]), int(c)) for e, c in zip(exposure, chip, strict=True)
        ],
        "zp_offset": world.instrument.chip_dimming[index[exposure], chip],
        "n_detections": n_detections.reshape(-1),
        "crval1_solved": crval[:, :, 0].reshape(-1),
        "crval2_solved": crval[:, :, 1].reshape(-1),
        **{name: np.asarray(column)[chip] for name, column in terms.items()},
    }


def _nights(world: World) -> dict[str, Column]:
    """One row a night and filter."""
    schedule, n_filters = world.schedule, len(FILTERS)
    n = schedule.night_mjd.size
    night = np.repeat(np.arange(n), n_filters)
    return {
        "night": night,
        "mjd": schedule.night_mjd[night],
        "season": schedule.season[night],
        "is_photometric": schedule.is_photometric[night],
        "filter": list(FILTERS) * n,
        "zp_offset": schedule.night_zp.reshape(-1),
        "airmass_slope": schedule.night_slope.reshape(-1),
    }


def _flats(world: World) -> Mapping[str, Column]:
    """One row a season, filter, chip and cell."""
    flat = world.instrument.flat
    season, band, chip, row, column = (a.ravel() for a in np.indices(flat.shape))
    return {
        "season": season,
        "filter": [FILTERS[i] for i in band],
        "chip": chip.astype(np.int16),
        "cell_x": column.astype(np.int16),
        "cell_y": row.astype(np.int16),
        "offset": flat.ravel(),
    }
