"""The replies to one client: in the order of its requests, and never more of them than fits.

Replies that wait for a commit are a `Batch`; later replies wait behind it. Replies that are ready go into a buffer. The
buffer is written once everything that has arrived meanwhile is handled, or as soon as it is large: to write to a client
that sleeps wakes it up, which costs more than all the rest, and a client that is awake reads on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from crdt_core.commands import ErrorReply
from workers.resp.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.resp.context import Client
    from workers.turns.loop import Waiter

__all__ = ["Batch", "Replies"]

log = structlog.get_logger()

_WRITE_BYTES = 64 * 1024
"""How much is written at once, and how much may wait for the client to read before replies are held back."""


@dataclass(slots=True, eq=False)
class Batch:
    """Commands on their way through the mailbox.

    `muted`: the client does not want their replies. `began_s`: since when they wait (`perf_counter`). `behind`: the
    replies that wait behind theirs. `replies`: all of them, once the mailbox has answered. `waiter`: stands for the
    client at the mailbox, unless that has refused them.
    """

    commands: int
    muted: bool
    began_s: float = 0.0
    behind: list[Any] = field(default_factory=list)
    replies: Iterator[Any] | None = None
    waiter: Waiter | None = None


class Replies:
    """The replies to `client`, whose bytes go out by `transport`, once there is one.

    `waiting`: the batches whose replies are still to come, in order, and `in_flight` how many commands they hold.
    `is_slow`: the client does not read, so nothing more is to be emitted. A client that leaves more than
    `unread_bytes_max` unread is cut off.
    """

    def __init__(self, client: Client, unread_bytes_max: int) -> None:
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[Batch] = deque()
        self.in_flight = 0
        self.is_slow = False
        self._client = client
        self._statistics = client.services.statistics
        self._unread_bytes_max = unread_bytes_max
        self._ready: list[bytes] = []
        self._ready_bytes = 0

    def attach(self, transport: asyncio.Transport) -> None:
        """Write to `transport` from now on: it connects the client."""
        transport.set_write_buffer_limits(high=_WRITE_BYTES)
        self.transport = transport

    @property
    def unread_bytes(self) -> int:
        """How many bytes the client has yet to read."""
        return self._ready_bytes + (self.transport.get_write_buffer_size() if self.transport is not None else 0)

    def say(self, reply: Any) -> None:
        """Emit `reply` behind all replies that are still to come."""
        if self.waiting:
            self.waiting[-1].behind.append(reply)
        else:
            self.emit(reply)

    def flush(self) -> None:
        """Emit the replies of settled batches in their order, as far as the client reads them."""
        waiting = self.waiting
        while waiting and (replies := waiting[0].replies) is not None:
            for reply in replies:
                self.emit(reply)
                if self.is_slow:
                    return
            self.in_flight -= waiting.popleft().commands

    def emit(self, reply: Any) -> None:
        """Encode `reply`, to be written soon."""
        kind = type(reply)
        if kind is int:
            data = b":%d\r\n" % reply
        elif kind is bytes:
            data = b"$%d\r\n%b\r\n" % (len(reply), reply)
        else:
            if kind is ErrorReply:
                self._statistics.error(reply)
            data = encode(reply, resp3=self._client.resp3)
        if not self._ready:
            asyncio.get_running_loop().call_soon(self.write)
        self._ready.append(data)
        self._ready_bytes += len(data)
        if self._ready_bytes > _WRITE_BYTES:
            self.write()

    def push(self, data: bytes) -> None:
        """Write encoded bytes at once, behind the replies that are ready."""
        self._ready.append(data)
        self.write()

    def write(self) -> None:
        """Write the replies that are ready."""
        if not self._ready:
            return
        data = b"".join(self._ready)
        self._ready.clear()
        self._ready_bytes = 0
        self._statistics.output_bytes += len(data)
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > self._unread_bytes_max:
            log.warning("client_cut_off", client=self._client.address, reason="it does not read what it is sent")
            self._client.abort()
