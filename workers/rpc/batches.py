"""Batches of calls on objects: each is one operation of the node, alone in a call or one after the other in a stream.

One operation makes one commit, so no node ever shows a part of a batch. A stream puts its batches into the mailbox as
it reads them, so that several can share a commit. The limits bound how many are under way, and the stream reads on when
one is answered. So nothing piles up here for a client that does not read its answers.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from crdt_core.commands import Session
from crdt_core.commands.carrying import steps_carrying
from crdt_core.commands.slicing import parts_changed
from crdt_core.errors import (
    SHUTTING_DOWN,
    CallerError,
    DeltaicError,
    InvalidArgument,
    Malformed,
    Overloaded,
    Stopping,
    TooMany,
)
from crdt_core.replica.sliceable import Sliceable
from crdt_core.replica.steps import finish
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.calls import OBJECT_CALLS, ObjectCall, command_options
from workers.rpc.interceptors import status_of
from workers.system.clock import wall_ms
from workers.system.tasks import end
from workers.turns.loop import CallbackWaiter
from workers.turns.weights import COMMAND_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from crdt_core.commands import CommandOptions
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica
    from workers.config.settings import LimitSettings
    from workers.turns.mailbox import Mailbox

    Context = grpc.aio.ServicerContext[Any, Any]
    Answer = pb.BatchResponse | DeltaicError

__all__ = ["Batches"]

_MESSAGE_BYTES = "limits.message_bytes_max"
_LINGER_S = 0.2
_FRAME_BYTES = 6
"""The bytes of a result besides its content: its tag and its length."""


class _Item(NamedTuple):
    """One call of a batch, by the name of its field, with its command's arguments."""

    name: str
    call: ObjectCall
    args: list[bytes]


class _Batch(Sliceable):
    """The calls of one batch, or why some are refused; an operation that yields the response.

    A refused call has changed nothing, and its error is its result. Reads fill at most `room` bytes of the response.
    """

    __slots__ = ("_options", "_room", "items", "only_reads", "wall_ms", "weight")

    def __init__(self, items: Sequence[_Item | CallerError], room: int, options: CommandOptions) -> None:
        self.items = items
        self.only_reads = all(isinstance(item, CallerError) or not item.call.command.writes for item in items)
        arguments = (word for item in items if not isinstance(item, CallerError) for word in item.args)
        self.weight = COMMAND_WEIGHT * len(items) + sum(map(len, arguments))
        self._room = room
        self._options = options
        self.wall_ms = wall_ms()

    def is_large(self, replica: Replica, parts_max: int) -> bool:
        """Return whether the calls may change more than `parts_max` parts beyond those that they name."""
        calls = [item for item in self.items if not isinstance(item, CallerError)]
        return sum(parts_changed(replica, call.command, args, self.wall_ms) for _, call, args in calls) > parts_max

    def steps(self, replica: Replica, now: Stamp) -> Generator[None, None, pb.BatchResponse]:
        """Do all of it in a turn, in order; yield after each part of a large call and after each other call."""
        return self._respond(Session.in_turn(replica, now, self.wall_ms, options=self._options))

    def read(self, mailbox: Mailbox) -> pb.BatchResponse:
        """Answer a batch of reads at once, from the last confirmed state."""
        return finish(self._respond(Session(mailbox.state, self.wall_ms, 0, self._options)))

    def _respond(self, session: Session) -> Generator[None, None, pb.BatchResponse]:
        """Return the result of each call, in order; from the first read that has no room on, reads are refused.

        So one batch never has more read than fits into the room, and one read.
        """
        response = pb.BatchResponse()
        filled = 0
        full: TooMany | None = None
        for item in self.items:
            result = response.results.add()
            reads = not isinstance(item, CallerError) and not item.call.command.writes
            yield from _fill(result, full if full is not None and reads else item, session)
            yield
            size = result.ByteSize() + _FRAME_BYTES
            if reads and full is None and filled + size > self._room:
                full = TooMany("answer", filled + size, self._room, "bytes", _MESSAGE_BYTES)
                result.Clear()
                result.error.CopyFrom(_error(full))
                size = result.ByteSize() + _FRAME_BYTES
            filled += size
        return response


def _fill(result: pb.BatchedResult, item: _Item | CallerError, session: Session) -> Generator[None, None, None]:
    """Do one call, and write its result or its error; yield after each part of a large one."""
    if isinstance(item, CallerError):
        result.error.CopyFrom(_error(item))
        return
    try:
        command = item.call.command
        if command.writes:
            reply = yield from steps_carrying(session, command, item.args)
        else:
            reply = command.run(session, item.args)
    except CallerError as error:
        result.error.CopyFrom(_error(error))
        return
    response = getattr(result, item.name)
    response.SetInParent()
    item.call.tell(response, reply)


