"""Photcodes: the photometric systems a database knows, and the table they are kept in.

A photcode is a SEC (an average filter such as ``g``), a DEP (a detector and filter with
image metadata, such as ``GPC1.g.XY33``), a REF (values of an outside catalog) or an ALT
(another transformation of a SEC, for look-up only). The order of the SEC photcodes in the
table defines the order of SecFilt rows. The text form is in :mod:`dvo.ingest.photcode_text`.

Against the original, zero points and offsets are float64 magnitudes, where 16-bit
millimagnitudes ended at 32.767; text is read and written without loss.
"""

from __future__ import annotations

import difflib
import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from dvo.errors import PhotcodeError, UnknownPhotcodeError
from dvo.tables.schema import Column, TableSchema

__all__ = ["PHOTCODE", "PhotClass", "Photcode", "PhotcodeTable"]

_MAX_CODE = 0xFFFF
_MAX_NAME = 32
_MAX_TERMS = 4
_RESERVED = frozenset({"MAG", "FLUX"})

PHOTCODE = TableSchema(
    name="Photcode",
    suffix="fits",
    extname="DVO_PHOTCODE",
    meaning="one photometric system",
    columns=(
        Column("code", "u2", "number of the photcode, never 0", ucd="meta.id;instr.filter"),
        Column("name", "S32", "name, such as g or GPC1.g.XY33", ucd="meta.id;instr.filter"),
        Column("type", "u1", "2 SEC, 3 DEP, 4 REF, 5 ALT", ucd="meta.code.class"),
        Column("c_lam", "f8", "nominal zero point C", "mag", "arith.zp;phot.mag"),
        Column("c_lam_err", "f8", "offset of the nominal zero point", "mag", "arith.zp;phot.mag"),
        Column("x_err", "f8", "colour at which the colour terms vanish", "mag", "phot.color"),
        Column("k", "f8", "extinction in one airmass K, positive; the original's -K", "mag"),
        Column("c1", "u2", "photcode of the first magnitude of the colour; 0 none", null=0),
        Column("c2", "u2", "photcode of the second magnitude of the colour; 0 none", null=0),
        Column("equiv", "u2", "SEC photcode that this one measures; 0 none", null=0),
        Column("nc", "i4", "number of colour terms, 0 to 4", ucd="meta.number"),
        Column("x", "f8", "colour terms, of powers 1 to 4", shape=_MAX_TERMS),
        Column("astrom_err_sys", "f8", "systematic error of a position", "arcsec"),
        Column("astrom_err_scale", "f8", "factor of the measured variance of a position"),
        Column("astrom_err_mag_scale", "f8", "variance of a position per mag^2", "arcsec2/mag2"),
        Column("astrom_poor_mask", "u4", "phot_flags that make astrometry poor"),
        Column("astrom_bad_mask", "u4", "phot_flags that make astrometry bad"),
        Column("photom_err_sys", "f8", "systematic error of a magnitude", "mag"),
        Column("photom_poor_mask", "u4", "phot_flags that make photometry poor"),
        Column("photom_bad_mask", "u4", "phot_flags that make photometry bad"),
    ),
)
"""Schema of the Photcode table."""


class PhotClass(enum.IntEnum):
    """Classes of photcodes; the values of ``Photcode.type`` on disk."""

    SEC = 2
    """average filter"""
    DEP = 3
    """detector and filter, with image metadata"""
    REF = 4
    """values of an outside catalog, taken as they are"""
    ALT = 5
    """another transformation of a SEC, with the same code"""


