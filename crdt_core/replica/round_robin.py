"""A mapping whose entries are looked at in rounds, some at a time: tombstones, and keys that may expire.

One dict of them all would move all entries whenever it has filled two thirds of its room: at 700 000 tombstones, that
held a node for 30 to 150 ms. Here they are in many small dicts. A checksum chooses the dict, as Python's own hash of
bytes differs from process to process, and so would the order of the rounds.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

__all__ = ["RoundRobin"]

_DICTS = 64

_Key = TypeVar("_Key", bound="Hashable")
_Value = TypeVar("_Value")


class RoundRobin(Generic[_Key, _Value]):
    """A mapping of which `look` gives the keys that are to be looked at next. `checksum` is one of a key.

    What is put in joins the next round, so each key waits for all that were there before it, and no longer. `size` is
    how many there are.

    >>> from zlib import crc32
    >>> found = RoundRobin(crc32)
    >>> found[b"pear"] = 7
    >>> found.setdefault(b"apple", 0), found.size, found.look(9)
    (0, 2, [b'apple', b'pear'])
    >>> found.pop(b"pear", 0), found.pop(b"pear", 0), found.size
    (7, 0, 1)
    """

    __slots__ = ("_checksum", "_next_round", "_round", "size")

    def __init__(self, checksum: Callable[[_Key], int]) -> None:
        self._checksum = checksum
        self._round: list[dict[_Key, _Value]] = [{} for _ in range(_DICTS)]
        self._next_round: list[dict[_Key, _Value]] = [{} for _ in range(_DICTS)]
        self.size = 0

    def look(self, most: int) -> list[_Key]:
        """Return the next `most` keys to look at, each once: those left of this round, then of the next.

        They stay, and are looked at again in the round that follows theirs.
        """
        last = _pop(self._round, most)
        first: list[tuple[_Key, _Value]] = []
        if len(last) < most:
            self._round, self._next_round = self._next_round, self._round
            first = _pop(self._round, most - len(last))
            self._put(self._next_round, first)
            self._put(self._round, last)
        else:
            self._put(self._next_round, last)
        return [key for key, _ in (*last, *first)]

    def peek(self, most: int) -> list[_Key]:
        """Return what `look` would return next."""
        return list(islice(chain.from_iterable(map(reversed, (*self._round, *self._next_round))), most))

    def get(self, key: _Key, default: _Value) -> _Value:
        """Return the value of `key`, or `default`."""
        return self._place_of(key).get(key, default)

    def setdefault(self, key: _Key, default: _Value) -> _Value:
        """Return the value of `key`, which is `default` if there was none."""
        place = self._place_of(key)
        before = len(place)
        found = place.setdefault(key, default)
        self.size += len(place) - before
        return found

    def pop(self, key: _Key, default: _Value) -> _Value:
        """Remove `key`, and return its value; return `default` if there was none."""
        place = self._place_of(key)
        before = len(place)
        found = place.pop(key, default)
        self.size -= before - len(place)
        return found

    def __setitem__(self, key: _Key, value: _Value) -> None:
        place = self._place_of(key)
        self.size += key not in place
        place[key] = value

    def __contains__(self, key: _Key) -> bool:
        return key in self._place_of(key)

    def __iter__(self) -> Iterator[_Key]:
        return chain.from_iterable((*self._round, *self._next_round))

    def __len__(self) -> int:
        return self.size

    def isdisjoint(self, keys: Iterable[_Key]) -> bool:
        """Return whether none of `keys` is there."""
        return not any(map(self.__contains__, keys))

    def _place_of(self, key: _Key) -> dict[_Key, _Value]:
        """Return the dict that holds `key` or, if there is none, would take it."""
        number = self._checksum(key) % _DICTS
        place = self._round[number]
        return place if key in place else self._next_round[number]

    def _put(self, dicts: list[dict[_Key, _Value]], entries: list[tuple[_Key, _Value]]) -> None:
        checksum = self._checksum
        for key, value in entries:
            dicts[checksum(key) % _DICTS][key] = value


def _pop(dicts: list[dict[_Key, _Value]], most: int) -> list[tuple[_Key, _Value]]:
    """Take up to `most` entries out of `dicts`. An emptied dict is replaced, as it would keep its memory."""
    taken: list[tuple[_Key, _Value]] = []
    for number, one in enumerate(dicts):
        while one and len(taken) < most:
            taken.append(one.popitem())
        if not one:
            dicts[number] = {}
    return taken
