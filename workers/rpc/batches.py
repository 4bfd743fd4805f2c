"""Batches of calls on objects: each is one operation of the node, alone in a call or one after the other in a stream.

One operation, so one commit: no node ever shows a part of a batch. The batches of a stream are put into the mailbox as
they are read, so that several can share a commit. No more of them are under way than the limits say, and a stream is
read on when one has been answered: nothing piles up here for a client that does not read its answers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from crdt_core.commands.operations import Read
from crdt_core.errors import CallerError, DeltaicError, InvalidArgument, Malformed, Overloaded, Stopping, TooMany
from workers.rpc import deltaic_pb2 as pb
from workers.rpc.calls import OBJECT_CALLS
from workers.rpc.interceptors import status_of
from workers.system.tasks import end

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from crdt_core.commands.operations import Operation, State
    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica
    from workers.config.settings import LimitSettings
    from workers.turns.mailbox import Mailbox

    Context = grpc.aio.ServicerContext[Any, Any]
    Item = tuple[str, Operation] | CallerError
    Answer = pb.BatchResponse | DeltaicError

__all__ = ["Batches"]

_MESSAGE_BYTES = "limits.message_bytes_max"
_FRAME_BYTES = 6
"""What a result takes besides itself: its tag and its length."""


@dataclass(frozen=True, slots=True)
class _Batch:
    """Operations by their names, or why they are refused; yields the response, of `room` bytes as far as reads go.

    An operation that is refused has changed nothing, and its error is its result.
    """

    items: Sequence[Item]
    room: int

    def run(self, replica: Replica, now: Stamp) -> pb.BatchResponse:
        """Does all of it, in order."""
        return _response(self.items, self.room, lambda operation: operation.run(replica, now))


@dataclass(frozen=True, slots=True)
class _BatchOfReads(Read):
    """A batch that changes nothing."""

    items: Sequence[tuple[str, Read] | CallerError]
    room: int

    def read(self, state: State) -> pb.BatchResponse:
        return _response(self.items, self.room, lambda operation: operation.read(state))


class Batches:
    """The batches that come in for `mailbox`."""

    def __init__(self, mailbox: Mailbox, limits: LimitSettings) -> None:
        self._mailbox = mailbox
        self._limits = limits
        self._under_way = 0
        self._reading: set[asyncio.Task[None]] = set()
        self._closing = False

    async def alone(self, request: pb.BatchRequest) -> pb.BatchResponse:
        """The response to one batch; raises what the mailbox raises, and `TooMany`."""
        batch = self._batch(request)
        if isinstance(batch, _BatchOfReads):
            return self._mailbox.read(batch)  # type: ignore[no-any-return]
        self._begin(len(batch.items))
        try:
            return await self._mailbox.call(batch)  # type: ignore[no-any-return]
        finally:
            self._under_way -= len(batch.items)

    async def stream(self, context: Context) -> None:
        """Answers the batches of a stream in their order, until the client has sent all; raises `Stopping`."""
        if not self._closing:
            stream = _Stream(self, context, self._limits)
            reading = asyncio.create_task(stream.read())
            self._reading.add(reading)
            try:
                await stream.answer()
                if not self._closing:
                    await reading  # it has ended; had it failed, this call has
            finally:
                self._reading.discard(reading)
                await end([reading])
        if self._closing:
            raise Stopping("the worker is shutting down; try another node, or again")

    def close(self) -> None:
        """Reads no stream any more: each ends once what was read of it has been answered."""
        self._closing = True
        for reading in self._reading:
            reading.cancel()

    def submit(self, request: pb.BatchRequest | None, told: Callable[[Answer], None], *, at_once: bool) -> None:
        """Has the request done; `told` is given the response, or the error. `at_once`: reads need no turn."""
        try:
            batch = self._batch(request)
            if at_once and isinstance(batch, _BatchOfReads):
                told(self._mailbox.read(batch))
            else:
                self._submit(batch, told)
        except DeltaicError as error:
            told(error)

    def _submit(self, batch: _Batch | _BatchOfReads, told: Callable[[Answer], None]) -> None:
        count = len(batch.items)

        def on_reply(response: Any, error: Exception | None) -> None:
            self._under_way -= count
            told(response if error is None else error)  # type: ignore[arg-type]

        self._begin(count)
        try:
            self._mailbox.submit(batch, on_reply)
        except DeltaicError:
            self._under_way -= count
            raise

    def _begin(self, count: int) -> None:
        """Raises `Overloaded` where so many operations wait in batches as calls may; one batch always may."""
        most = self._limits.calls_waiting_max
        if self._under_way and self._under_way + count > most:
            raise Overloaded(most, "limits.calls_waiting_max")
        self._under_way += count

    def _batch(self, request: pb.BatchRequest | None) -> _Batch | _BatchOfReads:
        if request is None:
            raise Malformed("request", "its bytes are no message of this call")
        count, most = len(request.operations), self._limits.batch_operations_max
        if count > most:
            raise TooMany("batch", count, most, "operations", "limits.batch_operations_max")
        items = [self._item(asked) for asked in request.operations]
        reads = [item for item in items if isinstance(item, CallerError) or isinstance(item[1], Read)]
        if len(reads) == len(items):
            return _BatchOfReads(reads, self._limits.message_bytes_max)  # type: ignore[arg-type]
        return _Batch(items, self._limits.message_bytes_max)

    def _item(self, asked: pb.BatchedOperation) -> Item:
        name = asked.WhichOneof("operation")
        try:
            if name is None:
                raise InvalidArgument("operation", "is none of those that are known here")
            return name, OBJECT_CALLS[name].operation(getattr(asked, name), self._limits)
        except CallerError as error:
            return error


class _Stream:
    """One stream: batches in, in the order in which they come; answers out, in the same."""

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
        """Has batches done as they come, as long as there is room."""
        try:
            await self._room.wait()
            while (request := await self._context.read()) is not grpc.aio.EOF:
                self._take(request)
                await self._room.wait()
        finally:
            self._asked.put_nowait(None)

    async def answer(self) -> None:
        """Gives the answers, until the last; raises `Stopping` where the worker ends before."""
        while (asked := await self._asked.get()) is not None:
            answer, size = asked
            await self._context.write(self._response(await answer))
            self._unanswered -= 1
            self._unanswered_bytes -= size
            self._room.set()

    def _take(self, request: pb.BatchRequest | None) -> None:
        """Reads are answered at once if nothing was asked before them that is not done yet."""
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
            if not future.done():  # it is, once its stream has been given up
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


def _response(items: Sequence[Any], room: int, do: Callable[[Any], Any]) -> pb.BatchResponse:
    """What `do` yields for each operation, in order; from the first read that has no room on, reads are refused.

    So one batch cannot have more read than fits into `room` bytes, and one read.
    """
    response = pb.BatchResponse()
    filled = 0
    full: TooMany | None = None
    for item in items:
        reads = not isinstance(item, CallerError) and isinstance(item[1], Read)
        result = _result(full if full and reads else item, do)
        size = filled + result.ByteSize() + _FRAME_BYTES
        if size > room and reads and full is None:
            full = TooMany("answer", size, room, "bytes", _MESSAGE_BYTES)
            result = _result(full, do)
        filled += result.ByteSize() + _FRAME_BYTES
        response.results.append(result)
    return response


def _result(item: Item, do: Callable[[Any], Any]) -> pb.BatchedResult:
    try:
        if isinstance(item, CallerError):
            raise item
        name, operation = item
        return pb.BatchedResult(**{name: OBJECT_CALLS[name].response(do(operation))})
    except CallerError as error:
        return pb.BatchedResult(error=_error(error))


def _error(error: DeltaicError) -> pb.Error:
    code, words = status_of(error)
    return pb.Error(code=code.value[0], message=words)
