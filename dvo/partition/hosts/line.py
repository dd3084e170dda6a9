"""The connection of a client to one host, and what becomes of it.

A wrong key, a plain client at a host that wants keys and a host that is not there are all
silent in ZeroMQ: requests just have no answer. What a socket's monitor tells is therefore
made into errors here.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import zmq

from dvo.errors import ConfigError, HostError, NotAuthorisedError
from dvo.partition.host_table import HostEntry, is_ipv6
from dvo.partition.hosts.asking import Times
from dvo.partition.hosts.keys import KeyPair
from dvo.partition.hosts.wire import MAX_BYTES, Message, to_frames

__all__ = ["FAREWELL_MS", "Line", "make_context", "refusal_of"]

FAREWELL_MS = 100
"""How long a client that hangs up waits until its last words are gone."""

_EVENTS = (
    zmq.Event.HANDSHAKE_SUCCEEDED
    | zmq.Event.HANDSHAKE_FAILED_AUTH
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.CONNECT_RETRIED
    | zmq.Event.DISCONNECTED
)
_EVENT = struct.Struct("=Hi")  # number of the event, value
_REFUSALS = {
    zmq.Event.HANDSHAKE_FAILED_AUTH: "does not know this key; ask its owner to let it in",
    zmq.Event.HANDSHAKE_FAILED_PROTOCOL: (
        "and this client disagree about keys; compare its public key with that in "
        "HostTable.dat, and give your own key"
    ),
}
_SOCKETS_EACH = 4  # the connection, both ends of its monitor, and one to spare


def make_context(n_hosts: int) -> zmq.Context[zmq.Socket[bytes]]:
    """Make a context of ZeroMQ with room for the connections to some hosts.

    Parameters
    ----------
    n_hosts : int
        How many hosts.

    Returns
    -------
    zmq.Context
        The context.
    """
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.max_sockets = max(context.max_sockets, _SOCKETS_EACH * n_hosts + 16)
    return context


def refusal_of(entry: HostEntry, event: zmq.Event) -> NotAuthorisedError | None:
    """Say in words what an event of a connection means, if it is about keys.

    Parameters
    ----------
    entry : HostEntry
        The host.
    event : zmq.Event
        The event.

    Returns
    -------
    NotAuthorisedError or None
        Why the host does not let this client in; None if that is not what happened.
    """
    return NotAuthorisedError(f"{entry} {_REFUSALS[event]}") if event in _REFUSALS else None


class Line:
    """The connection to one host, and what its monitor says.

    Parameters
    ----------
    context : zmq.Context
        Where its sockets belong.
    entry : HostEntry
        The host.
    keys : KeyPair or None
        The keys of this client.
    times : Times
        How patient to be.

    Raises
    ------
    ConfigError
        If the host wants a key and there is none.
    NotAuthorisedError
        If it is a Unix socket that somebody else has made.
    HostError
        If this process has too many files open.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        entry: HostEntry,
        keys: KeyPair | None,
        times: Times,
    ) -> None:
        if entry.key and keys is None:
            raise ConfigError(f"{entry} wants a key; name the file of yours (DVO_KEY)")
        if entry.endpoint.startswith("ipc://"):
            _check_owner(entry)
        self.entry = entry
        try:
            self.socket = self._connected(context, keys, times)
        except zmq.ZMQError as err:
            raise HostError(f"{entry}: cannot be connected to: {err.strerror}") from err

    def _connected(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        keys: KeyPair | None,
        times: Times,
    ) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = 1000
        socket.maxmsgsize = MAX_BYTES
        socket.reconnect_ivl = 100
        socket.reconnect_ivl_max = 1000
        socket.handshake_ivl = 5000
        socket.connect_timeout = 2000
        socket.ipv6 = is_ipv6(self.entry.endpoint)
        # Where the network was away, TCP would wait ever longer before it tries again: have
        # the connection made anew.
        socket.heartbeat_ivl = int(times.beat_s * 1000)
        socket.heartbeat_timeout = int((times.dead_s + times.beat_s) * 1000)
        if self.entry.key and keys is not None:
            socket.curve_serverkey = self.entry.key.encode()
            socket.curve_publickey = keys.public.encode()
            socket.curve_secretkey = keys.secret.encode()
        self.monitor = socket.get_monitor_socket(_EVENTS)
        self.monitor.linger = 0
        self.monitor.rcvtimeo = 1000
        socket.connect(self.entry.endpoint)
        return socket

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


def _check_owner(entry: HostEntry) -> None:
    """See that nobody else can have put the socket where it is: a Unix socket has no keys."""
    folder = Path(entry.endpoint.removeprefix("ipc://")).parent
    try:
        found = folder.stat()
    except OSError:
        return  # then nobody listens, which the connection will find out
    me = os.geteuid()
    if (me != 0 and found.st_uid not in (me, 0)) or found.st_mode & 0o022:
        raise NotAuthorisedError(
            f"{entry}: others can put sockets into {folder}, and answer in its place; "
            "start hosts in a folder that is yours alone"
        )
