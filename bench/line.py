"""A connection that sends a command and waits for the reply, and does nothing else that a measurement would show."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Self

import hiredis

from bench.errors import MeasurementFailed
from bench.processes import HOST

if TYPE_CHECKING:
    from types import TracebackType

    from bench.processes import Process, Worker

__all__ = ["ANSWER_S", "Line", "meet"]

ANSWER_S = 10.0


class Line:
    """A connection that sends and waits, and does nothing in between; a context manager."""

    def __init__(self, process: Process, timeout_s: float = ANSWER_S) -> None:
        self._process = process
        self._socket = socket.create_connection((HOST, process.port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, *words: bytes) -> None:
        packed = hiredis.pack_command(words)  # type: ignore[arg-type]  # its hint knows tuples of one word only
        self._socket.sendall(packed)

    def receive(self) -> Any:
        """The next reply; an error is raised as `MeasurementFailed`."""
        while (reply := self._reader.gets()) is False:
            received = self._socket.recv(65536)
            if not received:
                raise MeasurementFailed(f"{self._process.name} has closed the connection")
            self._reader.feed(received)
        if isinstance(reply, Exception):
            raise MeasurementFailed(f"{self._process.name} answers {reply}")
        return reply

    def ask(self, *words: bytes) -> Any:
        self.send(*words)
        return self.receive()


def meet(one: Worker, other: Worker) -> None:
    """Returns once `other` hears `one`."""
    with Line(one) as here, Line(other) as there:
        here.ask(b"SET", b"bench:meet", b"1")
        there.ask(b"DELTAIC.AWAIT", here.ask(b"DELTAIC.TOKEN"), str(int(ANSWER_S * 900)).encode())
