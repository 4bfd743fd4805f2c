"""Which addresses each recent commit touched, so that a patch costs what changed and not how much there is.

Per origin, the touched addresses in the order of their counters, bounded in all: what is too old is forgotten, and
`since` then says that it cannot tell (the caller scans instead). It is derived data: losing it costs time only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import VersionVector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crdt_core.lattice.clocks import Dot, ReplicaId
    from crdt_core.lattice.deltas import Address

__all__ = ["ChangeIndex"]


class ChangeIndex:
    """An index from dots to addresses. It answers for clocks at or above `floor`; older entries are gone."""

    __slots__ = ("_count", "_entries", "_limit", "floor")

    def __init__(self, limit: int, floor: VersionVector | None = None) -> None:
        self.floor = floor.copy() if floor else VersionVector()
        self._limit = limit
        self._count = 0
        self._entries: dict[ReplicaId, deque[tuple[int, tuple[Address, ...]]]] = {}

    def record(self, dot: Dot, addresses: Iterable[Address]) -> None:
        """Commit `dot` touched `addresses`; per origin, counters must not fall."""
        entry = tuple(addresses)
        self._entries.setdefault(dot.replica, deque()).append((dot.counter, entry))
        self._count += len(entry)
        while self._count > self._limit:
            self._forget_oldest(max(self._entries, key=lambda replica: len(self._entries[replica])))

    def since(self, clock: VersionVector) -> dict[Address, None] | None:
        """The addresses touched beyond `clock`, each once; `None` where that is no longer known."""
        if not self.floor <= clock:
            return None
        found: dict[Address, None] = {}
        for replica, entries in self._entries.items():
            known = clock[replica]
            for counter, addresses in reversed(entries):
                if counter <= known:
                    break
                found.update(dict.fromkeys(addresses))
        return found

    def forget(self, stable: VersionVector) -> None:
        """Drops what every replica has: nobody asks for it any more."""
        for replica, entries in self._entries.items():
            while entries and entries[0][0] <= stable[replica]:
                self._forget_oldest(replica)

    def _forget_oldest(self, replica: ReplicaId) -> None:
        counter, addresses = self._entries[replica].popleft()
        self._count -= len(addresses)
        self.floor.merge({replica: counter})
