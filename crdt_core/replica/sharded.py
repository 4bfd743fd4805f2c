"""A mapping for what a large call gathers: it grows without ever moving all of its entries at once.

A dict moves all entries whenever it has filled two thirds of its room: with 700 000 entries, that holds the node for
40 ms. This one is made of many small dicts. Otherwise it behaves like a dict, insertion order included, and costs a few
times as much; so small calls keep their dicts.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["Gathered", "Sharded", "sharded"]

_SHARDS = 64
_GONE: Any = object()

_Key = TypeVar("_Key", bound="Hashable")
_Value = TypeVar("_Value")


class Sharded(MutableMapping[_Key, _Value]):
    """A mapping of many small dicts, which knows the place of each entry in two long lists.

    >>> fruit = Sharded()
    >>> fruit["pear"], fruit["apple"], fruit["pear"] = 1, 2, 3
    >>> list(fruit.items()), list(reversed(fruit)), len(fruit)
    ([('pear', 3), ('apple', 2)], ['apple', 'pear'], 2)
    """

    __slots__ = ("_keys", "_shards", "_size", "_values")

    def __init__(self) -> None:
        self._shards: list[dict[_Key, int]] = [{} for _ in range(_SHARDS)]
        self._keys: list[_Key] = []
        self._values: list[_Value] = []
        self._size = 0

    def __getitem__(self, key: _Key) -> _Value:
        return self._values[self._shards[hash(key) % _SHARDS][key]]

    def __setitem__(self, key: _Key, value: _Value) -> None:
        place = self._place_for(key, value)
        self._values[place] = value

    def setdefault(self, key: _Key, default: _Value) -> _Value:
        """Return the value of `key`, which is `default` if there was none. Half the cost of the inherited way."""
        return self._values[self._place_for(key, default)]

    def _place_for(self, key: _Key, value: _Value) -> int:
        """Return the place of `key`, which is a new one, with `value`, if there was none."""
        new = len(self._keys)
        place = self._shards[hash(key) % _SHARDS].setdefault(key, new)
        if place == new:
            self._keys.append(key)
            self._values.append(value)
            self._size += 1
        return place

    def __delitem__(self, key: _Key) -> None:
        place = self._shards[hash(key) % _SHARDS].pop(key)
        self._keys[place] = self._values[place] = _GONE
        self._size -= 1

    def __contains__(self, key: object) -> bool:
        return key in self._shards[hash(key) % _SHARDS]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[_Key]:
        return (key for key in self._keys if key is not _GONE)

    def __reversed__(self) -> Iterator[_Key]:
        return (key for key in reversed(self._keys) if key is not _GONE)

    def popitem(self) -> tuple[_Key, _Value]:
        """Remove the last entry, and return it."""
        while self._keys:
            key, value = self._keys.pop(), self._values.pop()
            if key is not _GONE:
                del self._shards[hash(key) % _SHARDS][key]
                self._size -= 1
                return key, value
        raise KeyError("it is empty")

    def pieces(self) -> list[dict[_Key, int] | list[_Key] | list[_Value]]:
        """Return the dicts and lists of which it is made, for whoever empties it: it cannot be used after that."""
        return [self._values, self._keys, *self._shards]


Gathered: TypeAlias = dict[_Key, _Value] | Sharded[_Key, _Value]
"""What a call gathers: a large one gathers it in many small dicts."""


def sharded(gathered: Gathered[_Key, _Value]) -> Sharded[_Key, _Value]:
    """Return `gathered` as a `Sharded`: itself, if it is one."""
    if isinstance(gathered, Sharded):
        return gathered
    made: Sharded[_Key, _Value] = Sharded()
    made.update(gathered)
    return made
