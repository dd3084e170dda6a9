"""Reader of plain tables: any table file and a column map become detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.column_map import ColumnMap, convert_column, convert_unit
from dvo.ingest.detection_numbers import check_det_ids
from dvo.ingest.detections import (
    INSTRUMENT_ZERO_POINT,
    Detections,
    InputImage,
    RefSource,
    clean_positions,
    content_digest,
)
from dvo.tables.table_files import read_table

__all__ = ["read_detections", "read_reference"]


def read_detections(
    path: Path | str, column_map: ColumnMap, *, m_time: float = 0.0
) -> tuple[Detections, dict[str, object], str]:
    """Read the detections of one table file.

    Parameters
    ----------
    path : Path or str
        A FITS, Parquet, VOTable or CSV file.
    column_map : ColumnMap
        Which column is which.
    m_time : float
        2.5 log10 of the exposure time [mag], added to instrumental magnitudes.

    Returns
    -------
    detections : Detections
        Rows with a position; det_id is the row number, from 0, unless it is mapped.
    report : dict
        ``dropped``: rows left out, by reason; ``notes``: what looks wrong, if anything.
    content : str
        Checksum of the columns read.

    Raises
    ------
    BadCatalogError
        If the file or a column is bad, or a detection number stands twice.
    """
    path = Path(path)
    raw = read_table(path, column_map.names)
    columns: dict[str, NDArray[Any]] = {}
    for key, name in column_map:
        where = f"{path}, column {name}"
        unit = column_map.units.get(key) or raw.units.get(name, "")
        values = convert_unit(key, raw.columns[name], unit, where)
        columns[key] = convert_column(key, values, where)
    content = content_digest((), columns)
    notes = [] if raw.n_rows else ["the table has no rows"]
    for key in [k for k in columns if k.endswith("_inst")]:
        if _looks_calibrated(columns[key]):
            notes.append(
                f"{key} is mostly above 0, which is less than one count: if these magnitudes are "
                f"calibrated, roll back and map them as {key.removesuffix('_inst')}"
            )
        zero = np.float32(m_time + INSTRUMENT_ZERO_POINT)
        columns[key.removesuffix("_inst")] = columns.pop(key) + zero
    if "det_id" in columns:
        check_det_ids(columns["det_id"], str(path), column_map.columns["det_id"])
    else:
        columns["det_id"] = np.arange(raw.n_rows, dtype=np.uint32)
    ra, dec = columns.pop("ra"), columns.pop("dec")
    ra_err, dec_err = columns.pop("ra_err", None), columns.pop("dec_err", None)
    ra, dec, good, dropped = clean_positions(ra, dec)
    detections = Detections(ra, dec, columns, ra_err, dec_err)
    report: dict[str, object] = {"dropped": dropped, "missing": []}
    if notes:
        report["notes"] = notes
    return (detections.take(good) if dropped else detections), report, content


def _looks_calibrated(mags: NDArray[Any]) -> bool:
    """Whether most magnitudes that should be -2.5 log10(counts) are those of stars."""
    known = mags[np.isfinite(mags)]
    return bool(2 * np.count_nonzero(known > 0) > len(known))


def read_reference(
    path: Path | str,
    column_map: ColumnMap,
    *,
    photcode: str,
    epoch_mjd: float,
    name: str | None = None,
) -> InputImage:
    """Read a reference catalog: measures of a REF photcode, without an image.

    Parameters
    ----------
    path : Path or str
        A FITS, Parquet, VOTable or CSV file.
    column_map : ColumnMap
        Which column is which.
    photcode : str
        Name of the REF photcode.
    epoch_mjd : float
        Epoch of the positions, MJD [d].
    name : str or None
        What the catalog is known by, with its photcode; None takes the name of the file.

    Returns
    -------
    InputImage
        Its meta is a RefSource.

    Raises
    ------
    BadCatalogError
        If the file or a column is bad, or there are no rows.
    """
    path = Path(path)
    detections, report, content = read_detections(path, column_map)
    if not len(detections) and not report["dropped"]:
        # It would be known by its name from now on, and the rows could not follow.
        raise BadCatalogError(f"{path}: the table has no rows; there is nothing to add")
    content = content_digest((photcode, epoch_mjd, content), {})
    meta = RefSource(photcode, epoch_mjd, name or path.name, content)
    return InputImage(meta, detections, report)
