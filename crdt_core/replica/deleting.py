"""Deletes that are done part by part: what `Replica.delete` does, for objects that are too large to do it at once.

The result is the same, one write per object: a clear, and the observed resets that go along. The parts go before the
clear is written, so the clear itself is quick.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from crdt_core.types import View

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.replica.replica import Replica
    from crdt_core.types.contract import PartWrite
    from crdt_core.types.object import Object

__all__ = ["delete_by_part", "parts_under", "remove_by_part"]

_AT_ONCE = 100
"""So many parts are looked at in one step."""


def parts_under(replica: Replica, key: bytes) -> int:
    """Return how many parts stand under `key`."""
    head = replica.head(key)
    return 0 if head is None else sum(len(found.parts) for found in head.chain())


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
    remainders: list[PartWrite] = []
    if found.type.collection:
        yield from _take_parts(replica, found, remainders)
    replica.remove(found)
    yield
    for part, payload in remainders:
        replica.write(found.key, found.type, part, payload)
        yield


def _take_parts(replica: Replica, found: Object, remainders: list[PartWrite]) -> Generator[None, None, None]:
    """Take all parts out of `found`, and add to `remainders` what goes along; yield before each part.

    So the object is never empty between two slices, as it would be forgotten.
    """
    catalogue, type_ = replica.catalogue, found.type
    parts = iter(list(found.parts))
    while some := list(islice(parts, _AT_ONCE)):
        remainders += type_.remainders(View({part: found.parts[part] for part in some}, catalogue.replica_index))
        for part in some:
            yield
            catalogue.put(found, part, None)
            replica.uncommitted.pop((found.key, type_.name, part), None)