@dataclass(frozen=True, slots=True, eq=False)
class Photcode:
    """One photometric system.

    Parameters
    ----------
    code : int
        Number, 1 to 65535. An ALT has the code of its SEC.
    name : str
        Name, up to 32 ASCII characters without spaces, commas or colons.
    kind : PhotClass
        SEC, DEP, REF or ALT.
    zero_point : float
        Nominal zero point C [mag]; 0 for a REF.
    airmass_slope : float
        K [mag per airmass], the extinction in an airmass: positive where air takes light.
    zero_point_offset : float
        Offset beside the nominal zero point [mag].
    color_codes : tuple of int
        Photcodes whose difference is the colour; (0, 0) if there is no colour.
    color_terms : tuple of float
        Coefficients of the colour, of powers 1 to 4, at most four.
    color_offset : float
        Colour at which the terms vanish [mag].
    equiv : int
        Code of the SEC that this photcode measures; 0 if none.
    astrom_err_sys, astrom_err_scale, astrom_err_mag_scale : float
        Model of position errors: sys^2 + scale * measured^2 + mag_scale * mag_err^2.
        NaN in one of them says that positions are not to be used.
    astrom_poor_mask, astrom_bad_mask : int
        phot_flags bits of positions to use in need only, and never.
    photom_err_sys : float
        Systematic error of a magnitude [mag].
    photom_poor_mask, photom_bad_mask : int
        phot_flags bits of magnitudes to use in need only, and never.
    """

    code: int
    name: str
    kind: PhotClass
    zero_point: float = 0.0
    airmass_slope: float = 0.0
    zero_point_offset: float = 0.0
    color_codes: tuple[int, int] = (0, 0)
    color_terms: tuple[float, ...] = ()
    color_offset: float = 0.0
    equiv: int = 0
    astrom_err_sys: float = 0.0
    astrom_err_scale: float = 0.0
    astrom_err_mag_scale: float = 0.0
    astrom_poor_mask: int = 0
    astrom_bad_mask: int = 0
    photom_err_sys: float = 0.0
    photom_poor_mask: int = 0
    photom_bad_mask: int = 0

    def __post_init__(self) -> None:
        where = f"photcode {self.name!r} ({self.code})"
        _check_name(self.name)
        if not 1 <= self.code <= _MAX_CODE:
            raise PhotcodeError(f"{where}: the code must be in 1 to {_MAX_CODE}")
        if len(self.color_terms) > _MAX_TERMS:
            raise PhotcodeError(f"{where}: {len(self.color_terms)} colour terms; 4 at most")
        for name in _NUMBERS:
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)
            if not (math.isfinite(value) or (math.isnan(value) and name in _MAY_BE_NAN)):
                raise PhotcodeError(f"{where}: {name} must be finite, not {value}")
        terms = [float(t) for t in self.color_terms]
        if not all(math.isfinite(t) for t in terms):
            raise PhotcodeError(f"{where}: colour terms must be finite, not {terms}")
        # Trailing zeros say nothing; without them equal photcodes compare equal.
        while terms and terms[-1] == 0:
            terms.pop()
        object.__setattr__(self, "color_terms", tuple(terms))
        for name in _MASKS:
            if not 0 <= getattr(self, name) <= 0xFFFFFFFF:
                raise PhotcodeError(f"{where}: {name} must be a 32-bit mask")
        if not all(0 <= c <= _MAX_CODE for c in (*self.color_codes, self.equiv)):
            raise PhotcodeError(f"{where}: colour and equivalent must be codes, 0 for none")
        if self.kind is PhotClass.REF and any(getattr(self, n) for n in _TRANSFORMATION):
            raise PhotcodeError(
                f"{where}: a REF photcode takes magnitudes as they are; leave its zero point, "
                "airmass and colour terms at 0, or make it a DEP"
            )

    def key(self) -> tuple[object, ...]:
        """All that it is, with a word for NaN, so that equal photcodes have equal keys."""
        values = (getattr(self, f.name) for f in fields(self))
        return tuple("nan" if v != v else v for v in values)

    # NaN equals NaN here: a table read back is equal to the one written.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Photcode) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())


_Keys = tuple[tuple[object, ...], ...]


@lru_cache(maxsize=64)
def _first_alike(keys: _Keys) -> _Keys:
    """What was given first of all that are equal: what is the same object needs no comparison."""
    return keys


