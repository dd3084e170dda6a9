"""A client of partition hosts: sockets and a clock around `Asking`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import zmq

from dvo.errors import ProtocolError, ProtocolVersionError
from dvo.partition.host_table import HostEntry
from dvo.partition.hosts.asking import Asking, Query, Times
from dvo.partition.hosts.keys import KeyPair
from dvo.partition.hosts.line import FAREWELL_MS, Line, make_context, refusal_of
from dvo.partition.hosts.wire import from_frames, to_frames

__all__ = ["HostClient"]


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
        self._context = make_context(len(hosts))
        self._poller = zmq.Poller()
        self._lines: dict[int, Line] = {}

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

    def _receive(self, number: int, line: Line, now: float) -> None:
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

    def _watch(self, number: int, line: Line, now: float) -> None:
        for event in line.events():
            refusal = refusal_of(line.entry, event)
            if refusal is not None:
                self.asking.refused(number, refusal, now)
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

    def _line(self, number: int) -> Line:
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = Line(
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
        self._context.destroy(linger=FAREWELL_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
