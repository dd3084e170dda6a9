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
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from dvo.errors import BadCatalogError
from dvo.ingest.column_map import ColumnMap
from dvo.ingest.detections import ImageMeta, InputImage, content_digest
from dvo.ingest.tables import read_detections

__all__ = ["Exposure", "read_exposure", "read_exposure_list", "read_exposures"]

_REQUIRED = ("file", "name", "photcode", "mjd", "exptime", "airmass")
# Least and greatest value of each column: what the Image table can hold, and what can be.
_INTEGERS = {
    "extern_id": (0, 2**63 - 1),
    "source_id": (0, 2**32 - 1),
    "ccdnum": (0, 2**31 - 1),
    "nx": (0, 2**32 - 1),
    "ny": (0, 2**32 - 1),
    "n_astrom": (0, 2**32 - 1),
}
_NUMBERS = {
    "mjd": (0.0, 146100.0),
    "exptime": (0.0, 1e9),
    "airmass": (0.0, 100.0),
    "zero_point": (-100.0, 100.0),
    "zero_point_err": (0.0, 100.0),
    "fwhm_x": (0.0, 1e5),
    "fwhm_y": (0.0, 1e5),
    "cerror": (0.0, 1e6),
    "detection_limit": (-100.0, 100.0),
    "saturation_limit": (-100.0, 100.0),
    "alt": (-90.0, 90.0),
    "az": (-360.0, 360.0),
    "posangle": (-360.0, 360.0),
    "sidereal_time_h": (0.0, 24.0),
    "latitude": (-90.0, 90.0),
}
_HINTS = {
    "mjd": "; give days (UTC) since 1858-11-17, not a Julian date or seconds",
    "exptime": "; give seconds, 0 if unknown",
}
_NEVER_NULL = ("source_id", "ccdnum", "nx", "ny")
_MOST_SHOWN = 40


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
    except OSError as error:
        raise BadCatalogError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadCatalogError(
            f"{path}: not an exposure list, which is a CSV file: {error}"
        ) from error
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
            raise BadCatalogError(f"{where}: column {name} is empty; every image needs it")
    numbers = {name: _number(row, name, where) for name in _NUMBERS}
    for name in ("mjd", "exptime"):
        if math.isnan(numbers[name]):
            found = (row[name] or "").strip() or "empty"
            raise BadCatalogError(f"{where}: column {name} is {found}; every image needs it")
    facts: dict[str, Any] = {
        "photcode": (row["photcode"] or "").strip(),
        "mjd": numbers.pop("mjd"),
        "exptime_s": numbers.pop("exptime"),
        **numbers,
        **{name: _integer(row, name, where) for name in _INTEGERS},
    }
    if not math.isnan(facts["airmass"]):
        # A zero point in a list is what the image shows.
        facts["zero_point_airmass"] = facts["airmass"]
    content = content_digest(facts.items(), {})
    try:
        meta = ImageMeta(name=(row["name"] or "").strip(), content=content, **facts)
    except BadCatalogError as error:
        raise BadCatalogError(f"{where}: {error}") from error
    return Exposure(_find(path, (row["file"] or "").strip(), where), meta)


def _number(row: dict[str, str | None], name: str, where: str) -> float:
    text = (row.get(name) or "").strip()
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise BadCatalogError(f"{where}: column {name} is {text!r}; write a number") from None
    low, high = _NUMBERS[name]
    if not low <= value <= high and not math.isnan(value):
        raise _out_of_range(name, text, where, f"{low:g} to {high:g}")
    return value


def _integer(row: dict[str, str | None], name: str, where: str) -> int | None:
    text = (row.get(name) or "").strip()
    if not text or text.lower() == "nan":
        return 0 if name in _NEVER_NULL else None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise BadCatalogError(f"{where}: column {name} is {text!r}; write a whole number") from None
    low, high = _INTEGERS[name]
    if not value.is_finite() or not low <= value <= high:
        raise _out_of_range(name, text, where, f"{low} to {high}")
    if value != int(value):
        raise BadCatalogError(f"{where}: column {name} is {text!r}; write a whole number")
    return int(value)


def _out_of_range(name: str, text: str, where: str, allowed: str) -> BadCatalogError:
    return BadCatalogError(
        f"{where}: column {name} is {text[:_MOST_SHOWN]}; it can be {allowed}{_HINTS.get(name, '')}"
    )


def _find(path: Path, name: str, where: str) -> Path:
    for candidate in (path.parent / name, Path(name)):
        if candidate.is_file():
            return candidate
    raise BadCatalogError(
        f"{where}: file {name!r} is neither beside the list ({path.parent}) nor in the working "
        "directory; mend the path"
    )
