"""Messages between clients and partition hosts, and the frames they are sent as.

A message is a seal, a header and payloads. The seal names the protocol's version and holds the
digest of the header; the header is a JSON object and holds for each payload its name, rows,
bytes and digest; a payload is an Arrow IPC stream. Nothing is looked at before it has been
compared with its digest, and no table is used before Arrow has validated all of it:
Arrow's format has no checksums of its own. `docs/protocol.md` is the authority on the wire.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dvo.errors import ProtocolError, ProtocolVersionError

__all__ = [
    "MAX_BYTES",
    "PART_BYTES",
    "VERSION",
    "Frame",
    "Message",
    "Payload",
    "check_identity",
    "from_frames",
    "parts_of",
    "to_frames",
]

VERSION = 1
"""Version of the protocol."""

MAX_BYTES = 256 << 20
"""Largest frame that anybody takes."""

PART_BYTES = 8 << 20
"""About how large the parts of a long result are."""

_MAX_HEADER = 16 << 20
_MAGIC = b"DVO"
_DIGEST = 16

Frame = bytes | bytearray | memoryview | pa.Buffer
"""A piece of a message."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A table as it is sent.

    Parameters
    ----------
    rows : int
        Its rows.
    data : buffer
        Its Arrow IPC stream.
    digest : str
        BLAKE2b of the stream, 16 bytes, in hexadecimal.
    """

    rows: int
    data: Frame
    digest: str

    @property
    def n_bytes(self) -> int:
        """Bytes of the stream."""
        return _size(self.data)

    @classmethod
    def of(cls, table: pa.Table) -> Payload:
        """Make a payload.

        Parameters
        ----------
        table : pyarrow.Table
            The table.

        Returns
        -------
        Payload
            What is sent.
        """
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        data = sink.getvalue()
        return cls(table.num_rows, data, _digest(data))

    def table(self) -> pa.Table:
        """Read the table, after a look at all of it.

        Returns
        -------
        pyarrow.Table
            The table; it shares the memory of the payload.

        Raises
        ------
        ProtocolError
            If it is not what its digest and its rows say, or no valid table.
        """
        if _digest(self.data) != self.digest:
            raise ProtocolError("a table arrived damaged: its digest differs")
        try:
            found = pa.ipc.open_stream(pa.py_buffer(self.data)).read_all()
            found.validate(full=True)
        except (pa.ArrowException, OSError) as err:
            raise ProtocolError(f"a table arrived that Arrow cannot read: {err}") from err
        if found.num_rows != self.rows:
            raise ProtocolError(f"a table of {self.rows} rows arrived with {found.num_rows}")
        return found


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Parameters
    ----------
    kind : str
        What it is for.
    header : dict
        Its fields, in JSON types.
    payloads : dict of str to Payload
        Tables that go along, by name.
    """

    kind: str
    header: dict[str, Any] = field(default_factory=dict)
    payloads: Mapping[str, Payload] = field(default_factory=dict)

    @property
    def n_bytes(self) -> int:
        """Bytes of the tables that go along."""
        return sum(payload.n_bytes for payload in self.payloads.values())

    def get(self, name: str, kind: type) -> Any:
        """A field of the header.

        Parameters
        ----------
        name : str
            Its name.
        kind : type
            What it must be.

        Returns
        -------
        object
            Its value.

        Raises
        ------
        ProtocolError
            If it is missing or something else.
        """
        value = self.header.get(name)
        # True is an int for Python, and not for JSON.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ProtocolError(f"a message {self.kind!r} has {name} = {value!r}")
        return value


