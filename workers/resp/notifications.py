"""Keyspace notifications: that a key has changed, by a client of this node or by a peer.

The channel `__keyspace@0__:<key>` is sent the event, and `__keyevent@0__:<event>` the key. In Redis an event names the
command. Here it names what has happened to the state, as a peer's commit does not say which commands it came from. Each
type has its own events (`CrdtType.events`), such as `set`, `incrby`, `sadd` or `hdel`. A key that is gone gives `del`,
or `expired`. The changes of one turn are told together: a key that was set and deleted in one turn gives no event.
Nothing is worked out while nobody listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.siblings import shows
from crdt_core.types import TYPES
from crdt_core.types.members import RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from crdt_core.lattice.siblings import Siblings
    from crdt_core.replica.catalogue import Catalogue
    from crdt_core.types import CrdtType

__all__ = ["announce", "events"]


def announce(
    changed: Mapping[tuple[bytes, str, bytes], Siblings],
    catalogue: Catalogue,
    wall_ms: int,
    publish: Callable[[bytes, bytes], object],
) -> None:
    """Publish what `changed` means for the keys in it. `changed` has what each part was before, by its address."""
    by_key: dict[bytes, list[tuple[CrdtType, bytes, Siblings]]] = {}
    for (key, type_name, part), before in changed.items():
        if not key.startswith(RESERVED):
            by_key.setdefault(key, []).append((TYPES[type_name], part, before))
    for key, parts in by_key.items():
        for event in dict.fromkeys(events(key, parts, catalogue, wall_ms)):
            publish(b"__keyspace@0__:" + key, event)
            publish(b"__keyevent@0__:" + event, key)


def events(
    key: bytes, parts: Iterable[tuple[CrdtType, bytes, Siblings]], catalogue: Catalogue, wall_ms: int
) -> Iterator[bytes]:
    """Iterate over what has happened to `key`, in no particular order. An event may come more than once.

    `parts` are the parts that have changed, as (type, part, siblings before).
    """
    parts = list(parts)
    if not catalogue.showing(key):
        if any(shows(before) for type_, _, before in parts if not type_.attribute):
            yield b"expired" if any(type_.had_ended(before, wall_ms) for type_, _, before in parts) else b"del"
        return
    for type_, part, before in parts:
        found = catalogue.find(key, type_.name)
        yield from type_.events(part, before, found.parts.get(part) if found is not None else None)
