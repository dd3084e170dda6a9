"""Messages on their way from a host to its clients, so many bytes for each and no more.

ZeroMQ would take as much as there is memory for a client that reads nothing. So it is given
messages of a client only while few bytes that it was given before have not left this process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import zmq

from dvo.errors import ProtocolError
from dvo.partition.hosts.wire import Frame, Message, to_frames

__all__ = ["Leaving"]

_MOST_EACH = 32 << 20
"""Bytes of a client above which nothing more is given to ZeroMQ: a few parts of a result."""

_MOST_WAITING = 4096
"""Messages that may wait for a client; one that lets so many pile up is given up."""


class Leaving:
    """What was given to ZeroMQ and has not left, by client.

    Parameters
    ----------
    socket : zmq.Socket
        A ROUTER socket.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._given: dict[bytes, deque[tuple[zmq.MessageTracker, int]]] = {}

    def counts(self) -> dict[bytes, int]:
        """Bytes by client that have not left."""
        return {peer: n for peer in list(self._given) if (n := self._count(peer))}

    def _count(self, peer: bytes) -> int:
        given = self._given.get(peer)
        if given is None:
            return 0
        while given and given[0][0].done:
            given.popleft()
        if not given:
            del self._given[peer]
        return sum(n_bytes for _, n_bytes in given)

    def send(
        self, messages: Sequence[tuple[bytes, Message]]
    ) -> tuple[list[tuple[bytes, Message]], dict[bytes, str]]:
        """Send messages, as far as they have room.

        Parameters
        ----------
        messages : sequence of (bytes, Message)
            Clients, and messages for them; those of each stay in their order.

        Returns
        -------
        waiting : list of (bytes, Message)
            Those that had no room.
        gone : dict of bytes to str
            Clients that cannot be reached, and why.
        """
        waiting: list[tuple[bytes, Message]] = []
        n_waiting: dict[bytes, int] = {}
        gone: dict[bytes, str] = {}
        for peer, message in messages:
            if peer in gone:
                continue
            if peer in n_waiting or self._count(peer) > _MOST_EACH:
                n_waiting[peer] = n_waiting.get(peer, 0) + 1
                waiting.append((peer, message))
                if n_waiting[peer] > _MOST_WAITING:
                    gone[peer] = f"reads nothing: {_MOST_WAITING} messages wait for it"
                continue
            try:
                self._give(peer, to_frames(message))
            except (zmq.ZMQError, ProtocolError) as err:
                gone[peer] = str(err)
        return waiting, gone

    def _give(self, peer: bytes, frames: Sequence[Frame]) -> None:
        tracker = self._socket.send_multipart(
            [peer, *frames], zmq.NOBLOCK, copy=False, track=True
        )  # the tracker is that of the last frame, which leaves last
        if tracker is not None and not tracker.done:
            n_bytes = sum(memoryview(frame).nbytes for frame in frames)
            self._given.setdefault(peer, deque()).append((tracker, n_bytes))
