"""Names in the order of their hashes, in which SCAN goes through them.

A cursor is a position in that order. So nobody remembers anything between two steps, and a cursor stays valid whatever
is added or removed meanwhile. A name that is there from the first step to the last is found exactly once.

The names lie in buckets, each with the hashes from its bound to the next one's. A bucket that has grown too long is
split at its middle. So a step costs what it returns, and a change a few comparisons: the order is that of a B-tree of
two levels (Bayer, McCreight 1972), whose upper level is one list.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["ScanOrder"]

_LONGEST = 128
"""The length at which a bucket is split: a removal looks at all names of one bucket."""


class ScanOrder:
    """A set of names, ordered by `place_of` each: by default its CRC-32.

    >>> order = ScanOrder([b"a", b"b", b"c"])
    >>> order.page(0, 2)
    (3904355907, [b'c', b'b'])
    >>> order.page(3904355907, 2)
    (0, [b'a'])
    """

    __slots__ = ("_bounds", "_buckets", "_place_of", "_size")

    def __init__(self, names: Iterable[bytes] = (), place_of: Callable[[bytes], int] = crc32) -> None:
        self._place_of = place_of
        self._bounds = [0]
        self._buckets: list[list[bytes]] = [[]]
        self._size = 0
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the names, those of one bucket in any order. The set must not change meanwhile."""
        return chain.from_iterable(self._buckets)

    def add(self, name: bytes) -> None:
        """Add `name`, which is not there yet."""
        place = bisect_right(self._bounds, self._place_of(name)) - 1
        bucket = self._buckets[place]
        bucket.append(name)
        self._size += 1
        if len(bucket) > _LONGEST:
            self._split(place)

    def remove(self, name: bytes) -> None:
        """Remove `name`, which is there."""
        place = bisect_right(self._bounds, self._place_of(name)) - 1
        bucket = self._buckets[place]
        bucket.remove(name)
        self._size -= 1
        if not bucket and place:
            del self._bounds[place], self._buckets[place]

    def page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor, and the names from `cursor` on: about `count` of them.

        The next cursor is 0 after the last name. There are more than `count` names only if their hashes are equal.
        """
        found: list[tuple[int, bytes]] = []
        place = bisect_right(self._bounds, cursor) - 1
        while len(found) <= count and place < len(self._buckets):
            found += sorted((at, name) for name in self._buckets[place] if (at := self._place_of(name)) >= cursor)
            place += 1
        if len(found) <= count:
            return 0, [name for _, name in found]
        following = found[count][0]
        if following == found[0][0]:
            following += 1
        return following, [name for at, name in found if at < following]

    def choose(self, random: Callable[[int], int]) -> bytes:
        """Return one of the names, each as likely; `random(n)` chooses below n. There is one.

        Source: rejection sampling (von Neumann 1951). A bucket is taken in proportion to its length.
        """
        while True:
            bucket = self._buckets[random(len(self._buckets))]
            place = random(max(len(bucket), _LONGEST))
            if place < len(bucket):
                return bucket[place]

    def _split(self, place: int) -> None:
        """Split a bucket at its middle, unless all hashes there are equal."""
        bucket = self._buckets[place]
        hashes = sorted(map(self._place_of, bucket))
        middle = hashes[len(hashes) // 2]
        if middle == hashes[0]:
            middle = next((at for at in hashes if at > middle), middle)
        if middle == hashes[0]:
            return
        self._buckets[place] = [name for name in bucket if self._place_of(name) < middle]
        self._buckets.insert(place + 1, [name for name in bucket if self._place_of(name) >= middle])
        self._bounds.insert(place + 1, middle)
