"""A client of partition hosts: sockets and a clock around `Asking`.

A wrong key, a plain client at a host that wants keys and a host that is not there are all
silent in ZeroMQ: requests just have no answer. What a socket's monitor tells is therefore
made into errors here.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import zmq

from dvo.errors import (
    ConfigError,
    HostLostError,
    NotAuthorisedError,
    ProtocolError,
    ProtocolVersionError,
    error_of,
)
from dvo.partition.host_table import HostEntry
from dvo.partition.hosts.asking import Asking, Query, Times
from dvo.partition.hosts.keys import KeyPair
from dvo.partition.hosts.wire import MAX_BYTES, Message, from_frames, to_frames

__all__ = ["HostClient", "call_host"]

_EVENTS = (
    zmq.Event.HANDSHAKE_SUCCEEDED
    | zmq.Event.HANDSHAKE_FAILED_AUTH
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.CONNECT_RETRIED
    | zmq.Event.DISCONNECTED
)
_FAREWELL_MS = 100
_EVENT = struct.Struct("=Hi")  # number of the event, value
_REFUSALS = {
    zmq.Event.HANDSHAKE_FAILED_AUTH: "does not know this key; ask its owner to let it in",
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: (
        "and this client disagree about keys; compare its public key with that in "
        "HostTable.dat, and give your own key"
    ),
}


class _Line:
    """The connection to one host, and what its monitor says."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        entry: HostEntry,
        keys: KeyPair | None,
        times: Times,
    ) -> None:
        if entry.key and keys is None:
            raise ConfigError(f"{entry} wants a key; name the file of yours (DVO_KEY)")
        self.entry = entry
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = self.socket.sndtimeo = 1000
        self.socket.maxmsgsize = MAX_BYTES
        self.socket.reconnect_ivl = 100
        self.socket.reconnect_ivl_max = 1000
        self.socket.handshake_ivl = 5000
        self.socket.connect_timeout = 2000
        # Where the network was away, TCP would wait ever longer before it tries again: have
        # the connection made anew.
        self.socket.heartbeat_ivl = int(times.beat_s * 1000)
        self.socket.heartbeat_timeout = int((times.dead_s + times.beat_s) * 1000)
        if entry.key and keys is not None:
            self.socket.curve_serverkey = entry.key.encode()
            self.socket.curve_publickey = keys.public.encode()
            self.socket.curve_secretkey = keys.secret.encode()
        self.monitor = self.socket.get_monitor_socket(_EVENTS)
        self.monitor.linger = 0
        self.monitor.rcvtimeo = 1000
        self.socket.connect(entry.endpoint)

    def events(self) -> list[zmq.Event]:
        """What has happened to the connection since."""
        found = []
        while self.monitor.poll(0, zmq.POLLIN):
            number, _ = _EVENT.unpack(self.monitor.recv_multipart()[0])
            found.append(zmq.Event(number))
        return found

    def part(self) -> None:
        """Tell the host that this is the end; sent while the context is closed."""
        with contextlib.suppress(zmq.ZMQError):
            self.socket.send_multipart(to_frames(Message("bye")), zmq.NOBLOCK)