class Batches:
    """The batches that come in for `mailbox`."""

    def __init__(self, mailbox: Mailbox, limits: LimitSettings) -> None:
        self._mailbox = mailbox
        self._limits = limits
        self._options = command_options(limits)
        self._under_way = 0
        self._streams: dict[asyncio.Task[None], asyncio.Task[None]] = {}  # what reads each, by what answers it
        self._closing = False

    async def alone(self, request: pb.BatchRequest) -> pb.BatchResponse:
        """Return the response to one batch. Raises what the mailbox raises, and `TooMany`."""
        batch = self._batch(request)
        if batch.only_reads:
            return batch.read(self._mailbox)
        self._begin(len(batch.items))
        try:
            return await self._mailbox.call(batch, batch.weight)  # type: ignore[no-any-return]
        finally:
            self._under_way -= len(batch.items)

    async def stream(self, context: Context) -> None:
        """Answer the batches of a stream in their order, until the client has sent all. Raises `Stopping`."""
        if not self._closing:
            stream = _Stream(self, context, self._limits)
            reading, answering = asyncio.create_task(stream.read()), asyncio.create_task(stream.answer())
            self._streams[answering] = reading
            try:
                await answering
                if not self._closing:
                    await reading  # it has ended; if it has failed, this call fails, too
            finally:
                await end([reading, answering])
                del self._streams[answering]
        if self._closing:
            raise Stopping(f"{SHUTTING_DOWN}; try another node, or again")

    async def close(self, patience_s: float) -> None:
        """Stop reading streams, and wait until all have ended, `patience_s` at most.

        Each ends once every batch read from it has its answer. Their clients are given a moment to read the answers: a
        client that is still sending when its connection is closed loses what it has not read.
        """
        self._closing = True
        if not self._streams:
            return
        for reading in self._streams.values():
            reading.cancel()
        await asyncio.wait(self._streams, timeout=patience_s)
        await asyncio.sleep(_LINGER_S)

    def submit(self, request: pb.BatchRequest | None, told: Callable[[Answer], None], *, at_once: bool) -> None:
        """Do the request and give the response, or the error, to `told`. `at_once`: a batch of reads needs no turn."""
        try:
            batch = self._batch(request)
            if at_once and batch.only_reads:
                told(batch.read(self._mailbox))
            else:
                self._submit(batch, told)
        except DeltaicError as error:
            told(error)

    def _submit(self, batch: _Batch, told: Callable[[Answer], None]) -> None:
        count = len(batch.items)

        def on_reply(response: Any, error: Exception | None) -> None:
            self._under_way -= count
            told(response if error is None else error)  # type: ignore[arg-type]

        self._begin(count)
        try:
            self._mailbox.submit(batch, CallbackWaiter(on_reply), monotonic(), batch.weight)
        except DeltaicError:
            self._under_way -= count
            raise

    def _begin(self, count: int) -> None:
        """Count the calls of a batch that will wait. A single batch may always wait.

        Raises `Overloaded` if more calls would wait in batches than may wait alone.
        """
        most = self._limits.calls_waiting_max
        if self._under_way and self._under_way + count > most:
            raise Overloaded(most, "limits.calls_waiting_max")
        self._under_way += count

    def _batch(self, request: pb.BatchRequest | None) -> _Batch:
        if request is None:
            raise Malformed("request", "its bytes are no message of this call")
        count, most = len(request.operations), self._limits.batch_operations_max
        if count > most:
            raise TooMany("batch", count, most, "operations", "limits.batch_operations_max")
        items = [self._item(asked) for asked in request.operations]
        return _Batch(items, self._limits.message_bytes_max, self._options)

    def _item(self, asked: pb.BatchedOperation) -> _Item | CallerError:
        name = asked.WhichOneof("operation")
        try:
            if name is None:
                raise InvalidArgument("operation", "is none of those that are known here")
            call = OBJECT_CALLS[name]
            return _Item(name, call, call.args(getattr(asked, name), self._limits))
        except CallerError as error:
            return error


class _Stream:
    """One stream: batches come in, and their answers go out in the same order."""

    def __init__(self, batches: Batches, context: Context, limits: LimitSettings) -> None:
        self._batches = batches
        self._context = context
        self._limits = limits
        self._asked: asyncio.Queue[tuple[asyncio.Future[Answer], int] | None] = asyncio.Queue()
        self._pending = 0
        self._unanswered, self._unanswered_bytes = 0, 0
        self._room = asyncio.Event()
        self._room.set()

    async def read(self) -> None:
        """Do the batches as they come, as long as there is room."""
        try:
            await self._room.wait()
            while (request := await self._context.read()) is not grpc.aio.EOF:
                self._take(request)
                await self._room.wait()
        finally:
            self._asked.put_nowait(None)

    async def answer(self) -> None:
        """Send the answers, until the last. Raises `Stopping` if the worker ends before."""
        while (asked := await self._asked.get()) is not None:
            answer, size = asked
            await self._context.write(self._response(await answer))
            self._unanswered -= 1
            self._unanswered_bytes -= size
            self._room.set()

    def _take(self, request: pb.BatchRequest | None) -> None:
        """Submit one batch. Reads are answered at once if every batch before them is done."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        size = 0 if request is None else request.ByteSize()
        self._asked.put_nowait((future, size))
        self._unanswered += 1
        self._unanswered_bytes += size
        if (
            self._unanswered >= self._limits.stream_batches_max
            or self._unanswered_bytes >= self._limits.message_bytes_max
        ):
            self._room.clear()
        at_once = not self._pending
        self._pending += 1

        def told(answer: Answer) -> None:
            self._pending -= 1
            if not future.done():  # it is done if the stream was given up
                future.set_result(answer)

        self._batches.submit(request, told, at_once=at_once)

    def _response(self, answer: Answer) -> pb.BatchResponse:
        if isinstance(answer, Stopping):
            raise answer
        if isinstance(answer, DeltaicError):
            return pb.BatchResponse(error=_error(answer))
        size, most = answer.ByteSize(), self._limits.message_bytes_max
        if size > most:
            return pb.BatchResponse(error=_error(TooMany("answer", size, most, "bytes", _MESSAGE_BYTES)))
        return answer


def _error(error: DeltaicError) -> pb.Error:
    code, words = status_of(error)
    return pb.Error(code=code.value[0], message=words)
