"""USNO-B1.0: its own zone files, and VizieR's I/284.

A zone file, ``b0000.cat`` to ``b1799.cat``, has 80 bytes a star: 20 integers of 32 bits,
in whose decimal digits several values are packed (Monet et al. 2003, table 3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError
from dvo.ingest.surveys.files import read_bytes
from dvo.ingest.surveys.forms import Band, Field, Form, Rows, Rule, Survey, above, letters
from dvo.tables.flags import PhotFlag

__all__ = ["USNOB"]

Array = NDArray[Any]

_EPOCH = 2000.0
_LEAST_PROBABILITY = 9  # of 10
_NO_ERROR_ARCSEC = 0.9985  # 999 mas
_MAX_BYTES = 1 << 32
_RECORD = 20  # integers
_FULL_CIRCLE = 129_600_000  # hundredths of an arcsecond
_BANDS = ("B1", "R1", "B2", "R2", "I")


def _read_zone(path: Path, wanted: Mapping[str, bool]) -> dict[str, Array]:
    data = read_bytes(path, _MAX_BYTES)
    if len(data) % (4 * _RECORD):
        raise BadCatalogError(
            f"{path}: {len(data)} bytes are no whole number of stars of 80 bytes; it is cut short, "
            "or no zone file of USNO-B1.0"
        )
    words = _native(data, path)
    digits = {name: _digits(words[:, at], low, n) for name, (at, low, n) in _PLACES.items()}
    made: dict[str, Array] = {
        "RA": words[:, 0] / 360_000.0,
        "DEC": words[:, 1] / 360_000.0 - 90.0,
        "pmRA": (digits["pmRA"] - 5000) * 2.0,
        "pmDE": (digits["pmDE"] - 5000) * 2.0,
        "Epoch": 1950.0 + digits["Epoch"] / 10.0,
    }
    for k, band in enumerate(_BANDS):
        made[f"{band}mag"] = _digits(words[:, 5 + k], 0, 4) / 100.0
    return {name: np.asarray(made.get(name, digits.get(name)), np.float64) for name in wanted}


# Where values are packed: word of the star, first decimal digit (from the last), digits.
_PLACES = {
    "pmRA": (2, 0, 4),
    "pmDE": (2, 4, 4),
    "muPr": (2, 8, 1),
    "e_pmRA": (3, 0, 3),
    "e_pmDE": (3, 3, 3),
    "Ndet": (3, 8, 1),
    "spike": (3, 9, 1),
    "e_RA": (4, 0, 3),
    "e_DEC": (4, 3, 3),
    "Epoch": (4, 6, 3),
}


def _digits(words: Array, low: int, n: int) -> Array:
    return np.asarray(words // 10**low % 10**n)


def _native(data: bytes, path: Path) -> Array:
    """The integers of a zone file, whose byte order is that of the machine that made it."""
    for order in "<>":
        words = np.frombuffer(data, f"{order}u4").reshape(-1, _RECORD).astype(np.int64)
        if np.all((words[:, 0] < _FULL_CIRCLE) & (words[:, 1] <= _FULL_CIRCLE // 2)):
            return words
    raise BadCatalogError(f"{path}: positions are outside the sky; no zone file of USNO-B1.0")


def _prepare(rows: Rows) -> None:
    values = rows.values
    unknown = (values["u_ra"] == 0) & (values["u_dec"] == 0)
    for name in ("u_ra_err", "u_dec_err"):
        if name in values:
            unknown &= ~(values[name] > 0)
    probability = values.get("probability")
    if probability is not None:
        unknown |= ~(probability >= _LEAST_PROBABILITY)
    years = np.abs(_EPOCH - values.pop("mean_epoch", np.full(rows.n, np.nan)))
    for axis, motion in (("ra", "u_ra"), ("dec", "u_dec")):
        error = values.get(f"{axis}_err")
        if error is not None:
            error = np.where(error > _NO_ERROR_ARCSEC, np.nan, error)
            drift = np.nan_to_num(values.get(f"{motion}_err", 0.0) * years) / 1000.0
            values[f"{axis}_err"] = np.hypot(error, drift)
    for name in ("u_ra", "u_dec", "u_ra_err", "u_dec_err"):
        if name in values:
            values[name] = np.where(unknown, np.nan, values[name])


def _fields(ra: str, dec: str, error: str) -> tuple[Field, ...]:
    return (
        Field("ra", ra, "deg", is_needed=True),
        Field("dec", dec, "deg", is_needed=True),
        # At the mean epoch; brought to epoch 2000 with the errors of the motions.
        Field("ra_err", error.format(ra), "mas"),
        Field("dec_err", error.format(dec), "mas"),
        Field("mean_epoch", "Epoch"),
        Field("u_ra", "pmRA", "mas/yr", is_needed=True),
        Field("u_dec", "pmDE", "mas/yr", is_needed=True),
        Field("u_ra_err", "e_pmRA", "mas/yr"),
        Field("u_dec_err", "e_pmDE", "mas/yr"),
        Field("probability", "muPr"),
        # 0 in zone files, blank at VizieR
        Field("mag", "{}mag", "mag", is_needed=True, nulls=(0.0,)),
    )


USNOB = Survey(
    name="usnob",
    title="USNO-B1.0",
    bands=(
        Band("B1", "USNO.B1", "photographic blue of the first epoch"),
        Band("R1", "USNO.R1", "photographic red of the first epoch"),
        Band("B2", "USNO.B2", "photographic blue of the second epoch"),
        Band("R2", "USNO.R2", "photographic red of the second epoch"),
        Band("I", "USNO.I", "photographic near infrared"),
    ),
    forms=(
        Form(
            "VizieR I/284/out",
            "FITS, VOTable or CSV from VizieR",
            (*_fields("RAJ2000", "DEJ2000", "e_{}"), Field("flags", "Flags", is_text=True)),
            words=_BANDS,
            epoch=_EPOCH,
            prepare=_prepare,
        ),
        Form(
            "b0000.cat … b1799.cat",
            "The catalogue's own zone files, 80 bytes a star, of either byte order",
            (*_fields("RA", "DEC", "e_{}"), Field("spike", "spike")),
            words=_BANDS,
            epoch=_EPOCH,
            starts=re.compile(rb"(?![\x20-\x7e\s]{80})(?!SIMPLE|PAR1|<)[\x00-\xff]{80}", re.DOTALL),
            read=_read_zone,
            prepare=_prepare,
        ),
    ),
    rules=(
        Rule("flags", letters("s"), PhotFlag.ON_SPIKE, "`Flags` s: on a diffraction spike"),
        Rule("spike", above(0), PhotFlag.ON_SPIKE, "the same in zone files"),
    ),
    source=(
        "Monet et al. 2003, AJ 125, 984 (table 3: the zone files); CDS I/284",
        "Flagstaff Integrated Image and Catalogue Archive, usnob_format",
    ),
    notes=(
        ("Positions are of epoch 2000. Errors, given for the mean epoch of the plates, are brought "
        "there with those of the motions; one of 999 mas is none (stars put in from Tycho-2), "
        "and 0.2 arcsec is taken."),
        ("Motions are taken where their probability (`muPr`) is 0.9; they are relative, to the "
        "YS4.0. Both motions and their errors 0 says that none was found."),
        "Magnitudes are good to about 0.3 mag, the systematic error of the photcodes.",
    ),
    pos_err_arcsec=0.2,
    mag_sys=0.3,
)  # fmt: skip
"""USNO-B1.0."""
