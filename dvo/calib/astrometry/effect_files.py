"""Tables of systematic effects as JSON files: what is to be measured, and what was."""

from __future__ import annotations

import json
import math
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.calib.astrometry.effect_measures import EffectImages
from dvo.calib.astrometry.effects import CameraMaps, Effects, MagnitudeShifts, Refraction
from dvo.errors import BadCatalogError, PhotcodeError, ShapeError, StorageError
from dvo.tables.photcode import PhotClass, PhotcodeTable

__all__ = ["read_effects", "write_effects"]

F64 = NDArray[np.float64]

_MJD_1970 = 40587.0
_KEYS = {
    "kh": ("ccdnum", "until_mjd", "mag", "shift_pix"),
    "dcr": ("filters", "colour", "reference", "is_red", "term", "shift_arcsec"),
    "cam": ("photcodes", "cells", "size", "shift_pix"),
}


def read_effects(path: Path, codes: PhotcodeTable, images: EffectImages) -> Effects:
    """Read effects from a file.

    Parameters
    ----------
    path : Path
        A JSON object with any of the keys kh, dcr and cam; see `write_effects`. Shifts that are
        not there are 0, to be measured. Photcodes of cam may have * and ?; sizes of chips that are
        not there are those of their images.
    codes : PhotcodeTable
        The photcodes.
    images : EffectImages
        The images.

    Returns
    -------
    Effects
        They.

    Raises
    ------
    BadCatalogError
        If the file cannot be understood.
    PhotcodeError
        If it names filters or photcodes that are not there.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadCatalogError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(given, dict) or not given or set(given) - set(_KEYS):
        raise BadCatalogError(f"{path}: give an object with any of the keys {', '.join(_KEYS)}")
    for kind, entry in given.items():
        unknown = set(entry) - set(_KEYS[kind]) if isinstance(entry, dict) else {"an object"}
        if unknown:
            raise BadCatalogError(
                f"{path}: {kind} has {', '.join(sorted(unknown))}; known are "
                f"{', '.join(_KEYS[kind])}"
            )
    try:
        return Effects(
            _magnitude_shifts(given["kh"]) if "kh" in given else None,
            _refraction(given["dcr"], codes) if "dcr" in given else None,
            _camera_maps(given["cam"], codes, images) if "cam" in given else None,
        )
    except KeyError as error:
        raise BadCatalogError(f"{path}: {error.args[0]} is missing") from error
    except (ShapeError, TypeError, ValueError) as error:
        raise BadCatalogError(f"{path}: {error}") from error


def _shift(given: dict[str, Any], key: str, shape: tuple[int, ...]) -> F64:
    if key not in given:
        return np.zeros(shape)
    return np.array(given[key], np.float64)


def _magnitude_shifts(given: dict[str, Any]) -> MagnitudeShifts:
    chips = np.array(given["ccdnum"], np.int64)
    ends = given.get("until_mjd", [None] * len(chips))
    until = np.array([math.inf if end is None else (end - _MJD_1970) * 86400.0 for end in ends])
    mag = np.array(given["mag"], np.float64)
    shift = _shift(given, "shift_pix", (len(chips), len(mag), 2))
    order = np.argsort(chips)
    if len(until) != len(chips) or len(shift) != len(chips):
        raise ShapeError(f"kh has {len(chips)} chips, {len(until)} ends and {len(shift)} shifts")
    return MagnitudeShifts(chips[order], until[order], mag, shift[order])


def _refraction(given: dict[str, Any], codes: PhotcodeTable) -> Refraction:
    number = {p.name: k for k, p in enumerate(codes.sec)}

    def of(name: str) -> int:
        if name not in number:
            raise PhotcodeError(f"{name!r} is no average filter; there are {', '.join(number)}")
        return number[name]

    filters = np.array([of(name) for name in given["filters"]], np.int64)
    colours = [text.split("-") for text in given["colour"]]
    if any(len(pair) != 2 for pair in colours):
        raise ValueError(f"colours are {given['colour']}; give such as g-i")
    colour = np.array([[of(name) for name in pair] for pair in colours], np.int64).reshape(-1, 2)
    n, term = len(filters), np.array(given["term"], np.float64)
    reference = np.array(given["reference"], np.float64)
    is_red = np.array(given.get("is_red", [False] * n), np.bool_)
    shift = _shift(given, "shift_arcsec", (n, len(term)))
    if not len(colour) == len(reference) == len(is_red) == len(shift) == n:
        raise ShapeError(f"dcr has {n} filters, and lists of other lengths")
    order = np.argsort(filters)
    return Refraction(filters[order], colour[order], reference[order], is_red[order], term,
                      shift[order])  # fmt: skip


def _camera_maps(given: dict[str, Any], codes: PhotcodeTable, images: EffectImages) -> CameraMaps:
    patterns: list[str] = given["photcodes"]
    known = {p.name: p.code for p in codes if p.kind is PhotClass.DEP}
    if "shift_pix" in given:
        names = patterns
        lost = [name for name in names if name not in known]
    else:
        names = [n for n in known if any(fnmatchcase(n, p) for p in patterns)]
        lost = [p for p in patterns if not any(fnmatchcase(n, p) for n in known)]
    if lost:
        raise PhotcodeError(f"{lost[0]!r} is no photcode of a detector; see dvo photcode list")
    code = np.array([known[name] for name in names], np.int64)
    cells_x, cells_y = given["cells"]
    shift = _shift(given, "shift_pix", (len(code), int(cells_y), int(cells_x), 2))
    size = np.array(given["size"], np.int64) if "size" in given else _sizes(code, images)
    if not len(size) == len(shift) == len(code):
        raise ShapeError(f"cam has {len(code)} photcodes, {len(size)} sizes, {len(shift)} shifts")
    # Without images there is nothing to correct, or to measure.
    has = size.min(axis=1) > 0
    order = np.argsort(code[has])
    return CameraMaps(code[has][order], size[has][order], shift[has][order])


def _sizes(code: NDArray[np.int64], images: EffectImages) -> NDArray[np.int64]:
    """Largest width and height of the images of photcodes; 0 without any."""
    out = np.zeros((len(code), 2), np.int64)
    for k, one in enumerate(code.tolist()):
        rows = np.flatnonzero(images.table["photcode"] == one)
        if len(rows):
            out[k] = [int(images.table[n][rows].max()) for n in ("nx", "ny")]
    return out


def write_effects(path: Path, effects: Effects, codes: PhotcodeTable) -> None:
    """Write effects to a file that `read_effects` reads.

    Parameters
    ----------
    path : Path
        The file; it must not exist.
    effects : Effects
        The effects.
    codes : PhotcodeTable
        The photcodes.

    Raises
    ------
    StorageError
        If the file exists, or cannot be written.
    """
    found: dict[str, Any] = {}
    if (kh := effects.kh) is not None:
        ends = (kh.until / 86400.0 + _MJD_1970).tolist()
        found["kh"] = {
            "ccdnum": kh.ccdnum.tolist(),
            "until_mjd": [end if math.isfinite(end) else None for end in ends],
            "mag": kh.mag.tolist(),
            "shift_pix": kh.shift.tolist(),
        }
    if (dcr := effects.dcr) is not None:
        names = [p.name for p in codes.sec]
        found["dcr"] = {
            "filters": [names[k] for k in dcr.filter_index.tolist()],
            "colour": [f"{names[a]}-{names[b]}" for a, b in dcr.colour.tolist()],
            "reference": dcr.reference.tolist(),
            "is_red": dcr.is_red.tolist(),
            "term": dcr.term.tolist(),
            "shift_arcsec": dcr.shift.tolist(),
        }
    if (cam := effects.cam) is not None:
        name_of = {p.code: p.name for p in codes}
        found["cam"] = {
            "photcodes": [name_of[c] for c in cam.photcode.tolist()],
            "cells": [cam.shift.shape[2], cam.shift.shape[1]],
            "size": cam.size.tolist(),
            "shift_pix": cam.shift.tolist(),
        }
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(found, file)
            file.write("\n")
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error
