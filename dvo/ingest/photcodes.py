"""Changes of a database's photcode table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from dvo.errors import ConfigError, PhotcodeError
from dvo.ingest.surveys.forms import Survey
from dvo.ingest.surveys.registry import photcode_of
from dvo.partition.store import Store
from dvo.tables.column_table import ColumnTable
from dvo.tables.photcode import PHOTCODE, PhotClass, Photcode, PhotcodeTable

__all__ = ["add_photcode", "add_survey_photcodes", "import_photcodes", "put_photcodes"]


def put_photcodes(store: Store, table: PhotcodeTable, command: str, params: dict[str, Any]) -> None:
    """Replace the photcode table of a database, in one commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    table : PhotcodeTable
        The new table; its SEC photcodes are those of the database.
    command : str
        Name of the command, for the log.
    params : dict
        What to record.

    Raises
    ------
    PhotcodeError
        If the average filters would change.
    """
    old = [p.name for p in store.view().photcodes.sec]
    new = [p.name for p in table.sec]
    if old != new:
        raise PhotcodeError(
            f"average filters would change from {','.join(old)} to {','.join(new)}; "
            "change them by `dvo secfilt CATDIR --add FILTER` or `--drop FILTER`"
        )
    with store.begin(command, params) as change:
        columns = {n.lower(): v for n, v in table.to_columns().items()}
        change.put_global(ColumnTable(PHOTCODE, columns), "Photcodes", replace_all=True)
        change.commit()


def add_photcode(
    store: Store,
    name: str,
    kind: PhotClass,
    *,
    filter_name: str | None = None,
    code: int | None = None,
    zero_point: float = 0.0,
    airmass_slope: float = 0.0,
) -> tuple[Photcode, bool]:
    """Add a photcode, unless it is in the database already.

    Parameters
    ----------
    store : Store
        Open for writing.
    name : str
        Name of the photcode.
    kind : PhotClass
        DEP, REF or ALT.
    filter_name : str or None
        Average filter that it belongs to.
    code : int or None
        Number; None takes the next free one, or for an ALT that of its filter.
    zero_point : float
        Nominal zero point [mag].
    airmass_slope : float
        Extinction in an airmass [mag per airmass], positive.

    Returns
    -------
    photcode : Photcode
        What is in the database now.
    is_new : bool
        Whether it was added; False if it was there with the same parameters.

    Raises
    ------
    PhotcodeError
        If the name is there with other parameters, or a parameter cannot be.
    """
    ours = store.view().photcodes
    old = ours.get(name) if name in ours else None
    if old is not None and old.kind is PhotClass.SEC:
        raise PhotcodeError(f"{name} is an average filter of the database; choose another name")
    if kind is PhotClass.ALT and filter_name is not None:
        code = ours.get(filter_name, PhotClass.SEC).code
    elif old is not None and code is None:
        code = old.code
    # One of the same name and number would be refused before it could be compared.
    others = PhotcodeTable(tuple(p for p in ours if p is not old))
    table = others.add(
        name, kind, filter_name=filter_name, code=code,
        zero_point=zero_point, airmass_slope=airmass_slope,
    )  # fmt: skip
    wanted = table.get(name)
    if old is None:
        put_photcodes(store, table, "photcode add", {"name": name})
        return wanted, True
    if wanted != old:
        raise PhotcodeError(
            f"photcode {name} is in the database already, with other parameters "
            f"({_differences(wanted, old)}); choose another name: measures may stand on this one"
        )
    return old, False


def add_survey_photcodes(
    store: Store, survey: Survey, bands: Sequence[str] | None = None
) -> list[str]:
    """Add the photcodes of a survey that are not in the database yet, in one commit.

    Parameters
    ----------
    store : Store
        Open for writing.
    survey : Survey
        The survey.
    bands : sequence of str or None
        Names of the bands wanted; None for all.

    Returns
    -------
    list of str
        Names of those that were added. One that is there stays as it is: whoever made it may
        have given it a filter or errors of his own.

    Raises
    ------
    ConfigError
        If a band is unknown.
    PhotcodeError
        If a name is there and is no REF.
    """
    wanted = {b.name.lower() for b in survey.bands}
    if bands is not None:
        wanted &= {b.lower() for b in bands}
        if len(wanted) < len({b.lower() for b in bands}):
            names = ", ".join(b.name for b in survey.bands)
            raise ConfigError(f"bands {', '.join(bands)}: survey {survey.name} has {names}")
    table, added = store.view().photcodes, []
    for band in survey.bands:
        if band.name.lower() not in wanted:
            continue
        if band.photcode not in table:
            code = table.next_code()
            table = table.extend([photcode_of(survey, band, code)])
            added.append(band.photcode)
        elif table.get(band.photcode).kind is not PhotClass.REF:
            raise PhotcodeError(
                f"photcode {band.photcode} is a {table.get(band.photcode).kind.name} in this "
                f"database, but the survey {survey.name} needs a ref of this name; name those of "
                "the survey otherwise (--system)"
            )
    if added:
        put_photcodes(store, table, "photcode add", {"survey": survey.name, "names": added})
    return added


def _differences(wanted: Photcode, there: Photcode) -> str:
    pairs = {f.name: (getattr(wanted, f.name), getattr(there, f.name)) for f in fields(wanted)}
    return "; ".join(
        f"{name} {old}, not {new}" for name, (new, old) in pairs.items() if repr(new) != repr(old)
    )


def import_photcodes(store: Store, table: PhotcodeTable, *, source: str) -> int:
    """Add the photcodes of a table that are not in the database yet.

    Parameters
    ----------
    store : Store
        Open for writing.
    table : PhotcodeTable
        What to add. SEC photcodes must be those of the database, by name.
    source : str
        Where they came from, for the log and for messages.

    Returns
    -------
    int
        How many were added.

    Raises
    ------
    PhotcodeError
        If a name or number is there with other parameters.
    """
    ours = store.view().photcodes
    sec_of = {p.code: ours.get(p.name).code for p in table.sec if p.name in ours}
    unknown = [p.name for p in table.sec if p.name not in ours]
    if unknown:
        raise PhotcodeError(
            f"{source}: average filter(s) {', '.join(unknown)} are not in the database, which has "
            + ", ".join(p.name for p in ours.sec)
        )
    added: list[Photcode] = []
    for theirs in table:
        if theirs in table.sec:
            continue
        wanted = replace(theirs, equiv=sec_of.get(theirs.equiv, 0))
        if theirs.name not in ours:
            added.append(wanted)
        elif ours.get(theirs.name) != wanted:
            raise PhotcodeError(
                f"{source}: photcode {theirs.name} is in the database with other parameters "
                f"({_differences(wanted, ours.get(theirs.name))}); rename it, or remove the line"
            )
    if added:
        put_photcodes(store, ours.extend(added), "photcode import", {"file": source})
    return len(added)
