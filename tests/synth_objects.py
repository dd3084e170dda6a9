"""Exposures and reference catalogs with motions, and all that a database says of its objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dvo.ingest.addstar import addstar
from dvo.ingest.detections import Detections, ImageMeta, InputImage, RefSource
from dvo.ingest.photcodes import put_photcodes
from dvo.ingest.report import AddstarOptions
from dvo.partition.check import check
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import PhotClass, PhotcodeTable
from dvo.tables.secfilt import SECFILT
from tests import synth

J2000, YEAR = 51544.5, 365.25
OWN_IDS = {"obj_id", "cat_id", "ext_id", "off_measure"}

Step = Callable[[Store], None]


def exposure(stars: synth.Stars, k: int, *, version: int = 0) -> InputImage:
    """Exposure k, at no orderly time, with apertures, airmass, zero point and errors."""
    rng = np.random.default_rng([k, version])
    made = synth.make_image(rng, stars, k, band="gr"[k % 2])
    meta, found = made.meta, made.detections
    assert isinstance(meta, ImageMeta)
    n = len(found)
    columns = found.columns | {
        "m_aper": found.columns["mag"] + np.float32(0.3),
        "m_aper_err": np.full(n, 0.03, np.float32),
    }
    errors = rng.uniform(0.02, 0.08, n).astype(np.float32)
    airmass, zero_point = rng.uniform(1, 2), rng.uniform(24.9, 25.1)
    mjd = 57000.0 + rng.uniform(0, 500)
    meta = replace(meta, mjd=mjd, airmass=airmass, zero_point=zero_point if k % 3 else np.nan)
    return InputImage(meta, Detections(found.ra, found.dec, columns, errors, errors.copy()), {})


def survey(stars: synth.Stars, name: str, epoch: float, seed: int, share: float) -> InputImage:
    """A reference catalog; a share of its rows have proper motions, most some epoch of their own.

    Stars have moved by then from where exposures of 2015 see them, if they are said to move.
    """
    rng = np.random.default_rng(seed)
    n = len(stars)
    moves = rng.random(n) < share
    u_ra, u_dec = (np.where(moves, rng.normal(0, 6, n), np.nan) for _ in range(2))
    own = np.where(rng.random(n) < 0.7, J2000 + (epoch - 2000 + rng.uniform(-1, 1, n)) * YEAR,
                   np.nan)  # fmt: skip
    years = np.where(np.isnan(own), epoch, 2000 + (own - J2000) / YEAR) - 2015.0
    ra = stars.ra + np.nan_to_num(u_ra) * years / 3.6e6 / np.cos(np.radians(stars.dec))
    dec = stars.dec + np.nan_to_num(u_dec) * years / 3.6e6
    errors = rng.uniform(0.01, 0.05, n).astype(np.float32)
    columns = {
        "det_id": np.arange(n, dtype=np.uint32),
        "mag": stars.mag.astype(np.float32),
        "u_ra": u_ra.astype(np.float32),
        "u_dec": u_dec.astype(np.float32),
        "par": np.full(n, 3.0, np.float32),
        "epoch_mjd": own,
    }
    source = RefSource("CAT.V", J2000 + (epoch - 2000) * YEAR, name, name.rjust(32, "0"))
    return InputImage(source, Detections(ra, dec, columns, errors, errors.copy()), {})


def add(*images: InputImage, **options: Any) -> Step:
    def step(store: Store) -> None:
        sources = [partial(synth._copies, image) for image in images]
        addstar(store, sources, AddstarOptions(compact_parts=0, **options))

    return step


def compact(store: Store) -> None:
    resort(store)


def database(path: Path, steps: list[Step], level: int = 4) -> Path:
    """A database to which this was done, one run of a program after the other."""
    synth.make_database(path, level)
    with Store(path, writable=True) as store:
        table = store.view().photcodes.add("CAT.V", PhotClass.REF)
        model = {"astrom_err_sys": 0.01, "astrom_err_scale": 1.3, "astrom_err_mag_scale": 0.5,
                 "airmass_slope": 0.13}  # fmt: skip
        odd = [replace(p, **model) if p.kind is PhotClass.DEP else p for p in table]
        put_photcodes(store, PhotcodeTable(odd), "photcode add", {})
    for step in steps:
        with Store(path, writable=True) as store:
            step(store)
    return path


def objects(view: View) -> dict[frozenset[tuple[str, int]], dict[str, Any]]:
    """All that is said of every object but its own numbers, by the detections it is made of."""
    names = dict(zip(view.images["image_id"].tolist(), view.images["name"].tolist(), strict=True))
    names |= {-c.image_id: c.identity for c in view.reference_catalogs()}
    out = {}
    for region in view.regions():
        average, secfilt, measure = (view.read(t, region) for t in (AVERAGE, SECFILT, MEASURE))
        n = view.n_secfilt
        for row in range(len(average)):
            mine = np.flatnonzero(measure["ave_ref"] == row)
            key = frozenset(
                (str(names[image or ref]), det)
                for image, ref, det in zip(
                    *(measure[c][mine].tolist() for c in ("image_id", "ref_id", "det_id")),
                    strict=True,
                )
            )
            facts = {c: average[c][row] for c in AVERAGE.names if c not in OWN_IDS}
            facts |= {c: secfilt[c][row * n : row * n + n] for c in SECFILT.names}
            out[key] = facts
    return out


def assert_same_objects(one: Path, two: Path) -> None:
    with Store(one) as a, Store(two) as b:
        found, wanted = objects(a.view()), objects(b.view())
        assert found.keys() == wanted.keys()
        for key, facts in wanted.items():
            for name, value in facts.items():
                np.testing.assert_array_equal(found[key][name], value, err_msg=f"{name} of {key}")
        assert check(a, deep=True).faults == []
