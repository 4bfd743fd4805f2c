"""Calls that are too large for one turn: they run a slice at a time, between two turns, and show as one.

A flush of a million keys, or the delete of a large set, takes seconds. Yet it is one write: one dot, one commit, one
delta. So the turn that meets such a call only puts it aside, with all calls behind it, because calls keep their order.
After that turn the shell has the call prepared, a slice at a time (`crdt_core.node.prepared`). The next turn takes
nothing in: its commit persists all slices and has the delta. Then the calls behind it run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.deltas import encode_delta_of, encode_writes
from crdt_core.errors import CallerError
from crdt_core.node.events import Reply
from crdt_core.node.prepared import Prepared
from crdt_core.replica.sharded import Sharded
from crdt_core.replica.sliceable import Sliceable
from crdt_core.replica.steps import in_slices

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from crdt_core.codec.pieces import Pieces
    from crdt_core.codec.records import Changes
    from crdt_core.lattice.clocks import HybridClock, Stamp
    from crdt_core.lattice.deltas import Write
    from crdt_core.node.events import Call
    from crdt_core.node.options import NodeOptions
    from crdt_core.replica.replica import Replica

__all__ = ["LargeCalls", "PreparedCall"]


class PreparedCall(Prepared):
    """The large call `call` on `replica`, `size` parts at a time. It came at wall time `wall_ms`; `hlc` stamps it.

    Once `advance` returns false, `reply` is for the caller. `delta` is that of the commit, with `counter`; `None` if
    nothing was written.
    """

    def __init__(self, replica: Replica, call: Call, hlc: HybridClock, wall_ms: int, size: int) -> None:
        super().__init__()
        self.reply = Reply(call.token)
        self.counter = 0
        self.delta: Pieces | None = None
        self._replica = replica
        self._operation = call.operation
        self._hlc = hlc
        self._wall_ms = wall_ms
        self._size = size

    def _run(self) -> Generator[Changes | None, None, None]:
        now = self._hlc.tick(self._wall_ms)
        yield from self._change(now)
        yield from self._commit(now)

    def _change(self, now: Stamp) -> Generator[Changes, None, None]:
        assert isinstance(self._operation, Sliceable)
        steps, token = self._operation.steps(self._replica, now), self.reply.token
        take = self._replica.catalogue.take_slice
        self._replica.uncommitted = Sharded()
        try:
            self.reply = Reply(token, (yield from in_slices(steps, self._size, take)))
        except CallerError as error:
            self.reply = Reply(token, error=error)
            yield take()

    def _commit(self, now: Stamp) -> Generator[None, None, None]:
        """Make the delta, some writes at a time."""
        if not self._replica.uncommitted:
            self._replica.uncommitted = {}
            return
        pieces: list[bytes] = []

        def encode(writes: list[Write]) -> None:
            pieces.append(encode_writes(writes))

        delta = yield from self._replica.commit_in_slices(now, self._size, encode)
        self.counter, self.delta = delta.dot.counter, encode_delta_of(delta, pieces)


class LargeCalls:
    """The large calls of `replica`: at most one is `waiting` for its turn; the calls `behind` it wait for that."""

    def __init__(self, replica: Replica, hlc: HybridClock, options: NodeOptions) -> None:
        self.waiting: list[PreparedCall] = []
        self.behind: list[Call] = []
        self._replica = replica
        self._hlc = hlc
        self._options = options

    def take_small(self, calls: Sequence[Call], wall_ms: int) -> list[Call]:
        """Return the calls that come before the first large one, after those that are `behind`; keep all others.

        `wall_ms` is the time of day of the turn.
        """
        calls = [*self.behind, *calls]
        self.behind.clear()
        if self.waiting:
            self.behind.extend(calls)
            return []
        options = self._options
        for place, call in enumerate(calls):
            operation = call.operation
            if isinstance(operation, Sliceable) and operation.is_large(self._replica, options.parts_per_turn):
                self.waiting.append(PreparedCall(self._replica, call, self._hlc, wall_ms, options.parts_per_slice))
                self.behind.extend(calls[place + 1 :])
                return calls[:place]
        return calls

    def end(self) -> PreparedCall:
        """Return the call that was waiting. What a shell has not prepared is done at once."""
        prepared = self.waiting.pop()
        prepared.end()
        return prepared
