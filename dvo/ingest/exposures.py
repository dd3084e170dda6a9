"""Reader of exposure lists: a CSV file that names one table file an image.

Columns ``file,name,photcode,mjd,exptime,airmass``; further columns named as the numbers of
:class:`~dvo.ingest.detections.ImageMeta` are taken too, others are passed by. Files are
looked for beside the list, then from the working directory.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dvo.errors import BadCatalogError
from dvo.ingest.column_map import ColumnMap
from dvo.ingest.detections import ImageMeta, InputImage, content_digest
from dvo.ingest.tables import read_detections

__all__ = ["Exposure", "read_exposure", "read_exposure_list", "read_exposures"]

_REQUIRED = ("file", "name", "photcode", "mjd", "exptime", "airmass")
_INTEGERS = ("extern_id", "source_id", "ccdnum", "nx", "ny", "n_astrom")
_NUMBERS = (
    *("zero_point", "zero_point_err", "fwhm_x", "fwhm_y", "cerror", "detection_limit"),
    *("saturation_limit", "alt", "az", "posangle", "sidereal_time_h", "latitude"),
)
_NEVER_NULL = ("source_id", "ccdnum", "nx", "ny")


@dataclass(frozen=True, slots=True)
class Exposure:
    """One line of an exposure list.

    Parameters
    ----------
    path : Path
        The table file, found.
    meta : ImageMeta
        Facts of the image; content is that of the line alone.
    """

    path: Path
    meta: ImageMeta


def read_exposures(path: Path | str, column_map: ColumnMap) -> Iterator[InputImage]:
    """Read an exposure list and its files, one image after another.

    Parameters
    ----------
    path : Path or str
        The list.
    column_map : ColumnMap
        Which column of the files is which.

    Yields
    ------
    InputImage
        The images in the order of the list.

    Raises
    ------
    BadCatalogError
        If the list or a file is bad.
    """
    for exposure in read_exposure_list(path):
        yield read_exposure(exposure, column_map)


def read_exposure(exposure: Exposure, column_map: ColumnMap) -> InputImage:
    """Read the file of one line of an exposure list.

    Parameters
    ----------
    exposure : Exposure
        The line.
    column_map : ColumnMap
        Which column of the file is which.

    Returns
    -------
    InputImage
        The image and its detections.

    Raises
    ------
    BadCatalogError
        If the file is bad.
    """
    meta = exposure.meta
    detections, report, content = read_detections(exposure.path, column_map, m_time=meta.m_time)
    meta = replace(meta, content=content_digest((meta.content, content), {}))
    return InputImage(meta, detections, report)


def read_exposure_list(path: Path | str) -> list[Exposure]:
    """Read an exposure list without its files.

    Parameters
    ----------
    path : Path or str
        The list, a CSV file.

    Returns
    -------
    list of Exposure
        Its lines, in order; every file is there.

    Raises
    ------
    BadCatalogError
        If the list lacks a column, a value is wrong, an image stands twice, or a file is
        not found; the message names file and line.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restkey="(too many)", restval=None)
            missing = [name for name in _REQUIRED if name not in (rows.fieldnames or ())]
            if missing:
                raise BadCatalogError(
                    f"{path}: no column {', '.join(missing)}; an exposure list begins with the "
                    f"line {','.join(_REQUIRED)}"
                )
            exposures = [_read_line(path, f"{path}, line {rows.line_num}", row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadCatalogError(f"{path}: cannot be read as an exposure list: {error}") from error
    seen: dict[str, int] = {}
    for i, exposure in enumerate(exposures):
        name = exposure.meta.name
        if name in seen:
            raise BadCatalogError(
                f"{path}: image {name!r} stands twice (images {seen[name] + 1} and {i + 1} of the "
                "list); an image is known by its name, so give each its own"
            )
        seen[name] = i
    return exposures


def _read_line(path: Path, where: str, row: dict[str, str | None]) -> Exposure:
    for name in ("file", "name", "photcode"):
        if not (row[name] or "").strip():
            raise BadCatalogError(f"{where}: {name} is empty")
    numbers: dict[str, float | int | None] = {}
    for name in _NUMBERS:
        numbers[name] = _number(row.get(name), f"{where}: {name}")
    for name in _INTEGERS:
        value = _number(row.get(name), f"{where}: {name}")
        if not math.isnan(value) and value != int(value):
            raise BadCatalogError(f"{where}: {name} is {row[name]!r}; write a whole number")
        null = 0 if name in _NEVER_NULL else None
        numbers[name] = null if math.isnan(value) else int(value)
    start = {name: _number(row[name], f"{where}: {name}") for name in ("mjd", "exptime")}
    for name, value in start.items():
        if math.isnan(value):
            raise BadCatalogError(f"{where}: {name} is empty; every image needs it")
    facts: dict[str, Any] = {
        "photcode": (row["photcode"] or "").strip(),
        "mjd": start["mjd"],
        "exptime_s": start["exptime"],
        "airmass": _number(row["airmass"], f"{where}: airmass"),
        **numbers,
    }
    if not math.isnan(facts["airmass"]):
        # A zero point in a list is what the image shows.
        facts["zero_point_airmass"] = facts["airmass"]
    meta = ImageMeta(
        name=(row["name"] or "").strip(),
        content=content_digest(facts.items(), {}),
        **facts,
    )
    return Exposure(_find(path, (row["file"] or "").strip(), where), meta)


def _number(text: str | None, where: str) -> float:
    if text is None or not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise BadCatalogError(f"{where} is {text!r}; write a number") from None


def _find(path: Path, name: str, where: str) -> Path:
    for candidate in (path.parent / name, Path(name)):
        if candidate.is_file():
            return candidate
    raise BadCatalogError(
        f"{where}: file {name!r} is neither beside the list ({path.parent}) nor in the working "
        "directory; mend the path"
    )
