"""The mailbox: the one way into a replica, and the asyncio shell of its turn loop.

Whatever happens (a call, a peer's deltas, a message, a tick) is put here. A turn of the pure node takes what waits; the
turn is committed; and only then its effects are let out. What arrives during a commit shares the next one.
`workers.turns.loop` decides all of that; this module adds the callbacks, the timers, the clocks and the futures.

A turn is a chain of callbacks. That something arrives has the event loop call `_take_turn`, the store's confirmation is
`_end_turn`, and that has the event loop call `_take_turn` again if something waits. No task switches on the way.

Reads need no turn, unless they are large: they are answered at once, from the last confirmed state.
"""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from crdt_core.node.events import Call, Reply, Tick
from workers.system.clock import wall_ms
from workers.turns.loop import TurnLoop
from workers.turns.turned import Turned
from workers.turns.weights import COMMAND_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crdt_core.node.events import Commit, Confirmed, Effect, Event, Operation
    from crdt_core.node.node import Node
    from crdt_core.replica.committed_view import CommittedView
    from workers.turns.loop import Observer, Waiter
    from workers.wire.retry import Trouble

__all__ = ["CommitTarget", "Mailbox"]

_SLICES_FREED_PER_TURN = 4
"""Of 500 parts each: no turn adds more than about 2000 to what is to be freed, so that does not grow without end."""
_TICK_S = 0.25
_LATE_S = 0.01
"""How much later than its deadline a caller may be told that its time is up."""


class CommitTarget(Protocol):
    """Where commits go."""

    @property
    def turn(self) -> int:
        """How many commits are durable."""

    @property
    def trouble(self) -> Trouble | None:
        """Since when and why the commit under way is not taken; `None` where nothing is amiss."""

    def commit(self, commit: Commit, on_committed: Callable[[Exception | None], None]) -> None:
        """Tell `on_committed` once `commit` is durable, or the error after which the replica must not go on."""

    def give_up(self) -> None:
        """Forget the commit under way: nobody waits for it any more."""


