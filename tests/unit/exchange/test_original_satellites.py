"""Satellite tables in the original's file layout: names, widths, links and values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from dvo.exchange.original.export import export_catdir
from dvo.exchange.original.satellite_formats import HEADER_KEYS, SATELLITES_V6
from dvo.partition.compact import resort
from dvo.partition.store import Store
from dvo.tables.galphot import GALPHOT
from dvo.tables.lensing import LENSING
from dvo.tables.missing import MISSING
from dvo.tables.satellites import SATELLITES
from dvo.tables.starpar import STARPAR
from tests import synth
from tests.synth_satellites import add_to_measures

WIDTHS = {"J": 4, "I": 2, "U": 4, "D": 8, "E": 4}


def test_formats_hold_our_columns_and_are_as_wide_as_the_originals() -> None:
    for satellite in SATELLITES:
        old = SATELLITES_V6[satellite.schema.name]
        assert old.row_bytes == sum(WIDTHS[c.form] for c in old.columns)
        assert all(not c.source or c.source in satellite.schema for c in old.columns)
    widths = {name: old.row_bytes for name, old in SATELLITES_V6.items()}
    assert widths == {"Lensing": 160, "LensObj": 152, "StarPar": 80, "GalPhot": 80, "Missing": 4}


def rows(path: Path) -> tuple[Any, Any]:
    with fits.open(path) as hdus:
        hdus.verify("exception")
        return hdus[1].header, np.array(hdus[1].data)


@pytest.mark.parametrize("compacted", [False, True])
def test_files_hold_the_rows_of_objects(tmp_path: Path, compacted: bool) -> None:
    with Store(synth.filled_database(tmp_path / "sky", n_images=3), writable=True) as store:
        bare = tmp_path / "bare"
        export_catdir(store, store.view(), bare)
        assert not [p for p in bare.rglob("*") if p.suffix in (".cpx", ".cpy", ".cpz", ".cpq")]
        for schema in (GALPHOT, LENSING, STARPAR, MISSING):
            add_to_measures(store, schema, [1] if schema is STARPAR else [1, 2, 3])
        if compacted:
            resort(store)
        view = store.view()
        export_catdir(store, view, tmp_path / "old")
        for region in view.regions():
            path = tmp_path / "old" / f"{view.sky.region(region).name}.cpt"
            head = fits.getheader(path)
            average = np.array(fits.getdata(path))
            for satellite in SATELLITES:
                check(view, region, path, head, average, satellite)


def check(view: Any, region: int, path: Path, head: Any, average: Any, satellite: Any) -> None:
    schema = satellite.schema
    key, count = HEADER_KEYS[schema.name]
    ours = view.read(schema, region)
    about, table = rows(path.with_name(head[key]))
    assert about["EXTNAME"] == SATELLITES_V6[schema.name].extname
    assert about["NAXIS1"] == SATELLITES_V6[schema.name].row_bytes
    assert head[count] == len(table) == len(ours) > 0
    counts = average[satellite.count.upper()].astype(int)
    assert counts.sum() == len(ours)
    starts = np.cumsum(counts) - counts
    offsets = average[satellite.offset.upper()]
    np.testing.assert_array_equal(offsets, np.where(counts > 0, starts, -1))
    if schema is MISSING:
        assert sorted(table["TIME"].tolist()) == sorted(ours["time"].tolist())
        return
    objects = np.repeat(np.arange(len(average)), counts)
    for name in ("OBJ_ID", "CAT_ID"):
        np.testing.assert_array_equal(table[name], average[name][objects])
    link = {"GalPhot": "AVEREF", "LensObj": None}.get(schema.name, "AVE_REF")
    if link is not None:
        np.testing.assert_array_equal(table[link], objects)
    for name in ("FLUX_AP_R5", "X11_SM_OBJ", "MAG", "MAJOR_AXIS", "E_BV", "IMAGE_ID"):
        if name in (table.dtype.names or ()):
            np.testing.assert_array_equal(np.sort(table[name]), np.sort(ours[name.lower()]))
