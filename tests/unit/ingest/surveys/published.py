"""Files of surveys as they are published, made of a few rows."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from astropy.io import fits
from astropy.io.votable.exceptions import VOWarning
from astropy.table import MaskedColumn, Table

from dvo.ingest.detections import BandColumns, InputImage, RefSource
from dvo.ingest.surveys.read import read_survey
from dvo.ingest.surveys.registry import find_survey

__all__ = ["KINDS", "bands", "col", "read", "source", "units_of", "write"]

KINDS = ("fits", "votable", "csv", "parquet")

Rows = list[dict[str, Any]]


def read(survey: str, path: Path | None = None, **options: Any) -> InputImage:
    """Read a file of a survey by its name."""
    system = options.pop("system", None)
    return read_survey(find_survey(survey, system), path, **options)


def source(image: InputImage) -> RefSource:
    assert isinstance(image.meta, RefSource)
    return image.meta


def bands(image: InputImage) -> dict[str, BandColumns]:
    """Bands by photcode."""
    return {b.photcode: b for b in image.detections.bands}


def col(image: InputImage, name: str) -> list[Any]:
    """A column of the entries, NaN as None."""
    values = image.detections.columns[name].tolist()
    return [None if v != v else v for v in values]


def units_of(**units: str) -> dict[str, str]:
    return units


def write(path: Path, kind: str, rows: Rows, units: dict[str, str] | None = None) -> Path:
    """Write rows as a table, None for what is missing, in the way of each kind of file."""
    names = list(rows[0])
    units = units or {}
    columns = {name: [row.get(name) for row in rows] for name in names}
    if kind == "csv":
        lines = [",".join(names)]
        lines += [",".join("" if v is None else str(v) for v in row.values()) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    elif kind == "ecsv.gz":
        lines = ["# %ECSV 1.0", "# ---", *(f"# - {{name: {n}}}" for n in names), ",".join(names)]
        lines += [",".join("null" if v is None else str(v) for v in row.values()) for row in rows]
        path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    elif kind == "parquet":
        fields = [pa.field(n, pa.array(v).type, metadata={b"unit": units.get(n, "").encode()})
                  for n, v in columns.items()]  # fmt: skip
        arrays = [pa.array(v) for v in columns.values()]
        pa.parquet.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), path)
    elif kind == "votable":
        table = Table()
        for name, values in columns.items():
            table[name] = _masked(values, units.get(name))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VOWarning)  # of names that begin with a digit
            table.write(path, format="votable")
    else:
        made = [_fits_column(name, v, units.get(name)) for name, v in columns.items()]
        fits.BinTableHDU.from_columns(made).writeto(path)
    return path


def _masked(values: list[Any], unit: str | None) -> MaskedColumn:
    known = [v for v in values if v is not None]
    fill = "" if known and isinstance(known[0], str) else 0
    filled = [fill if v is None else v for v in values]
    return MaskedColumn(filled, mask=[v is None for v in values], unit=unit)


def _fits_column(name: str, values: list[Any], unit: str | None) -> fits.Column:
    known = [v for v in values if v is not None]
    if known and isinstance(known[0], str):
        width = max(len(v) for v in known)
        return fits.Column(name, f"{width}A", array=["" if v is None else v for v in values])
    if known and isinstance(known[0], bool):
        return fits.Column(name, "L", array=[bool(v) for v in values])
    if known and all(isinstance(v, int) for v in known):
        filled = np.array([-1 if v is None else v for v in values], np.int64)
        null = -1 if len(known) < len(values) else None
        return fits.Column(name, "K", array=filled, unit=unit, null=null)
    filled = np.array([np.nan if v is None else v for v in values])
    return fits.Column(name, "D", array=filled, unit=unit)