class HostClient:
    """Talks to partition hosts; for one thread at a time.

    Parameters
    ----------
    hosts : sequence of HostEntry
        The hosts.
    db_id : str
        Identifier of the database.
    keys : KeyPair, optional
        The keys of this client.
    times : Times
        How patient to be.
    """

    def __init__(
        self,
        hosts: Sequence[HostEntry],
        db_id: str,
        *,
        keys: KeyPair | None = None,
        times: Times | None = None,
    ) -> None:
        self._times = times or Times()
        self.asking = Asking({h.number: str(h) for h in hosts}, db_id, self._times)
        self._entries = {h.number: h for h in hosts}
        self._keys = keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._poller = zmq.Poller()
        self._lines: dict[int, _Line] = {}

    def begin(self, query: Query) -> None:
        """Make a job known to the rules; see `Asking.begin`."""
        self.asking.begin(query)

    def want(self, query: Query, group: int, regions: Sequence[int], hosts: Sequence[int]) -> None:
        """Have a group of a job done; see `Asking.want`."""
        self.asking.want(query, group, regions, hosts, time.monotonic())
        self._send()

    def cancel(self, query: Query) -> None:
        """Give up what is left of a job."""
        if not self._context.closed:
            self.asking.cancel(query)
            self._send()

    def pump(self, seconds: float) -> None:
        """Take what has arrived, waiting for something if there is nothing.

        Parameters
        ----------
        seconds : float
            How long to wait at most [s].
        """
        wait_s = min(seconds, self._times.beat_s / 4)
        ready = dict(self._poller.poll(max(0, int(wait_s * 1000) + 1)))
        now = time.monotonic()
        for number, line in self._lines.items():
            if line.socket in ready:
                self._receive(number, line, now)
            # After the messages: a host may have answered and then gone.
            if line.monitor in ready:
                self._watch(number, line, now)
        self.asking.tick(now)
        self._send()

    def _receive(self, number: int, line: _Line, now: float) -> None:
        while line.socket.poll(0, zmq.POLLIN):
            frames = line.socket.recv_multipart(copy=False)
            try:
                message = from_frames([frame.buffer for frame in frames])
            except ProtocolVersionError as err:
                self.asking.refused(number, ProtocolVersionError(f"{line.entry}: {err}"), now)
            except ProtocolError:
                continue  # as good as lost on the way: it will be missed
            else:
                self.asking.receive(number, message, now)

    def _watch(self, number: int, line: _Line, now: float) -> None:
        for event in line.events():
            if event in _REFUSALS:
                err = NotAuthorisedError(f"{line.entry} {_REFUSALS[event]}")
                self.asking.refused(number, err, now)
            elif event == zmq.Event.CONNECT_RETRIED:
                self.asking.lost(number, "is not running", now)
            elif event != zmq.Event.HANDSHAKE_SUCCEEDED:
                self.asking.lost(number, "has hung up", now)

    def _send(self) -> None:
        while self.asking.outgoing:
            number, message = self.asking.outgoing.popleft()
            line = self._line(number)
            try:
                line.socket.send_multipart(to_frames(message), zmq.NOBLOCK, copy=False)
            except zmq.Again:
                self.asking.lost(number, "takes no messages", time.monotonic())

    def _line(self, number: int) -> _Line:
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = _Line(
                self._context, self._entries[number], self._keys, self._times
            )
            self._poller.register(line.socket, zmq.POLLIN)
            self._poller.register(line.monitor, zmq.POLLIN)
        return line

    def close(self) -> None:
        """Hang up; safe to call twice."""
        for line in self._lines.values():
            line.part()
        self._lines.clear()
        self._context.destroy(linger=_FAREWELL_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def call_host(
    entry: HostEntry, word: str, *, keys: KeyPair | None = None, timeout_s: float = 3.0
) -> Message:
    """Say one word to a host and wait for its answer.

    Parameters
    ----------
    entry : HostEntry
        The host.
    word : {'hello', 'drain', 'stop'}
        What to say.
    keys : KeyPair, optional
        The keys of this client.
    timeout_s : float
        How long to wait [s].

    Returns
    -------
    Message
        Its answer, `welcome`.

    Raises
    ------
    HostLostError
        If it does not answer.
    NotAuthorisedError
        If it does not know the key, or its owner may not say that.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        line = _Line(context, entry, keys, Times())
        try:
            return _call(line, word, time.monotonic() + timeout_s)
        finally:
            line.part()
    finally:
        context.destroy(linger=_FAREWELL_MS)


def _call(line: _Line, word: str, end: float) -> Message:
    line.socket.send_multipart(to_frames(Message(word)))
    while time.monotonic() < end:
        if line.socket.poll(20, zmq.POLLIN):
            answer = from_frames(line.socket.recv_multipart())
            if answer.kind == "error":
                text = f"{line.entry}: {answer.get('message', str)}"
                raise error_of(answer.get("code", str), text)
            return answer
        for event in line.events():
            if event in _REFUSALS:
                raise NotAuthorisedError(f"{line.entry} {_REFUSALS[event]}")
            if event != zmq.Event.HANDSHAKE_SUCCEEDED:
                raise HostLostError(f"{line.entry} is not running")
    raise HostLostError(f"{line.entry} does not answer")
