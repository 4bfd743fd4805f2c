"""The simulated world: virtual time, one source of chance, a schedule; and the fleet that lives in it.

A run is a function of its seed. Everything that happens is an entry of the schedule. Entries are taken in the order of
their time; each is one step. What happens is noted. The hash of all notes is the run's trace; the last notes are shown
when something goes wrong.
"""

from __future__ import annotations

import heapq
import sys
from collections import Counter, deque
from hashlib import blake2b
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Any

from tests.sim.history import History
from tests.sim.host import Host
from tests.sim.network import Network
from tests.sim.plan import Plan
from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMES_TO_REST", "World"]

COMES_TO_REST = "a world without callers and faults comes to rest"
_NOTES_KEPT = 60


class World:
    """A fleet and all that happens to it. Without a `plan` one is drawn. `verbose` is told each note as it comes."""

    def __init__(self, seed: int, *, plan: Plan | None = None, verbose: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.plan = plan or Plan.draw(self.rng)
        self.now_ms = 0
        self.steps = 0
        self.steps_max = sys.maxsize
        self.resting = False
        self.removed = False
        self.additions = count(1)
        self.twins = False
        self.history = History()
        self.counts: Counter[str] = Counter()
        self.notes: deque[tuple[Any, ...]] = deque(maxlen=_NOTES_KEPT)
        self._verbose = verbose
        self._trace = blake2b(digest_size=16)
        self._schedule: list[tuple[int, int, Callable[[], None]]] = []
        self._scheduled = 0
        self.damaged: set[bytes] = set()
        """Contents that were cut short on their way or in a log. Nodes may set nothing else aside as nonsense."""
        self.network = Network(self)
        self.hosts = {name: Host(self, name) for name in self.plan.nodes}
        self.seen_at: dict[tuple[tuple[str, int], ...], tuple[int, Any]] = {}
        """Per clock that any replica was ever at: its digest, and what showed. Equal clocks must mean equal states."""

    def any_host(self) -> Host:
        """One of the nodes."""
        return self.hosts[self.rng.choice(list(self.hosts))]

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Has `action` happen after `delay_ms` of virtual time."""
        self._scheduled += 1
        heapq.heappush(self._schedule, (self.now_ms + delay_ms, self._scheduled, action))

    def every(self, mean_ms: int, action: Callable[[], None]) -> None:
        """Has `action` happen again and again, at random distances, until the world comes to rest."""

        def again() -> None:
            if not self.resting:
                action()
                self.every(mean_ms, action)

        self.later(self.rng.randint(0, 2 * mean_ms), again)

    def note(self, *what: Any) -> None:
        """Writes down what happens."""
        entry = (self.now_ms, *what)
        self.notes.append(entry)
        self._trace.update(repr(entry).encode())
        if self._verbose is not None:
            self._verbose(spell(entry))

    @property
    def trace(self) -> str:
        """The hash of all that was noted: equal for equal runs."""
        return self._trace.hexdigest()

    def run(self, steps: int) -> None:
        """Takes up to `steps` entries of the schedule."""
        for _ in range(steps):
            if not self.step():
                return

    def pass_time(self, ms: int) -> None:
        """Takes what is due within the next `ms`."""
        until_ms = self.now_ms + ms
        while self._schedule and self._schedule[0][0] <= until_ms:
            self.step()
        self.now_ms = until_ms

    def step(self) -> bool:
        """Takes the next entry; returns whether there was one. It is a violation to take more than `steps_max`."""
        if not self._schedule:
            return False
        require(self.steps < self.steps_max, COMES_TO_REST, f"it has taken {self.steps} steps")
        self.now_ms, _, action = heapq.heappop(self._schedule)
        self.steps += 1
        action()
        return True


def spell(note: tuple[Any, ...]) -> str:
    """A note as a line."""
    now_ms, *what = note
    return f"{now_ms:>8} ms  " + " ".join(str(item) for item in what)
