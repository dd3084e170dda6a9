"""Rows of satellite tables for synthetic databases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dvo.ingest.detections import InputImage
from dvo.ingest.satellite_input import SatelliteRows
from dvo.ingest.satellite_rows import add_satellites
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.galphot import GALPHOT
from dvo.tables.image import IMAGE
from dvo.tables.lensing import LENSING
from dvo.tables.lensobj import LENSOBJ
from dvo.tables.measure import MEASURE
from dvo.tables.satellites import Satellite
from dvo.tables.schema import TableSchema

IDS = ("ave_ref", "obj_id", "cat_id", "image_id", "det_id", "photcode")

Rows = dict[tuple[int, ...], tuple[Any, ...]]


def made_of(measure: ColumnTable, schema: TableSchema) -> ColumnTable:
    """A satellite row for each measure: values that tell one measure from another."""
    columns = {name: measure[name] for name in IDS if name in schema}
    seed = measure["mag"].astype(np.float64) * 1000  # the same whatever the numbers of images
    for k, column in enumerate(schema.columns):
        if column.name in ("ra", "dec", "time", "time_msec"):
            columns[column.name] = measure[column.name]
        elif column.dtype in ("f4", "f8"):
            values = np.sin(seed * (k + 1) * 0.37) + 2.0
            columns[column.name] = values.astype(column.numpy_dtype)
    if "model_type" in schema:
        columns["model_type"] = np.full(len(measure), 1, np.int16)
    return ColumnTable(schema, columns)


def with_satellites(image: InputImage, seed: int, lost: Sequence[int] = ()) -> InputImage:
    """An image some of whose detections have galaxy models (two each) and lensing terms."""
    rng = np.random.default_rng(seed)
    det_id = image.detections.columns["det_id"]
    some = rng.permutation(det_id)[: len(det_id) // 3]
    galaxies = np.concatenate([np.repeat(some, 2), np.array(lost, np.uint32)]).astype(np.uint32)
    columns: dict[str, Any] = {
        "mag": rng.normal(20, 1, len(galaxies)).astype(np.float32),
        "model_type": (1 + np.arange(len(galaxies)) % 2).astype(np.int16),
        "flags": np.zeros(len(galaxies), np.uint32),
    }
    lensed = rng.permutation(det_id)[: len(det_id) // 2]
    names = [f"{term}_sm_obj" for term in ("x11", "x12", "x22", "e1", "e2")]
    terms = {name: rng.normal(0, 1, len(lensed)).astype(np.float32) for name in names}
    return replace(image, satellites=[
        SatelliteRows(GALPHOT, galaxies, columns), SatelliteRows(LENSING, lensed, terms)
    ])  # fmt: skip


def add_to_measures(store: Store, schema: TableSchema, images: list[int]) -> Rows:
    """Give every measure of some images a row of a satellite table, in one commit."""
    view = store.view()
    regions, pieces = [], []
    for region in view.regions():
        measure = view.read(MEASURE, region)
        picked = measure.take(np.isin(measure["image_id"], images))
        if len(picked):
            regions.append(region)
            pieces.append(made_of(picked, schema))
    table = ColumnTable.concatenate(schema, pieces)
    edges = np.cumsum([0, *(len(p) for p in pieces)])
    with store.begin("satellites", {}, view) as change:
        add_satellites(change, view, table, regions, edges)
        change.commit()
    return _keyed(table)


def rows_by_object(view: View, schema: TableSchema) -> Rows:
    """All rows of a satellite table, by object and by what tells them apart."""
    found: Rows = {}
    for region in view.regions():
        found |= _keyed(view.read(schema, region))
    return found


def assert_links(view: View, satellite: Satellite) -> None:
    """Every row names its object by number and by row; counts and offsets are true."""
    for region in view.regions():
        average = view.read(AVERAGE, region)
        table = view.read(satellite.schema, region)
        ref = table["ave_ref"]
        for name in ("cat_id", "obj_id"):
            np.testing.assert_array_equal(average[name][ref], table[name])
        counts = [int(np.count_nonzero(ref == i)) for i in range(len(average))]
        assert average[satellite.count].tolist() == counts
        if view.catalog(region).is_sorted:
            for i, n in enumerate(counts):
                start = int(average[satellite.offset][i])
                assert (ref[start : start + n] == i).all() if n else start == -1


def _expected_means(view: View) -> dict[tuple[int, int, int], dict[str, float]]:
    """Means of every object and filter, row by row."""
    images = view.read(IMAGE, -1)
    band = {
        int(i): view.photcodes.get_code(int(c)).equiv
        for i, c in zip(images["image_id"], images["photcode"], strict=True)
    }
    rows: dict[tuple[int, int, int], list[dict[str, float]]] = {}
    for region in view.regions():
        table = view.read(LENSING, region)
        for k in range(len(table)):
            key = (table["cat_id"][k], table["obj_id"][k], band[int(table["image_id"][k])])
            row = {n: float(table[n][k]) for n in LENSING.names}
            if key[2]:  # else it belongs to no average filter
                rows.setdefault(tuple(int(v) for v in key), []).append(row)
    out = {}
    for key, some in rows.items():
        facts: dict[str, float] = {}
        for tensor in ("sm_obj", "sh_obj", "sm_psf", "sh_psf"):
            names = [f"{term}_{tensor}" for term in ("x11", "x12", "x22", "e1", "e2")]
            good = [r for r in some if np.isfinite([r[n] for n in names]).all()]
            facts[f"n_{tensor}"] = len(good)
            facts |= {n: _mean([r[n] for r in good]) for n in names}
        for radius in ("r5", "r6", "r7"):
            good = [r for r in some if np.isfinite(r[f"flux_ap_{radius}"])]
            flux, err, fill = (
                np.array([r[f"flux{stem}_ap_{radius}"] for r in good])
                for stem in ("", "_err", "_fil")
            )
            facts[f"n_ap_{radius}"] = len(good)
            facts[f"flux_ap_{radius}"] = _mean(flux)
            facts[f"flux_fil_ap_{radius}"] = _mean(fill)
            facts[f"flux_std_ap_{radius}"] = np.std(flux, ddof=1) if len(good) > 1 else np.nan
            facts[f"flux_err_ap_{radius}"] = np.sqrt(_mean(err**2) / len(good)) if good else np.nan
        out[key] = facts
    return out


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else np.nan


def _stored_means(view: View) -> dict[tuple[int, int, int], dict[str, float]]:
    out = {}
    for region in view.regions():
        table, average = view.read(LENSOBJ, region), view.read(AVERAGE, region)
        for k in range(len(table)):
            key = tuple(int(table[n][k]) for n in ("cat_id", "obj_id", "photcode"))
            assert key not in out
            out[key] = {n: float(table[n][k]) for n in LENSOBJ.names}
            own = int(table["ave_ref"][k])
            assert (average["cat_id"][own], average["obj_id"][own]) == key[:2]
        counts = np.bincount(table["ave_ref"], minlength=len(average))
        assert average["nlensobj"].tolist() == counts.tolist()
    return out


def assert_means(view: View) -> None:
    found, wanted = _stored_means(view), _expected_means(view)
    assert found.keys() == wanted.keys()
    for key, facts in wanted.items():
        for name, value in facts.items():
            assert found[key][name] == pytest.approx(value, rel=1e-5, abs=1e-5, nan_ok=True), (
                key,
                name,
            )


def _keyed(table: ColumnTable) -> Rows:
    """Rows by all their values but the link, of which compaction makes another."""
    names = [n for n in table.schema.stored_names if n != "ave_ref"]
    columns = [table[n].tolist() for n in ("cat_id", "obj_id", *names)]
    return {row: row for row in (tuple(map(str, r)) for r in zip(*columns, strict=True))}
