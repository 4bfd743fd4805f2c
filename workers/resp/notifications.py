"""Keyspace notifications: that a key has changed, by a client of this node or by a peer.

The channel `__keyspace@0__:<key>` is sent the event, and `__keyevent@0__:<event>` the key. In Redis an event names the
command. Here it names what has happened to the state, as a peer's commit does not say which commands it came from. Each
type has its own events (`CrdtType.events`), such as `set`, `incrby`, `sadd` or `hdel`. A key that is gone gives `del`,
or `expired`. The changes of one turn are told together: a key that was set and deleted in one turn gives no event.
Nothing is worked out while nobody listens.

`CONFIG SET notify-keyspace-events` chooses, until the worker ends, which events are sent. Its flags are those of Redis.
`e`, `m` and `n` choose nothing: no key is evicted, and misses and new keys give no event of their own.
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

__all__ = ["Flags", "announce", "events"]

_CLASSES = "g$lshzxetd"
"""The classes of events that `A` stands for, in the order in which Redis shows them."""


class Flags:
    """The flags of `notify-keyspace-events`: on which channels which classes of events are sent.

    >>> str(Flags(b"KEg$lshzxetd")), Flags(b"Kx").sends("x"), Flags(b"x").sends("x"), Flags(b"KA").sends("$")
    ('AKE', True, False, True)
    """

    def __init__(self, spelt: bytes = b"AKE") -> None:
        """Raises `ValueError` for a flag that Redis does not have."""
        flags = set(spelt.decode("latin-1"))
        if not flags <= set("Ag$lshzxeKEtmdn"):
            raise ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        if "A" in flags:
            flags |= set(_CLASSES)
        self.by_key = "K" in flags
        self.by_event = "E" in flags
        self._flags = flags

    def sends(self, event_class: str) -> bool:
        """Return whether events of a class are sent at all."""
        return event_class in self._flags and (self.by_key or self.by_event)

    def __str__(self) -> str:
        """Return the flags as Redis shows them."""
        classes = [flag for flag in f"{_CLASSES}n" if flag in self._flags]
        shown = "A" if set(_CLASSES) <= self._flags else "".join(classes)
        return shown + "".join(flag for flag in "KEm" if flag in self._flags)


_ALL = Flags()


def announce(
    changed: Mapping[tuple[bytes, str, bytes], Siblings],
    catalogue: Catalogue,
    wall_ms: int,
    publish: Callable[[bytes, bytes], object],
    flags: Flags = _ALL,
) -> None:
    """Publish what `changed` means for the keys in it, as far as `flags` say.

    `changed` has what each part was before, by its address.
    """
    by_key: dict[bytes, list[tuple[CrdtType, bytes, Siblings]]] = {}
    for (key, type_name, part), before in changed.items():
        if not key.startswith(RESERVED):
            by_key.setdefault(key, []).append((TYPES[type_name], part, before))
    for key, parts in by_key.items():
        for event, event_class in dict.fromkeys(events(key, parts, catalogue, wall_ms)):
            if not flags.sends(event_class):
                continue
            if flags.by_key:
                publish(b"__keyspace@0__:" + key, event)
            if flags.by_event:
                publish(b"__keyevent@0__:" + event, key)


def events(
    key: bytes, parts: Iterable[tuple[CrdtType, bytes, Siblings]], catalogue: Catalogue, wall_ms: int
) -> Iterator[tuple[bytes, str]]:
    """Iterate over what has happened to `key`, as (event, its class). An event may come more than once, in any order.

    `parts` are the parts that have changed, as (type, part, siblings before).
    """
    parts = list(parts)
    if not catalogue.showing(key):
        if any(shows(before) for type_, _, before in parts if not type_.attribute):
            has_expired = any(type_.had_ended(before, wall_ms) for type_, _, before in parts)
            yield (b"expired", "x") if has_expired else (b"del", "g")
        return
    for type_, part, before in parts:
        found = catalogue.find(key, type_.name)
        for event in type_.events(part, before, found.get(part) if found is not None else None):
            yield event, type_.event_class
