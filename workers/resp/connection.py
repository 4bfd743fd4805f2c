"""One client's connection: requests in, replies out in their order, and never more of either than fits.

Reads are answered at once, from the last confirmed state. Writes go to the mailbox as they come, all that arrived
together as one operation; what the client sends behind them goes the same way, so it sees them, and its replies wait
for theirs. There is no task per command: the mailbox calls back, and whatever is ready leaves in one write.

A connection takes no more requests while its client does not read what it is answered, while too many of its commands
are under way, and while a request waits for something else (WAIT, a round with peers).
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, cast

import structlog

from crdt_core.commands import Command, ErrorReply, Execute, Session
from crdt_core.errors import DeltaicError
from workers.resp.dispatch import HELD, dispatch, refused
from workers.resp.encoding import NOTHING, encode
from workers.resp.parsing import ProtocolError, RequestParser
from workers.resp.refusals import refusal
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.node.events import Operation
    from workers.resp.face import RespFace
    from workers.resp.handler import Handler
    from workers.resp.parsing import Request
    from workers.resp.transactions import Transaction, Watch

__all__ = ["Connection"]

log = structlog.get_logger()

_WRITE_BYTES = 64 * 1024
"""What is written at once, and what may wait for the client to read it before it is answered no more."""
_IN_FLIGHT_MAX = 4096
_BATCH_MAX = 1024
_PENDING_BYTES_MAX = 1 << 20
"""Of requests that wait, or whose commits are under way: so much is read before the client has to wait, too."""
_CLOSE_PATIENCE_S = 10.0
_HEAVY = frozenset(
    b"""
    SMEMBERS SUNION SINTER SDIFF HGETALL HKEYS HVALS KEYS SRANDMEMBER HRANDFIELD GETRANGE SUBSTR
    DELTAIC.SET.GET DELTAIC.REGISTER.GET DELTAIC.INSPECT
    """.split()
)
"""Reads whose replies may be large: behind a write they wait for it, and are then answered one by one."""


class _Batch:
    """Commands on their way through the mailbox, and the replies that have to wait for theirs."""

    __slots__ = ("behind", "commands", "muted", "replies")

    def __init__(self, commands: int, *, muted: bool) -> None:
        self.commands = commands
        self.muted = muted
        self.replies: Iterator[Any] | None = None
        self.behind: list[Any] = []

    def settle(self, replies: Iterable[Any]) -> None:
        """What the mailbox has answered."""
        self.replies = chain(() if self.muted else replies, self.behind)


class Connection(asyncio.Protocol):
    """The connection numbered `id` of `face`.

    `written`: up to where this node's own commits are the client's. `mute`: replies are not wanted (`off`), or not that
    to the next command (`skip`).
    """

    def __init__(self, face: RespFace, id_: int) -> None:
        self.face = face
        self.id = id_
        self.name = b""
        self.library: dict[bytes, bytes] = {}
        self.address = self.local_address = ""
        self.since_s = self.active_s = face.now_s()
        self.last_command = b"NULL"
        self.resp3 = False
        self.trusted = face.password is None
        self.mute = ""
        self.transaction: Transaction | None = None
        self.watch: Watch | None = None
        self.channels: set[bytes] = set()
        self.patterns: set[bytes] = set()
        self.written = 0
        self._parser = RequestParser(face.bulk_bytes_max, face.request_bytes_max, trusted=self.trusted)
        self._transport: asyncio.Transport | None = None
        self._requests: deque[Request] = deque()
        self._fault: str | None = None
        self._unanswered: deque[_Batch] = deque()
        self._in_flight = 0
        self._pending_bytes = 0
        self._argument_bytes = 0  # no argument of the requests that wait has more
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._client_is_slow = False
        self._is_reading = True
        self._task: asyncio.Task[None] | None = None
        self._ends = False

    # The transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=_WRITE_BYTES)
        self.address = _address(transport.get_extra_info("peername"))
        self.local_address = _address(transport.get_extra_info("sockname"))
        if not self.face.enter(self):
            self._emit(ErrorReply("ERR max number of clients reached"))
            self.write()
            self._close()

    def data_received(self, data: bytes) -> None:
        if self._ends or self._fault is not None:
            return
        before = len(self._requests)
        try:
            self._requests.extend(self._parser.feed(data))
        except ProtocolError as error:
            self._fault = str(error)
        self.face.commands += len(self._requests) - before
        self._pending_bytes += len(data)
        self._argument_bytes = max(self._argument_bytes, self._parser.argument_bytes)
        self.active_s = self.face.now_s()
        self.advance()

    def eof_received(self) -> bool:
        """Whether to go on: what the client has asked for is answered first. TLS knows no half-closed connection."""
        self._ends = True
        self.write()  # what is answered already: once the transport is closed, nothing leaves any more
        return self._is_busy and self.face.tls is None

    def pause_writing(self) -> None:
        self._client_is_slow = True

    def resume_writing(self) -> None:
        self._client_is_slow = False
        self._flush()
        self.advance()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._ends = True
        self._requests.clear()
        if self._task is not None:
            self._task.cancel()
        self.face.leave(self)

    # For commands

    @property
    def output_bytes(self) -> int:
        """What the client has yet to read."""
        return self._out_bytes + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    @property
    def is_settled(self) -> bool:
        """Whether everything that the client has asked for before is answered."""
        return not self._unanswered

    @property
    def is_waiting(self) -> bool:
        """Whether a request waits for something other than a commit."""
        return self._task is not None

    def trust(self) -> None:
        """The client has logged in."""
        self.trusted = True
        self._parser.trust()

    def push(self, data: bytes) -> None:
        """Tells the client what it has not asked for; one that lets too much of that pile up is cut off."""
        self._out.append(data)
        self.write()

    def finish(self) -> None:
        """Closes the connection once what has been begun is answered."""
        self._ends = True
        self._requests.clear()
        self._conclude()

    def finish_soon(self) -> None:
        """Closes the connection once the request at hand is answered, too."""
        asyncio.get_running_loop().call_soon(self.finish)

    def abort(self) -> None:
        """Closes the connection at once."""
        self._ends = True
        if self._transport is not None:
            self._transport.abort()

    # Requests

    def advance(self) -> None:
        """Takes requests, until one has to wait."""
        requests = self._requests
        while requests and self._task is None and not self._client_is_slow and self._in_flight < _IN_FLIGHT_MAX:
            entry = self._entry(requests[0])
            if type(entry) is Command and self._is_plain:
                if not self._take_commands():
                    break
            elif not self._take_other(entry):
                break
        if not requests:
            self._argument_bytes = 0
        self._conclude()

    def _entry(self, request: Request) -> Command | Handler | None:
        return self.face.table.get(request[0]) or self.face.table.get(request[0].upper())

    def _take_commands(self) -> bool:
        """Takes the commands of the core that come next, and have to go, or may be answered, together; whether any.

        Writes go to the mailbox, and so do reads behind them, which have to see them.
        """
        face, requests, submitted = self.face, self._requests, bool(self._unanswered)
        get_entry, may_be_large = face.table.get, self._argument_bytes > face.small_bytes
        commands: list[tuple[Command, list[bytes]]] = []
        session: Session | None = None
        now_ms, taken = wall_ms(), 0
        while requests and not self._client_is_slow:
            request = requests[0]
            command = get_entry(request[0]) or self._entry(request)
            if type(command) is not Command:
                break
            count, arity = len(request), command.arity
            if may_be_large or (count != arity and (arity > 0 or count < -arity)):
                refusal_ = refused(face, command, request)
                if refusal_ is not None:
                    if commands:
                        break
                    self.say(refusal_)
                    requests.popleft()
                    taken += 1
                    continue
            if command.write or ((commands or submitted) and command.name not in _HEAVY):
                if len(commands) >= _BATCH_MAX:
                    break
                del request[0]
                commands.append((command, request))
            elif commands or submitted:
                break
            else:
                del request[0]
                try:
                    if session is None:
                        session = Session(face.mailbox.state, now_ms, face.seed(), face.options)
                    reply = command.run(session, request)
                except DeltaicError as error:
                    reply = refusal(error)
                self._emit(reply)
            requests.popleft()
            taken += 1
        if commands:
            self.submit(Execute(commands, now_ms, face.seed(), face.options), len(commands))
        return taken > 0

    def _take_other(self, entry: Command | Handler | None) -> bool:
        """Takes the request that comes next, which is no plain command of the core, unless it has to wait."""
        reply = dispatch(self, entry, self._requests[0])
        if reply is HELD:
            return False
        if self._requests:  # QUIT drops what is behind it
            self._requests.popleft()
        self._answer(reply)
        return True

    def submit(self, operation: Operation, commands: int, *, whole: bool = False, muted: bool = False) -> None:
        """Sends `operation` to the mailbox. It yields a reply to each of `commands`, or one to the `whole`."""
        batch = _Batch(commands, muted=muted)
        self._unanswered.append(batch)
        self._in_flight += commands
        try:
            self.face.mailbox.submit(operation, partial(self._delivered, batch, whole))
        except DeltaicError as error:
            batch.settle(repeat(refusal(error), 1 if whole else commands))
            self._flush()

    def say(self, reply: Any) -> None:
        """Answers with `reply`, behind what is still to be answered."""
        if self._unanswered:
            self._unanswered[-1].behind.append(reply)
        else:
            self._emit(reply)

    @property
    def _is_plain(self) -> bool:
        """Whether a command of the core is nothing but that."""
        listens_only = (self.channels or self.patterns) and not self.resp3
        return self.trusted and self.transaction is None and not self.mute and not listens_only

    def _delivered(self, batch: _Batch, whole: bool, result: Any, error: Exception | None) -> None:
        self.written = self.face.own_counter
        if error is not None:
            batch.settle(repeat(refusal(error), 1 if whole else batch.commands))
        else:
            batch.settle([result] if whole else result)
        if self._unanswered[0] is batch:
            self._flush()
            self.advance()

    def _answer(self, reply: Any) -> None:
        if asyncio.iscoroutine(reply):
            self._task = asyncio.create_task(reply)
            self._task.add_done_callback(self._waited)
        elif reply is not NOTHING:
            self.say(reply)

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

    # Replies

    def _flush(self) -> None:
        """Answers, in order, what the mailbox has answered, as far as the client takes it."""
        while self._unanswered and (replies := self._unanswered[0].replies) is not None:
            for reply in replies:
                self._emit(reply)
                if self._client_is_slow:
                    return
            self._in_flight -= self._unanswered.popleft().commands

    def _emit(self, reply: Any) -> None:
        kind = type(reply)
        if kind is int:
            data = b":%d\r\n" % reply
        elif kind is bytes:
            data = b"$%d\r\n%b\r\n" % (len(reply), reply)
        else:
            data = encode(reply, resp3=self.resp3)
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes > _WRITE_BYTES:
            self.write()

    def write(self) -> None:
        """Writes what is ready."""
        if not self._out:
            return
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self.face.limits.output_bytes_max:
            log.warning("client_cut_off", client=self.address, reason="it does not read what it is sent")
            self.abort()

    def _conclude(self) -> None:
        if self._out:
            self.face.write_soon(self)
        if self._is_busy:
            self._read_on(self._pending_bytes <= _PENDING_BYTES_MAX and not self._client_is_slow)
            return
        self._pending_bytes = 0
        if self._fault is not None:
            self._emit(ErrorReply(f"ERR Protocol error: {self._fault}"))
        if self._ends or self._fault is not None:
            self.write()
            self._close()
        else:
            self._read_on(True)

    @property
    def _is_busy(self) -> bool:
        return bool(self._requests or self._unanswered) or self._task is not None

    def _read_on(self, wanted: bool) -> None:
        if self._transport is None or wanted == self._is_reading or self._transport.is_closing():
            return
        self._is_reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _close(self) -> None:
        """A client that does not read the end of it is not waited for."""
        self._ends = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(_CLOSE_PATIENCE_S, self._transport.abort)


def _address(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) > 1 else ""
