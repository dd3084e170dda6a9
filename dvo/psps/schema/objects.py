"""Tables of objects: ObjectThin (what and where) and MeanObject (mean photometry).

Names, types, defaults and UCDs are those of Pan-STARRS DR2 (Flewelling et al. 2020,
ApJS 251, 7); the words are ours.
"""

from __future__ import annotations

from dvo.psps.schema.table import UNSET, PublicColumn, PublicTable, SqlType

__all__ = ["BANDS", "MEAN_OBJECT", "OBJECT_THIN"]

BANDS = ("g", "r", "i", "z", "y")
"""Filters that have columns of their own in PSPS."""

_ID = "meta.id"
_TINY, _SMALL, _INT, _BIG = SqlType.TINYINT, SqlType.SMALLINT, SqlType.INT, SqlType.BIGINT
_REAL, _FLOAT, _TEXT = SqlType.REAL, SqlType.FLOAT, SqlType.VARCHAR


def _name(name: str, meaning: str, length: int = 32) -> PublicColumn:
    return PublicColumn(name, _TEXT, meaning, "", _ID, "", length)


def _place(name: str, meaning: str, ucd: str) -> PublicColumn:
    return PublicColumn(name, _FLOAT, meaning, "deg", ucd, UNSET)


def _place_error(name: str, of: str, ucd: str) -> PublicColumn:
    return PublicColumn(name, _REAL, f"error of {of}", "arcsec", f"stat.error;{ucd}", UNSET)


def _direction(axis: str) -> PublicColumn:
    meaning = f"{axis} component of the unit vector to the object, ICRS"
    return PublicColumn(f"c{axis}", _FLOAT, meaning, "", "pos.cartesian", UNSET)


def _count(name: str, meaning: str) -> PublicColumn:
    return PublicColumn(name, _SMALL, meaning, "", "meta.number", UNSET)


OBJECT_THIN = PublicTable(
    name="ObjectThin",
    meaning="an object: its names, numbers and places",
    key=("objID", "uniquePspsOBid"),
    columns=(
        _name("objName", "name of the object after the rules of the IAU"),
        _name("objPSOName", "another Pan-STARRS name, in hours and degrees"),
        _name("objAltName1", "another name"),
        _name("objAltName2", "another name"),
        _name("objAltName3", "another name"),
        _name("objPopularName", "well-known name", 140),
        PublicColumn("objID", _BIG, "public number of the object", "", "meta.id;meta.main"),
        PublicColumn("uniquePspsOBid", _BIG, "number of this row among all object rows", "", _ID),
        PublicColumn("ippObjID", _BIG, "number of the object in DVO: catID * 10^9 + objID",
                     "", _ID),
        PublicColumn("surveyID", _TINY, "survey (table Survey)", "", _ID),
        PublicColumn("htmID", _BIG, "trixel of the hierarchical triangular mesh, depth 20", "",
                     "pos.HTM"),
        PublicColumn("zoneID", _INT, "zone of declination, 30 arcsec high", "", _ID),
        PublicColumn("tessID", _TINY, "tessellation of the primary stack (table "
                     "TessellationType)", "", _ID, 0),
        PublicColumn("projectionID", _SMALL, "projection cell of the primary stack", "", _ID, -1),
        PublicColumn("skyCellID", _TINY, "skycell of the primary stack", "", _ID, 255),
        PublicColumn("randomID", _FLOAT, "number in [0, 1) to choose objects at random; the same "
                     "in every release", "", "meta.code"),
        PublicColumn("batchID", _BIG, "batch the row came in", "", _ID),
        PublicColumn("dvoRegionID", _INT, "region of the DVO sky table", "", _ID),
        PublicColumn("processingVersion", _TINY, "version of the processing", "", "meta.version"),
        PublicColumn("objInfoFlag", _INT, "object flags (table ObjectInfoFlags)", "", "meta.code"),
        PublicColumn("qualityFlag", _TINY, "quality flags (table ObjectQualityFlags)", "",
                     "meta.code.qual"),
        _place("raStack", "right ascension from stacks, ICRS", "pos.eq.ra"),
        _place("decStack", "declination from stacks, ICRS", "pos.eq.dec"),
        _place_error("raStackErr", "raStack, times cos(dec)", "pos.eq.ra"),
        _place_error("decStackErr", "decStack", "pos.eq.dec"),
        _place("raMean", "mean right ascension of single exposures, ICRS", "pos.eq.ra;meta.main"),
        _place("decMean", "mean declination of single exposures, ICRS", "pos.eq.dec;meta.main"),
        _place_error("raMeanErr", "raMean, times cos(dec)", "pos.eq.ra"),
        _place_error("decMeanErr", "decMean", "pos.eq.dec"),
        PublicColumn("epochMean", _FLOAT, "epoch of the mean position, MJD (UTC)", "d",
                     "time.epoch", UNSET),
        PublicColumn("posMeanChisq", _REAL, "reduced chi-square of the mean position", "",
                     "stat.fit.chi2", UNSET),
        _direction("x"),
        _direction("y"),
        _direction("z"),
        _place("lambda", "ecliptic longitude, J2000", "pos.ecliptic.lon"),
        _place("beta", "ecliptic latitude, J2000", "pos.ecliptic.lat"),
        _place("l", "galactic longitude", "pos.galactic.lon"),
        _place("b", "galactic latitude", "pos.galactic.lat"),
        _count("nStackObjectRows", "rows of the object in StackObjectThin"),
        _count("nStackDetections", "detections in stacks of all filters"),
        _count("nDetections", "detections in single exposures of all filters"),
        *(_count(f"n{band}", f"detections in single {band} exposures") for band in BANDS),
    ),
)  # fmt: skip