_NUMBERS = (
    "zero_point",
    "airmass_slope",
    "zero_point_offset",
    "color_offset",
    "astrom_err_sys",
    "astrom_err_scale",
    "astrom_err_mag_scale",
    "photom_err_sys",
)
_MAY_BE_NAN = frozenset(
    {"astrom_err_sys", "astrom_err_scale", "astrom_err_mag_scale", "photom_err_sys"}
)
_MASKS = ("astrom_poor_mask", "astrom_bad_mask", "photom_poor_mask", "photom_bad_mask")
_TRANSFORMATION = (
    "zero_point",
    "airmass_slope",
    "zero_point_offset",
    "color_offset",
    "color_terms",
)
# Field of Photcode for each scalar column of the schema whose name or type differs.
_COLUMN_OF = {
    "zero_point": "c_lam",
    "zero_point_offset": "c_lam_err",
    "color_offset": "x_err",
    "airmass_slope": "k",
}


def _check_name(name: str) -> None:
    bad = not name.isascii() or not name.isprintable() or any(c in name for c in " ,:'\"")
    if bad or not name or len(name) > _MAX_NAME or name[0] in "-#" or name.isdigit():
        raise PhotcodeError(
            f"photcode name {name!r}: use 1 to {_MAX_NAME} ASCII characters without spaces, "
            "quotes, commas or colons, not a number alone, nor with - or # in front"
        )
    if name.upper() in _RESERVED:
        raise PhotcodeError(f"photcode name {name!r} is reserved for queries; choose another")


