"""What large work leaves behind, freed some entries at a time.

Python frees an object when the last reference to it goes, and with it whatever only that object refers to. For a
mapping of a million addresses that takes 0.3 s, in which the node answers nobody. So whoever is done with something
large adds it here, and the shell has a slice freed now and then between two turns.
"""

from __future__ import annotations

from typing import Any

from crdt_core.replica.sharded import Sharded

__all__ = ["Discards"]

_AT_ONCE = 500
"""So few entries are freed where they are added."""


class Discards:
    """The lists and dicts that nobody uses any more. They are emptied from their ends; `waiting` has the rest.

    >>> discards, large = Discards(), list(range(1200))
    >>> discards.add(large, [1, 2, 3])
    >>> while discards.waiting: discards.free(500); len(large)
    700
    200
    0
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[tuple[list[Any] | dict[Any, Any], int]] = []

    def add(self, *collections: list[Any] | dict[Any, Any] | Sharded[Any, Any], weight: int = 1) -> None:
        """Have `collections` emptied. Each of their entries is as much work to free as `weight` others."""
        for collection in collections:
            pieces = collection.pieces() if isinstance(collection, Sharded) else (collection,)
            if len(collection) * weight > _AT_ONCE:
                self.waiting += [(piece, weight) for piece in pieces]

    def free(self, size: int) -> None:
        """Free up to `size` entries."""
        while self.waiting and size > 0:
            collection, weight = self.waiting[-1]
            count = min(len(collection), max(1, size // weight))
            if isinstance(collection, list):
                del collection[len(collection) - count :]
            else:
                for _ in range(count):
                    collection.popitem()
            size -= max(1, count * weight)
            if not collection:
                self.waiting.pop()
