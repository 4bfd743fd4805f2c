"""A mapping for what a large call gathers: it grows without ever moving all of its entries at once.

A dict moves all entries whenever it has filled two thirds of its room: with 700 000 entries, that holds the node for
40 ms. A list may move, too, when it grows, and that took as long in memory that was slow to come. This one is made of
many small dicts and lists. Otherwise it behaves like a dict, insertion order included, and costs a few
times as much; so small calls keep their dicts.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["Gathered", "Sharded", "sharded"]

_SHARDS = 64
_BLOCK_BITS = 12
_IN_BLOCK = (1 << _BLOCK_BITS) - 1
_GONE: Any = object()

_Key = TypeVar("_Key", bound="Hashable")
_Value = TypeVar("_Value")


class Sharded(MutableMapping[_Key, _Value]):
    """A mapping of many small dicts, which know the place of each entry in blocks of keys and of values.

    >>> fruit = Sharded()
    >>> fruit["pear"], fruit["apple"], fruit["pear"] = 1, 2, 3
    >>> list(fruit.items()), list(reversed(fruit)), len(fruit)
    ([('pear', 3), ('apple', 2)], ['apple', 'pear'], 2)
    """

    __slots__ = ("_keys", "_places", "_shards", "_size", "_values")

    def __init__(self) -> None:
        self._shards: list[dict[_Key, int]] = [{} for _ in range(_SHARDS)]
        self._keys: list[list[_Key]] = []
        self._values: list[list[_Value]] = []
        self._places = 0
        self._size = 0

    def __getitem__(self, key: _Key) -> _Value:
        place = self._shards[hash(key) % _SHARDS][key]
        return self._values[place >> _BLOCK_BITS][place & _IN_BLOCK]

    def __setitem__(self, key: _Key, value: _Value) -> None:
        place = self._place_for(key, value)
        self._values[place >> _BLOCK_BITS][place & _IN_BLOCK] = value

    def setdefault(self, key: _Key, default: _Value) -> _Value:
        """Return the value of `key`, which is `default` if there was none. Half the cost of the inherited way."""
        place = self._place_for(key, default)
        return self._values[place >> _BLOCK_BITS][place & _IN_BLOCK]

    def _place_for(self, key: _Key, value: _Value) -> int:
        """Return the place of `key`, which is a new one, with `value`, if there was none."""
        new = self._places
        place = self._shards[hash(key) % _SHARDS].setdefault(key, new)
        if place == new:
            if not new & _IN_BLOCK:
                self._keys.append([])
                self._values.append([])
            self._keys[-1].append(key)
            self._values[-1].append(value)
            self._places += 1
            self._size += 1
        return place

    def __delitem__(self, key: _Key) -> None:
        place = self._shards[hash(key) % _SHARDS].pop(key)
        block, at = place >> _BLOCK_BITS, place & _IN_BLOCK
        self._keys[block][at] = self._values[block][at] = _GONE
        self._size -= 1

    def __contains__(self, key: object) -> bool:
        return key in self._shards[hash(key) % _SHARDS]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[_Key]:
        return (key for block in self._keys for key in block if key is not _GONE)

    def __reversed__(self) -> Iterator[_Key]:
        return (key for block in reversed(self._keys) for key in reversed(block) if key is not _GONE)

    def popitem(self) -> tuple[_Key, _Value]:
        """Remove the last entry, and return it."""
        while self._keys:
            key, value = self._keys[-1].pop(), self._values[-1].pop()
            self._places -= 1
            if not self._keys[-1]:
                del self._keys[-1], self._values[-1]
            if key is not _GONE:
                del self._shards[hash(key) % _SHARDS][key]
                self._size -= 1
                return key, value
        raise KeyError("it is empty")

    def pieces(self) -> list[dict[_Key, int] | list[_Key] | list[_Value]]:
        """Return the dicts and lists of which it is made, for whoever empties it: it cannot be used after that."""
        return [*self._values, *self._keys, *self._shards]


Gathered: TypeAlias = dict[_Key, _Value] | Sharded[_Key, _Value]
"""What a call gathers: a large one gathers it in many small dicts."""


def sharded(gathered: Gathered[_Key, _Value]) -> Sharded[_Key, _Value]:
    """Return `gathered` as a `Sharded`: itself, if it is one."""
    if isinstance(gathered, Sharded):
        return gathered
    made: Sharded[_Key, _Value] = Sharded()
    made.update(gathered)
    return made
