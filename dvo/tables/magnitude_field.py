"""The magnitude words of DVO: ``g``, ``g:ave:kron``, ``GPC1.r.XY33:rel``, ``mag:inst:err``.

A word is a photcode (or ``mag`` or ``flux``: that of the row) followed, in any order, by
source ``chip|warp|stack``, level ``inst|cat|sys|rel|cal|ave|ref``, class
``psf|kron|aper`` and one option such as ``err``. What a word means for a table is worked
out in `dvo.database.fields`.
"""

from __future__ import annotations

from dataclasses import dataclass

from dvo.errors import UnknownColumnError

__all__ = ["LEVELS", "OPTIONS", "PARTS", "MagnitudeField", "parse_magnitude_field"]

_SOURCES = {"chip": "chip", "chp": "chip", "warp": "warp", "wrp": "warp",
            "stack": "stack", "stk": "stack"}  # fmt: skip
LEVELS = ("inst", "cat", "sys", "rel", "cal", "ave", "ref")
_CLASSES = {"psf": "psf", "kron": "kron", "aper": "ap", "ap": "ap"}
OPTIONS = (
    "mag", "err", "flux", "fluxerr", "stdev", "chisq", "min", "max", "ncode", "nphot", "nwarp",
    "nwarp_good", "nstack", "nstack_det", "uc_dist", "flags", "psfqf", "psfqfperf",
)  # fmt: skip
PARTS = ("chip", "warp", "stack", *LEVELS, "psf", "kron", "aper", *OPTIONS)
"""All that can stand behind a colon."""


@dataclass(frozen=True, slots=True)
class MagnitudeField:
    """A magnitude word, taken apart.

    Parameters
    ----------
    word : str
        The word as it was given.
    photcode : str or None
        Name of the photcode; None for that of each row.
    source : str
        ``chip``, ``warp`` or ``stack``.
    level : str or None
        Level of calibration; None if not said.
    kind : str
        ``psf``, ``kron`` or ``ap``.
    option : str
        What of it: ``mag``, ``err``, ...
    """

    word: str
    photcode: str | None
    source: str = "chip"
    level: str | None = None
    kind: str = "psf"
    option: str = "mag"


def parse_magnitude_field(word: str, photcodes: frozenset[str]) -> MagnitudeField | None:
    """Take a magnitude word apart.

    Parameters
    ----------
    word : str
        The word.
    photcodes : frozenset of str
        Names of the photcodes there are.

    Returns
    -------
    MagnitudeField or None
        None if the word does not begin with a photcode, ``mag`` or ``flux``.

    Raises
    ------
    UnknownColumnError
        If a later part is unknown, or says something twice.

    Examples
    --------
    >>> parse_magnitude_field("g:kron:err", frozenset({"g"})).option
    'err'
    """
    head, *rest = word.split(":")
    if head not in photcodes and head not in ("mag", "flux"):
        return None
    found: dict[str, str] = {}
    for part in rest:
        key, value = _classify(part.lower(), word)
        if key in found:
            raise UnknownColumnError(f"column {word!r} says its {key} twice: {found[key]}, {value}")
        found[key] = value
    if head == "flux":
        found.setdefault("option", "flux")
    return MagnitudeField(
        word=word,
        photcode=None if head in ("mag", "flux") else head,
        source=found.get("source", "chip"),
        level=found.get("level"),
        kind=found.get("class", "psf"),
        option=found.get("option", "mag"),
    )


def _classify(part: str, word: str) -> tuple[str, str]:
    if part in _SOURCES:
        return "source", _SOURCES[part]
    if part in LEVELS:
        return "level", part
    if part in _CLASSES:
        return "class", _CLASSES[part]
    if part in OPTIONS:
        return "option", part
    raise UnknownColumnError(
        f"column {word!r}: {part!r} is no source (chip, warp, stack), level ({', '.join(LEVELS)}), "
        f"class (psf, kron, aper) or option ({', '.join(OPTIONS)})"
    )
