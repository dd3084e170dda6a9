"""The text form of the photcode table, as the original system reads and writes it.

One photcode a line, words split by white space::

    code name type zero airmass offset c1 c2 slope color primary
        [astromSys astromScale astromMagScale [photomSys [aPoor aBad [pPoor pBad]]]]

that is 11, 14, 15, 17 or 19 words; ``-`` means none, ``#`` starts a comment line. slope
is a comma list of up to four colour terms; c1, c2 and primary are names or numbers; masks
may be decimal or ``0x`` hexadecimal. Values of a REF line are read past, as its magnitudes
are taken as they are. airmass is added times (airmass - 1) and so is negative, such as
-0.147; in the table K is the extinction, 0.147: the sign turns here, both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dvo.errors import PhotcodeError, StorageError
from dvo.tables.photcode import PhotClass, Photcode, PhotcodeTable

__all__ = [
    "WORDS",
    "changed_photcode",
    "format_photcodes",
    "parse_photcodes",
    "read_photcodes",
    "write_photcodes",
]

WORDS = (
    *("code", "name", "type", "zero", "airmass", "offset", "c1", "c2", "slope", "color", "primary"),
    *("astromSys", "astromScale", "astromMagScale", "photomSys", "aPoor", "aBad", "pPoor", "pBad"),
)
"""Names of the words of a line, in order."""

_WORD_COUNTS = (11, 14, 15, 17, 19)
_KINDS = {
    "pri": PhotClass.SEC,  # the primary filter of old databases
    "sec": PhotClass.SEC,
    "dep": PhotClass.DEP,
    "ref": PhotClass.REF,
    "alt": PhotClass.ALT,
}
_HEADER = f"# {' '.join(WORDS)}"
_MAX_BYTES = 16_000_000  # 65,535 lines of 19 words are far shorter


def read_photcodes(path: Path | str) -> PhotcodeTable:
    """Read a photcode table from a text file.

    Parameters
    ----------
    path : Path or str
        The file.

    Returns
    -------
    PhotcodeTable
        Its photcodes, in the order of the lines.

    Raises
    ------
    PhotcodeError
        If the file cannot be read or a line is wrong; the message names file and line.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise PhotcodeError(f"{path}: too long for a photcode table ({_MAX_BYTES} bytes)")
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise PhotcodeError(f"{path}: no such file") from error
    except OSError as error:
        raise PhotcodeError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise PhotcodeError(f"{path}: no photcode table, which is ASCII text: {error}") from error
    return parse_photcodes(text, source=str(path))


