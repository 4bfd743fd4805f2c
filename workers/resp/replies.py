"""The replies to one client: in the order of its requests, and never more of them than fits.

Replies that wait for a commit are a `Batch`; later replies wait behind it. Replies that are ready go into a buffer. The
buffer is written together with those of other clients (`workers.resp.writer`), or as soon as it is large.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from itertools import chain, groupby, repeat
from operator import itemgetter
from time import perf_counter
from typing import TYPE_CHECKING, Any

import structlog

from crdt_core.commands import ErrorReply, Status
from workers.resp.encoding import NULL_LIST, encode
from workers.resp.refusals import refusal
from workers.resp.transaction import resolved
from workers.turns.loop import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from crdt_core.commands import Execute
    from workers.resp.context import Client

__all__ = ["Batch", "Replies"]

log = structlog.get_logger()

_WRITE_BYTES = 64 * 1024
"""How much is written at once, and how much may wait for the client to read before replies are held back."""
_INTEGERS = {int}
_SHORT = {int, Status, type(None)}
"""Replies that are encoded together: a batch of them is never large."""
_row = itemgetter(0)


class Replies:
    """The replies to `client`, whose bytes go out by `transport`, once there is one.

    `waiting`: the batches whose replies are still to come, in order, and `in_flight` how many commands they hold.
    `is_slow`: the client does not read, so nothing more is to be emitted. A client that leaves more than
    `unread_bytes_max` unread is cut off. `go_on` is called when a batch is settled: the client's next requests may be
    taken.
    """

    def __init__(self, client: Client, unread_bytes_max: int, go_on: Callable[[], None]) -> None:
        self.client = client
        self.go_on = go_on
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[Batch] = deque()
        self.in_flight = 0
        self.is_slow = False
        self._writer = client.services.writer
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
            self.in_flight -= len(waiting.popleft().execute.commands)

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
            data = encode(reply, resp3=self.client.resp3)
        self.put(data)

    def put(self, data: bytes) -> None:
        """Have encoded replies written soon."""
        if not self._ready:
            writer = self._writer
            if not writer.filled:
                asyncio.get_running_loop().call_soon(writer.write)
            writer.filled.append(self)
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
            log.warning("client_cut_off", client=self.client.address, reason="it does not read what it is sent")
            self.client.abort()


@dataclass(slots=True, eq=False)
class Batch(Waiter):
    """The commands of `execute` on their way through the mailbox, whose answer goes `to` the client's replies.

    `whole`: all their replies are one list. `muted`: the client does not want them. `began_s`: since when they wait
    (`perf_counter`). `behind`: the replies that wait behind theirs. `replies`: all of them, once the mailbox has
    answered.
    """

    to: Replies
    execute: Execute
    whole: bool
    muted: bool
    began_s: float
    behind: list[Any] = field(default_factory=list)
    replies: Iterator[Any] | None = None

    def on_reply(self, result: Any, error: Exception | None) -> None:
        """Take the mailbox's answer."""
        to, commands = self.to, self.execute.commands
        client = to.client
        client.written = max(client.written, self.execute.counter)
        statistics = client.services.statistics
        calls, usec = statistics.calls, statistics.usec
        each_usec = (perf_counter() - self.began_s) * 1e6 / max(1, len(commands))
        for command, run in groupby(commands, _row) if result is not NULL_LIST else ():
            count = len(list(run))
            calls[command.name] += count
            usec[command.name] += each_usec * count
        if error is not None:
            statistics.refused(commands)
            self.replies = self._with_those_behind(repeat(refusal(error), 1 if self.whole else len(commands)))
        elif result is NULL_LIST:
            self.replies = self._with_those_behind([NULL_LIST])
        else:
            kinds = set(map(type, result))
            if ErrorReply in kinds:
                statistics.failures_in(commands, result, told=not self.whole)
            is_ordinary = kinds <= _SHORT and not (self.whole or self.muted or self.behind or to.is_slow)
            if is_ordinary and to.waiting[0] is self:
                if kinds == _INTEGERS:
                    to.put(b":%d\r\n" * len(result) % tuple(result))
                else:
                    to.put(b"".join([encode(reply, resp3=client.resp3) for reply in result]))
                to.in_flight -= len(commands)
                to.waiting.popleft()
            else:
                self.replies = self._with_those_behind([resolved(result)] if self.whole else result)
        if to.waiting:
            to.flush()
        to.go_on()

    def _with_those_behind(self, replies: Iterable[Any]) -> Iterator[Any]:
        return chain(() if self.muted else replies, self.behind)
