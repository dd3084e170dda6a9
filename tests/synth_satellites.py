"""Rows of satellite tables for synthetic databases."""

from __future__ import annotations

from typing import Any

import numpy as np

from dvo.ingest.satellite_rows import add_satellites
from dvo.partition.store import Store
from dvo.partition.view import View
from dvo.tables.column_table import ColumnTable
from dvo.tables.measure import MEASURE
from dvo.tables.schema import TableSchema

IDS = ("ave_ref", "obj_id", "cat_id", "image_id", "det_id", "photcode")

Rows = dict[tuple[int, ...], tuple[Any, ...]]


def made_of(measure: ColumnTable, schema: TableSchema) -> ColumnTable:
    """A satellite row for each measure: values that tell one measure from another."""
    columns = {name: measure[name] for name in IDS if name in schema}
    seed = measure["image_id"].astype(np.int64) * 1000 + measure["det_id"]
    for k, column in enumerate(schema.columns):
        if column.name in ("ra", "dec", "time", "time_msec"):
            columns[column.name] = measure[column.name]
        elif column.dtype in ("f4", "f8"):
            values = np.sin(seed * (k + 1) * 0.37) + 2.0
            columns[column.name] = values.astype(column.numpy_dtype)
    if "model_type" in schema:
        columns["model_type"] = np.full(len(measure), 1, np.int16)
    return ColumnTable(schema, columns)


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


def _keyed(table: ColumnTable) -> Rows:
    """Rows by all their values but the link, of which compaction makes another."""
    names = [n for n in table.schema.stored_names if n != "ave_ref"]
    columns = [table[n].tolist() for n in ("cat_id", "obj_id", *names)]
    return {row: row for row in (tuple(map(str, r)) for r in zip(*columns, strict=True))}