def _of_band(band: str) -> tuple[PublicColumn, ...]:
    bandpass = f"em.opt.{ {'g': 'B', 'r': 'R'}.get(band, 'I') }"  # UCD1+ has no grizy
    out = [
        PublicColumn(f"{band}QfPerfect", _REAL, f"greatest share of the {band} PSF on pixels that "
                     "are perfect", "", "meta.code.qual", UNSET),
    ]  # fmt: skip
    for stem, words in (("PSF", "PSF"), ("Kron", "Kron"), ("Ap", "aperture")):
        mag = f"{band}Mean{stem}Mag"
        out += [
            PublicColumn(mag, _REAL, f"mean {words} magnitude of single {band} exposures, AB",
                         "mag", f"phot.mag;{bandpass};stat.mean", UNSET),
            PublicColumn(f"{mag}Err", _REAL, f"error of {mag}", "mag",
                         f"stat.error;phot.mag;{bandpass}", UNSET),
            PublicColumn(f"{mag}Std", _REAL, f"scatter of the magnitudes behind {mag}", "mag",
                         f"stat.stdev;phot.mag;{bandpass}", UNSET),
            PublicColumn(f"{mag}Npt", _SMALL, f"measurements behind {mag}", "", "meta.number",
                         UNSET),
        ]  # fmt: skip
        if stem == "PSF":
            out += [
                PublicColumn(f"{mag}Min", _REAL, f"brightest of the magnitudes behind {mag}",
                             "mag", f"phot.mag;{bandpass};stat.min", UNSET),
                PublicColumn(f"{mag}Max", _REAL, f"faintest of the magnitudes behind {mag}",
                             "mag", f"phot.mag;{bandpass};stat.max", UNSET),
            ]  # fmt: skip
    out.append(PublicColumn(f"{band}Flags", _INT, f"flags of the mean {band} magnitudes (table "
                            "ObjectFilterFlags)", "", "meta.code", 0))  # fmt: skip
    return tuple(out)


MEAN_OBJECT = PublicTable(
    name="MeanObject",
    meaning="mean photometry of an object from single exposures",
    key=("objID", "uniquePspsOBid"),
    references=(("objID", "ObjectThin", "objID"),),
    columns=(
        PublicColumn("objID", _BIG, "public number of the object", "", "meta.id;meta.main"),
        PublicColumn("uniquePspsOBid", _BIG, "number of this row among all object rows", "", _ID),
        *(column for band in BANDS for column in _of_band(band)),
    ),
)
