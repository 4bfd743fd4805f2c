"""What the simulator sees of the production turn loop: the events of a turn, its commit, and what callers are told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from crdt_core.errors import Stopping, StoreUnavailable
from crdt_core.node.events import Call, ReplayAsked, Reply
from crdt_core.node.node import Node
from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.node.events import Commit, Event, Turn
    from tests.sim.history import Deed
    from tests.sim.shell import Process

__all__ = ["Flight", "ObservedNode", "Told", "with_token"]


class ObservedNode(Node):
    """The production node, which keeps the events of its last turn."""

    batch: Sequence[Event] = ()

    def turn(self, events: Sequence[Event], wall_ms: int, monotonic_ms: int) -> Turn:
        """Takes the turn."""
        self.batch = events
        return super().turn(events, wall_ms, monotonic_ms)


class Flight:
    """A turn whose commit is under way. `seen`: the clock that its own writes were made on."""

    def __init__(self, commit: Commit, number: int, events: Sequence[Event], seen: VersionVector) -> None:
        self.commit = commit
        self.turn = number
        self.seen = seen
        self.replays = any(isinstance(event, ReplayAsked) for event in events)
        self._calls = [event for event in events if isinstance(event, Call)]

    def deeds(self) -> list[Deed]:
        """What the turn's calls did."""
        return [deed for call in self._calls if (deed := call.token.listener.token.deed) is not None]


class Told:
    """Tells `token` the reply of `process`; checks that a call of which nothing was changed did not run.

    `is_dropped`: the token was told that nothing was changed.
    """

    def __init__(self, process: Process, token: Any) -> None:
        self.token = token
        self.is_dropped = False
        self._process = process

    def __call__(self, result: Any, error: Exception | None) -> None:
        if not isinstance(error, StoreUnavailable | Stopping):
            self.token.answer(Reply(self.token, result, error), self._process.released_counter)
            return
        self._process.world.counts["calls given up"] += 1
        if isinstance(error, StoreUnavailable) and error.unchanged:
            self.is_dropped = True
            ran = getattr(self.token, "deed", None) is not None
            require(not ran, "a call of which nothing was changed has done nothing", str(error))


def with_token(event: Any, token: Any) -> Event:
    """The event, as its reply goes to `token`."""
    changed: Event = replace(event, token=token)
    return changed
