"""A socket to a Redis face, for what no client library would send."""

from __future__ import annotations

import socket
from typing import Any, Self

import hiredis

__all__ = ["Raw", "packed"]


def packed(*words: bytes) -> bytes:
    """One request."""
    return hiredis.pack_command(words)


class Raw:
    """A connection to 127.0.0.1:`port`; a context manager."""

    def __init__(self, port: int, timeout_s: float = 20) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._reader = hiredis.Reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def call(self, *words: bytes) -> Any:
        """The reply to one request."""
        return self.send(packed(*words)).reply()

    def reply(self) -> Any:
        """The next reply; an error is a value. `EOFError` where the other end has closed the connection."""
        while (reply := self._reader.gets()) is False:
            data = self.socket.recv(1 << 16)
            if not data:
                raise EOFError
            self._reader.feed(data)
        return reply

    def replies(self, count: int) -> list[Any]:
        return [self.reply() for _ in range(count)]

    def is_closed(self) -> bool:
        """Whether the other end has closed the connection, with nothing more to say."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
