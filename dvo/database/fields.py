"""What the columns of a request are, and how the derived ones are made.

A request names columns of the table in lower or upper case, derived columns (see
`dvo.database.derived`) or magnitude words. Words on Average are values of SecFilt; words on
Measure are computed for each row: ``rel`` is what `dvo.tables.magnitudes` says, ``ave`` the
value of the object.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvo.database.arrow import OutputColumn
from dvo.database.derived import DERIVED_NAMES, DerivedColumn, find_derived
from dvo.database.wide import WideColumn
from dvo.errors import QueryError, UnknownColumnError
from dvo.partition.view import View
from dvo.tables.average import AVERAGE
from dvo.tables.column_table import ColumnTable
from dvo.tables.magnitude_field import MagnitudeField, parse_magnitude_field
from dvo.tables.magnitudes import ZERO_POINT, colour_term, nominal_zero_point
from dvo.tables.measure import MEASURE
from dvo.tables.photcode import Photcode, PhotcodeTable
from dvo.tables.photsource import source_of
from dvo.tables.schema import Column, TableSchema
from dvo.tables.secfilt import SECFILT

__all__ = ["Request", "resolve"]

Array = NDArray[Any]

_MEASURE_MAGS = {"psf": ("mag", "mag_err", "m_cal"), "kron": ("m_kron", "m_kron_err", "mcal_aper"),
                 "ap": ("m_aper", "m_aper_err", "mcal_aper")}  # fmt: skip
_MEASURE_FLUXES = {"psf": "flux_psf", "kron": "flux_kron", "ap": "flux_ap"}
_MAG = Column("mag", "f4", "magnitude", "mag", "phot.mag")
_ERR = Column("err", "f4", "error of a magnitude", "mag", "stat.error;phot.mag")
_FLUX = Column("flux", "f4", "flux", "ct/s", "phot.count")


@dataclass(frozen=True)
class Request:
    """Columns wanted of a table, worked out.

    Parameters
    ----------
    schema : TableSchema
        The table.
    outputs : tuple of OutputColumn
        What the result has, in order.
    stored : tuple of str
        Columns of the table that have to be read.
    words : dict of str to MagnitudeField
        Magnitude words by their text.
    derived : dict of str to DerivedColumn
        Derived columns by name.
    """

    schema: TableSchema
    outputs: tuple[OutputColumn, ...]
    stored: tuple[str, ...]
    words: dict[str, MagnitudeField] = field(default_factory=dict)
    derived: dict[str, DerivedColumn] = field(default_factory=dict)

    def values(self, view: View, region: int, table: ColumnTable) -> dict[str, Array]:
        """Columns of the result from the rows read of a region.

        Parameters
        ----------
        view : View
            The snapshot.
        region : int
            The region.
        table : ColumnTable
            Rows of `stored` columns.

        Returns
        -------
        dict of ndarray
            By the names of `outputs`.
        """
        out = {}
        for output in self.outputs:
            word = self.words.get(output.name)
            derived = self.derived.get(output.name)
            if derived is not None:
                out[output.name] = derived.make(view, table)
            elif word is None:
                out[output.name] = table[output.like.name]
            elif self.schema.name == AVERAGE.name:
                out[output.name] = _of_objects(view, region, table["row"], word)
            else:
                out[output.name] = _of_measures(view, region, table, word)
        return out

    def wide(self, view: View) -> tuple[WideColumn, ...]:
        """Magnitude words on objects as columns of the wide view, which are read at once.

        Parameters
        ----------
        view : View
            The snapshot.

        Returns
        -------
        tuple of WideColumn
            Named as in `outputs`.
        """
        return tuple(
            WideColumn(replace(SECFILT[source], name=name), source, _filter(view, word))
            for name, word in self.words.items()
            for source in (_secfilt_column(word),)
        )


def resolve(
    photcodes: PhotcodeTable,
    schema: TableSchema,
    columns: Sequence[str] | None,
    place: tuple[float, float] | None = None,
) -> Request:
    """Work out what columns a request means.

    Parameters
    ----------
    photcodes : PhotcodeTable
        The photcodes of the snapshot.
    schema : TableSchema
        The table.
    columns : sequence of str or None
        Names and magnitude words; None for all columns of the table, without derived ones.
    place : tuple of float or None
        Position that the query asks about, ICRS [deg]; None if it asks about none.

    Returns
    -------
    Request
        What to read and make.

    Raises
    ------
    UnknownColumnError
        If a name is neither; the message names the nearest.
    QueryError
        If the columns are one text instead of a list of them.
    """
    if isinstance(columns, str):
        raise QueryError(f"columns are {columns!r}; give a list: {columns.split(',')}")
    outputs: list[OutputColumn] = []
    stored: list[str] = []
    words: dict[str, MagnitudeField] = {}
    derived: dict[str, DerivedColumn] = {}
    for name in schema.names if columns is None else _once(schema, columns):
        if name in schema:
            outputs.append(OutputColumn(name, schema[name]))
            stored.append(name)
            continue
        made = find_derived(schema, name, place)
        if made is not None:
            derived[name] = made
            outputs.append(OutputColumn(name, made.column))
            stored += made.needs
            continue
        word = _word(photcodes, schema, name)
        words[name] = word
        like = _output_like(schema, word)
        outputs.append(OutputColumn(name, like))
        stored += _needs(schema, word)
    return Request(schema, tuple(outputs), tuple(dict.fromkeys(stored)), words, derived)


def _once(schema: TableSchema, columns: Sequence[str]) -> list[str]:
    """Columns without those named before; of magnitude words the case counts."""
    names = (c.lower() if c.lower() in schema or c.lower() in DERIVED_NAMES else c for c in columns)
    return list(dict.fromkeys(names))


def _word(photcodes: PhotcodeTable, schema: TableSchema, name: str) -> MagnitudeField:
    codes = frozenset(p.name for p in photcodes)
    word = parse_magnitude_field(name, codes) if schema.name in ("Average", "Measure") else None
    if word is None:
        known = dict.fromkeys([*schema.names, *DERIVED_NAMES, *codes])
        near = difflib.get_close_matches(name.lower(), known, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UnknownColumnError(f"{schema.name} has no column {name!r}{hint}")
    if schema.name == "Average" and word.photcode is None:
        filters = ", ".join(p.name for p in photcodes.sec) or "there is none in this database"
        raise UnknownColumnError(
            f"column {name!r}: an object has no magnitude of its own; name a filter: {filters}"
        )
    return word


def _secfilt_column(word: MagnitudeField) -> str:
    """The column of SecFilt that a word means."""
    counts = {"ncode": "ncode", "nwarp": "nwarp", "nwarp_good": "nwarp_good", "nstack": "nstack",
              "nstack_det": "nstack_det", "uc_dist": "ubercal_dist", "flags": "flags",
              "psfqf": "psf_qf_max", "psfqfperf": "psf_qf_perf_max", "min": "mag_min",
              "max": "mag_max", "chisq": "mag_chi"}  # fmt: skip
    if word.option in counts:
        return counts[word.option]
    if word.source == "chip":
        stem = {"psf": "mag", "ap": "mag_ap", "kron": "mag_kron"}[word.kind]
        used = {"psf": "nused", "ap": "nused_ap", "kron": "nused_kron"}[word.kind]
        names = {"mag": stem, "err": f"{stem}_err", "stdev": f"{stem}_stdev", "nphot": used}
    else:
        tail = {"warp": "wrp", "stack": "stk"}[word.source]
        names = {"mag": f"mag_{word.kind}_{tail}", "flux": f"flux_{word.kind}_{tail}",
                 "fluxerr": f"flux_{word.kind}_{tail}_err"}  # fmt: skip
        if word.source == "warp":
            names["stdev"] = f"flux_{word.kind}_wrp_std"
            names["nphot"] = {"psf": "nused_wrp", "ap": "nused_ap_wrp",
                              "kron": "nused_kron_wrp"}[word.kind]  # fmt: skip
    if word.option not in names:
        raise UnknownColumnError(
            f"column {word.word!r}: objects have no {word.option} of {word.source} images; "
            f"they have {', '.join([*names, *counts])}"
        )
    return names[word.option]


def _output_like(schema: TableSchema, word: MagnitudeField) -> Column:
    if schema.name == AVERAGE.name or word.level == "ave":
        return SECFILT[_secfilt_column(word)]
    like = {"mag": _MAG, "err": _ERR, "flux": _FLUX, "fluxerr": _FLUX}.get(word.option)
    if like is None:
        raise UnknownColumnError(
            f"column {word.word!r}: a measure has mag, err, flux or fluxerr; "
            f"{word.option} belongs to objects (write {word.word}:ave)"
        )
    return like


def _needs(schema: TableSchema, word: MagnitudeField) -> tuple[str, ...]:
    if schema.name == AVERAGE.name:
        return ()
    if word.level == "ave":
        return ("ave_ref", "photcode")
    flux = _MEASURE_FLUXES[word.kind]
    if word.option in ("flux", "fluxerr"):
        return (flux if word.option == "flux" else f"{flux}_err", "photcode")
    mag, err, cal = _MEASURE_MAGS[word.kind]
    if word.option == "err":
        return (err, "photcode")
    return (mag, cal, "m_flat", "m_time", "airmass", "photcode", "ave_ref")


def _of_objects(view: View, region: int, rows: Array, word: MagnitudeField) -> Array:
    """Values of SecFilt for rows of Average."""
    assert word.photcode is not None
    k = _filter(view, word)
    name = _secfilt_column(word)
    whole = view.read(SECFILT, region, [name])
    return np.asarray(whole[name][rows * view.n_secfilt + k])


def _filter(view: View, word: MagnitudeField) -> int:
    code = view.photcodes.get(word.photcode or "").code
    k = int(view.photcodes.sec_index_of_code[code])
    if k < 0:
        raise UnknownColumnError(
            f"column {word.word!r}: photcode {word.photcode} belongs to no average filter"
        )
    return k


def _of_measures(view: View, region: int, table: ColumnTable, word: MagnitudeField) -> Array:
    """Values of a magnitude word for rows of Measure; NaN for rows of other photcodes."""
    codes = table["photcode"]
    mine = _rows_meant(view, codes, word)
    if word.level == "ave":
        name = _secfilt_column(word)
        k = view.photcodes.sec_index_of_code[codes].astype(np.int64)
        whole = view.read(SECFILT, region, [name])[name]
        row = table["ave_ref"].astype(np.int64) * view.n_secfilt + np.maximum(k, 0)
        return np.where(mine & (k >= 0), whole[row] if len(whole) else np.nan, np.nan)
    if word.option != "mag":
        (source, _) = _needs(MEASURE, word)
        return np.where(mine, table[source], np.nan).astype(np.float32)
    mag, _, cal = _MEASURE_MAGS[word.kind]
    level = word.level or "rel"
    values = table[mag].astype(np.float64)
    is_dep = _by_code(view, lambda p: float(p.kind.name == "DEP"))[codes] > 0
    if level == "inst":
        shift = -table["m_time"] - ZERO_POINT
    elif level == "ref":
        shift = np.zeros(len(values))
    else:
        slope = _by_code(view, lambda p: p.airmass_slope)[codes]
        zero = _by_code(view, lambda p: nominal_zero_point(p, 1.0))[codes]
        shift = zero - slope * np.nan_to_num(table["airmass"] - 1.0) - ZERO_POINT
        if level in ("rel", "cal"):
            shift = shift - np.nan_to_num(table[cal]) - np.nan_to_num(table["m_flat"])
        if level in ("sys", "rel", "cal"):
            shift = shift + _colour_term(view, region, table)
    return np.where(mine, values + np.where(is_dep, shift, 0.0), np.nan).astype(np.float32)


def _rows_meant(view: View, codes: Array, word: MagnitudeField) -> Array:
    """Which rows a word speaks of, by their photcodes."""
    if word.photcode is None:
        return np.ones(len(codes), np.bool_)
    wanted = view.photcodes.get(word.photcode)
    is_meant = np.zeros(65536, np.bool_)
    for entry in view.photcodes:
        same = entry.code == wanted.code
        averaged = entry.equiv == wanted.code and source_of(entry.name).value == word.source
        is_meant[entry.code] |= same or averaged
    return np.asarray(is_meant[codes])


def _colour_term(view: View, region: int, table: ColumnTable) -> Array:
    """Colour terms of each row's photcode; 0 where there are none or the colour is unknown."""
    codes = table["photcode"]
    out = np.zeros(len(codes))
    for entry in view.photcodes:
        if not entry.color_terms or not any(entry.color_terms):
            continue
        rows = np.flatnonzero(codes == entry.code)
        if len(rows) == 0:
            continue
        means = view.read(SECFILT, region, ["mag"])["mag"]
        blue, red = (_mean(view, means, table["ave_ref"][rows], c) for c in entry.color_codes)
        out[rows] = colour_term(entry, blue - red)
    return out


def _mean(view: View, means: Array, ave_ref: Array, code: int) -> Array:
    k = int(view.photcodes.sec_index_of_code[code])
    if k < 0 or len(means) == 0:
        return np.full(len(ave_ref), np.nan)
    return means[ave_ref.astype(np.int64) * view.n_secfilt + k].astype(np.float64)


def _by_code(view: View, value: Any) -> Array:
    out = np.full(65536, np.nan)
    entry: Photcode
    for entry in view.photcodes:
        out[entry.code] = value(entry)
    return out
