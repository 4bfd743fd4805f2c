"""The mailbox and the turn loop: the one way into a replica.

Whatever happens (a call, a peer's deltas, a message, a tick) is put here; the loop drains the mailbox, runs one turn of
the pure node, commits it, and only then lets the effects out. What arrives during a commit shares the next one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from crdt_core.errors import Stopping, StoreUnavailable
from crdt_core.events import Call, MessagesRead, Reply
from workers.clock import monotonic_ms, wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from crdt_core.clocks import VersionVector
    from crdt_core.events import Commit, Effect, Event
    from crdt_core.node import Node
    from crdt_core.operations import Operation

__all__ = ["Commits", "Confirmed", "Mailbox"]

log = structlog.get_logger()

_TICK_S = 0.25


class Commits(Protocol):
    """Where commits go; returns once one is durable."""

    async def commit(self, commit: Commit) -> None: ...


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What the replica was at its last confirmed commit: the only thing that may be told about it."""

    clock: VersionVector
    stable: VersionVector
    digest: int
    markers: int


class Mailbox:
    """The events waiting for a turn of `node`. `release` lets out the effects that are not replies."""

    def __init__(self, node: Node, store: Commits, release: Callable[[Effect], None], *, call_timeout_s: float) -> None:
        self.node = node
        self._store = store
        self._release = release
        self._call_timeout_s = call_timeout_s
        self._events: list[Event] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._waiting: set[asyncio.Future[Any]] = set()
        self.turned = asyncio.Condition()
        self.confirmed = self._snapshot()

    @property
    def messages_waiting(self) -> int:
        """How many inbox messages wait for their turn."""
        return sum(len(event.entries) for event in self._events if isinstance(event, MessagesRead))

    def put(self, event: Event) -> None:
        """Adds an event that nobody waits for."""
        self._events.append(event)
        self._arrived.set()

    async def ask(self, make: Callable[[asyncio.Future[Any]], Event]) -> Any:
        """The reply to the event that `make` builds around a token, once it is durable. Raises `Stopping`."""
        if self._closing:
            raise Stopping("the worker is shutting down; try another node, or again")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        self.put(make(future))
        return await future

    async def call(self, operation: Operation) -> Any:
        """The result of a caller's operation, once it is durable.

        Raises what the operation raises, and `StoreUnavailable` where the commit takes too long: it may still happen.
        """
        return await self.ask_in_time(lambda token: Call(operation, token))

    async def ask_in_time(self, make: Callable[[asyncio.Future[Any]], Event]) -> Any:
        """As `ask`, for as long as a caller should wait; raises `StoreUnavailable` then."""
        try:
            return await asyncio.wait_for(self.ask(make), self._call_timeout_s)
        except TimeoutError:
            reason = f"no confirmation from Redis within {self._call_timeout_s:g} s; a write may still take effect"
            raise StoreUnavailable(reason) from None

    async def run(self) -> None:
        """Turns until closed; raises `Fenced` or `InvariantBroken` where the replica must not go on."""
        try:
            while not (self._closing and not self._events):
                await self._wait_for_events()
                await self._turn()
        finally:
            self._closing = True
            self._fail_all()

    def close(self) -> None:
        """Takes no more calls; `run` ends when what is waiting has had its turn."""
        self._closing = True
        self._arrived.set()

    async def _wait_for_events(self) -> None:
        try:
            await asyncio.wait_for(self._arrived.wait(), _TICK_S)
        except TimeoutError:
            return
        self._arrived.clear()

    async def _turn(self) -> None:
        events, self._events = self._events, []
        turn = self.node.turn([event for event in events if not _is_given_up(event)], wall_ms(), monotonic_ms())
        if not turn.commit.empty:
            await self._store.commit(turn.commit)
            self.confirmed = self._snapshot()
        for effect in turn.effects:
            if isinstance(effect, Reply):
                _deliver(effect)
            else:
                self._release(effect)
        async with self.turned:
            self.turned.notify_all()

    def _snapshot(self) -> Confirmed:
        replica = self.node.replica
        markers = len(replica.catalogue.markers)
        return Confirmed(replica.clock.copy(), replica.stable.copy(), replica.digest, markers)

    def _fail_all(self) -> None:
        for future in list(self._waiting):
            if not future.done():
                future.set_exception(Stopping("the worker stops; a write may still take effect"))


def _is_given_up(event: Event) -> bool:
    """Whether it is a call that nobody waits for any more: its caller may have repeated it, so it is not begun."""
    return isinstance(event, Call) and event.token.done()


def _deliver(reply: Reply) -> None:
    future: asyncio.Future[Any] = reply.token
    if future.done():
        return
    if reply.error is not None:
        future.set_exception(reply.error)
    else:
        future.set_result(reply.result)
