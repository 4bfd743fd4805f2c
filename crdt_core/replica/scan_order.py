"""Names in the order in which SCAN goes through them: that of their CRC-32, and of a second hash where those are equal.

A *place* is a position in that order: the CRC-32, then 31 bits of BLAKE2b. Anybody can make names with equal CRC-32,
but each name with a given place takes 2^31 tries. The second hash costs ten times as much as the first, and is computed
only where it matters. It has no secret seed: a client may go on at another node, or after a restart.

A *cursor* is a place, too, in another form: the CRC-32 stands in its lower 32 bits, and the second hash above them. It
is 0 there unless names with equal CRC-32 are being gone through, so nodes of 0.1.0 have the same cursors. Nobody
remembers anything between two steps, and a cursor stays valid whatever is added or removed meanwhile. A name that is
there from the first step to the last is found exactly once.

The names lie in buckets, each with the places from its bound to the next one's. A bucket that has grown too long is
split at its middle. So a step costs what it returns, and a change a few comparisons: the order is that of a B-tree of
two levels (Bayer, McCreight 1972), whose upper level is one list.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["LONGEST", "ScanOrder", "page"]

LONGEST = 128
"""The length at which a bucket is split: a removal looks at all names of one bucket."""
_BITS = 31
"""The bits of the second hash. With them, a cursor is below 2^63, which clients in any language can hold."""
_SECOND = (1 << _BITS) - 1
_CRC = (1 << 32) - 1

Placed = list[tuple[int, bytes]]
"""Names with their places, in order."""


class ScanOrder:
    """A set of names, in the order of a scan. `element` says what a name stands for: that decides its place.

    `buckets` holds the names in lists; who drops the order has them emptied.

    >>> order = ScanOrder([b"a", b"b", b"c"])
    >>> order.page(0, 2)
    (3904355907, [b'c', b'b'])
    >>> order.page(3904355907, 2)
    (0, [b'a'])
    """

    __slots__ = ("_bounds", "_element", "_size", "buckets")

    def __init__(self, names: Iterable[bytes] = (), element: Callable[[bytes], bytes] | None = None) -> None:
        self._element = element
        self._bounds = [0]
        self.buckets: list[list[bytes]] = [[]]
        self._size = 0
        for name in names:
            self.add(name)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the names, those of one bucket in any order. The set must not change meanwhile."""
        return chain.from_iterable(self.buckets)

    def add(self, name: bytes) -> None:
        """Add `name`, which is not there yet."""
        at = self._bucket_of(name)
        bucket = self.buckets[at]
        bucket.append(name)
        self._size += 1
        if len(bucket) > LONGEST:
            self._split(at)

    def remove(self, name: bytes) -> None:
        """Remove `name`, which is there."""
        at = self._bucket_of(name)
        bucket = self.buckets[at]
        bucket.remove(name)
        self._size -= 1
        if not bucket and at:
            del self._bounds[at], self.buckets[at]

    def page(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Return the next cursor, and the names from `cursor` on: about `count` of them.

        The next cursor is 0 after the last name. There are more than `count` names only if their places are equal.
        """
        start = _place_at(cursor)
        at = bisect_right(self._bounds, start) - 1
        found: Placed = []
        while len(found) <= count and at < len(self.buckets):
            names = self.buckets[at]
            found += _placed(names, self._elements(names), start, self._bounds[at])
            at += 1
        return _cut(found, count)

    def walk(self) -> Iterator[bytes]:
        """Iterate over the names in order. Those that are added or removed meanwhile come or not, all others once."""
        cursor, names = self.page(0, LONGEST)
        yield from names
        while cursor:
            cursor, names = self.page(cursor, LONGEST)
            yield from names

    def choose(self, random: Callable[[int], int]) -> bytes:
        """Return one of the names, each as likely; `random(n)` chooses below n. There is one.

        Each is as likely while no bucket is longer than 128, that is, while no more names have equal places. Source:
        rejection sampling (von Neumann 1951). A bucket is taken in proportion to its length.
        """
        while True:
            bucket = self.buckets[random(len(self.buckets))]
            at = random(max(len(bucket), LONGEST))
            if at < len(bucket):
                return bucket[at]

    def _bucket_of(self, name: bytes) -> int:
        """Return the number of the bucket for `name`. The second hash only matters if a bound has the same first."""
        element = name if self._element is None else self._element(name)
        bounds, first = self._bounds, crc32(element) << _BITS
        at = bisect_right(bounds, first)
        if at < len(bounds) and bounds[at] <= first | _SECOND:
            at = bisect_right(bounds, _place(element), at)
        return at - 1

    def _split(self, at: int) -> None:
        """Split a bucket at its middle, unless all places there are equal."""
        names = self.buckets[at]
        for place_of in (_first, _place):
            places = [*map(place_of, self._elements(names))]
            middle = _middle(places)
            if middle:
                pairs = [*zip(names, places, strict=True)]
                self.buckets[at] = [name for name, place in pairs if place < middle]
                self.buckets.insert(at + 1, [name for name, place in pairs if place >= middle])
                self._bounds.insert(at + 1, middle)
                return

    def _elements(self, names: list[bytes]) -> list[bytes]:
        """Return what `names` stand for."""
        return names if self._element is None else [*map(self._element, names)]


def page(names: Iterable[bytes], cursor: int, count: int) -> tuple[int, list[bytes]]:
    """Return what `ScanOrder(names).page(cursor, count)` would, at the cost of looking at all names once.

    >>> page([b"a", b"b", b"c"], 0, 2)
    (3904355907, [b'c', b'b'])
    """
    listed = list(names)
    return _cut(_placed(listed, listed, _place_at(cursor), 0), count)


def _first(element: bytes) -> int:
    """Return the first place that a name with the CRC-32 of `element` can have."""
    return crc32(element) << _BITS


def _place(element: bytes) -> int:
    """Return the place of the names that stand for `element`."""
    return crc32(element) << _BITS | int.from_bytes(blake2b(element, digest_size=4).digest()) & _SECOND


def _placed(names: list[bytes], elements: list[bytes], start: int, bound: int) -> Placed:
    """Return the names from the place `start` on with their places; `names` lie in one bucket, which begins at `bound`.

    Where the second hash does not matter, the first place with the same CRC-32 is good enough.
    """
    crcs = [*map(crc32, elements)]
    if (start | bound) & _SECOND or len({*crcs}) < len(crcs):
        places = map(_place, elements)
        return sorted(pair for pair in zip(places, names, strict=True) if pair[0] >= start)
    first = start >> _BITS
    return sorted([(crc << _BITS, name) for crc, name in zip(crcs, names, strict=True) if crc >= first])


def _middle(places: list[int]) -> int:
    """Return a place near the middle of `places` with some on either side of it; 0 if all are equal."""
    ordered = sorted(places)
    middle = ordered[len(ordered) // 2]
    return middle if middle > ordered[0] else next((place for place in ordered if place > middle), 0)


def _cut(found: Placed, count: int) -> tuple[int, list[bytes]]:
    """Return the next cursor, and the first names of `found`: about `count` of them."""
    if len(found) <= count:
        return 0, [name for _, name in found]
    following = found[count][0]
    if following == found[0][0]:
        following += 1
    elif found[count - 1][0] < following & ~_SECOND:
        following &= ~_SECOND  # no name with the same CRC-32 comes before
    return _cursor_at(following), [name for place, name in found if place < following]


def _cursor_at(place: int) -> int:
    """Return the cursor that stands for `place`; 0 after the last place.

    >>> _cursor_at(_place_at(12 << 32 | 34)) == 12 << 32 | 34, _cursor_at(1 << 63)
    (True, 0)
    """
    return place >> _BITS & _CRC | (place & _SECOND) << 32


def _place_at(cursor: int) -> int:
    """Return the place that `cursor` stands for, which may be any number of 64 bits."""
    return (cursor & _CRC) << _BITS | cursor >> 32 & _SECOND
