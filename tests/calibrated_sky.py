"""Databases of simulated surveys, with what is true of their nights, slopes, clouds and flats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dvo.calib.photometry.flats import FlatFields
from dvo.calib.photometry.ubercal import UbercalReport
from dvo.ingest.addstar import addstar
from dvo.ingest.photcode_text import read_photcodes
from dvo.ingest.photcodes import import_photcodes, put_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.ingest.selection import Selection
from dvo.ingest.sources import catalog_sources
from dvo.partition.store import Store, create_store
from dvo.tables.photcode import PhotClass, PhotcodeTable
from ipp_pipeline.sim import SurveyPlan, simulate

# Few stars shine through clouds: the astrometry of such images has failed.
_OPTIONS = AddstarOptions(selection=Selection(accept_bad_astrometry=True))

PLAN = SurveyPlan(
    n_exposures=120, density_per_deg2=300, seed=4, filters=("g",), exposures_per_night=8,
    flat_cells=2, junk_per_chip=0.2, detection_nsigma=20.0, duration_days=300.0,
    variable_fraction=0.0,
)  # fmt: skip


@dataclass(frozen=True)
class Sky:
    """A database, and what is true of its nights, exposures and flats."""

    catdir: Path
    nights: dict[str, list[Any]]
    exposures: dict[str, list[Any]]
    flats: NDArray[np.float64]  # season, chip, cell


def make_sky(folder: Path, plan: SurveyPlan) -> Sky:
    """Simulate a survey and add it to a new database; truth is that of its first filter."""
    made = simulate(plan, folder / "sim")
    table = PhotcodeTable()
    for name in "grizy":
        table = table.add(name, PhotClass.SEC)
    create_store(folder / "sky", level=3, photcodes=table)
    with Store(folder / "sky", writable=True) as store:
        import_photcodes(store, read_photcodes(made.photcodes), source="sim")
        addstar(store, catalog_sources(list(made.exposures), photcode=None), _OPTIONS)
    truth = {n: pq.read_table(made.truth[n]).to_pandas() for n in ("nights", "exposures", "flats",
                                                                    "chips")}  # fmt: skip
    band = plan.filters[0]
    nights = truth["nights"][truth["nights"]["filter"] == band]
    flats = truth["flats"][truth["flats"]["filter"] == band]
    flats = flats.sort_values(["season", "chip", "cell_y", "cell_x"])["offset"].to_numpy()
    chips = truth["chips"][truth["chips"]["exposure"] == 0].sort_values("chip")
    grid = flats.reshape(plan.n_seasons, len(chips), -1)
    grid = grid + chips["zp_offset"].to_numpy()[:, None]
    return Sky(folder / "sky", nights.to_dict("list"), truth["exposures"].to_dict("list"), grid)


def set_floors(store: Store, floors: NDArray[np.float64]) -> None:
    """Give the photcodes of detectors systematic errors, by filter."""
    table = store.view().photcodes
    of = table.sec_index_of_code
    put_photcodes(store, PhotcodeTable(tuple(
        replace(p, photom_err_sys=float(floors[of[p.code]])) if p.kind is PhotClass.DEP else p
        for p in table
    )), "test", {})  # fmt: skip


def flat_errors(sky: Sky, flats: FlatFields) -> NDArray[np.float64]:
    """Cells of flat fields less the truth, about the mean of each season."""
    order = np.lexsort((flats.corrections["photcode"], flats.corrections["tstart"]))
    ids = flats.corrections["id"][order]
    cells = np.array([flats.cells["offset"][flats.cells["id"] == i] for i in ids])
    true = sky.flats - sky.flats.mean(axis=(1, 2), keepdims=True)
    return np.asarray(cells - true.reshape(cells.shape))


def against_truth(sky: Sky, report: UbercalReport) -> NDArray[np.float64]:
    """Photometric or not, and zero points with flats, of periods: found, true, and errors."""
    seconds = (np.array(sky.exposures["mjd"]) - 40587.0) * 86400
    rows = []
    for period in report.periods:
        inside = (seconds >= period.start - 2) & (seconds < period.stop + 2)
        night = np.array(sky.exposures["night"])[inside]
        assert len(set(night.tolist())) == 1
        at = sky.nights["night"].index(night[0])
        # The mean of a season's flat is in the zero points of its nights.
        level = sky.flats[sky.nights["season"][at]].mean()
        rows.append((period.is_photometric, sky.nights["is_photometric"][at],
                     period.zero_point, sky.nights["zp_offset"][at] + level,
                     period.zero_point_err, period.slope, sky.nights["airmass_slope"][at],
                     period.slope_err))  # fmt: skip
    return np.array(rows, float).T
