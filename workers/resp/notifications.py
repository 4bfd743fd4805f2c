"""Keyspace notifications: that a key has changed, by a client of this node or by a peer.

`__keyspace@0__:<key>` is told the event, `__keyevent@0__:<event>` the key. Redis names the command; here the event
names what has happened to the state, as a peer's commit does not say which commands it came from: `set`, `incrby`,
`sadd`, `srem`, `hset`, `hincrby`, `hdel`, `expire`, `persist`, `del`, `expired`; `write` for types that Redis has not.
What comes together is told together: of a key that was set and deleted before this node heard of either, nothing is
told. Nothing is worked out while nobody listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.commands.session import RESERVED
from crdt_core.lattice.siblings import shows, unfold
from crdt_core.types.expiry import PERSISTED, Until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from crdt_core.lattice.siblings import Siblings
    from crdt_core.replica.catalogue import Catalogue

__all__ = ["announce", "events"]

_COUNTERS = frozenset({"pncounter", "gcounter"})
_STRINGS = frozenset({"string", "mvregister"})
_SETS = frozenset({"orset", "gset", "rwset"})


def announce(
    changed: Mapping[tuple[bytes, str, bytes], Siblings],
    catalogue: Catalogue,
    wall_ms: int,
    publish: Callable[[bytes, bytes], object],
) -> None:
    """Publishes what `changed` (what each part was before) means for the keys in it."""
    by_key: dict[bytes, list[tuple[str, bytes, Siblings]]] = {}
    for (key, type_name, part), before in changed.items():
        if not key.startswith(RESERVED):
            by_key.setdefault(key, []).append((type_name, part, before))
    for key, parts in by_key.items():
        for event in dict.fromkeys(events(key, parts, catalogue, wall_ms)):
            publish(b"__keyspace@0__:" + key, event)
            publish(b"__keyevent@0__:" + event, key)


def events(
    key: bytes, parts: Iterable[tuple[str, bytes, Siblings]], catalogue: Catalogue, wall_ms: int
) -> Iterator[bytes]:
    """What has happened to `key`, in no particular order, maybe more than once."""
    parts = list(parts)
    if not catalogue.showing(key):
        was_there = any(shows(before) for type_name, _, before in parts if type_name != "expiry")
        if was_there:
            yield b"expired" if any(_is_over(name, before, wall_ms) for name, _, before in parts) else b"del"
        return
    for type_name, part, before in parts:
        found = catalogue.find(key, type_name)
        now = found.parts.get(part) if found is not None else None
        yield from _part_events(type_name, part, before, now)


def _part_events(type_name: str, part: bytes, before: Siblings, now: Siblings) -> Iterator[bytes]:
    """What has happened to one part of a key that is still there."""
    there, was_there = shows(now), shows(before)
    if type_name in _SETS:
        if there != was_there:
            yield b"sadd" if there else b"srem"
    elif type_name == "hash":
        if there or was_there:
            yield (b"hincrby" if _is_share(part) else b"hset") if there else b"hdel"
    elif type_name == "expiry":
        if there or was_there:
            yield b"expire" if there and _deadline_ms(now) != PERSISTED else b"persist"
    elif type_name in _STRINGS or type_name in _COUNTERS:
        if there:
            yield b"set" if type_name in _STRINGS and not part else b"incrby"
    else:
        yield b"write"


def _is_share(part: bytes) -> bool:
    """Whether it is a replica's share of a hash's field: what was set as the field itself has no lone zero byte."""
    return b"\0" in part.replace(b"\0\0", b"")


def _is_over(type_name: str, before: Siblings, wall_ms: int) -> bool:
    return type_name == "expiry" and 0 < _deadline_ms(before) <= wall_ms


def _deadline_ms(siblings: Siblings) -> int:
    """The latest that is said; 0 where nothing is."""
    return max((p.deadline_ms for p in unfold(siblings).values() if type(p) is Until), default=0)
