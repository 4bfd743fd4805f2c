"""The mailbox and the turn loop: the one way into a replica.

Whatever happens (a call, a peer's deltas, a message, a tick) is put here; the loop drains the mailbox, runs one turn of
the pure node, commits it, and only then lets the effects out. What arrives during a commit shares the next one.

Reads need no turn: a session on `state` answers them at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import structlog

from crdt_core.errors import Overloaded, Stopping, StoreUnavailable
from crdt_core.node.events import Call, MessagesRead, Reply
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crdt_core.lattice.siblings import Siblings
    from crdt_core.node.events import Commit, Effect, Event, Operation
    from crdt_core.node.node import Node
    from crdt_core.replica.committed_view import CommittedView
    from workers.wire.retry import Trouble

__all__ = ["Commits", "Mailbox", "Observer", "Submission"]

log = structlog.get_logger()

OnReply: TypeAlias = "Callable[[Any, Exception | None], None]"
Observer: TypeAlias = "Callable[[Mapping[tuple[bytes, str, bytes], Siblings]], None]"
"""Is shown what each part that a commit has changed was before."""

_TICK_S = 0.25


class Commits(Protocol):
    """Where commits go.

    `turn` counts those that are durable; `trouble` says since when and why the one under way is not taken.
    """

    @property
    def turn(self) -> int: ...

    @property
    def trouble(self) -> Trouble | None: ...

    async def commit(self, commit: Commit) -> None:
        """Returns once `commit` is durable."""


@dataclass(slots=True, eq=False)
class Submission:
    """An operation on its way whose caller is told by a callback, at `deadline_s` (monotonic) at the latest."""

    on_reply: OnReply
    deadline_s: float


class Mailbox:
    """The events waiting for a turn of `node`. `release` lets out the effects that are not replies.

    A caller waits for `call_timeout_s` at most, and so do at most `calls_waiting_max` of them. `observers` are shown
    what each part that a commit has changed was before, once it is confirmed and before anybody is answered.
    """

    def __init__(
        self,
        node: Node,
        store: Commits,
        release: Callable[[Effect], None],
        *,
        call_timeout_s: float,
        calls_waiting_max: int = 10_000,
    ) -> None:
        self.node = node
        self._store = store
        self._release = release
        self._call_timeout_s = call_timeout_s
        self._calls_waiting_max = calls_waiting_max
        self._events: list[Event] = []
        self._asked: dict[asyncio.Future[Any] | Submission, Event] = {}
        self._waiting: set[asyncio.Future[Any]] = set()
        self._submitted: dict[Submission, None] = {}
        self._ticker: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self.observers: list[Observer] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._suspicious = False
        self._turn_began_s = monotonic()
        self.turned = asyncio.Condition()
        self.confirmed = node.confirm()

    @property
    def persisted(self) -> int:
        """The number of the last commit that Redis has confirmed."""
        return self._store.turn

    @property
    def state(self) -> CommittedView:
        """What commands that only read look at: the state of the last confirmed commit, at once, whatever Redis does.

        Raises `Stopping` when the worker is about to end: another process may have gone on with the replica.
        """
        self._must_be_open()
        return self.node.confirmed

    @property
    def messages_waiting(self) -> int:
        """How many inbox messages wait for their turn."""
        return sum(len(event.entries) for event in self._events if isinstance(event, MessagesRead))

    def put(self, event: Event) -> None:
        """Adds an event that nobody waits for."""
        self._events.append(event)
        self._arrived.set()

    def suspect(self) -> None:
        """Redis may have lost the replica, or the connection that holds it: the next turn commits, and so finds out."""
        self._suspicious = True
        self._arrived.set()

    async def ask(self, make: Callable[[asyncio.Future[Any]], Event]) -> Any:
        """The reply to the event that `make` builds around a token, once it is durable. Raises `Stopping`."""
        future = self._enter(make)
        try:
            return await future
        finally:
            self._leave(future)

    async def call(self, operation: Operation) -> Any:
        """The result of a caller's operation, once it is durable; raises what the operation and `ask_in_time` raise."""
        return await self.ask_in_time(lambda token: Call(operation, token))

    def submit(self, operation: Operation, on_reply: OnReply) -> None:
        """As `call`, for a face that keeps no task waiting: `on_reply` is called with the result and the error.

        It is called exactly once, never before this returns. Raises at once what `call` raises where waiting would be
        in vain.
        """
        waiting = len(self._waiting) + len(self._submitted)
        if self._closing or self._store.trouble is not None or waiting >= self._calls_waiting_max:
            self._must_be_open()
            self._must_not_be_in_vain()
        submission = Submission(on_reply, monotonic() + self._call_timeout_s)
        self._submitted[submission] = None
        self._asked[submission] = Call(operation, submission)
        self._arrived.set()
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(self._call_timeout_s, self._give_up_late_ones)

    async def ask_in_time(self, make: Callable[[asyncio.Future[Any]], Event], extra_s: float = 0) -> Any:
        """As `ask`, for as long as a caller should wait (and `extra_s`, for what takes longer than one turn).

        Raises `Overloaded` if too many wait already, and `StoreUnavailable` where Redis does not confirm in time, or
        is known not to: it says why, and whether the write may still take effect.
        """
        self._must_be_open()
        self._must_not_be_in_vain()
        begun, timeout_s = False, self._call_timeout_s + extra_s
        try:
            async with asyncio.timeout(timeout_s):
                future = self._enter(make)
                try:
                    return await future
                finally:
                    begun = self._leave(future)
        except TimeoutError:
            raise self._too_late(timeout_s, begun=begun) from None

    async def run(self) -> None:
        """Turns until closed; raises `Fenced` or `InvariantBroken` where the replica must not go on."""
        self._tick()
        try:
            while not (self._closing and not self._events and not self._asked):
                if self._arrived.is_set():
                    await asyncio.sleep(0)  # what is answered leaves before the next turn begins
                else:
                    await self._arrived.wait()
                self._arrived.clear()
                await self._turn()
        finally:
            self._closing = True
            for timer in (self._ticker, self._patience):
                if timer is not None:
                    timer.cancel()
            self._fail_all()

    def close(self) -> None:
        """Takes no more calls; `run` ends when what is waiting has had its turn."""
        self._closing = True
        self._arrived.set()

    def _tick(self) -> None:
        """A turn even if nothing arrives: time is something that happens, too."""
        self._arrived.set()
        self._ticker = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    async def _turn(self) -> None:
        # without calls that nobody waits for any more: their callers may have repeated them
        asked = [event for token, event in self._asked.items() if isinstance(token, Submission) or not token.done()]
        events = [*self._events, *asked]
        self._events, self._asked = [], {}
        turn = self.node.turn(events, wall_ms(), int(monotonic() * 1000))
        if turn.commit.delta or self._suspicious or not turn.commit.empty:
            self._suspicious = False
            self._turn_began_s = monotonic()
            await self._store.commit(turn.commit)
            changed = self.node.replica.catalogue.in_flight
            self.confirmed = self.node.confirm()
            for observe in list(self.observers) if changed else ():
                observe(changed)
        call_soon = asyncio.get_running_loop().call_soon
        for effect in turn.effects:
            if type(effect) is not Reply:
                self._release(effect)
                continue
            token, result, error = effect
            if type(token) is not Submission:
                _deliver(effect)
            elif self._submitted.pop(token, token) is None:  # it was not told before that its time is up
                call_soon(token.on_reply, result, error)  # a face that fails at it must not take the turns with it
        async with self.turned:
            self.turned.notify_all()

    def _enter(self, make: Callable[[asyncio.Future[Any]], Event]) -> asyncio.Future[Any]:
        self._must_be_open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        self._asked[future] = make(future)
        self._arrived.set()
        return future

    def _leave(self, future: asyncio.Future[Any]) -> bool:
        """Nobody waits for `future` any more; whether its turn had begun."""
        self._waiting.discard(future)
        return self._asked.pop(future, None) is None

    def _give_up_late_ones(self) -> None:
        """Tells the submissions whose time is up; they all wait equally long, so the oldest come first."""
        now_s = monotonic()
        while self._submitted and (oldest := next(iter(self._submitted))).deadline_s <= now_s:
            begun = self._asked.pop(oldest, None) is None
            self._tell(oldest, self._too_late(self._call_timeout_s, begun=begun))
        self._patience = None
        if self._submitted:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(oldest.deadline_s - now_s, self._give_up_late_ones)

    def _too_late(self, timeout_s: float, *, begun: bool) -> StoreUnavailable:
        fate = "it may still take effect" if begun else "nothing was changed"
        reason = f"no confirmation from Redis within {timeout_s:g} s ({self._reason()}); {fate}"
        return StoreUnavailable(reason, unchanged=not begun)

    def _tell(self, submission: Submission, error: Exception) -> None:
        del self._submitted[submission]
        asyncio.get_running_loop().call_soon(submission.on_reply, None, error)

    def _must_be_open(self) -> None:
        if self._closing:
            raise Stopping("the worker is shutting down; try another node, or again")

    def _must_not_be_in_vain(self) -> None:
        if len(self._waiting) + len(self._submitted) >= self._calls_waiting_max:
            raise Overloaded(self._calls_waiting_max, "limits.calls_waiting_max")
        trouble = self._store.trouble
        if trouble is not None and monotonic() - trouble.since_s > self._call_timeout_s:
            lasting_s = monotonic() - trouble.since_s
            raise StoreUnavailable(
                f"no commit for {lasting_s:.0f} s ({trouble.reason}); nothing was changed", unchanged=True
            )

    def _reason(self) -> str:
        """Why there was no confirmation."""
        trouble = self._store.trouble
        return trouble.reason if trouble else f"no answer for {monotonic() - self._turn_began_s:.1f} s"

    def _fail_all(self) -> None:
        for future in self._waiting:
            fate = "nothing was changed" if future in self._asked else "it may still take effect"
            if not future.done():
                future.set_exception(Stopping(f"the worker stops; {fate}"))
        for submission in list(self._submitted):
            fate = "nothing was changed" if submission in self._asked else "it may still take effect"
            self._tell(submission, Stopping(f"the worker stops; {fate}"))


def _deliver(reply: Reply) -> None:
    future: asyncio.Future[Any] = reply.token
    if future.done():
        return
    if reply.error is not None:
        future.set_exception(reply.error)
    else:
        future.set_result(reply.result)