def parts_of(table: pa.Table) -> list[Payload]:
    """Cut a result into parts of a size that is good to send.

    Parameters
    ----------
    table : pyarrow.Table
        The result.

    Returns
    -------
    list of Payload
        At least one, so that columns are known where there are no rows.
    """
    n_rows = table.num_rows
    step = max(1, n_rows * PART_BYTES // max(table.nbytes, 1))
    return [Payload.of(table.slice(k, step)) for k in range(0, max(n_rows, 1), step)]


def to_frames(message: Message, *, version: int = VERSION) -> list[Frame]:
    """Write a message.

    Parameters
    ----------
    message : Message
        The message.
    version : int
        Version of the protocol.

    Returns
    -------
    list of buffer
        Its frames: seal, header, payloads.

    Raises
    ------
    ProtocolError
        If a frame is larger than anybody takes.
    """
    tables = [
        {"name": name, "rows": p.rows, "bytes": _size(p.data), "digest": p.digest}
        for name, p in message.payloads.items()
    ]
    fields = {"v": version, "kind": message.kind, **message.header, "tables": tables}
    text = json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > _MAX_HEADER:
        raise ProtocolError(
            f"a message {message.kind!r} of {len(text)} bytes is too large; ask for less at a time"
        )
    for name, payload in message.payloads.items():
        if _size(payload.data) > MAX_BYTES:
            raise ProtocolError(
                f"table {name!r} has {_size(payload.data) >> 20} MiB; hosts take up to "
                f"{MAX_BYTES >> 20} MiB: send it in pieces"
            )
    seal = _MAGIC + bytes([version]) + _digest(text).encode()
    return [seal, text, *(p.data for p in message.payloads.values())]


def from_frames(frames: Sequence[Frame]) -> Message:
    """Read a message. Its payloads are compared with their digests when they are used.

    Parameters
    ----------
    frames : sequence of buffer
        Its frames.

    Returns
    -------
    Message
        The message.

    Raises
    ------
    ProtocolVersionError
        If it is of another version of the protocol.
    ProtocolError
        If it is damaged, or no message.
    """
    if len(frames) < 2 or bytes(memoryview(frames[0])[:3]) != _MAGIC:
        raise ProtocolError("something arrived that is no message of dvo")
    seal, text = bytes(frames[0]), bytes(frames[1])
    if seal[3:4] != bytes([VERSION]):
        raise ProtocolVersionError(
            f"a message of version {seal[3] if len(seal) > 3 else '?'} of the protocol arrived; "
            f"this program speaks version {VERSION}: use the same version of dvo everywhere"
        )
    if seal[4:] != _digest(text).encode():
        raise ProtocolError("a message arrived damaged: the digest of its header differs")
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
        tables = header.pop("tables")
        kind = header.pop("kind")
        header.pop("v")
        payloads = {
            str(t["name"]): Payload(_whole(t["rows"]), data, str(t["digest"]))
            for t, data in zip(tables, frames[2:], strict=True)
            if _size(data) == t["bytes"]
        }
        is_whole = len(payloads) == len(tables) and isinstance(kind, str)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        raise ProtocolError(f"a message arrived that cannot be read: {err}") from err
    if not is_whole:
        raise ProtocolError("a message arrived whose tables are not what its header says")
    return Message(kind, header, payloads)


def check_identity(message: Message, number: int, db_id: str, name: str) -> None:
    """See that a `welcome` comes from the host that was asked for.

    Parameters
    ----------
    message : Message
        What arrived.
    number : int
        Number of the host.
    db_id : str
        Identifier of its database.
    name : str
        How to call it in messages.

    Raises
    ------
    ProtocolError
        If it is another host, or one of another database.
    """
    is_there, theirs = message.get("host", int), message.get("db", str)
    if theirs != db_id:
        raise ProtocolError(
            f"{name} answers as host {is_there} of another database (db_id {theirs}, not "
            f"{db_id}); compare HostTable.dat with what is running"
        )
    if is_there != number:
        raise ProtocolError(
            f"{name} answers as host {is_there}; compare HostTable.dat with what is running"
        )


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _whole(number: Any) -> int:
    """A count of rows; 1e400, which JSON may say, is a float without end for Python."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{number!r} is no number of rows")
    return number


def _size(data: Frame) -> int:
    return memoryview(data).nbytes


def _digest(data: Frame) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST).hexdigest()
