"""The turn loop, without I/O and without a clock: what a turn takes, and what may leave once its commit is durable.

A shell drives the loop. The worker's shell is `workers.turns.mailbox`; the simulator has another.

    put, ask, ask_in_time, submit    something arrives; the loop calls `wake` if that makes a turn due
    begin                            one turn of the node, on what waits or to end a large call; returns what to commit
    confirm                          that commit is durable: from now on readers see it
    release                          observers are shown what has changed; returns the effects that may leave
    give_up_late                     returns what to tell the callers whose time is up
    close, end                       no more calls; returns what to tell whoever still waits

What arrives between `begin` and `release` waits for the next turn, so all of it shares the next commit, as far as it
fits into one turn (`workers.turns.weights`). The rest keeps its place, and another turn is due at once. Nothing leaves
before `confirm`: the loop hands out no effect of a turn whose commit is under way.

Every caller is told once: its reply, that its time is up, or that the worker stops. The last two say whether the call
may still take effect. It may from the moment its turn has begun. A call whose caller has left before that is dropped.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from itertools import islice, takewhile
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from crdt_core import errors
from crdt_core.errors import InvariantBroken, Overloaded, Stopping, StoreUnavailable
from crdt_core.node.events import Call, MessagesRead, Reply
from workers.turns.weights import COMMAND_WEIGHT, TURN_WEIGHT_MAX, weight_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from crdt_core.lattice.siblings import Siblings
    from crdt_core.node.events import Commit, Effect, Event, Operation
    from crdt_core.node.node import Node
    from workers.wire.retry import Trouble


__all__ = ["CallbackWaiter", "Observer", "OnReply", "Troubled", "TurnLoop", "Waiter"]

OnReply: TypeAlias = "Callable[[Any, Exception | None], None]"
"""Is told the result or the error."""

Observer: TypeAlias = "Callable[[Mapping[tuple[bytes, str, bytes], Siblings]], None]"
"""Is shown what each part that a commit changed was before."""

_MAY_HAPPEN, _UNCHANGED = errors.MAY_TAKE_EFFECT, errors.NOTHING_CHANGED


class Troubled(Protocol):
    """The store, as far as the loop needs to know it."""

    @property
    def trouble(self) -> Trouble | None:
        """Since when and why the store does not take the commit under way; `None` where nothing is amiss."""


class Waiter(ABC):
    """A caller that waits. The loop notes how long: for `patience_s`, until `deadline_s` (monotonic).

    `place`: the weight of all that had arrived when the caller came, itself included.
    """

    __slots__ = ("deadline_s", "patience_s", "place")

    patience_s: float
    deadline_s: float
    place: int

    @abstractmethod
    def on_reply(self, result: Any, error: Exception | None) -> None:
        """Hear the result or the error. This is called once."""


class CallbackWaiter(Waiter):
    """A caller in whose place `listener` is told."""

    __slots__ = ("listener",)

    def __init__(self, listener: OnReply) -> None:
        self.listener = listener

    def on_reply(self, result: Any, error: Exception | None) -> None:
        """Tell the listener."""
        self.listener(result, error)


class TurnLoop:
    """The turns of `node`, whose commits go to `store`. The loop calls `wake` when a turn becomes due.

    A caller waits for `call_timeout_s` at most, and at most `calls_waiting_max` callers wait. `observers` are shown
    what each part that a commit changed was before. `confirmed` is the replica at its last confirmed commit. A turn
    `is_due` where something has arrived since the last one began. The loop `is_committing` from `begin` to `confirm`.
    Once it `is_closing`, it takes no more calls.
    """

    def __init__(
        self,
        node: Node,
        store: Troubled,
        wake: Callable[[], None],
        *,
        call_timeout_s: float,
        calls_waiting_max: int,
    ) -> None:
        self.node = node
        self.observers: list[Observer] = []
        self.confirmed = node.confirm()
        self.is_due = False
        self.is_committing = False
        self.is_closing = False
        self._store = store
        self._wake = wake
        self._call_timeout_s = call_timeout_s
        self._calls_waiting_max = calls_waiting_max
        self._events: list[Event] = []
        self._event_places: list[int] = []
        self._asked: dict[Waiter, Event] = {}
        self._arrived = self._passed = 0  # the weight of all that has arrived so far, and of all that had its turn
        self._begun: dict[Waiter, Event] = {}
        self._effects: list[Effect] = []
        self._changed: Mapping[tuple[bytes, str, bytes], Siblings] = {}
        self._commits_slices = False  # the commit under way takes many transactions
        self._is_suspicious = False
        self._began_s: float | None = None

    # What arrives

    def put(self, event: Event) -> None:
        """Add an event that nobody waits for."""
        self._arrived += weight_of(event)
        self._events.append(event)
        self._event_places.append(self._arrived)
        self._become_due()

    def suspect(self) -> None:
        """Have the next turn commit even if it changes nothing: the commit finds out whether Redis lost the replica."""
        self._is_suspicious = True
        self._become_due()

    def submit(self, operation: Operation, waiter: Waiter, now_s: float, weight: int = COMMAND_WEIGHT) -> None:
        """Have a caller's operation run; `waiter` hears the result or the error, later and once. It may `leave`.

        Raises `Stopping`, `Overloaded` where too many callers wait, and `StoreUnavailable` where the store is known not
        to take the commit in time.
        """
        is_full = len(self._asked) + len(self._begun) >= self._calls_waiting_max
        if is_full or self.is_closing or (self.is_committing and self._store.trouble is not None):
            self._check_hope(now_s)
        waiter.patience_s = patience_s = self._call_timeout_s
        waiter.deadline_s = now_s + patience_s
        self._arrived += weight
        waiter.place = self._arrived
        self._asked[waiter] = Call(operation, waiter)
        if not self.is_due:
            self.is_due = True
            self._wake()

    def ask(self, make: Callable[[Waiter], Event], on_reply: OnReply) -> Waiter:
        """Add the event that `make` builds around a token. Its caller waits for as long as it takes.

        Raises `Stopping`.
        """
        self.check_open()
        return self._enter(make, CallbackWaiter(on_reply), inf, inf)

    def ask_in_time(
        self,
        make: Callable[[Waiter], Event],
        on_reply: OnReply,
        now_s: float,
        *,
        extra_s: float = 0,
        weight: int | None = None,
    ) -> Waiter:
        """Do as `ask`, for a caller that waits `extra_s` longer than for a call; raises what `submit` raises.

        `weight`: that of the event, unless the event shows it.
        """
        self._check_hope(now_s)
        patience_s = self._call_timeout_s + extra_s
        return self._enter(make, CallbackWaiter(on_reply), patience_s, now_s + patience_s, weight)

    def leave(self, waiter: Waiter) -> None:
        """Forget the caller, who is gone. A call whose turn has not begun is dropped, as it may have been repeated."""
        self._asked.pop(waiter, None)
        self._begun.pop(waiter, None)

    def close(self) -> None:
        """Take no more calls. The loop is over when what waits has had its turn."""
        self.is_closing = True
        self._become_due()

    # Who waits

    @property
    def calls_waiting(self) -> int:
        """How many callers wait."""
        return len(self._asked) + len(self._begun)

    @property
    def messages_waiting(self) -> int:
        """How many inbox messages wait for their turn."""
        return sum(len(event.entries) for event in self._events if isinstance(event, MessagesRead))

    @property
    def next_deadline_s(self) -> float:
        """When the time of the first caller is up; infinity where nobody's is limited."""
        return min((waiter.deadline_s for waiting in self._impatient for waiter in waiting), default=inf)

    @property
    def is_over(self) -> bool:
        """Whether the loop is closed, and all that had arrived has had its turn."""
        large = self.node.large
        is_waited_for = large.calls or large.behind or large.offers
        return self.is_closing and not (self._events or self._asked or is_waited_for)

    def check_open(self) -> None:
        """Raise `Stopping` where the loop is closing."""
        if self.is_closing:
            raise Stopping(f"{errors.SHUTTING_DOWN}; try another node, or again")

    # Turns

    def begin(self, wall_ms: int, monotonic_ms: int) -> Commit | None:
        """Run one turn of the node on what waits, as far as it fits; return what to commit, `None` for nothing.

        Raises what `Node.turn` raises: then the replica must not go on.
        """
        if self.is_committing:
            raise InvariantBroken(f"{self.node.name}: a turn begins while a commit is under way")
        self.is_due = False
        node, large = self.node, self.node.large
        stood_still = bool(large.calls or large.behind or large.offers)
        if large.calls:
            # What a call waits for ends without anything new, which may be large as well: so the call is next.
            turn = node.turn([], wall_ms, monotonic_ms) if large.has_news else node.end_large_call()
        else:
            if self._arrived - self._passed > TURN_WEIGHT_MAX:
                events = self._take_what_fits()
            else:
                events = [*self._events, *self._asked.values()]
                self._begun.update(self._asked)
                self._events, self._event_places, self._asked, self._passed = [], [], {}, self._arrived
            turn = node.turn(events, wall_ms, monotonic_ms)
        self._effects = turn.effects
        if stood_still:
            for waiter in self._begun:
                waiter.deadline_s = max(waiter.deadline_s, monotonic_ms / 1000 + waiter.patience_s)
        is_behind = large.calls or large.behind or large.deltas or large.offers
        if is_behind or node.patches_asked or self._events or self._asked:
            self._become_due()
        if not self._is_suspicious and turn.commit.delta is None and turn.commit.empty:
            return None
        self._is_suspicious, self.is_committing, self._began_s = False, True, monotonic_ms / 1000
        self._commits_slices = bool(turn.commit.earlier)
        return turn.commit

    def confirm(self) -> None:
        """Note that the commit which `begin` returned is durable."""
        self.is_committing = self._commits_slices = False
        self._changed = self.node.replica.catalogue.in_flight
        self.confirmed = self.node.confirm()

    def release(self) -> list[Effect]:
        """Show observers what the commit has changed; return the effects of the turn, in their order.

        The token of each reply is the `Waiter` to tell. Replies that nobody waits for any more are left out.
        """
        if self.is_committing:
            raise InvariantBroken(f"{self.node.name}: effects leave while their commit is under way")
        changed, self._changed = self._changed, {}
        for observe in list(self.observers) if changed else ():
            self._show(observe, changed)
        effects, self._effects = self._effects, []
        begun = self._begun
        return [e for e in effects if type(e) is not Reply or begun.pop(e.token, None) is not None]

    def give_up_late(self, now_s: float) -> list[Reply]:
        """Return the replies to callers whose time is up: why, and whether the call may still take effect."""
        replies = []
        for waiting in self._impatient:
            for waiter in [found for found in waiting if found.deadline_s <= now_s]:
                del waiting[waiter]
                replies.append(Reply(waiter, error=self._too_late(waiter, now_s, begun=waiting is self._begun)))
        return replies

    def end(self) -> list[Reply]:
        """End the loop, which is over or cannot go on; return the replies to whoever still waits."""
        self.is_closing = True
        begun, self._begun = self._begun, {}
        asked, self._asked = self._asked, {}
        return [*_stopping(begun, _MAY_HAPPEN), *_stopping(asked, _UNCHANGED)]

    @property
    def _impatient(self) -> tuple[dict[Waiter, Event], ...]:
        """The callers whose time runs. It stands still for those whose call is large, or waits for a large one.

        So it does while such a call is committed. It runs on while Redis does not confirm a commit.
        """
        large = self.node.large
        is_large = large.calls or large.behind or large.offers or self._commits_slices
        return (self._asked,) if is_large and self._store.trouble is None else (self._begun, self._asked)

    def _show(self, observe: Observer, changed: Mapping[tuple[bytes, str, bytes], Siblings]) -> None:
        """Show `observe` what has changed. A mistake of its own must not end the turns; it is logged and counted."""
        try:
            observe(changed)
        except InvariantBroken:
            raise
        except Exception:
            import structlog  # noqa: PLC0415  a node of the Maelstrom bench has no observers, and starts sooner

            log = structlog.get_logger()
            self.node.counts["observers_failed"] += 1
            log.exception("observer_failed", node=self.node.name)

    def _become_due(self) -> None:
        if not self.is_due:
            self.is_due = True
            self._wake()

    def _enter(
        self,
        make: Callable[[Waiter], Event],
        waiter: Waiter,
        patience_s: float,
        deadline_s: float,
        weight: int | None = None,
    ) -> Waiter:
        event = make(waiter)
        self._arrived += weight_of(event) if weight is None else weight
        waiter.patience_s, waiter.deadline_s, waiter.place = patience_s, deadline_s, self._arrived
        self._asked[waiter] = event
        self._become_due()
        return waiter

    def _take_what_fits(self) -> list[Event]:
        """Return what comes first of all that waits, as much as fits into a turn, but at least one; leave the rest."""
        places, asked = self._event_places, self._asked
        first = min([*places[:1], *(waiter.place for waiter in islice(asked, 1))], default=self._arrived)
        self._passed = max(first, min(self._passed + TURN_WEIGHT_MAX, self._arrived))
        count = bisect_right(places, self._passed)
        callers = list(takewhile(lambda waiter: waiter.place <= self._passed, asked))
        self._begun.update((waiter, asked.pop(waiter)) for waiter in callers)
        events = [*self._events[:count], *(self._begun[waiter] for waiter in callers)]
        del self._events[:count], places[:count]
        return events

    def _check_hope(self, now_s: float) -> None:
        """Raise an error where to wait would be in vain."""
        self.check_open()
        if self.calls_waiting >= self._calls_waiting_max:
            raise Overloaded(self._calls_waiting_max, "limits.calls_waiting_max")
        trouble = self._store.trouble
        if trouble is not None and now_s - trouble.since_s > self._call_timeout_s:
            lasting_s = now_s - trouble.since_s
            raise StoreUnavailable(f"no commit for {lasting_s:.0f} s ({trouble.reason}); {_UNCHANGED}", unchanged=True)

    def _too_late(self, waiter: Waiter, now_s: float, *, begun: bool) -> StoreUnavailable:
        fate = _MAY_HAPPEN if begun else _UNCHANGED
        reason = f"no confirmation from Redis within {waiter.patience_s:g} s ({self._cause(now_s)}); {fate}"
        return StoreUnavailable(reason, unchanged=not begun)

    def _cause(self, now_s: float) -> str:
        """Return why there was no confirmation."""
        if (trouble := self._store.trouble) is not None:
            return trouble.reason
        return "no turn has begun" if self._began_s is None else f"no answer for {now_s - self._began_s:.1f} s"


def _stopping(waiting: Iterable[Waiter], fate: str) -> list[Reply]:
    return [Reply(waiter, error=Stopping(f"the worker stops; {fate}")) for waiter in waiting]
