"""Changes of a database's photcode table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dvo.errors import PhotcodeError
from dvo.partition.store import Store
from dvo.tables.column_table import ColumnTable
from dvo.tables.photcode import PHOTCODE, Photcode, PhotcodeTable

__all__ = ["import_photcodes", "put_photcodes"]


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
            "they are fixed when a database is made"
        )
    with store.begin(command, params) as change:
        columns = {n.lower(): v for n, v in table.to_columns().items()}
        change.put_global(ColumnTable(PHOTCODE, columns), "Photcodes", replace_all=True)
        change.commit()


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
                f"{source}: photcode {theirs.name} is in the database with other parameters; "
                "rename it, or remove the line"
            )
    if added:
        put_photcodes(store, ours.extend(added), "photcode import", {"file": source})
    return len(added)