def write_photcodes(table: PhotcodeTable, path: Path | str) -> None:
    """Write a photcode table to a text file.

    Parameters
    ----------
    table : PhotcodeTable
        What to write.
    path : Path or str
        The file; replaced if it is there.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        Path(path).write_text(format_photcodes(table), encoding="ascii")
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror or error})") from error


def parse_photcodes(text: str, *, source: str = "photcodes") -> PhotcodeTable:
    """Read a photcode table from text.

    Parameters
    ----------
    text : str
        The lines.
    source : str
        Name of the text, for messages.

    Returns
    -------
    PhotcodeTable
        Its photcodes, in the order of the lines.

    Raises
    ------
    PhotcodeError
        If a line is wrong.

    Examples
    --------
    >>> parse_photcodes("1 g sec 0 0 0 - - 0 0 -").sec[0].name
    'g'
    """
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        end = next((i for i, w in enumerate(words) if i >= 11 and w.startswith("#")), len(words))
        words = words[:end]
        if len(words) not in _WORD_COUNTS:
            raise PhotcodeError(
                f"{source}, line {number}: {len(words)} words; a photcode has 11, 14, 15, 17 or "
                "19: code name type zero airmass offset c1 c2 slope color primary …"
            )
        rows.append((number, words))
    codes: dict[str, int] = {}
    for number, words in rows:
        code = _integer(words[0], f"{source}, line {number}: code")
        # An ALT repeats the code of its SEC, and must not take the place of the SEC.
        codes.setdefault(words[1], code)
    photcodes = []
    for number, words in rows:
        where = f"{source}, line {number}"
        try:
            photcodes.append(_photcode(words, codes, where))
        except PhotcodeError as error:
            if str(error).startswith(where):
                raise
            raise PhotcodeError(f"{where}: {error}") from error
    try:
        return PhotcodeTable(tuple(photcodes))
    except PhotcodeError as error:
        raise PhotcodeError(f"{source}: {error}") from error


def _photcode(words: list[str], codes: dict[str, int], where: str) -> Photcode:
    kind = _KINDS.get(words[2][:3].lower())
    if kind is None:
        raise PhotcodeError(f"{where}: type {words[2]!r}; use sec, dep, ref or alt")
    words = [*words, *["-"] * (19 - len(words))]
    is_ref = kind is PhotClass.REF
    transformation = (
        {}
        if is_ref
        else {
            "zero_point": _number(words[3], f"{where}: zero"),
            "airmass_slope": 0.0 - _number(words[4], f"{where}: airmass"),
            "zero_point_offset": _number(words[5], f"{where}: offset"),
            "color_offset": _number(words[9], f"{where}: color"),
        }
    )
    return Photcode(
        code=_integer(words[0], f"{where}: code"),
        name=words[1],
        kind=kind,
        color_codes=(0, 0)
        if is_ref
        else (_code(words[6], codes, f"{where}: c1"), _code(words[7], codes, f"{where}: c2")),
        color_terms=() if is_ref else _terms(words[8], f"{where}: slope"),
        equiv=_code(words[10], codes, f"{where}: primary"),
        astrom_err_sys=_number(words[11], f"{where}: astromSys"),
        astrom_err_scale=_number(words[12], f"{where}: astromScale"),
        astrom_err_mag_scale=_number(words[13], f"{where}: astromMagScale"),
        photom_err_sys=_number(words[14], f"{where}: photomSys"),
        astrom_poor_mask=_integer(words[15], f"{where}: aPoor"),
        astrom_bad_mask=_integer(words[16], f"{where}: aBad"),
        photom_poor_mask=_integer(words[17], f"{where}: pPoor"),
        photom_bad_mask=_integer(words[18], f"{where}: pBad"),
        **transformation,
    )


def _number(word: str, where: str) -> float:
    if word == "-":
        return 0.0
    try:
        return float(word)
    except ValueError:
        raise PhotcodeError(f"{where} is {word!r}; write a number, or - for none") from None


def _integer(word: str, where: str) -> int:
    if word == "-":
        return 0
    try:
        return int(word, 16 if word.lower().startswith("0x") else 10)
    except ValueError:
        raise PhotcodeError(f"{where} is {word!r}; write an integer, or - for none") from None


def _code(word: str, codes: dict[str, int], where: str) -> int:
    if word == "-":
        return 0
    if word.isdigit():
        return int(word)
    if word not in codes:
        raise PhotcodeError(f"{where} is {word!r}, which no line of the file defines")
    return codes[word]


def _terms(word: str, where: str) -> tuple[float, ...]:
    return () if word == "-" else tuple(_number(w, where) for w in word.split(","))


def changed_photcode(
    table: PhotcodeTable, photcode: Photcode, changes: Mapping[str, str]
) -> Photcode:
    """Make a photcode with other words in its line of the text form.

    Parameters
    ----------
    table : PhotcodeTable
        Where it stands.
    photcode : Photcode
        The photcode.
    changes : mapping of str to str
        New words by their names in `WORDS`, in any case of letters; not ``code`` or ``type``,
        by which measures go. ``filter`` is another name of ``primary``.

    Returns
    -------
    Photcode
        The changed one.

    Raises
    ------
    PhotcodeError
        If there is no such word, or it cannot be.
    """
    place = {name.lower(): i for i, name in enumerate(WORDS)} | {"filter": WORDS.index("primary")}
    others = [p for p in table if p is not photcode]
    names = {p.code: p.name for p in table if p.kind is not PhotClass.ALT}
    words = _line(photcode, names).split()
    words += ["-"] * (len(WORDS) - len(words))
    for name, word in changes.items():
        at = place.get(name.lower())
        if at is None or WORDS[at] in ("code", "type"):
            settable = ", ".join(w for w in WORDS if w not in ("code", "type"))
            raise PhotcodeError(f"{name}: cannot be set; of a photcode there are {settable}")
        if photcode.kind is PhotClass.REF and 3 <= at <= 9:
            raise PhotcodeError(
                f"{photcode.name} is of an outside catalog (ref), whose magnitudes are taken as "
                f"they are: it has no {WORDS[at]}"
            )
        if len(word.split()) != 1:
            raise PhotcodeError(f"{name}={word}: write one word, without spaces")
        words[at] = word
    codes = {p.name: p.code for p in others if p.kind is not PhotClass.ALT}
    return _photcode(words, codes | {words[1]: photcode.code}, photcode.name)


def format_photcodes(table: PhotcodeTable) -> str:
    """Write a photcode table as text that :func:`parse_photcodes` reads back unchanged.

    Parameters
    ----------
    table : PhotcodeTable
        What to write.

    Returns
    -------
    str
        A comment line and one line a photcode, each as short as its values allow.
    """
    names = {p.code: p.name for p in table if p.kind is not PhotClass.ALT}
    return "\n".join([_HEADER, *(_line(p, names) for p in table)]) + "\n"


def _line(photcode: Photcode, names: dict[int, str]) -> str:
    def name(code: int) -> str:
        return names.get(code, str(code)) if code else "-"

    slope = ",".join(repr(t) for t in photcode.color_terms) or "-"
    words = [
        str(photcode.code),
        photcode.name,
        photcode.kind.name.lower(),
        repr(photcode.zero_point),
        repr(0.0 - photcode.airmass_slope),
        repr(photcode.zero_point_offset),
        name(photcode.color_codes[0]),
        name(photcode.color_codes[1]),
        slope,
        repr(photcode.color_offset),
        name(photcode.equiv),
    ]
    numbers = [
        photcode.astrom_err_sys,
        photcode.astrom_err_scale,
        photcode.astrom_err_mag_scale,
        photcode.photom_err_sys,
    ]
    masks = [
        photcode.astrom_poor_mask,
        photcode.astrom_bad_mask,
        photcode.photom_poor_mask,
        photcode.photom_bad_mask,
    ]
    extra = [*(repr(n) for n in numbers), *(hex(m) for m in masks)]
    n_used = max((i for i, w in enumerate(extra, start=1) if w not in {"0.0", "0x0"}), default=0)
    n_words = next(n for n in _WORD_COUNTS if n >= len(words) + n_used)
    return " ".join([*words, *extra][:n_words])
