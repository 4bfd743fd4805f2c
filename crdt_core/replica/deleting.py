"""Deletes that are done part by part: what `Replica.delete` does, for objects that are too large to do it at once.

The result is the same: one clear, and the observed resets that go along. Where it is certain that an object goes, its
parts go before the clear is written, so the clear itself is quick.

Whatever may remove large collections runs on a thin stand-in of each: one part of it, which shows. So it decides as on
the whole collection, and its clear is quick. If it has cleared the stand-in, the other parts go one by one afterwards.

    the set       {a, b, c, d}   the stand-in {a}    the command runs: SET key x
    it has gone   {b, c, d}      and a clear         the parts go: {c, d}, {d}, {}
    it is there   {a, b, c, d}                       nothing else happens
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from crdt_core.lattice.siblings import shows
from crdt_core.replica.steps import batched
from crdt_core.types import View

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from crdt_core.replica.catalogue import Catalogue
    from crdt_core.replica.replica import Replica
    from crdt_core.types.contract import PartWrite
    from crdt_core.types.object import Object

__all__ = ["clear_by_part", "clearable_parts", "delete_by_part", "parts_under", "remove_by_part"]

_AT_ONCE = 100
"""The resets of so many parts are made at once."""

_Result = TypeVar("_Result")


def parts_under(replica: Replica, key: bytes) -> int:
    """Return how many parts stand under `key`."""
    head = replica.head(key)
    return 0 if head is None else sum(found.size for found in head.chain())


def clearable_parts(replica: Replica, keys: Iterable[bytes]) -> int:
    """Return how many parts the collections under `keys` have."""
    heads = [head for key in keys if (head := replica.head(key)) is not None]
    return sum(found.size for head in heads for found in head.chain() if found.type.collection)


def delete_by_part(replica: Replica, key: bytes) -> Generator[None, None, bool]:
    """Do what `Replica.delete` does, and return the same; yield after each part."""
    head = replica.head(key)
    if head is None:
        return False
    is_showing = bool(head.showing())
    for found in [object_ for object_ in head.chain() if object_.live]:
        yield from remove_by_part(replica, found)
    return is_showing


def remove_by_part(replica: Replica, found: Object) -> Generator[None, None, None]:
    """Do what `Replica.remove` does; yield after each part."""
    resets: list[PartWrite] = []
    if found.type.collection:
        yield from _take_parts(replica, found, found.walk(), resets)
    replica.remove(found)
    yield
    yield from _reset(replica, found, resets)


def clear_by_part(
    replica: Replica, keys: Iterable[bytes], run: Callable[[], _Result]
) -> Generator[None, None, _Result]:
    """Return what `run` returns; yield after it, and after each part of the collections under `keys` that it cleared.

    `run` reads no more of such a collection than whether it shows, and writes to none that it has cleared. If it
    raises an error, it has changed nothing.
    """
    heads = [head for key in dict.fromkeys(keys) if (head := replica.head(key)) is not None]
    thin = [_Thin(found) for head in heads for found in head.chain() if found.live and found.type.collection]
    try:
        result = run()
    finally:
        cleared = [stand_in for stand_in in thin if stand_in.end(replica.catalogue)]
    yield
    for stand_in in cleared:
        yield from stand_in.take_the_rest(replica)
    return result


class _Thin:
    """A stand-in: until `end`, the object `found`, which shows, has one part that shows, and no other."""

    def __init__(self, found: Object) -> None:
        self._found = found
        self._whole, self._live = found.parts, found.live
        self._kept, self._siblings = next(item for item in self._whole.items() if shows(item[1]))
        found.parts, found.live = {self._kept: self._siblings}, 1

    def end(self, catalogue: Catalogue) -> bool:
        """Put all other parts back in place, and return whether the object has been cleared."""
        found = self._found
        siblings = found.get(self._kept)
        found.parts = self._whole
        catalogue.set_live(found, found.live + self._live - 1)
        if siblings is self._siblings:
            return False
        found.put(self._kept, siblings)
        return True

    def take_the_rest(self, replica: Replica) -> Generator[None, None, None]:
        """Take the other parts out of the object, which has been cleared; yield after each."""
        resets: list[PartWrite] = []
        rest = (part for part in self._found.walk() if part != self._kept)
        yield from _take_parts(replica, self._found, rest, resets)
        yield from _reset(replica, self._found, resets)


def _take_parts(
    replica: Replica, found: Object, parts: Iterable[bytes], resets: list[PartWrite]
) -> Generator[None, None, None]:
    """Take `parts` out of `found`, and add to `resets` what goes along; yield before each part.

    So the object is never empty between two slices, as it would be forgotten.
    """
    catalogue, type_ = replica.catalogue, found.type
    for some in batched(parts, _AT_ONCE):
        resets += type_.remainders(View({part: found.get(part) for part in some}, catalogue.replica_index))
        for part in some:
            yield
            catalogue.put(found, part, None)
            replica.uncommitted.pop((found.key, type_.name, part), None)


def _reset(replica: Replica, found: Object, resets: list[PartWrite]) -> Generator[None, None, None]:
    """Write the resets that go along with a clear; yield after each."""
    for part, payload in resets:
        replica.write(found.key, found.type, part, payload)
        yield
