"""The replies to one client: in the order of its requests, and never more of them than fits.

Replies that are ready go into a buffer. The buffer is written once everything that has arrived meanwhile is handled, or
as soon as it is large. Replies that wait for a commit are a `Batch`; later replies wait behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

import structlog

from workers.resp.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workers.resp.context import Client

__all__ = ["Batch", "Replies", "WriteQueue"]

log = structlog.get_logger()

_WRITE_BYTES = 64 * 1024
"""How much is written at once, and how much may wait for the client to read before replies are held back."""


class Batch:
    """Commands on their way through the mailbox, and the replies that wait behind theirs."""

    __slots__ = ("behind", "commands", "muted", "replies")

    def __init__(self, commands: int, *, muted: bool) -> None:
        self.commands = commands
        self.muted = muted
        self.replies: Iterator[Any] | None = None
        self.behind: list[Any] = []

    def settle(self, replies: Iterable[Any]) -> None:
        """The mailbox has answered."""
        self.replies = chain(() if self.muted else replies, self.behind)


class WriteQueue:
    """Whose replies are to be written once everything that has arrived meanwhile is handled.

    Writing to a client that sleeps wakes it up, which costs more than all the rest; a client that is awake reads on.
    """

    def __init__(self) -> None:
        self._waiting: list[Replies] = []

    def add(self, replies: Replies) -> None:
        """Has `replies` written soon."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write_all)
        self._waiting.append(replies)

    def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for replies in waiting:
            replies.write()


class Replies:
    """The replies to `client`, whose bytes go out by `transport`, once there is one.

    `is_slow`: the client does not read, so nothing more is to be emitted. `in_flight`: how many commands wait for
    their commits. A client that leaves more than `unread_bytes_max` unread is cut off.
    """

    def __init__(self, client: Client, queue: WriteQueue, unread_bytes_max: int) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_slow = False
        self.in_flight = 0
        self._client = client
        self._queue = queue
        self._unread_bytes_max = unread_bytes_max
        self._unanswered: deque[Batch] = deque()
        self._ready: list[bytes] = []
        self._ready_bytes = 0

    def attach(self, transport: asyncio.Transport) -> None:
        """The client is connected by `transport`."""
        transport.set_write_buffer_limits(high=_WRITE_BYTES)
        self.transport = transport

    @property
    def are_settled(self) -> bool:
        """Whether no reply waits for a commit."""
        return not self._unanswered

    @property
    def unread_bytes(self) -> int:
        """How many bytes the client has yet to read."""
        return self._ready_bytes + (self.transport.get_write_buffer_size() if self.transport is not None else 0)

    def expect(self, commands: int, *, muted: bool) -> Batch:
        """Returns a batch for the replies to so many commands; `muted`: they are not to be sent."""
        batch = Batch(commands, muted=muted)
        self._unanswered.append(batch)
        self.in_flight += commands
        return batch

    def say(self, reply: Any) -> None:
        """Emits `reply` behind all replies that are still to come."""
        if self._unanswered:
            self._unanswered[-1].behind.append(reply)
        else:
            self.emit(reply)

    def flush(self) -> None:
        """Emits the replies of settled batches in their order, as far as the client reads them."""
        while self._unanswered and (replies := self._unanswered[0].replies) is not None:
            for reply in replies:
                self.emit(reply)
                if self.is_slow:
                    return
            self.in_flight -= self._unanswered.popleft().commands

    def emit(self, reply: Any) -> None:
        """Encodes `reply`, to be written soon."""
        kind = type(reply)
        if kind is int:
            data = b":%d\r\n" % reply
        elif kind is bytes:
            data = b"$%d\r\n%b\r\n" % (len(reply), reply)
        else:
            data = encode(reply, resp3=self._client.resp3)
        if not self._ready:
            self._queue.add(self)
        self._ready.append(data)
        self._ready_bytes += len(data)
        if self._ready_bytes > _WRITE_BYTES:
            self.write()

    def push(self, data: bytes) -> None:
        """Writes encoded bytes at once, behind the replies that are ready."""
        self._ready.append(data)
        self.write()

    def write(self) -> None:
        """Writes the replies that are ready."""
        if not self._ready:
            return
        data = b"".join(self._ready)
        self._ready.clear()
        self._ready_bytes = 0
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > self._unread_bytes_max:
            log.warning("client_cut_off", client=self._client.address, reason="it does not read what it is sent")
            self._client.abort()
