"""A TCP proxy between a worker and its Redis, which loses, holds back or cuts what a test tells it to.

A *script* sees every chunk that passes and returns what is passed on. It runs in the threads of the proxy, and may
block there: what it holds back waits.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Link", "Proxy", "pass_on"]

OWNER_NAME = b"deltaic-owner-"

Direction = Literal["request", "reply"]


class Link:
    """One connection through the proxy. `owns`: whether it is the one that a worker commits by."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.owns = False

    def cut_client(self) -> None:
        """The worker sees a lost connection; the server still sees an open one."""
        _close(self.client)

    def cut(self) -> None:
        """Both sides see a lost connection."""
        _close(self.client)
        _close(self.server)


def pass_on(link: Link, direction: Direction, data: bytes) -> bytes:
    """The script that changes nothing."""
    return data


class Proxy:
    """Listens on a port of its own, and connects to `port`. A context manager."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.script: Callable[[Link, Direction, bytes], bytes] = pass_on
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._links: list[Link] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self) -> str:
        """Where a worker finds Redis through this proxy."""
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        _close(self._listener)
        for link in self._links:
            link.cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._link(client)

    def _link(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            _close(client)
            return
        link = Link(client, server)
        self._links.append(link)
        for direction, source, sink in (("request", client, server), ("reply", server, client)):
            thread = threading.Thread(target=self._pump, args=(link, direction, source, sink), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pump(self, link: Link, direction: Direction, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                link.owns = link.owns or (direction == "request" and OWNER_NAME in data)
                sink.sendall(self.script(link, direction, data))
        if direction == "request" and not _is_open(link.client):
            return  # a script may still deliver something to the server
        link.cut()


def _is_open(end: socket.socket) -> bool:
    return end.fileno() >= 0


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
