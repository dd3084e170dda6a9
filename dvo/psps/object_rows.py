"""Rows of ObjectThin and MeanObject, from Average and SecFilt of one region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.ids import ipp_obj_id, zone_id
from dvo.mjd import mjd_of
from dvo.partition.view import View
from dvo.psps import kernels
from dvo.psps.places import decimal_names, htm_ids, sexagesimal_names, sky_frames
from dvo.psps.schema.objects import BANDS, MEAN_OBJECT, OBJECT_THIN
from dvo.psps.schema.table import UNSET, PublicColumn
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.secfilt import SECFILT

__all__ = ["ObjectFacts", "object_rows"]

Array = NDArray[Any]
Rows = dict[str, Array]

_AVERAGE = (
    "ra", "dec", "ra_err", "dec_err", "ra_stk", "dec_stk", "ra_stk_err", "dec_stk_err",
    "mean_epoch", "chisq_pos", "number_pos", "tess_id", "projection_id", "skycell_id", "flags",
    "obj_id", "cat_id", "ext_id",
)  # fmt: skip
_OF_BAND = {
    "QfPerfect": "psf_qf_perf_max",
    "MeanPSFMag": "mag", "MeanPSFMagErr": "mag_err", "MeanPSFMagStd": "mag_stdev",
    "MeanPSFMagNpt": "nused", "MeanPSFMagMin": "mag_min", "MeanPSFMagMax": "mag_max",
    "MeanKronMag": "mag_kron", "MeanKronMagErr": "mag_kron_err",
    "MeanKronMagStd": "mag_kron_stdev", "MeanKronMagNpt": "nused_kron",
    "MeanApMag": "mag_ap", "MeanApMagErr": "mag_ap_err", "MeanApMagStd": "mag_ap_stdev",
    "MeanApMagNpt": "nused_ap",
}  # fmt: skip
"""What each column of a band in MeanObject is in SecFilt (flags apart)."""


@dataclass(frozen=True)
class ObjectFacts:
    """What is the same for all objects of a batch.

    Parameters
    ----------
    batch_id : int
        Number of the batch.
    survey_id : int
        Number of the survey.
    processing_version : int
        Version of the processing, as the team counts.
    """

    batch_id: int
    survey_id: int
    processing_version: int


def object_rows(view: View, region: int, facts: ObjectFacts) -> dict[str, Rows]:
    """Make the public rows of all objects of a region.

    Parameters
    ----------
    view : View
        The snapshot.
    region : int
        Which region.
    facts : ObjectFacts
        What is common to them.

    Returns
    -------
    dict of dict of ndarray
        Values by column, by table: ``ObjectThin`` and ``MeanObject``, row for row the objects
        of the region in their order. Unknown values are the defaults of the columns.
    """
    average = view.read(AVERAGE, region, _AVERAGE)
    names = (*_OF_BAND.values(), "ncode", "nstack_det", "flags")
    secfilt = view.read(SECFILT, region, names)
    filters = {p.name: k for k, p in enumerate(view.photcodes.sec)}
    bands = {
        band: ColumnTable(
            SECFILT,
            {n: secfilt[n][filters[band] :: view.n_secfilt] for n in names},
            len(average),
        )
        for band in BANDS
        if band in filters
    }
    thin = _object_thin(average, bands, region, facts)
    mean = _mean_object(bands, len(average))
    mean |= {n: thin[n] for n in ("objID", "uniquePspsOBid")}
    return {
        OBJECT_THIN.name: {n: thin[n] for n in OBJECT_THIN.names},
        MEAN_OBJECT.name: {n: mean[n] for n in MEAN_OBJECT.names},
    }


def _object_thin(
    average: ColumnTable, bands: Mapping[str, ColumnTable], region: int, facts: ObjectFacts
) -> Rows:
    n = len(average)
    ra, dec = average["ra"], average["dec"]
    frames = sky_frames(ra, dec)
    ids = average["ext_id"]
    random = np.empty(n)
    kernels.random_numbers(np.ascontiguousarray(ids, np.uint64), random)
    used = average["number_pos"].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        reduced = np.where(used > 1, average["chisq_pos"] / (2 * used - 2), np.nan)
    none = np.zeros(n, np.int64)
    counts = {f"n{b}": bands[b]["ncode"].astype(np.int64) if b in bands else none for b in BANDS}
    stacks = [t["nstack_det"].astype(np.int64) for t in bands.values()]
    flags = average["flags"]
    rows: Rows = {
        "objName": decimal_names(ra, dec),
        "objPSOName": sexagesimal_names(ra, dec),
        "objID": ids,
        "uniquePspsOBid": facts.batch_id * 10**9 + np.arange(n),
        "ippObjID": ipp_obj_id(average["cat_id"], average["obj_id"]),
        "surveyID": np.full(n, facts.survey_id),
        "htmID": htm_ids(frames.directions),
        "zoneID": zone_id(dec),
        "tessID": average["tess_id"],
        "projectionID": average["projection_id"],
        "skyCellID": average["skycell_id"],
        "randomID": random,
        "batchID": np.full(n, facts.batch_id),
        "dvoRegionID": np.full(n, region),
        "processingVersion": np.full(n, facts.processing_version),
        "objInfoFlag": flags.astype(np.int32),
        "qualityFlag": flags >> 24,
        "raMean": ra,
        "decMean": dec,
        "raMeanErr": average["ra_err"],
        "decMeanErr": average["dec_err"],
        "raStack": average["ra_stk"],
        "decStack": average["dec_stk"],
        "raStackErr": average["ra_stk_err"],
        "decStackErr": average["dec_stk_err"],
        "epochMean": _mjd(average),
        "posMeanChisq": reduced,
        "cx": frames.directions[:, 0],
        "cy": frames.directions[:, 1],
        "cz": frames.directions[:, 2],
        "lambda": frames.ecliptic[0],
        "beta": frames.ecliptic[1],
        "l": frames.galactic[0],
        "b": frames.galactic[1],
        "nStackObjectRows": np.max([none, *stacks], axis=0),
        "nStackDetections": np.sum([none, *stacks], axis=0),
        "nDetections": np.sum(list(counts.values()), axis=0),
        **counts,
    }
    missing = {"tessID": -1, "projectionID": -1, "skyCellID": -1}
    return {c.name: _as_public(c, rows.get(c.name), n, missing.get(c.name))
            for c in OBJECT_THIN.columns}  # fmt: skip


def _mean_object(bands: Mapping[str, ColumnTable], n: int) -> Rows:
    rows: Rows = {}
    for band, secfilt in bands.items():
        for name, source in _OF_BAND.items():
            rows[band + name] = secfilt[source]
        rows[f"{band}Flags"] = _public_flags(secfilt["flags"])
    return {c.name: _as_public(c, rows.get(c.name), n)
            for c in MEAN_OBJECT.columns if c.default is not None}  # fmt: skip


def _public_flags(flags: Array) -> Array:
    """Flags of SecFilt in 15 bits: OBJ_EXT takes the place of OBJ_EXT_PSPS.

    As in the public PV3 tables: ``(flags & 0x7fff) | ((flags >> 11) & 0x2000)``.
    """
    return np.asarray((flags & 0x7FFF) | ((flags >> 11) & 0x2000))


def _mjd(average: ColumnTable) -> Array:
    seconds = average["mean_epoch"]
    unknown = AVERAGE["mean_epoch"].is_null(seconds)
    return np.where(unknown, np.nan, mjd_of(np.where(unknown, 0, seconds), np.array(0)))


def _as_public(
    column: PublicColumn, values: Array | None, n: int, missing: int | None = None
) -> Array:
    """Values in the type of a public column, its default where they are unknown."""
    if values is None:
        return column.filled(n)
    unknown: Array | np.bool_ = np.False_
    if values.dtype.kind == "f":
        unknown = ~np.isfinite(values)
    elif missing is not None:
        unknown = values == missing
    limits = np.iinfo(column.dtype) if column.dtype.kind in "iu" else None
    with np.errstate(invalid="ignore"):
        if limits is not None and values.dtype.kind in "iu" and values.dtype.itemsize > 1:
            values = np.minimum(values, limits.max)
        out = values.astype(column.dtype)
    if np.any(unknown):
        out[unknown] = UNSET if column.default is None else column.default
    return out
