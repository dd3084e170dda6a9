"""How the hosts of a database are: all of them asked at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvo.errors import DvoError
from dvo.partition.host_table import HostEntry, read_host_table
from dvo.partition.hosts.calling import call_hosts
from dvo.partition.hosts.keys import KeyPair
from dvo.partition.store import Store

__all__ = ["HostState", "look_at_hosts"]


@dataclass(frozen=True)
class HostState:
    """What a host says of itself, or why it says nothing.

    Parameters
    ----------
    entry : HostEntry
        The host.
    facts : dict
        What it says; empty if it does not answer.
    problem : str
        Why it does not answer, or that somebody else does; empty if it does.
    """

    entry: HostEntry
    facts: dict[str, Any]
    problem: str = ""


def look_at_hosts(
    catdir: Path, *, keys: KeyPair | None = None, timeout_s: float = 3.0
) -> list[HostState]:
    """Ask all hosts of a database how they are.

    Parameters
    ----------
    catdir : Path
        The database directory.
    keys : KeyPair, optional
        Keys of the client.
    timeout_s : float
        How long to wait for all of them together [s].

    Returns
    -------
    list of HostState
        Their states, by number.

    Raises
    ------
    StorageError
        If there is no such database.
    ConfigError
        If its HostTable is wrong.
    """
    with Store(catdir, cache_bytes=0) as store:
        db_id = store.db_id
    entries = read_host_table(catdir)
    answers = call_hosts(entries, "hello", db_id, keys=keys, timeout_s=timeout_s)
    return [
        HostState(entry, {}, str(answer)) if isinstance(answer, DvoError)
        else HostState(entry, answer.header)
        for entry, answer in zip(entries, answers, strict=True)
    ]  # fmt: skip
