"""One client's connection: requests in, replies out, and never more of either than fits.

A connection takes no more requests while its client does not read the replies, while too many of its commands are under
way, and while a request waits for something else (WAIT, a round with peers). There is no task per command: the mailbox
calls back, and whatever is ready leaves in one write.

A client that leaves frees everything. Its end of input may only mean that it has said all, so what will end by itself
is answered first. A client that waits (WAIT and its like) is gone: nobody says all and then waits. What it sent behind
is dropped, and so is what had not begun when a connection breaks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, cast

import structlog

from crdt_core.commands import CommandError, ErrorReply, Execute
from crdt_core.errors import DeltaicError
from workers.resp.careful import ProtocolError
from workers.resp.context import Client
from workers.resp.dispatch import HELD, dispatch
from workers.resp.encoding import NOTHING
from workers.resp.parsing import RequestParser
from workers.resp.plain import take_plain_commands
from workers.resp.refusals import refusal, too_large
from workers.resp.replies import Batch, Replies
from workers.resp.transaction import Guarded
from workers.system.clock import wall_ms
from workers.turns.weights import COMMAND_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.commands import Command, Session
    from workers.resp.careful import Request
    from workers.resp.context import Services
    from workers.resp.transaction import Watch

__all__ = ["Connection"]

log = structlog.get_logger()

_IN_FLIGHT_MAX = 4096
_PENDING_BYTES_MAX = 1 << 20
"""How many bytes of requests may wait, or have their commits under way, before the client is not read any more."""
_CLOSE_PATIENCE_S = 10.0


class Connection(Client, asyncio.Protocol):
    """The connection numbered `id_`. `closed` is called once it is closed."""

    def __init__(self, id_: int, services: Services, closed: Callable[[Connection], None]) -> None:
        super().__init__(id_, services)
        limits = services.limits
        self._replies = Replies(self, limits.output_bytes_max, self.advance)
        self._closed = closed
        self._parser = RequestParser(limits.message_bytes_max, limits.message_bytes_max, trusted=self.trusted)
        self._small_bytes = min(limits.key_bytes_max, limits.value_bytes_max)
        self._transport: asyncio.Transport | None = None
        self._requests: deque[Request] = deque()
        self._fault: str | None = None
        self._pending_bytes = 0
        self._argument_bytes = 0  # no argument of the requests that wait has more
        self._is_reading = True
        self._task: asyncio.Task[None] | None = None
        self._blocks = False  # whether what `_task` does may take for ever
        self._ends = False

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the client in, unless there are too many."""
        self._transport = transport = cast("asyncio.Transport", transport)
        self._replies.attach(transport)
        self.address = _address(transport.get_extra_info("peername"))
        self.local_address = _address(transport.get_extra_info("sockname"))
        services = self.services
        services.statistics.connections_received += 1
        if len(services.clients) < services.server.connections_max:
            services.clients[self.id] = self
            return
        services.statistics.connections_refused += 1
        self._replies.emit(ErrorReply("ERR max number of clients reached"))
        self._replies.write()
        self._close()

    def data_received(self, data: bytes) -> None:
        """Take the requests in `data`, as far as they are complete."""
        if self._ends or self._fault is not None:
            return
        requests = self._requests
        before = len(requests)
        try:
            requests.extend(self._parser.feed(data))
        except ProtocolError as error:
            self._fault = str(error)
        statistics = self.services.statistics
        statistics.commands += len(requests) - before
        statistics.input_bytes += len(data)
        self._pending_bytes += len(data)
        self._argument_bytes = max(self._argument_bytes, self._parser.argument_bytes)
        self.active_s = monotonic()
        if self._task is not None and self._pending_bytes > self.services.limits.message_bytes_max:
            self._cut_off("it waits, and sends more behind than a request may have")
            return
        self.advance()

    def eof_received(self) -> bool:
        """Return whether to go on until the client is answered. TLS has no half-closed connection."""
        self._ends = True
        self._replies.write()  # once the transport is closed, nothing leaves any more
        if self._task is not None and self._blocks:
            self._task.cancel()
            self._requests.clear()
            self._close()
            return False
        is_busy = bool(self._requests or self._replies.waiting) or self._task is not None
        return is_busy and not self.services.server.tls

    def pause_writing(self) -> None:
        """Hold replies back: the client does not read what it is sent."""
        self._replies.is_slow = True

    def resume_writing(self) -> None:
        """Go on with replies: the client reads again."""
        self._replies.is_slow = False
        self._replies.flush()
        self.advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the client, and what it had not begun. Its commands that are under way take effect all the same."""
        self._transport = self._replies.transport = None
        self._ends = True
        self._requests.clear()
        for batch in self._replies.waiting:
            self.services.node.leave(batch)
        if self._task is not None:
            self._task.cancel()
        self.services.channels.leave(self)
        self._closed(self)

    # For commands

    @property
    def output_bytes(self) -> int:
        return self._replies.unread_bytes

    @property
    def is_settled(self) -> bool:
        return not self._replies.waiting

    @property
    def is_waiting(self) -> bool:
        return self._task is not None

    def execute(
        self,
        commands: list[tuple[Command[Session], list[bytes]]],
        *,
        watch: Watch | None = None,
        whole: bool = False,
        muted: bool = False,
        bytes_: int | None = None,
    ) -> None:
        services = self.services
        execute = Execute(commands, wall_ms(), services.next_seed(), services.options)
        replies = self._replies
        batch = Batch(replies, execute, whole, muted, perf_counter())
        replies.waiting.append(batch)
        replies.in_flight += len(commands)
        if bytes_ is None:
            bytes_ = self._argument_bytes * sum([len(args) for _, args in commands])
        weight = COMMAND_WEIGHT * len(commands) + bytes_
        try:
            operation = execute if watch is None else Guarded(watch, execute)
            services.node.submit(operation, batch, monotonic(), weight)
        except DeltaicError as error:
            asyncio.get_running_loop().call_soon(batch.on_reply, None, error)

    def say(self, reply: Any) -> None:
        self._replies.say(reply)

    def push(self, data: bytes) -> None:
        self._replies.push(data)

    def trust(self) -> None:
        self.trusted = True
        self._parser.trust()

    def distrust(self) -> None:
        self.trusted = False
        self._parser.distrust()

    def finish(self) -> None:
        self._ends = True
        self._requests.clear()
        self._conclude()

    def finish_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.finish)

    def abort(self) -> None:
        self._ends = True
        if self._transport is not None:
            self._transport.abort()

    # Requests

    def advance(self) -> None:
        """Take requests, until one has to wait."""
        requests, replies, spellings = self._requests, self._replies, self.services.table.spellings
        while requests and self._task is None and not replies.is_slow and replies.in_flight < _IN_FLIGHT_MAX:
            request = requests[0]
            found = spellings.get(request[0])
            command: Command[Any] | CommandError
            if found is not None and found.arity == len(request) and not found.members:
                command = found
            else:
                try:
                    command = self.services.table.find(request)
                except CommandError as error:
                    command = error
            may_be_large = self._argument_bytes > self._small_bytes
            large = None
            if may_be_large and not (isinstance(command, CommandError) or command.connected):
                large = too_large(command, request, self.services.limits)
            if (
                isinstance(command, CommandError)
                or command.connected
                or not self.trusted
                or self.transaction is not None
                or self.mute
                or (not self.resp3 and (self.channels or self.patterns))
                or large is not None
            ):
                taken = self._take(command, large)
            else:
                taken = take_plain_commands(self, replies, requests, command, may_be_large=may_be_large)
            if not taken:
                break
        if not requests:
            self._argument_bytes = 0
        is_ordinary = self._is_reading and not self._ends and self._fault is None and not replies.is_slow
        if not is_ordinary or self._pending_bytes > _PENDING_BYTES_MAX:
            self._conclude()
        elif not (requests or replies.waiting) and self._task is None:
            self._pending_bytes = 0

    def _take(self, command: Command[Any] | CommandError, large: ErrorReply | None) -> bool:
        """Take the next request, which is not simply a plain command; return `False` if it has to wait.

        A client that has left is not waited for: a request that would wait is dropped, with all that are behind it.
        `large`: the error for an argument over its limit, if there is one.
        """
        self._blocks = not isinstance(command, CommandError) and command.blocks
        if self._ends and self._blocks:
            self._requests.clear()
            return False
        reply = dispatch(self, command, self._requests[0], large)
        if reply is HELD:
            return False
        if self._requests:  # QUIT drops what is behind it
            self._requests.popleft()
        self._answer(reply)
        return True

    def _answer(self, reply: Any) -> None:
        if asyncio.iscoroutine(reply):
            self._task = asyncio.create_task(reply)
            self._task.add_done_callback(self._waited)
        elif reply is not NOTHING:
            self._replies.say(reply)

    def _waited(self, task: asyncio.Task[Any]) -> None:
        self._task = None
        if self._transport is None or task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, DeltaicError):
            self.abort()
            raise error
        self._answer(task.result() if error is None else refusal(error))
        self.advance()

    # The flow of bytes

    def _conclude(self) -> None:
        """Read on, stop reading or close the connection, as things stand."""
        replies, transport = self._replies, self._transport
        wanted = True  # of a client that waits, too: otherwise nobody would see that it leaves
        if self._task is None and (self._requests or replies.waiting):
            wanted = self._pending_bytes <= _PENDING_BYTES_MAX and not replies.is_slow
        elif self._task is None:
            self._pending_bytes = 0
            if self._fault is not None:
                replies.emit(ErrorReply(f"ERR Protocol error: {self._fault}"))
            if self._ends or self._fault is not None:
                replies.write()
                self._close()
                return
        if wanted != self._is_reading and transport is not None and not transport.is_closing():
            self._is_reading = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()

    def _cut_off(self, reason: str) -> None:
        log.warning("client_cut_off", client=self.address, reason=reason)
        self.abort()

    def _close(self) -> None:
        """Close the transport. A client that does not read the end is not waited for."""
        self._ends = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(_CLOSE_PATIENCE_S, self._transport.abort)


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) > 1 else ""
