"""Faults planted in databases, for check to find and repair to mend."""

from __future__ import annotations

import numpy as np

from dvo.ingest.detections import Detections, InputImage, RefSource
from dvo.partition.store import Store
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from dvo.tables.secfilt import SECFILT
from tests.synth import make_stars

PAIRS = (AVERAGE, SECFILT, MEASURE)


def spoil(catdir, table, column, row, value):
    """Commit one region's tables with one wrong value; gives the name of the region."""
    with Store(catdir, writable=True) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_average)
        found = {s.name: view.read(s, region) for s in PAIRS}
        values = found[table][column].copy()
        values[row] = value
        found[table][column] = values
        with store.begin("spoil", {}) as change:
            change.put_catalog(region, found.values(), level="fast")
            change.commit()
        return view.sky.region(region).name


def make_catalog(name="survey", content="00", n=20, **columns):
    """A reference catalog of stars of `make_images(1, 60, ...)`; motions are in mas/yr."""
    stars = make_stars(np.random.default_rng(1), 60)
    found = {"mag": np.full(n, 15.0, np.float32), "det_id": np.arange(n, dtype=np.uint32)}
    found |= {k: np.full(n, v, np.float32) for k, v in columns.items()}
    source = RefSource("REF.g", 57001.0, name, content)
    return InputImage(source, Detections(stars.ra[:n].copy(), stars.dec[:n].copy(), found), {})


def spoil_measures(catdir, from_catalog, **values):
    """Commit the measures of a region that has both kinds, with one of them changed."""
    with Store(catdir, writable=True) as store:
        view = store.view()
        region = max(view.regions(), key=lambda r: view.catalog(r).n_measure)
        table = view.read(MEASURE, region, MEASURE.stored_names)
        row = int(np.flatnonzero((table["ref_id"] > 0) == from_catalog)[0])
        for name, value in values.items():
            column = table[name].copy()
            column[row] = value
            table[name] = column
        with store.begin("spoil", {}) as change:
            change.put_catalog(region, [table], level="fast")
            change.commit()
