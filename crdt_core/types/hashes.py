"""Hash: fields that are strings, so each is a register and a counter.

The slot of a field is the part with the field's name. What replica r has added to the field is a share, and a part of
its own, as in `crdt_core.types.strings`. In the names of parts every zero byte of the field is doubled, and a single
zero byte stands between field and replica id:

    part            payload
    n               ["5",1763700000000,0]      HSET h n 5
    n \\0 n2         [2,0]                      n2: HINCRBY h n 2          n shows 7

So a delete of a field takes away what it saw of the shares: n = 5 synced, `A: HDEL h n`, `B: HINCRBY h n 2` gives 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import check_replica_id
from crdt_core.lattice.siblings import TOMBSTONE, shows
from crdt_core.types.counters import observed_reset
from crdt_core.types.registers import explain_stamped, overwrite
from crdt_core.types.strings import WrittenType, explain_share, fold_counted, fold_exact, fold_written
from crdt_core.types.text import decode_text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.contract import LiveWrite, PartWrite, View
    from crdt_core.types.numbers import Number

__all__ = [
    "HASH",
    "HashType",
    "field_counted",
    "field_exact",
    "field_of",
    "field_value",
    "is_share",
    "remove_field",
    "set_field",
    "share_part",
    "slot_of",
    "slot_part",
]

_ZERO = b"\0"


class HashType(WrittenType):
    """A hash as Redis has it."""

    name = "hash"
    event_class = "h"
    collection = True

    def value(self, view: View) -> dict[bytes, bytes]:
        """Return the values by field, sorted."""
        slots: dict[bytes, Siblings] = {}
        shares: dict[bytes, list[Siblings]] = {}
        for part, siblings in view.parts.items():
            if _ZERO in part and is_share(part):  # most fields are done with the first look
                shares.setdefault(slot_of(part), []).append(siblings)
            elif shows(siblings):
                slots[part] = siblings
        found = {}
        for part in sorted(slots.keys() | shares.keys()):
            value = fold_written(slots.get(part), shares.get(part, ()), view.replica_index)
            if value is not None:
                found[field_of(part)] = value
        return found

    def removal(self, view: View, part: bytes) -> Payload:
        return observed_reset(view.parts.get(part)) if is_share(part) else TOMBSTONE

    def remainders(self, view: View) -> list[PartWrite]:
        """Reset all shares, also those that are reset already: evidence must not go before it is stable."""
        return [(part, observed_reset(held)) for part, held in view.parts.items() if is_share(part)]

    def element(self, part: bytes) -> bytes:
        return field_of(slot_of(part) if is_share(part) else part)

    def owner(self, part: bytes) -> bytes | None:
        return part[part.rindex(_ZERO) + 1 :] if is_share(part) else None

    def contents(self, view: View) -> dict[bytes, bytes]:
        return self.value(view)

    def contents_by_part(self, view: View) -> Generator[None, None, dict[bytes, bytes]]:
        found: dict[bytes, bytes] = {}
        for part in view.parts:
            slot = slot_of(part) if is_share(part) else part
            value = field_value(view.parts, slot, view.replica_index)
            if value is not None:
                found[field_of(slot)] = value
            yield
        return found

    def rewrite(self, view: View, contents: dict[bytes, bytes], now: Stamp) -> Iterable[PartWrite]:
        return (write for field, value in contents.items() for write in set_field(view, slot_part(field), value, now))

    def decode_part(self, value: Any) -> bytes:
        part = decode_text(value)
        field, _, replica = part.rpartition(_ZERO) if is_share(part) else (part, b"", None)
        if _ZERO in field.replace(b"\0\0", b""):
            raise Malformed("part", f"{self.name}: {brief(value)} is no field")
        if replica is not None:
            try:
                check_replica_id(replica.decode("utf-8", "replace"))
            except InvalidArgument as error:
                raise Malformed("part", f"{self.name}: {error}") from error
        return part

    def explain(self, write: LiveWrite) -> str:
        if is_share(write.part):
            return explain_share(write, write.view.parts.get(slot_of(write.part)))
        return explain_stamped(write)

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:
        if shows(now):
            return [b"hincrby"] if is_share(part) else [b"hset"]
        return [b"hdel"] if shows(before) else []


HASH = HashType()


# The names of parts


def slot_part(field: bytes) -> bytes:
    """Return the part of a field's slot."""
    return field.replace(_ZERO, b"\0\0") if _ZERO in field else field


def share_part(slot: bytes, replica: str) -> bytes:
    """Return the part of a replica's share in the field of that slot."""
    return slot + _ZERO + replica.encode()


def is_share(part: bytes) -> bool:
    """Return whether a part is a share: only a share has a single zero byte, behind the doubled ones of its field.

    >>> is_share(share_part(slot_part(b"a"), "n1")), is_share(slot_part(b"a\\0n1")), is_share(slot_part(b"a\\0"))
    (True, False, False)
    """
    return _ZERO in part and _ZERO in part.replace(b"\0\0", b"")


def slot_of(share: bytes) -> bytes:
    """Return the slot of the field that a share is in."""
    return share[: share.rindex(_ZERO)]


def field_of(slot: bytes) -> bytes:
    """Return the field of a slot, the inverse of `slot_part`."""
    return slot.replace(b"\0\0", _ZERO) if _ZERO in slot else slot


# Fields


def field_value(parts: Mapping[bytes, Siblings], slot: bytes, replica_index: ReplicaIndex) -> bytes | None:
    """Return the value of the field of that slot; `None` if it does not show."""
    shares = [parts[part] for part in _shares(parts, slot, replica_index)]
    return fold_written(parts.get(slot), shares, replica_index)


def field_counted(parts: Mapping[bytes, Siblings], slot: bytes, replica_index: ReplicaIndex) -> int | None:
    """Return the integer of the field of that slot, 0 if it does not show; `None` if its value is no integer.

    The sum of concurrent increments may be beyond 64 bits.
    """
    return fold_counted(parts.get(slot), [parts[part] for part in _shares(parts, slot, replica_index)], replica_index)


def field_exact(parts: Mapping[bytes, Siblings], slot: bytes, replica_index: ReplicaIndex) -> Number | None:
    """Return the exact number of the field of that slot, 0 if it does not show; `None` if its value is no number."""
    return fold_exact(parts.get(slot), [parts[part] for part in _shares(parts, slot, replica_index)], replica_index)


def set_field(view: View, slot: bytes, value: bytes, now: Stamp) -> list[PartWrite]:
    """Return the writes that make `value` the field's: one of its slot, and an observed reset of each share."""
    return [(slot, overwrite(view.parts.get(slot), value, now, view.replica_index)), *_reset_shares(view, slot)]


def remove_field(view: View, slot: bytes) -> list[PartWrite]:
    """Return the writes that remove what is seen of a field."""
    removed: list[PartWrite] = [(slot, TOMBSTONE)] if view.shows(slot) else []
    return [*removed, *_reset_shares(view, slot)]


def _reset_shares(view: View, slot: bytes) -> list[PartWrite]:
    parts = view.parts
    return [
        (part, observed_reset(parts[part])) for part in _shares(parts, slot, view.replica_index) if shows(parts[part])
    ]


def _shares(parts: Mapping[bytes, Siblings], slot: bytes, replica_index: ReplicaIndex) -> list[bytes]:
    """Return the parts of the shares in the field of that slot."""
    return [part for replica in replica_index.encoded if (part := slot + _ZERO + replica) in parts]
