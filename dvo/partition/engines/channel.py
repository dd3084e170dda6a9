"""Messages between an engine and its worker processes, over a pair of Unix sockets.

A message is a JSON header and, where a table goes along, an Arrow IPC stream. A small stream
follows the header; a large one is a file in memory whose descriptor is handed over, so that
the reader maps what the writer wrote: nothing is copied, and nothing has a name that could be
left behind. Both ends are ours, so there are no digests; hosts have them.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = ["Message", "Sheet", "receive", "send"]

_PREFIX = struct.Struct("<IQ?")  # bytes of the header, bytes of the stream, is it a descriptor
_IN_LINE = 1 << 16
"""Bytes up to which a stream is cheaper sent than mapped."""


class Sheet:
    """A table as an Arrow IPC stream in memory that other processes can map.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    """

    fd = -1  # also of one that Ctrl-C kept from being made

    def __init__(self, table: pa.Table) -> None:
        self.fd = os.memfd_create("dvo")
        try:
            with (
                pa.OSFile(f"/proc/self/fd/{self.fd}", "wb") as file,
                pa.ipc.new_stream(file, table.schema) as stream,
            ):
                stream.write_table(table)
            self.n_bytes = os.fstat(self.fd).st_size
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of it; who has mapped it keeps it. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self.close()


@dataclass(frozen=True)
class Message:
    """What came: a header, and a table if there was one."""

    header: dict[str, Any]
    table: pa.Table | None = None


def send(to: socket.socket, header: dict[str, Any], table: pa.Table | Sheet | None = None) -> None:
    """Send a message.

    Parameters
    ----------
    to : socket
        A Unix stream socket.
    header : dict
        JSON types.
    table : pyarrow.Table or Sheet, optional
        What goes along.

    Raises
    ------
    OSError
        If the other end is gone.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    if table is None:
        to.sendall(_PREFIX.pack(len(text), 0, False) + text)
        return
    if isinstance(table, Sheet):
        _send_sheet(to, text, table)
    elif table.nbytes <= _IN_LINE // 2:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        data = sink.getvalue()
        to.sendall(_PREFIX.pack(len(text), data.size, False) + text)
        to.sendall(data)
    else:
        sheet = Sheet(table)
        try:
            _send_sheet(to, text, sheet)
        finally:
            sheet.close()


def _send_sheet(to: socket.socket, text: bytes, sheet: Sheet) -> None:
    socket.send_fds(to, [_PREFIX.pack(len(text), sheet.n_bytes, True)], [sheet.fd])
    to.sendall(text)


def receive(source: socket.socket) -> Message:
    """Receive a message.

    Parameters
    ----------
    source : socket
        A Unix stream socket.

    Returns
    -------
    Message
        The message; its table may lie in memory that both ends have mapped.

    Raises
    ------
    EOFError
        If the other end is gone.
    """
    prefix, fds, _, _ = socket.recv_fds(source, _PREFIX.size, 1)
    try:
        prefix += _exactly(source, _PREFIX.size - len(prefix)) if prefix else b""
        if not prefix:
            raise EOFError
        n_text, n_bytes, is_sheet = _PREFIX.unpack(prefix)
        header = json.loads(_exactly(source, n_text))
        if is_sheet:
            with pa.memory_map(f"/proc/self/fd/{fds[0]}") as file:
                return Message(header, pa.ipc.open_stream(file).read_all())
        if n_bytes:
            data = pa.py_buffer(_exactly(source, n_bytes))
            return Message(header, pa.ipc.open_stream(data).read_all())
        return Message(header)
    finally:
        for fd in fds:
            os.close(fd)


def _exactly(source: socket.socket, n_bytes: int) -> bytearray:
    data = bytearray(n_bytes)
    rest = memoryview(data)
    while rest:
        n_read = source.recv_into(rest)
        if n_read == 0:
            raise EOFError
        rest = rest[n_read:]
    return data
