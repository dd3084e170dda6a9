"""Tables about the survey: filters, surveys, photometric systems, and what flags mean.

Names and types are those of Pan-STARRS DR2 (Flewelling et al. 2020, ApJS 251, 7).
"""

from __future__ import annotations

from dvo.psps.schema.table import UNSET, PublicColumn, PublicTable, SqlType

__all__ = ["FILTER", "FLAG_TABLES", "PHOTO_CAL", "SURVEY"]

_TEXT = SqlType.VARCHAR

FILTER = PublicTable(
    name="Filter",
    meaning="a filter",
    key=("filterID",),
    columns=(
        PublicColumn("filterID", SqlType.TINYINT, "number of the filter", "", "meta.id;meta.main"),
        PublicColumn("filterType", _TEXT, "name of the filter", "", "meta.id;instr.filter",
                     length=100),
    ),
)  # fmt: skip

SURVEY = PublicTable(
    name="Survey",
    meaning="a survey",
    key=("surveyID",),
    columns=(
        PublicColumn("surveyID", SqlType.TINYINT, "number of the survey", "", "meta.id;meta.main"),
        PublicColumn("name", _TEXT, "its short name", "", "meta.title", length=100),
        PublicColumn("description", _TEXT, "what it is", "", "meta.note", "", 100),
    ),
)

PHOTO_CAL = PublicTable(
    name="PhotoCal",
    meaning="how magnitudes of one chip and filter are calibrated (a photcode of DVO)",
    key=("photoCalID",),
    references=(("filterID", "Filter", "filterID"),),
    columns=(
        PublicColumn("photoCalID", SqlType.INT, "number of the photcode", "", "meta.id;meta.main"),
        PublicColumn("filterID", SqlType.TINYINT, "filter whose mean magnitudes it enters", "",
                     "meta.id;instr.filter"),
        PublicColumn("name", _TEXT, "name of the photcode", "", "meta.title", length=100),
        PublicColumn("zp", SqlType.REAL, "nominal zero point", "mag", "phot.mag;arith.zp", UNSET),
        PublicColumn("extinction", SqlType.REAL, "nominal airmass slope", "mag",
                     "obs.airMass;arith.ratio", UNSET),
        PublicColumn("colorTerm", SqlType.REAL, "slope of the magnitude with colour", "",
                     "phot.color;arith.ratio", UNSET),
        PublicColumn("colorExtn", SqlType.REAL, "colour at which the slope counts nothing", "mag",
                     "phot.color", UNSET),
    ),
)  # fmt: skip


def _flag_table(name: str, of: str) -> PublicTable:
    return PublicTable(
        name=name,
        meaning=f"a bit of {of}",
        key=("value",),
        columns=(
            PublicColumn("name", _TEXT, "name of the bit", "", "meta.title", length=100),
            PublicColumn("value", SqlType.BIGINT, "value of the bit", "", "meta.code"),
            PublicColumn("description", _TEXT, "what it says", "", "meta.note", "", 100),
        ),
    )


FLAG_TABLES = tuple(
    _flag_table(name, of)
    for name, of in (
        ("ObjectInfoFlags", "ObjectThin.objInfoFlag"),
        ("ObjectQualityFlags", "ObjectThin.qualityFlag"),
        ("ObjectFilterFlags", "the flags of filters in MeanObject"),
    )
)
"""Tables that say what the bits of flags mean."""
