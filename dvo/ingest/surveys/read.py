"""Reading a survey: a file of any of its forms becomes the entries of a reference catalog.

The form is told by how the file begins, or by the columns that it names. Then missing
values become NaN, units become ours, and the rules of the survey set flags, take bands out,
or leave rows out; what is left out is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.errors import BadCatalogError, ConfigError
from dvo.ingest.column_map import convert_column, convert_unit
from dvo.ingest.detection_numbers import check_det_ids
from dvo.ingest.detections import (
    BandColumns,
    Detections,
    InputImage,
    RefSource,
    clean_positions,
    content_digest,
    measure_columns,
)
from dvo.ingest.surveys.choose_form import choose_form, columns_of
from dvo.ingest.surveys.forms import Effect, Field, Form, Rows, Survey
from dvo.proper_motion import epoch_to_mjd
from dvo.tables.flags import PhotFlag
from dvo.tables.packed_files import unpacked
from dvo.tables.table_files import first_bytes, read_chosen

__all__ = ["read_survey"]

Array = NDArray[Any]

_MAGS = ("mag", "m_kron", "m_aper")
_POSITION = ("ra", "dec", "ra_err", "dec_err")


def read_survey(
    survey: Survey,
    path: Path | None = None,
    *,
    bands: Sequence[str] | None = None,
    epoch: float | None = None,
    name: str | None = None,
) -> InputImage:
    """Read a file of a survey.

    Parameters
    ----------
    survey : Survey
        The survey.
    path : Path or None
        Its file; None takes that of an installed package, where there is one.
    bands : sequence of str or None
        Names of the bands wanted; None for all that the file has. Entries that were measured
        in none of the bands named are left out.
    epoch : float or None
        Julian epoch of positions that have none of their own [yr]; None for that of the form.
    name : str or None
        What the catalog is known by; None takes the name of the file.

    Returns
    -------
    InputImage
        The entries, at their own epochs; det_id is the row of the file, from 0, where the
        survey has no short numbers.

    Raises
    ------
    BadCatalogError
        If the file is absent, damaged, or of none of the survey's forms.
    ConfigError
        If a band is unknown, or an epoch is needed and not given.
    """
    path = _default_file(survey) if path is None else path
    wanted = _wanted_bands(survey, bands)
    form, rows = _read_rows(survey, path, wanted)
    if form.prepare is not None:
        form.prepare(rows)
    flags, not_measured = _apply_rules(survey, rows)
    made = _band_columns(survey, wanted, rows, flags, not_measured, str(path))
    if bands is not None:
        nowhere = ~np.any([b.measured for b in made], axis=0)
        rows.left_out[f"not measured in {', '.join(bands)}"] = nowhere
    mjd = _settle_epoch(rows, form, epoch, path)
    _fill_errors(survey, rows)
    return _image(rows, made, mjd, path, name)


def _default_file(survey: Survey) -> Path:
    if survey.default_file is None:
        raise ConfigError(f"survey {survey.name} comes with no package: give its FILE")
    return survey.default_file()


def _wanted_bands(survey: Survey, names: Sequence[str] | None) -> list[int]:
    """Numbers of the bands wanted."""
    known = [b.name.lower() for b in survey.bands]
    if names is None:
        return list(range(len(known)))
    unknown = [n for n in names if n.lower() not in known]
    if unknown or not names:
        raise ConfigError(
            f"survey {survey.name} has no band {', '.join(unknown)}; it has "
            + ", ".join(b.name for b in survey.bands)
        )
    return sorted({known.index(n.lower()) for n in names})


def _read_rows(survey: Survey, path: Path, wanted: list[int]) -> tuple[Form, Rows]:
    """Read what a file has under the keys of the survey."""
    with unpacked(path) as file:
        start = first_bytes(file)
        form = next((f for f in survey.forms if f.starts and f.starts.match(start)), None)
        if form is not None:
            assert form.read is not None
            columns = columns_of(form, wanted, form.names or None)
            texts = {c.name: c.field.is_text for c in columns}
            raw, units = form.read(file, texts), dict[str, str]()
            n = len(next(iter(raw.values())))
        else:
            chosen: list[Form] = []

            def choose(present: Sequence[str]) -> list[str]:
                chosen.append(choose_form(survey, wanted, present, path))
                return [c.name for c in columns_of(chosen[-1], wanted, present)]

            table = read_chosen(file, choose)
            form, raw, units, n = chosen[-1], table.columns, table.units, table.n_rows
            columns = columns_of(form, wanted, list(raw))
    rows = Rows(n, {}, [{} for _ in survey.bands])
    for column in columns:
        where = f"{path}, column {column.name}"
        values = _clean(column.field, raw[column.name], units.get(column.name, ""), where)
        target = rows.values if column.band is None else rows.bands[column.band]
        target[column.field.key] = values
    return form, rows


def _clean(field: Field, values: Array, unit: str, where: str) -> Array:
    """Words as bytes, numbers with NaN for what is missing, in our units."""
    if field.is_text:
        return _as_words(values)
    if values.dtype.kind in "OSU":
        values = _as_numbers(values, where)
    if values.dtype.kind not in "fiub" or values.ndim != 1:
        raise BadCatalogError(f"{where}: holds {values.dtype} of shape {values.shape}, no numbers")
    if field.nulls:
        is_null = np.isin(values, np.array(field.nulls, values.dtype))
        if is_null.any():
            values = np.where(is_null, np.nan, values.astype(np.float64))
    if field.key == "epoch":
        return _as_mjd(values.astype(np.float64), field.unit)
    if field.unit == "?" and not unit:
        raise BadCatalogError(
            f"{where}: the file does not say in which unit it is; take one that does (FITS, "
            "VOTable)"
        )
    return convert_unit(field.key, values, unit or field.unit, where)


def _as_words(values: Array) -> Array:
    if values.dtype.kind == "O":
        values = np.array(["" if v is None or v != v else str(v) for v in values])
    if values.dtype.kind == "U":
        values = np.char.encode(values, "ascii", "replace")
    if values.dtype.kind != "S":  # a word of digits that a CSV reader took for a number
        known = np.isfinite(values.astype(np.float64))
        words = np.where(known, np.nan_to_num(values).astype(np.int64).astype(np.str_), "")
        values = np.char.encode(words, "ascii")
    return np.char.strip(values)


def _as_numbers(values: Array, where: str) -> Array:
    words = _as_words(values)
    logical = {b"true": b"1", b"false": b"0", b"": b"nan", b"null": b"nan"}
    lower = np.char.lower(words)
    for word, number in logical.items():
        lower = np.where(lower == word, number, lower)
    try:
        return lower.astype(np.float64)
    except ValueError as error:
        raise BadCatalogError(f"{where}: not a number in every row: {error}") from error


def _as_mjd(values: Array, unit: str) -> Array:
    if unit == "yr":
        return np.asarray(epoch_to_mjd(0.0) + values * 365.25)
    return values - 2400000.5 if unit == "jd" else values


def _apply_rules(survey: Survey, rows: Rows) -> tuple[list[Array], list[NDArray[np.bool_]]]:
    """Flags of each band, and where rules say that a band has no measure."""
    n_bands = len(survey.bands)
    flags = [np.zeros(rows.n, np.uint32) for _ in range(n_bands)]
    not_measured = [np.zeros(rows.n, np.bool_) for _ in range(n_bands)]
    for rule in survey.rules:
        for k in range(n_bands):
            values = rows.bands[k].get(rule.key, rows.values.get(rule.key))
            if values is None:
                continue
            is_meant = rule.test(values)
            if isinstance(rule.effect, PhotFlag):
                flags[k][is_meant] |= np.uint32(rule.effect)
            elif rule.effect is Effect.NOT_MEASURED:
                not_measured[k] |= is_meant
            else:
                rows.left_out[rule.says] = is_meant
    return flags, not_measured


def _band_columns(
    survey: Survey,
    wanted: list[int],
    rows: Rows,
    flags: list[Array],
    not_measured: list[NDArray[np.bool_]],
    where: str,
) -> list[BandColumns]:
    known = measure_columns()
    made = []
    has_flags = any(isinstance(r.effect, PhotFlag) for r in survey.rules)
    for k in wanted:
        values = {key: v for key, v in rows.bands[k].items() if key in known}
        if not any(m in values for m in _MAGS):
            continue  # the file has no such band
        columns = {key: convert_column(key, v, where).copy() for key, v in values.items()}
        measured = np.any([np.isfinite(columns[m]) for m in _MAGS if m in columns], axis=0)
        measured &= ~not_measured[k]
        for name in (n for n in columns if columns[n].dtype.kind == "f"):
            # What a position comes with where nothing was measured says nothing.
            columns[name][~measured] = np.nan
        if has_flags:
            columns["phot_flags"] = np.where(measured, flags[k], 0).astype(np.uint32)
        made.append(BandColumns(survey.bands[k].photcode, measured, columns))
    return made


def _settle_epoch(rows: Rows, form: Form, epoch: float | None, path: Path) -> float:
    """The epoch of the catalog, MJD; rows that differ from it keep their own."""
    own = rows.values.pop("epoch", None)
    known = np.empty(0) if own is None else own[np.isfinite(own)]
    stated = form.epoch if epoch is None else epoch
    if stated is None and len(known) == 0:
        raise ConfigError(
            f"{path}: nothing says of when its positions are; give their Julian year (--epoch)"
        )
    mjd = float(np.median(known)) if stated is None else float(epoch_to_mjd(stated))
    if own is not None and epoch is None:
        if len(known) and bool(np.all(known == known[0])):
            mjd = float(known[0])
        else:
            rows.values["epoch_mjd"] = own
    return mjd


def _fill_errors(survey: Survey, rows: Rows) -> None:
    """Give positions without an error what the survey is known to be good to."""
    typical = survey.pos_err_arcsec
    if not typical:
        return
    unknown = np.ones(rows.n, np.bool_)
    for name in ("ra_err", "dec_err"):
        if name in rows.values:
            unknown &= ~(rows.values[name] > 0)
    for name in ("ra_err", "dec_err"):
        given = rows.values.get(name, np.full(rows.n, np.nan))
        rows.values[name] = np.where(unknown, typical, given)
    if unknown.any():
        rows.notes.append(
            f"position errors are missing: {typical:g} arcsec, what the survey is good to, is taken"
        )


def _image(
    rows: Rows, bands: list[BandColumns], mjd: float, path: Path, name: str | None
) -> InputImage:
    where = str(path)
    known = measure_columns()
    columns = {
        key: convert_column(key, v, where)
        for key, v in rows.values.items()
        if key in known and key not in _POSITION
    }
    columns.setdefault("det_id", np.arange(rows.n, dtype=np.uint32))
    check_det_ids(columns["det_id"], where, "det_id")
    errors = [_float32(rows.values.get(key)) for key in ("ra_err", "dec_err")]
    ra, dec = (np.array(rows.values[key], np.float64) for key in ("ra", "dec"))
    digest = {f"{b.photcode}:{n}": v for b in bands for n, v in b.columns.items()}
    digest |= {"ra": ra, "dec": dec, **columns}
    digest |= {f"{k}_err": e for k, e in zip(("ra", "dec"), errors, strict=True) if e is not None}
    content = content_digest((mjd, *(b.photcode for b in bands)), digest)
    ra, dec, keep, dropped = clean_positions(ra, dec)
    for reason, is_out in rows.left_out.items():
        lost = int(np.count_nonzero(keep & is_out))
        if lost:
            dropped[reason] = lost
            keep = keep & ~is_out
    if len(bands) == 1:
        columns |= bands[0].columns
    several = bands if len(bands) > 1 else []
    found = Detections(ra, dec, columns, errors[0], errors[1], several)
    if not keep.all():
        found = found.take(keep)
    report: dict[str, object] = {"dropped": dropped, "missing": []}
    if rows.notes:
        report["notes"] = rows.notes
    return InputImage(RefSource(bands[0].photcode, mjd, name or path.name, content), found, report)


def _float32(values: Array | None) -> NDArray[np.float32] | None:
    return None if values is None else np.array(values, np.float32)
