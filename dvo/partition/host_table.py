"""HostTable: the partition hosts of a database, as the text file of the original.

One line a host: number, name of the machine, path of the database there, and, which the
original has not, the endpoint where it listens and its public key where it has one. Words are
quoted as in a shell; lines that begin with # are comments.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from dvo.errors import ConfigError, StorageError
from dvo.partition.layout import HOST_TABLE

__all__ = [
    "HostEntry",
    "check_endpoint",
    "get_host",
    "is_ipv6",
    "is_key",
    "is_local",
    "read_host_table",
    "write_host_table",
]

_MOST = 65535
_LONGEST_SOCKET = 107
"""Bytes that Linux takes as the path of a Unix socket."""

_MACHINE = re.compile(r"[^\s\[\]:/;]+")
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_KEY_CHARACTERS = 40

_HEADING = "# number, machine, path of the database there, endpoint, public key (- if none)"


@dataclass(frozen=True, slots=True)
class HostEntry:
    """One partition host.

    Parameters
    ----------
    number : int
        Its number, from 1.
    machine : str
        Name of the machine.
    path : str
        Path of the database on that machine: the same files on a shared disk, or a copy.
    endpoint : str
        Where it listens, such as ``tcp://node17:5780`` or ``ipc:///path/to/socket``.
    key : str
        Its public key; empty if it has none.
    """

    number: int
    machine: str
    path: str
    endpoint: str
    key: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= _MOST:
            raise ConfigError(f"host {self.number}: numbers are 1 to {_MOST}")
        try:
            check_endpoint(self.endpoint)
        except ConfigError as err:
            raise ConfigError(f"host {self.number}: {err}") from err
        if self.key and not is_key(self.key):
            raise ConfigError(
                f"host {self.number}: {self.key!r} is no public key: 40 characters of Z85"
            )
        if not self.key and not is_local(self.endpoint):
            raise ConfigError(
                f"host {self.number}: {self.endpoint} can be reached from other machines, and "
                "that takes keys; make some with: dvo host keygen NAME"
            )

    def __str__(self) -> str:
        return f"host {self.number} ({self.machine}, {self.endpoint})"


def check_endpoint(endpoint: str) -> None:
    """See that text is an endpoint of a host.

    Parameters
    ----------
    endpoint : str
        ``tcp://MACHINE:PORT``, where addresses of IPv6 are in brackets and a port ``*`` is
        any free one, or ``ipc://`` and the path of a socket. Sockets without a file
        (``ipc://@NAME``) are refused: no permissions guard them.

    Raises
    ------
    ConfigError
        If it is none.
    """
    kind, _, rest = endpoint.partition("://")
    is_tcp = kind == "tcp" and _is_tcp(rest)
    if not is_tcp and not (kind == "ipc" and rest.strip() and not rest.startswith("@")):
        raise ConfigError(
            f"endpoint {endpoint!r}; give tcp://MACHINE:PORT or ipc://PATH, and addresses of "
            "IPv6 in brackets: tcp://[::1]:5780"
        )
    if kind == "ipc" and len(os.fsencode(rest)) > _LONGEST_SOCKET:
        raise ConfigError(
            f"endpoint {endpoint!r}: paths of sockets have up to {_LONGEST_SOCKET} bytes; "
            "give a shorter one"
        )


def _is_tcp(rest: str) -> bool:
    """Tell whether text is a machine and a port."""
    machine, _, port = rest.rpartition(":")
    is_port = port == "*" or (port.isdecimal() and port.isascii() and int(port) <= _MOST)
    if not machine.startswith("["):
        is_machine = bool(_MACHINE.fullmatch(machine))
    else:
        try:
            is_machine = machine.endswith("]") and bool(ipaddress.IPv6Address(machine[1:-1]))
        except ValueError:
            is_machine = False
    return is_machine and is_port


def is_ipv6(endpoint: str) -> bool:
    """Tell whether an endpoint is an address of IPv6: names are looked up with IPv4."""
    return endpoint.startswith("tcp://[")


def is_key(text: str) -> bool:
    """Tell whether text is a key of CURVE: 32 bytes as 40 characters of Z85.

    Parameters
    ----------
    text : str
        The text.

    Returns
    -------
    bool
        False, too, where five characters are a number of more than four bytes.
    """
    if len(text) != _KEY_CHARACTERS or not set(text) <= set(_Z85):
        return False
    words = (text[k : k + 5] for k in range(0, len(text), 5))
    return all(reduce(lambda n, c: 85 * n + _Z85.index(c), w, 0) < 1 << 32 for w in words)


def is_local(endpoint: str) -> bool:
    """Tell whether only processes of this machine can reach an endpoint.

    Parameters
    ----------
    endpoint : str
        Such as ``tcp://127.0.0.1:5780``.

    Returns
    -------
    bool
        True for Unix sockets and the loopback interface; names other than localhost are
        not looked up.
    """
    kind, _, rest = endpoint.partition("://")
    if kind != "tcp":
        return kind in ("ipc", "inproc")
    name = rest.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def read_host_table(catdir: Path) -> list[HostEntry]:
    """Read the hosts of a database.

    Parameters
    ----------
    catdir : Path
        The database directory.

    Returns
    -------
    list of HostEntry
        By number; empty if there is no table.

    Raises
    ------
    ConfigError
        If a line is wrong.
    """
    path = catdir / HOST_TABLE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{path}: cannot be read ({err})") from err
    found: dict[int, HostEntry] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            entry = _entry(shlex.split(line))
        except (ConfigError, ValueError) as err:
            raise ConfigError(f"{path}, line {number}: {err}") from err
        if entry.number in found:
            raise ConfigError(f"{path}, line {number}: host {entry.number} is there twice")
        found[entry.number] = entry
    return [found[number] for number in sorted(found)]


def _entry(words: list[str]) -> HostEntry:
    if not 4 <= len(words) <= 5 or not words[0].isdecimal():
        raise ConfigError(
            "give number, machine, path, endpoint and key, such as: "
            "1 node17 /data/sky tcp://node17:5780 KEY"
        )
    key = words[4] if len(words) == 5 and words[4] != "-" else ""
    return HostEntry(int(words[0]), words[1], words[2], words[3], key)


def get_host(catdir: Path, number: int) -> HostEntry:
    """Get one host of a database.

    Parameters
    ----------
    catdir : Path
        The database directory.
    number : int
        Its number.

    Returns
    -------
    HostEntry
        The host.

    Raises
    ------
    ConfigError
        If there is no such host.
    """
    hosts = read_host_table(catdir)
    for host in hosts:
        if host.number == number:
            return host
    there = ", ".join(str(host.number) for host in hosts) or "none"
    raise ConfigError(f"{catdir / HOST_TABLE}: has no host {number}; there are {there}")


def write_host_table(catdir: Path, hosts: Iterable[HostEntry]) -> None:
    """Write the hosts of a database, all at once.

    Parameters
    ----------
    catdir : Path
        The database directory.
    hosts : iterable of HostEntry
        The hosts.

    Raises
    ------
    StorageError
        If the table cannot be written.
    """
    lines = [_HEADING]
    for host in sorted(hosts, key=lambda h: h.number):
        words = (str(host.number), host.machine, host.path, host.endpoint, host.key or "-")
        lines.append(" ".join(shlex.quote(word) for word in words))
    path = catdir / HOST_TABLE
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as err:
        raise StorageError(f"{path}: cannot be written ({err.strerror})") from err