@dataclass(frozen=True)
class PhotcodeTable:
    """The photcodes of a database; immutable.

    Parameters
    ----------
    photcodes : tuple of Photcode
        In table order. The SEC photcodes define, in this order, k of SecFilt.
    """

    photcodes: tuple[Photcode, ...] = ()

    def __post_init__(self) -> None:
        for i, photcode in enumerate(self.photcodes):
            if self._by_name[photcode.name] != i:
                raise PhotcodeError(f"photcode name {photcode.name!r} stands twice in the table")
            if photcode.kind is not PhotClass.ALT and self._by_code[photcode.code] != i:
                other = self.photcodes[self._by_code[photcode.code]].name
                raise PhotcodeError(
                    f"photcode number {photcode.code} stands twice, for {photcode.name} and "
                    f"{other}; give each a number of its own"
                )
            target = photcode.code if photcode.kind is PhotClass.ALT else photcode.equiv
            if photcode.kind is not PhotClass.SEC and target:
                self._check_sec(photcode, target)

    def _check_sec(self, photcode: Photcode, code: int) -> None:
        i = self._by_code.get(code)
        if i is None or self.photcodes[i].kind is not PhotClass.SEC:
            found = "is not in the table" if i is None else f"is {self.photcodes[i].name}, no SEC"
            raise PhotcodeError(
                f"photcode {photcode.name!r} stands for photcode {code}, which {found}; "
                "name one of the average filters: " + ", ".join(p.name for p in self.sec)
            )

    # Every query looks up what it knows of the tables by their photcodes. To compare 300 of them
    # one by one, each time, would take longer than the rest of its plan.
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PhotcodeTable):
            return NotImplemented
        return self._keys is other._keys or self._keys == other._keys

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(self._keys)

    @cached_property
    def _keys(self) -> _Keys:
        return _first_alike(tuple(photcode.key() for photcode in self.photcodes))

    def __len__(self) -> int:
        return len(self.photcodes)

    def __iter__(self) -> Iterator[Photcode]:
        return iter(self.photcodes)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {p.name: i for i, p in enumerate(self.photcodes)}

    @cached_property
    def _by_code(self) -> dict[int, int]:
        return {p.code: i for i, p in enumerate(self.photcodes) if p.kind is not PhotClass.ALT}

    @cached_property
    def sec(self) -> tuple[Photcode, ...]:
        """The SEC photcodes in table order: number k has row i * len(sec) + k of SecFilt."""
        return tuple(p for p in self.photcodes if p.kind is PhotClass.SEC)

    @cached_property
    def sec_index_of_code(self) -> NDArray[np.int16]:
        """Number k of the SEC that each code measures, shape (65536,); -1 where there is none.

        Made for fancy indexing by a column of codes. The array must not be written to.
        """
        place = {p.code: k for k, p in enumerate(self.sec)}
        index = np.full(_MAX_CODE + 1, -1, np.int16)
        for photcode in self.photcodes:
            if photcode.kind is not PhotClass.ALT:
                own = photcode.kind is PhotClass.SEC
                index[photcode.code] = place.get(photcode.code if own else photcode.equiv, -1)
        index.flags.writeable = False
        return index

    def get(self, name: str, kind: PhotClass | None = None) -> Photcode:
        """Look a photcode up by its name.

        Parameters
        ----------
        name : str
            Name, exact.
        kind : PhotClass or None
            What it would have to be, for the message if there is none.

        Returns
        -------
        Photcode
            The photcode of that name.

        Raises
        ------
        UnknownPhotcodeError
            If there is none; the message gives near names and how to add it.
        """
        i = self._by_name.get(name)
        if i is None:
            raise UnknownPhotcodeError(self._unknown(name, kind))
        return self.photcodes[i]

    def get_code(self, code: int) -> Photcode:
        """Look a photcode up by its number (never an ALT).

        Parameters
        ----------
        code : int
            Number of the photcode.

        Returns
        -------
        Photcode
            The photcode of that number.

        Raises
        ------
        UnknownPhotcodeError
            If there is none.
        """
        i = self._by_code.get(code)
        if i is None:
            raise UnknownPhotcodeError(
                f"no photcode has the number {code}; `dvo photcode list CATDIR` shows all"
            )
        return self.photcodes[i]

    def _unknown(self, name: str, kind: PhotClass | None) -> str:
        filters = [p.name for p in self.sec]
        if kind is PhotClass.SEC:
            return (
                f"there is no average filter {name!r}; this database has {', '.join(filters)} "
                "(`dvo secfilt CATDIR --add FILTER` adds one)"
            )
        near = difflib.get_close_matches(name, list(self._by_name), n=3, cutoff=0.5)
        near_text = f" (near to it: {', '.join(near)})" if near else ""
        # The rule {DETECTOR}.{FILTER}.{CHIP} usually names the filter.
        guess = next((w for w in name.split(".")[1:] if w in filters), "FILTER")
        choice = f" (FILTER: {', '.join(filters)})" if guess == "FILTER" else ""
        add = f"dvo photcode add CATDIR {name} --class"
        dep = f"`{add} dep --filter {guess} --zero ZEROPOINT`{choice}"
        ref = f"`{add} ref`"
        ways = {PhotClass.DEP: f"add it with {dep}", PhotClass.REF: f"add it with {ref}"}
        either = f"for images add it with {dep}, for an outside catalog with {ref}"
        way = ways.get(kind, either) if kind else either
        return f"photcode {name!r} is not in the photcode table{near_text}; {way}"

    def add(
        self,
        name: str,
        kind: PhotClass,
        *,
        filter_name: str | None = None,
        code: int | None = None,
        zero_point: float = 0.0,
        airmass_slope: float = 0.0,
    ) -> PhotcodeTable:
        """Make a table with one photcode more, at its end.

        Parameters
        ----------
        name : str
            Name of the new photcode.
        kind : PhotClass
            SEC, DEP or REF.
        filter_name : str or None
            Name of the SEC that it measures; None for a SEC, or for no average.
        code : int or None
            Number; None takes the next free one.
        zero_point : float
            Nominal zero point [mag]; 0 for a REF.
        airmass_slope : float
            K, the extinction in an airmass [mag per airmass].

        Returns
        -------
        PhotcodeTable
            The longer table; this one stays as it is.

        Raises
        ------
        PhotcodeError
            If the name or code is taken or cannot be, or the filter is no SEC.

        Examples
        --------
        >>> table = PhotcodeTable().add("g", PhotClass.SEC)
        >>> table.add("GPC1.g.XY01", PhotClass.DEP, filter_name="g").get("GPC1.g.XY01").equiv
        1
        """
        equiv = 0 if filter_name is None else self.get(filter_name, PhotClass.SEC).code
        photcode = Photcode(
            code=self.next_code() if code is None else code,
            name=name,
            kind=kind,
            zero_point=zero_point,
            airmass_slope=airmass_slope,
            equiv=equiv,
        )
        return self.extend([photcode])

    def extend(self, photcodes: Sequence[Photcode]) -> PhotcodeTable:
        """Make a table with more photcodes at its end.

        Parameters
        ----------
        photcodes : sequence of Photcode
            What to append.

        Returns
        -------
        PhotcodeTable
            The longer table; this one stays as it is.

        Raises
        ------
        PhotcodeError
            If a name or code would stand twice, or an equivalent is no SEC.
        """
        return PhotcodeTable((*self.photcodes, *photcodes))

    def next_code(self) -> int:
        """Find a number for a new photcode.

        Returns
        -------
        int
            The one after the highest, or the lowest free one.

        Raises
        ------
        PhotcodeError
            If all are taken.
        """
        highest = max(self._by_code, default=0)
        if highest < _MAX_CODE:
            return highest + 1
        free = next((c for c in range(1, _MAX_CODE + 1) if c not in self._by_code), None)
        if free is None:
            raise PhotcodeError(f"the photcode table is full: all {_MAX_CODE} codes are taken")
        return free

    def to_columns(self) -> dict[str, NDArray[np.generic]]:
        """Make the columns of the table as the schema PHOTCODE names them.

        Returns
        -------
        dict of str to ndarray
            One array a column, all of length len(self).
        """
        columns: dict[str, NDArray[np.generic]] = {}
        for name in (*_NUMBERS, *_MASKS, "code", "equiv"):
            column = PHOTCODE[_COLUMN_OF.get(name, name)]
            values = [getattr(p, name) for p in self.photcodes]
            columns[column.name] = np.array(values, column.numpy_dtype)
        columns["name"] = np.array(
            [p.name.encode() for p in self.photcodes], PHOTCODE["name"].dtype
        )
        columns["type"] = np.array([p.kind for p in self.photcodes], np.uint8)
        columns["c1"] = np.array([p.color_codes[0] for p in self.photcodes], np.uint16)
        columns["c2"] = np.array([p.color_codes[1] for p in self.photcodes], np.uint16)
        columns["nc"] = np.array([len(p.color_terms) for p in self.photcodes], np.int32)
        terms = np.zeros((len(self), _MAX_TERMS))
        for row, photcode in zip(terms, self.photcodes, strict=True):
            row[: len(photcode.color_terms)] = photcode.color_terms
        columns["x"] = terms
        return {name: columns[name] for name in PHOTCODE.names}

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[np.generic]]) -> PhotcodeTable:
        """Make the table from its columns.

        Parameters
        ----------
        columns : mapping of str to ndarray
            The columns of the schema PHOTCODE.

        Returns
        -------
        PhotcodeTable
            The same photcodes in the same order.

        Raises
        ------
        PhotcodeError
            If a value cannot be, such as an unknown type.
        """
        lists = {name: np.asarray(columns[name]).tolist() for name in PHOTCODE.names}
        photcodes = []
        for i in range(len(lists["code"])):
            try:
                kind = PhotClass(lists["type"][i])
                name = lists["name"][i].decode("ascii")
            except ValueError as error:
                raise PhotcodeError(f"photcode table, row {i}: {error}") from error
            fields = {f: lists[_COLUMN_OF.get(f, f)][i] for f in (*_NUMBERS, *_MASKS)}
            photcodes.append(
                Photcode(
                    code=lists["code"][i],
                    name=name,
                    kind=kind,
                    color_codes=(lists["c1"][i], lists["c2"][i]),
                    color_terms=tuple(lists["x"][i][: lists["nc"][i]]),
                    equiv=lists["equiv"][i],
                    **fields,
                )
            )
        return cls(tuple(photcodes))
