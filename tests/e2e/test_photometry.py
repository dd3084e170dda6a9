"""Magnitudes of a simulated survey, through smf files and addstar, against its truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.spatial import cKDTree

import dvo
from dvo.ingest.addstar import addstar
from dvo.ingest.photcode_text import read_photcodes
from dvo.ingest.photcodes import import_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.ingest.sources import catalog_sources
from dvo.partition.store import Store, create_store
from dvo.sphere import unit_vectors
from dvo.tables.photcode import PhotClass, PhotcodeTable
from ipp_pipeline.sim import SurveyPlan, simulate


def test_calibrated_magnitudes_do_not_depend_on_the_airmass(tmp_path: Path) -> None:
    plan = SurveyPlan(
        n_exposures=60,
        density_per_deg2=800,
        seed=11,
        flat_rms=0.0,
        airmass_slope_rms=0.0,
        filters=("g",),
        variable_fraction=0.0,
    )
    made = simulate(plan, tmp_path / "sim")
    table = PhotcodeTable()
    for name in "grizy":
        table = table.add(name, PhotClass.SEC)
    catdir = tmp_path / "cat"
    create_store(catdir, level=3, photcodes=table)
    files = sorted((tmp_path / "sim" / "smf").glob("*.smf"))
    with Store(catdir, writable=True) as store:
        import_photcodes(store, read_photcodes(made.photcodes), source="sim")
        addstar(store, catalog_sources(files, photcode=None), AddstarOptions())
    stars = pq.read_table(made.truth["stars"])
    airmass, residual = _residuals(catdir, stars)
    slope = np.polyfit(airmass, residual, 1)[0]
    # Nominal slopes are 0.15 mag/airmass in g: a wrong sign or a term counted twice shows.
    assert len(residual) > 500
    assert abs(slope) < 0.05
    assert abs(np.median(residual)) < 0.03


def _residuals(catdir: Path, stars: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Airmass, and calibrated minus true magnitude, of bright stars in g."""
    tree = cKDTree(unit_vectors(stars["ra"].to_numpy(), stars["dec"].to_numpy()))
    true_g = stars["mag_g"].to_numpy()
    airmass, residual = [], []
    with dvo.open(catdir) as db:
        for batch in db.scan("measure", ["ra", "dec", "airmass", "g:rel", "mag:err"]):
            found = {n: batch[n].to_numpy(False) for n in batch.schema.names}
            far, i = tree.query(unit_vectors(found["ra"], found["dec"]))
            diff = found["g:rel"] - true_g[i]
            good = (far < np.radians(0.5 / 3600)) & (found["mag:err"] < 0.02) & (abs(diff) < 0.3)
            airmass.append(found["airmass"][good])
            residual.append(diff[good])
    return np.concatenate(airmass), np.concatenate(residual)