class Mailbox:
    """The events that wait for a turn of `node`. `release` lets out the effects that are not replies.

    A caller waits for `call_timeout_s` at most, and at most `calls_waiting_max` callers wait. Tasks wait with
    `turned` for what a turn may bring about.
    """

    def __init__(
        self,
        node: Node,
        store: CommitTarget,
        release: Callable[[Effect], None],
        *,
        call_timeout_s: float,
        calls_waiting_max: int = 10_000,
    ) -> None:
        self.node = node
        self.turned = Turned()
        self._store = store
        self._release = release
        self._call_timeout_s = call_timeout_s
        self._turns = TurnLoop(
            node, store, self._wake, call_timeout_s=call_timeout_s, calls_waiting_max=calls_waiting_max
        )
        self.submit = self._turns.submit
        """As `call`, for a face that keeps no task waiting: see `TurnLoop.submit`."""
        self.leave = self._turns.leave
        """Forget a caller of `submit` who is gone: see `TurnLoop.leave`."""
        self._ticker: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        large = node.large
        self._large_work = (large.joins, large.offers, large.deltas, large.calls, large.discards)
        self._over: asyncio.Future[None]
        """Is settled when no turn comes any more."""
        self._has_ended = False
        """Whether nothing may happen any more, whatever the store says."""
        self._rests = False
        """Whether no turn is under way, and the event loop will not call for one."""
        self._slices = 0
        """How many slices of large work there were since the last turn."""

    # Reading

    @property
    def confirmed(self) -> Confirmed:
        """The replica at its last confirmed commit."""
        return self._turns.confirmed

    @property
    def persisted(self) -> int:
        """The number of the last commit that Redis has confirmed."""
        return self._store.turn

    @property
    def state(self) -> CommittedView:
        """What readers are shown: the last confirmed state. Raises `Stopping`."""
        self._turns.check_open()
        return self.node.confirmed

    @property
    def observers(self) -> list[Observer]:
        """Who is shown what each part that a commit changed was before: after its confirmation, before any reply."""
        return self._turns.observers

    @property
    def calls_waiting(self) -> int:
        """How many callers wait."""
        return self._turns.calls_waiting

    @property
    def messages_waiting(self) -> int:
        """How many inbox messages wait for their turn."""
        return self._turns.messages_waiting

    # What arrives

    def put(self, event: Event) -> None:
        """Add an event that nobody waits for."""
        self._turns.put(event)

    def suspect(self) -> None:
        """Have the next turn commit, to find out whether Redis lost the replica, or the connection that holds it."""
        self._turns.suspect()

    async def call(self, operation: Operation, weight: int = COMMAND_WEIGHT) -> Any:
        """Return the result of a caller's operation of `weight`, once it is durable.

        Raises what the operation and `ask_in_time` raise.
        """
        return await self.ask_in_time(lambda token: Call(operation, token), weight=weight)

    async def ask(self, make: Callable[[Waiter], Event]) -> Any:
        """Return the reply to the event that `make` builds around a token, once it is durable. Raises `Stopping`."""
        reply = asyncio.get_running_loop().create_future()
        return await self._reply(reply, self._turns.ask(make, partial(_settle, reply)))

    async def ask_in_time(self, make: Callable[[Waiter], Event], extra_s: float = 0, weight: int | None = None) -> Any:
        """Do as `ask`, for as long as a caller should wait (and `extra_s`, for what takes longer than one turn).

        `weight`: that of the event, unless the event shows it.

        Raises `Overloaded` if too many wait already, and `StoreUnavailable` where Redis does not confirm in time, or
        is known not to: the error says why, and whether the write may still take effect.
        """
        reply = asyncio.get_running_loop().create_future()
        on_reply = partial(_settle, reply)
        waiter = self._turns.ask_in_time(make, on_reply, monotonic(), extra_s=extra_s, weight=weight)
        if self._patience is None:
            self._be_patient(self._call_timeout_s)
        return await self._reply(reply, waiter)

    def close(self) -> None:
        """Take no more calls; `run` ends when what is waiting has had its turn."""
        self._turns.close()

    # Turns

    async def run(self) -> None:
        """Take turns until closed; raises `Fenced` or `InvariantBroken` where the replica must not go on."""
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        self._tick()
        loop.call_soon(self._take_turn)
        try:
            await self._over
        finally:
            self._rests, self._has_ended = False, True
            for timer in (self._ticker, self._patience):
                if timer is not None:
                    timer.cancel()
            self._store.give_up()
            _tell(self._turns.end())

    def _wake(self) -> None:
        """A turn is due: take it once all that has arrived with its cause is here, too."""
        if self._rests:
            self._rests = False
            asyncio.get_running_loop().call_soon(self._take_turn)

    def _take_turn(self) -> None:
        """Take a turn on what waits, or a slice of the large work that comes before."""
        if self._has_ended:
            return
        try:
            if any(self._large_work) and self._prepare():
                asyncio.get_running_loop().call_soon(self._take_turn)
                return
            commit = self._turns.begin(wall_ms(), int(monotonic() * 1000))
            if commit is not None:
                self._store.commit(commit, self._end_turn)
        except Exception as error:  # noqa: BLE001  `run` raises it
            self._fail(error)
        else:
            if commit is None:
                self._end_turn(None)

    def _end_turn(self, error: Exception | None) -> None:
        """The commit of the turn is durable, or there was none: let the effects out, and go on if a turn is due.

        `error`: why the replica must not go on.
        """
        if self._has_ended:
            return
        if error is not None:
            self._fail(error)
            return
        turns = self._turns
        try:
            if turns.is_committing:
                turns.confirm()
            for effect in turns.release():
                if type(effect) is not Reply:
                    self._release(effect)
                    continue
                waiter, result, refused = effect
                try:
                    waiter.on_reply(result, refused)
                except Exception as failure:  # noqa: BLE001  who fails at its answer must not take the turns with it
                    _tell_of_failure(waiter, failure)
        except Exception as failure:  # noqa: BLE001  `run` raises it
            self._fail(failure)
            return
        if self.turned.waiting:
            self.turned.notify()
        if turns.is_closing and turns.is_over:  # `is_over` implies the other, which is an attribute and spares a call
            self._has_ended = True
            if not self._over.done():
                self._over.set_result(None)
        elif turns.is_due or any(self._large_work):
            # Not at once: what was answered leaves before, and what has arrived meanwhile shares the turn.
            asyncio.get_running_loop().call_soon(self._take_turn)
        else:
            self._rests = True

    def _prepare(self) -> bool:
        """Do a slice of the large work; return whether another one comes before the next turn.

        Where nothing is to be prepared, only freed, the next turn waits for a few slices of that.
        """
        large = self.node.large
        is_free = not (large.calls or large.has_news) and self._turns.is_due
        if (is_free and self._slices >= _SLICES_FREED_PER_TURN) or not large.prepare():
            self._slices = 0
            return False
        self._slices += 1
        return True

    def _fail(self, error: Exception) -> None:
        """End `run` with `error`."""
        self._has_ended = True
        if not self._over.done():  # as it is where `run` was cancelled
            self._over.set_exception(error)

    def _tick(self) -> None:
        """Have a turn even if nothing arrives: time is something that happens, too."""
        if not self._turns.is_due:
            self._turns.put(Tick())
        if self._patience is None and (next_s := self._turns.next_deadline_s) < inf:
            self._be_patient(max(_LATE_S, next_s - monotonic()))
        self._ticker = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    async def _reply(self, reply: asyncio.Future[Any], waiter: Waiter) -> Any:
        try:
            return await reply
        finally:
            self._turns.leave(waiter)

    def _be_patient(self, delay_s: float) -> None:
        # Nobody's patience is shorter than a call's: so who comes later is told in time, too.
        delay_s = min(delay_s, self._call_timeout_s)
        self._patience = asyncio.get_running_loop().call_later(delay_s, self._give_up_late)

    def _give_up_late(self) -> None:
        """Tell the callers whose time is up, and come again when the time of the next one is."""
        self._patience = None
        now_s = monotonic()
        _tell(self._turns.give_up_late(now_s))
        next_s = self._turns.next_deadline_s
        if self._patience is None and next_s < inf:
            self._be_patient(max(_LATE_S, next_s - now_s))


def _tell(replies: Iterable[Reply]) -> None:
    """Tell each caller, by the event loop: a caller that fails at its answer must not take others with it."""
    for waiter, result, error in replies:
        asyncio.get_running_loop().call_soon(waiter.on_reply, result, error)


def _tell_of_failure(waiter: Waiter, failure: Exception) -> None:
    """Tell, as the event loop does of callbacks, that a caller has failed at its answer."""
    told = {"message": f"Exception in on_reply of a {type(waiter).__qualname__}", "exception": failure}
    asyncio.get_running_loop().call_exception_handler(told)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
