"""The change index: which addresses each recent commit changed. So a patch costs what changed, not the whole state.

The index holds a bounded number of addresses. When it is full, it forgets the oldest commits. For a clock that needs
forgotten commits, `since` says so, and the caller looks through the whole state instead. The index is derived data:
losing it costs time only.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import VersionVector

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

    from crdt_core.lattice.clocks import Dot, ReplicaId
    from crdt_core.lattice.deltas import Address

__all__ = ["FORGOTTEN_AT_ONCE", "ChangeIndex"]

FORGOTTEN_AT_ONCE = 10_000
"""To forget so many commits takes 2 ms."""


class ChangeIndex:
    """An index from dots to the addresses that they changed, of at most `limit` addresses in all.

    It knows every commit that `floor` does not cover, and answers for clocks that cover `floor`.

    >>> from crdt_core.lattice.clocks import Dot
    >>> index = ChangeIndex(limit=2)
    >>> for counter in 1, 2, 3: index.add(Dot("n1", counter), [(b"key", "orset", b"%d" % counter)])
    >>> index.floor, index.since(VersionVector(n1=2))
    (VersionVector({'n1': 1}), [((b'key', 'orset', b'3'),)])
    >>> index.since(VersionVector()) is None
    True
    """

    __slots__ = ("_entries", "_limit", "_size", "floor")

    def __init__(self, limit: int, floor: VersionVector | None = None) -> None:
        self.floor = floor.copy() if floor else VersionVector()
        self._limit = limit
        self._size = 0
        self._entries: dict[ReplicaId, deque[tuple[int, tuple[Address, ...]]]] = {}

    def __len__(self) -> int:
        """Return how many addresses the index holds."""
        return self._size

    def add(self, dot: Dot, addresses: Collection[Address]) -> None:
        """Note that the commit `dot` changed `addresses`. The counters of one replica id must not fall."""
        if len(addresses) > self._limit:
            while self._entries.get(dot.replica):
                self._forget_oldest(dot.replica)
            self.floor.merge({dot.replica: dot.counter})
            return
        entry = tuple(addresses)
        self._entries.setdefault(dot.replica, deque()).append((dot.counter, entry))
        self._size += len(entry)
        while self._size > self._limit:
            self._forget_oldest(max(self._entries, key=lambda replica: len(self._entries[replica])))

    def make_room_in_slices(self, replica: ReplicaId, amount: int, size: int) -> Generator[None, None, None]:
        """Forget all of `replica` if a commit with `amount` addresses does not fit; yield after every `size` of them.

        `add` does the same at once.
        """
        forgotten = 0
        while amount > self._limit and self._entries.get(replica):
            before = self._size
            self._forget_oldest(replica)
            forgotten += before - self._size
            if forgotten >= size:
                forgotten = 0
                yield

    def since(self, clock: VersionVector) -> list[tuple[Address, ...]] | None:
        """Return the addresses that each commit beyond `clock` changed, or `None` if that is forgotten."""
        if not self.floor <= clock:
            return None
        found: list[tuple[Address, ...]] = []
        for replica, entries in self._entries.items():
            known = clock[replica]
            for counter, addresses in reversed(entries):
                if counter <= known:
                    break
                found.append(addresses)
        return found

    def forget(self, stable: VersionVector) -> None:
        """Forget commits that `stable` covers: every replica has them, so nobody asks for them any more.

        The oldest go first, and `FORGOTTEN_AT_ONCE` of them in one call.
        """
        left = FORGOTTEN_AT_ONCE
        for replica, entries in self._entries.items():
            known = stable[replica]
            forgotten = 0
            while left and entries and entries[0][0] <= known:
                forgotten, addresses = entries.popleft()
                self._size -= len(addresses)
                left -= 1
            if forgotten:
                self.floor.merge({replica: forgotten})

    def _forget_oldest(self, replica: ReplicaId) -> None:
        counter, addresses = self._entries[replica].popleft()
        self._size -= len(addresses)
        self.floor.merge({replica: counter})
