"""One word to one host or to many, and the answer: who are you, drain, stop.

Whoever answers at an address is first asked who it is. Only the host that the HostTable names
(its number, its database, the folder of that) is believed, or told anything; where it has a
key, the connection itself proves that it is the owner of that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import zmq

from dvo.errors import DvoError, HostLostError, ProtocolError, error_of
from dvo.partition.host_table import HostEntry, is_local
from dvo.partition.hosts.asking import Times
from dvo.partition.hosts.keys import KeyPair
from dvo.partition.hosts.line import FAREWELL_MS, Line, make_context, refusal_of
from dvo.partition.hosts.wire import Message, check_identity, from_frames, to_frames

__all__ = ["call_host", "call_hosts"]

Word = Literal["hello", "drain", "stop"]


def call_host(
    entry: HostEntry,
    word: Word,
    db_id: str,
    *,
    keys: KeyPair | None = None,
    timeout_s: float = 3.0,
) -> Message:
    """Say one word to a host and wait for its answer.

    Parameters
    ----------
    entry : HostEntry
        The host.
    word : {'hello', 'drain', 'stop'}
        What to say.
    db_id : str
        Identifier of the database that it must be a host of.
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
    ConfigError
        If it wants a key and none was given.
    HostLostError
        If it does not answer.
    NotAuthorisedError
        If it does not know the key, or its owner may not say that.
    ProtocolError
        If somebody else answers; then nothing was said but hello.
    """
    (answer,) = call_hosts([entry], word, db_id, keys=keys, timeout_s=timeout_s)
    if isinstance(answer, DvoError):
        raise answer
    return answer


def call_hosts(
    entries: Sequence[HostEntry],
    word: Word,
    db_id: str,
    *,
    keys: KeyPair | None = None,
    timeout_s: float = 3.0,
) -> list[Message | DvoError]:
    """Say one word to some hosts, all at once, and wait for their answers.

    Parameters
    ----------
    entries : sequence of HostEntry
        The hosts.
    word : {'hello', 'drain', 'stop'}
        What to say.
    db_id : str
        Identifier of the database that they must be hosts of.
    keys : KeyPair, optional
        The keys of this client.
    timeout_s : float
        How long to wait for all of them together [s].

    Returns
    -------
    list of Message or DvoError
        The answer of each, `welcome`, or what `call_host` would raise.
    """
    context = make_context(len(entries))
    try:
        calls = [_Call(context, entry, word, db_id, keys) for entry in entries]
        end = time.monotonic() + timeout_s
        poller = zmq.Poller()
        waiting = {k: call for k, call in enumerate(calls) if call.answer is None}
        for call in waiting.values():
            poller.register(call.line.socket, zmq.POLLIN)
            poller.register(call.line.monitor, zmq.POLLIN)
        while waiting and (left_s := end - time.monotonic()) > 0:
            poller.poll(int(left_s * 1000) + 1)
            for k, call in list(waiting.items()):
                call.look()
                if call.answer is not None:
                    poller.unregister(call.line.socket)
                    poller.unregister(call.line.monitor)
                    call.line.part()
                    del waiting[k]
        return [call.answer or HostLostError(f"{call.entry} does not answer") for call in calls]
    finally:
        context.destroy(linger=FAREWELL_MS)


class _Call:
    """What is being said to one host."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        entry: HostEntry,
        word: Word,
        db_id: str,
        keys: KeyPair | None,
    ) -> None:
        self.entry = entry
        self.answer: Message | DvoError | None = None
        self._db_id = db_id
        self._left: list[str] = ["hello"] if word == "hello" else ["hello", word]
        try:
            self.line = Line(context, entry, keys, Times())
        except DvoError as err:
            self.answer = err
        else:
            self._say(self._left[0])

    def _say(self, word: str) -> None:
        header = {"db": self._db_id, "host": self.entry.number}
        self.line.socket.send_multipart(to_frames(Message(word, header)))

    def look(self) -> None:
        """Take what has arrived, if anything has."""
        try:
            if self.line.socket.poll(0, zmq.POLLIN):
                self._take(from_frames(self.line.socket.recv_multipart()))
                return
        except DvoError as err:
            self.answer = err
            return
        for event in self.line.events():
            if self.answer is None and event != zmq.Event.HANDSHAKE_SUCCEEDED:
                lost = HostLostError(f"{self.entry} is not running")
                self.answer = refusal_of(self.entry, event) or lost

    def _take(self, message: Message) -> None:
        if message.kind == "error":
            text = f"{self.entry}: {message.get('message', str)}"
            raise error_of(message.get("code", str), text)
        if message.kind != "welcome":
            raise ProtocolError(f"{self.entry} answers {message.kind!r} to a greeting")
        check_identity(message, self.entry.number, self._db_id, str(self.entry))
        _check_folder(message, self.entry)
        _check_facts(message)
        self._left.pop(0)
        if self._left:
            self._say(self._left[0])
        else:
            self.answer = message


def _check_facts(message: Message) -> None:
    """See that what a host says of itself can be shown to people."""
    for name in ("clients", "groups", "kept_bytes", "pid"):
        message.get(name, int)
    state, since = message.get("state", str), message.get("since", str)
    try:
        datetime.fromisoformat(since)
    except ValueError as err:
        raise ProtocolError(f"a host has served since {since!r}") from err
    if state not in ("serving", "draining"):
        raise ProtocolError(f"a host is {state!r}")


def _check_folder(message: Message, entry: HostEntry) -> None:
    """See that a host serves the folder of the HostTable: copies have the same identifier."""
    said = message.get("paths", list)
    named = {os.path.normpath(entry.path)}
    if is_local(entry.endpoint):
        named.add(os.path.realpath(entry.path))
    if not named & {path for path in said if isinstance(path, str)}:
        raise ProtocolError(
            f"{entry} serves {said[0] if said else 'no folder'!r}, and HostTable.dat has "
            f"{entry.path!r} for it; mend that line, or start the host with that folder"
        )
