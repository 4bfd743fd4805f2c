"""The addresses with tombstones, which are looked at in rounds until every replica has the removals.

One dict of them all would move all entries whenever it has filled two thirds of its room: at 700 000 tombstones, that
held a node for 30 to 150 ms. Here they are in many small dicts. CRC-32 chooses the dict, as Python's own hash of bytes
differs from process to process, and so would the order of the rounds.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING
from zlib import crc32

from crdt_core.lattice.deltas import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tombstones"]

_SHARDS = 64


class Tombstones(MutableMapping[Address, int]):
    """Maps each address with tombstones to what it adds to the sum of their hashes (`Catalogue.removals`).

    `look` gives those that are to be looked at next. What is put in joins the next round, so each waits for all that
    were there before it, and no longer. `size`: how many there are.

    >>> found = Tombstones()
    >>> pear, apple = (b"fruit", "orset", b"pear"), (b"fruit", "orset", b"apple")
    >>> found[pear] = 7
    >>> found.setdefault(apple, 0), found.size, found.look(9) == [apple, pear]
    (0, 2, True)
    >>> found.drop(pear), found.drop(pear), found.size
    (7, 0, 1)
    """

    __slots__ = ("_next_round", "_round", "size")

    def __init__(self) -> None:
        self._round = _empty_shards()
        self._next_round = _empty_shards()
        self.size = 0

    def look(self, most: int) -> list[Address]:
        """Return the next `most` addresses to look at, each once: those left of this round, then of the next.

        They stay, and are looked at again in the round that follows theirs.
        """
        last = _pop(self._round, most)
        first: list[tuple[Address, int]] = []
        if len(last) < most:
            self._round, self._next_round = self._next_round, self._round
            first = _pop(self._round, most - len(last))
            _put(self._next_round, first)
            _put(self._round, last)
        else:
            _put(self._next_round, last)
        return [address for address, _ in (*last, *first)]

    def setdefault(self, address: Address, default: int = 0) -> int:
        """Return the sum of `address`, which is `default` if it was not there."""
        number = _shard_of(address)
        if address in self._round[number]:
            return self._round[number][address]
        shard = self._next_round[number]
        before = len(shard)
        found = shard.setdefault(address, default)
        self.size += len(shard) - before
        return found

    def counted(self, address: Address) -> int:
        """Return the sum of `address`, 0 if it is not there."""
        number = _shard_of(address)
        return self._round[number].get(address) or self._next_round[number].get(address, 0)

    def drop(self, address: Address) -> int:
        """Remove `address`, and return its sum; return 0 if it was not there."""
        number = _shard_of(address)
        shard = self._round[number]
        if address not in shard:
            shard = self._next_round[number]
        before = len(shard)
        found = shard.pop(address, 0)
        self.size -= before - len(shard)
        return found

    def __getitem__(self, address: Address) -> int:
        number = _shard_of(address)
        found = self._round[number].get(address)
        return self._next_round[number][address] if found is None else found

    def __setitem__(self, address: Address, value: int) -> None:
        number = _shard_of(address)
        shard = self._round[number]
        if address not in shard:
            shard = self._next_round[number]
            self.size += address not in shard
        shard[address] = value

    def __delitem__(self, address: Address) -> None:
        number = _shard_of(address)
        shard = self._round[number]
        del (shard if address in shard else self._next_round[number])[address]
        self.size -= 1

    def __contains__(self, address: object) -> bool:
        assert isinstance(address, tuple)
        number = _shard_of(address)
        return address in self._round[number] or address in self._next_round[number]

    def __iter__(self) -> Iterator[Address]:
        return (address for shards in (self._round, self._next_round) for shard in shards for address in shard)

    def __len__(self) -> int:
        return self.size


def _shard_of(address: Address) -> int:
    key, _, part = address
    return crc32(part or b"", crc32(key)) % _SHARDS


def _pop(shards: list[dict[Address, int]], most: int) -> list[tuple[Address, int]]:
    """Take up to `most` entries out of `shards`. An emptied dict is replaced, as it would keep its memory."""
    taken: list[tuple[Address, int]] = []
    for number, shard in enumerate(shards):
        while shard and len(taken) < most:
            taken.append(shard.popitem())
        if not shard:
            shards[number] = {}
    return taken


def _put(shards: list[dict[Address, int]], entries: list[tuple[Address, int]]) -> None:
    for address, counted in entries:
        shards[_shard_of(address)][address] = counted


def _empty_shards() -> list[dict[Address, int]]:
    return [{} for _ in range(_SHARDS)]
