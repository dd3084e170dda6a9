"""Notes of the processes of local hosts: one small file each, in the folder of the hosts.

A note says more than the number of a process, so that nobody else's is ever taken for it: when
the process began, on which machine, and for which folder, for a database may be copied with
its notes, and be on a disk that machines share.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from dvo.errors import StorageError
from dvo.partition.layout import HOSTS

__all__ = ["Note", "is_alive", "read_notes", "remove_note", "write_note"]


@dataclass(frozen=True, slots=True)
class Note:
    """The process of a local host.

    Parameters
    ----------
    number : int
        Number of the host.
    pid : int
        Number of the process.
    began : str
        When it began: the boot of the machine, and ticks of its clock since.
    machine : str
        The machine.
    folder : int
        Number of the folder of the hosts in its file system: a copy has another one.
    """

    number: int
    pid: int
    began: str
    machine: str
    folder: int


def write_note(catdir: Path, number: int, pid: int) -> None:
    """Note the process of a local host, all at once.

    Parameters
    ----------
    catdir : Path
        The database directory.
    number : int
        Number of the host.
    pid : int
        Its process, on this machine.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    path = _path(catdir, number)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        folder = path.parent.stat().st_ino
        note = Note(number, pid, _began(pid) or "ended", socket.gethostname(), folder)
        beside.write_text(json.dumps(asdict(note)))
        beside.replace(path)
    except OSError as err:
        raise StorageError(f"{path}: cannot be written ({err.strerror})") from err


def read_notes(catdir: Path) -> list[Note]:
    """Read the notes of the hosts of a database, but for those that came with a copy of it.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    list of Note
        By number. What cannot be read is no note of ours.
    """
    found = []
    folder = catdir / HOSTS
    for path in folder.glob("*.pid"):
        try:
            said = json.loads(path.read_text())
            note = Note(int(path.stem), int(said["pid"]), str(said["began"]),
                        str(said["machine"]), int(said["folder"]))  # fmt: skip
            if note.folder == folder.stat().st_ino:
                found.append(note)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda note: note.number)


def remove_note(catdir: Path, number: int) -> None:
    """Remove the note of a host, if there is one."""
    _path(catdir, number).unlink(missing_ok=True)


def is_alive(note: Note) -> bool | None:
    """Tell whether a process is the one of a note, and has not ended.

    Parameters
    ----------
    note : Note
        The note.

    Returns
    -------
    bool or None
        None if it is on another machine, which cannot be known from here.
    """
    if note.machine != socket.gethostname():
        return None
    return _began(note.pid) == note.began


def _path(catdir: Path, number: int) -> Path:
    return catdir / HOSTS / f"{number}.pid"


def _began(pid: int) -> str | None:
    """When a process began, which tells it from others that get its number later."""
    try:
        # The name of the program is in parentheses, and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"
