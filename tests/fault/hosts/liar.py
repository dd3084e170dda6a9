"""A line between a client and a host that changes what the host says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

import zmq


class Liar:
    """Stands between a client and a host, and changes what the host says."""

    def __init__(self, endpoint: str, change: Callable[[list[bytes], int], list[list[bytes]]]):
        self.context = zmq.Context()
        self.front = self.context.socket(zmq.ROUTER)
        self.back = self.context.socket(zmq.DEALER)
        for socket in (self.front, self.back):
            socket.linger, socket.rcvtimeo = 0, 1000
        self.back.connect(endpoint)
        port = self.front.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self.change, self.n = change, 0
        self.is_open = True
        self.thread = threading.Thread(target=self.pass_on, daemon=True)
        self.thread.start()

    def pass_on(self) -> None:
        poller, client = zmq.Poller(), b""
        poller.register(self.front, zmq.POLLIN)
        poller.register(self.back, zmq.POLLIN)
        while self.is_open:
            ready = dict(poller.poll(20))
            if self.front in ready:
                client, *frames = self.front.recv_multipart()
                self.back.send_multipart(frames)
            if self.back in ready:
                frames = self.back.recv_multipart()
                for changed in self.change(frames, self.n):
                    self.front.send_multipart([client, *changed])
                self.n += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.is_open = False
        self.thread.join(30)
        self.context.destroy(linger=0)
