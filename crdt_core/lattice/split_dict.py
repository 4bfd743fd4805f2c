"""A dict from bytes that grows without ever moving all of its entries at once.

A dict moves all entries whenever it has filled two thirds of its room: with 700 000 entries, that holds the node for
33 ms. This one is made of many small dicts. CRC-32 chooses the dict of a key, as Python's own hash of bytes differs
from process to process, and so would the order. A look-up costs 80 to 110 ns more than in a dict.
"""

from __future__ import annotations

from collections.abc import ItemsView, MutableMapping, ValuesView
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MASK", "SplitDict"]

_DICTS = 256
MASK = _DICTS - 1
"""`dicts[crc32(key) & MASK]` is the dict of a key, for a caller to which a call would cost more than the rest."""

_Value = TypeVar("_Value")
_Default = TypeVar("_Default")


class SplitDict(MutableMapping[bytes, _Value], Generic[_Value]):
    """A dict in `dicts`, many small ones. It keeps no order of insertion.

    >>> prices = SplitDict({b"pear": 1})
    >>> prices[b"apple"] = 2
    >>> sorted(prices.items()), len(prices)
    ([(b'apple', 2), (b'pear', 1)], 2)
    """

    __slots__ = ("_size", "dicts")

    def __init__(self, entries: Iterable[tuple[bytes, _Value]] | MutableMapping[bytes, _Value] = ()) -> None:
        self.dicts: list[dict[bytes, _Value]] = [{} for _ in range(_DICTS)]
        self._size = 0
        self.update(entries)

    @overload
    def get(self, key: bytes) -> _Value | None: ...
    @overload
    def get(self, key: bytes, default: _Value) -> _Value: ...
    @overload
    def get(self, key: bytes, default: _Default) -> _Value | _Default: ...
    def get(self, key: bytes, default: Any = None) -> Any:
        """Return what stands under `key`, or `default`."""
        return self.dicts[crc32(key) & MASK].get(key, default)

    def setdefault(self, key: bytes, default: Any = None) -> _Value:
        """Return what stands under `key`, which is `default` if there was nothing."""
        one = self.dicts[crc32(key) & MASK]
        before = len(one)
        found: _Value = one.setdefault(key, default)
        self._size += len(one) - before
        return found

    def __getitem__(self, key: bytes) -> _Value:
        return self.dicts[crc32(key) & MASK][key]

    def __setitem__(self, key: bytes, value: _Value) -> None:
        one = self.dicts[crc32(key) & MASK]
        before = len(one)
        one[key] = value
        self._size += len(one) - before

    def __delitem__(self, key: bytes) -> None:
        del self.dicts[crc32(key) & MASK][key]
        self._size -= 1

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and key in self.dicts[crc32(key) & MASK]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self.dicts)

    def walk(self) -> Iterator[bytes]:
        """Iterate over the keys. Those that are added or removed meanwhile come or not, all others once."""
        return (key for one in self.dicts for key in list(one))

    def items(self) -> ItemsView[bytes, _Value]:
        """Return all entries; to go through them costs little more than with a dict."""
        return _Items(self)

    def values(self) -> ValuesView[_Value]:
        """Return all values; to go through them costs little more than with a dict."""
        return _Values(self)


class _Items(ItemsView[bytes, _Value]):
    _mapping: SplitDict[_Value]

    def __iter__(self) -> Iterator[tuple[bytes, _Value]]:
        return chain.from_iterable(one.items() for one in self._mapping.dicts)


class _Values(ValuesView[_Value]):
    _mapping: SplitDict[_Value]

    def __iter__(self) -> Iterator[_Value]:
        return chain.from_iterable(one.values() for one in self._mapping.dicts)
