"""Rows of the tables about the survey, from the photcodes and the flags of the database."""

from __future__ import annotations

import ast
import enum
import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.psps.schema.metadata import FILTER, FLAG_TABLES, PHOTO_CAL, SURVEY
from dvo.psps.schema.objects import BANDS
from dvo.psps.schema.table import UNSET, PublicTable
from dvo.tables.flags import AverageFlag, SecFiltFlag
from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable

__all__ = ["filter_id", "metadata_rows", "public_flags"]

Array = NDArray[Any]
Rows = dict[str, Array]

_PUBLIC_FILTER_BITS = 0x7FFF
_QUALITY_SHIFT = 24


def filter_id(photcodes: PhotcodeTable, name: str) -> int:
    """Number a filter: 1 to 5 for g, r, i, z and y, as in PSPS; others follow in their order.

    Parameters
    ----------
    photcodes : PhotcodeTable
        The photcodes.
    name : str
        Name of an average filter.

    Returns
    -------
    int
        Its number.
    """
    if name in BANDS:
        return BANDS.index(name) + 1
    others = [p.name for p in photcodes.sec if p.name not in BANDS]
    return len(BANDS) + 1 + others.index(name)


def metadata_rows(
    photcodes: PhotcodeTable, survey_id: int, survey: str, description: str
) -> dict[str, Rows]:
    """Make the rows of all tables about the survey.

    Parameters
    ----------
    photcodes : PhotcodeTable
        The photcodes.
    survey_id : int
        Number of the survey.
    survey, description : str
        Its name, and what it is.

    Returns
    -------
    dict of dict of ndarray
        Values by column, by table.
    """
    filters = [(filter_id(photcodes, p.name), p.name) for p in photcodes.sec]
    found = {
        FILTER.name: _rows(FILTER, filters),
        SURVEY.name: _rows(SURVEY, [(survey_id, survey, description)]),
        PHOTO_CAL.name: _rows(PHOTO_CAL, _calibrations(photcodes)),
    }
    for table, flags in zip(FLAG_TABLES, public_flags(), strict=True):
        found[table.name] = _rows(table, flags)
    return found


def _calibrations(photcodes: PhotcodeTable) -> Iterable[tuple[object, ...]]:
    """Systems whose measures enter mean magnitudes."""
    for code in photcodes:
        if code.kind is not PhotClass.DEP or not code.equiv:
            continue
        band = filter_id(photcodes, photcodes.get_code(code.equiv).name)
        slope, offset = _colour(code)
        yield (code.code, band, code.name, code.zero_point + code.zero_point_offset,
               code.airmass_slope, slope, offset)  # fmt: skip


def _colour(code: Photcode) -> tuple[float, float]:
    return (code.color_terms[0], code.color_offset) if code.color_terms else (0.0, UNSET)


def public_flags() -> tuple[list[tuple[str, int, str]], ...]:
    """List what the bits of public flags mean.

    Returns
    -------
    tuple of list of (str, int, str)
        Name, value and meaning of each bit: of objInfoFlag, qualityFlag, and of the flags of
        filters.
    """
    objects = _bits(AverageFlag)
    quality = [(n, v >> _QUALITY_SHIFT, t) for n, v, t in objects if v >> _QUALITY_SHIFT]
    filters = [b for b in _bits(SecFiltFlag) if b[1] & _PUBLIC_FILTER_BITS]
    return objects, quality, filters


def _bits(flags: type[enum.IntFlag]) -> list[tuple[str, int, str]]:
    """Members of a flag type with the texts behind them in its source, which says them once."""
    (definition,) = ast.parse(inspect.getsource(flags)).body
    assert isinstance(definition, ast.ClassDef)
    texts: dict[str, str] = {}
    name = ""
    for node in definition.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts[name] = str(node.value.value)
            name = ""
    return [(flag.name or "", int(flag), texts[flag.name or ""]) for flag in flags]


def _rows(table: PublicTable, rows: Iterable[tuple[object, ...]]) -> Rows:
    columns = list(zip(*rows, strict=True)) or [()] * len(table.columns)
    return {
        column.name: np.array(
            [v.encode() if isinstance(v, str) else v for v in values], dtype=column.dtype
        )
        for column, values in zip(table.columns, columns, strict=True)
    }
