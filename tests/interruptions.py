"""Scripts for the proxy: what can happen to the one commit, or the one message, that is under way."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

__all__ = [
    "CommitHeld",
    "CommitSplit",
    "Interruption",
    "MessageLost",
    "ReplyLost",
    "ReplySwallowed",
    "RequestLate",
    "RequestLost",
    "RequestSwallowed",
]


class Interruption(ABC):
    """A script of the proxy: does something to one commit, once it is armed, and then nothing more."""

    def __init__(self) -> None:
        self.armed = threading.Event()
        self.done = threading.Event()

    def __call__(self, link, direction, data):
        if self.armed.is_set() and not self.done.is_set() and link.owns:
            return self.interrupt(link, direction, data)
        return data

    @abstractmethod
    def interrupt(self, link, direction, data):
        """What becomes of the data."""


class RequestLost(Interruption):
    """The commit never reaches Redis."""

    def interrupt(self, link, direction, data):
        if direction == "request":
            self.done.set()
            link.cut()
            return b""
        return data


class ReplyLost(Interruption):
    """Redis has committed, and the worker does not hear of it."""

    def interrupt(self, link, direction, data):
        if direction == "reply":
            self.done.set()
            link.cut()
            return b""
        return data


class Swallowed(Interruption):
    """One connection stays open, and from one moment on nothing comes through it any more."""

    direction = ""

    def __init__(self) -> None:
        super().__init__()
        self._hole = None

    def __call__(self, link, direction, data):
        if link is self._hole:
            return b""
        return super().__call__(link, direction, data)

    def interrupt(self, link, direction, data):
        if direction == self.direction:
            self._hole = link
            self.done.set()
            return b""
        return data


class RequestSwallowed(Swallowed):
    """The commit never reaches Redis, and nobody is told."""

    direction = "request"


class ReplySwallowed(Swallowed):
    """Redis has committed, and its answer goes nowhere."""

    direction = "reply"


class RequestLate(Interruption):
    """The commit reaches Redis only after the worker has come back, looked it up in vain, and sent it again.

    Not `behind`: just before the second copy; `behind`: just after it.
    """

    def __init__(self, *, behind: bool) -> None:
        super().__init__()
        self._behind = behind
        self._held = None
        self._answered = threading.Event()

    def interrupt(self, link, direction, data):
        if self._held is None:
            if direction == "request":
                self._held = link, data
                link.cut_client()
                return b""
            return data
        if link is self._held[0]:
            self._answered.set()
            return data
        if direction == "reply" and b"QUEUED" not in data:
            return data  # the new connection's greeting
        if direction == "request" and b"EXEC" not in data:
            return data
        if direction == ("reply" if self._behind else "request"):
            held, commit = self._held
            held.server.sendall(commit)
            assert self._answered.wait(10)
            self.done.set()
        return data


class MessageLost:
    """The inbox hands out a message, and the worker does not hear of it."""

    def __init__(self, content: bytes) -> None:
        self.done = threading.Event()
        self._content = content

    def __call__(self, link, direction, data):
        if direction == "reply" and self._content in data and not self.done.is_set():
            self.done.set()
            link.cut()
            return b""
        return data


class CommitSplit(Interruption):
    """The end of a commit's buffer, with the WATCH for the next one, reaches Redis only when `go` is set.

    Until then the worker does not learn anything else from Redis either.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = threading.Event()
        self.go = threading.Event()

    def __call__(self, link, direction, data):
        if self.held.is_set() and not link.owns:
            assert self.go.wait(30)
        return super().__call__(link, direction, data)

    def interrupt(self, link, direction, data):
        if direction == "request" and not self.held.is_set():
            commit, marker, rest = data.partition(b"EXEC\r\n")
            assert b"WATCH" in rest
            link.server.sendall(commit + marker)
            self.held.set()
            assert self.go.wait(30)
            self.done.set()
            return rest
        return data


class CommitHeld(Interruption):
    """One commit is stopped somewhere on its way, until `go` is set: Redis has got what stands before `marker`.

    Without a marker it has got, and done, all of it, and its answer is what is held.
    """

    def __init__(self, marker: bytes | None) -> None:
        super().__init__()
        self.held = threading.Event()
        self.go = threading.Event()
        self._marker = marker

    def interrupt(self, link, direction, data):
        if self._marker is None:
            if direction == "reply":
                self._hold()
            return data
        if direction == "request":
            before, marker, rest = data.partition(self._marker)
            assert marker, f"{self._marker!r} is in no commit"
            link.server.sendall(before)
            self._hold()
            return marker + rest
        return data

    def _hold(self):
        self.done.set()
        self.held.set()
        assert self.go.wait(30)
