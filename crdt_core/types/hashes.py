"""Hash: fields that are strings, hence each a register and a counter.

A field's slot is the part named like the field; what replica r has added to it is a share of its own, as in
`crdt_core.types.strings`. In names of parts every zero byte of the field is doubled, and a single one stands between
field and replica id:

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
from crdt_core.types.contract import CrdtType, View, decode_text
from crdt_core.types.strings import (
    decode_written,
    encode_written,
    fold_counted,
    fold_written,
    observed_reset,
    overwrite,
    written_json,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings

__all__ = [
    "HashType",
    "field_counted",
    "field_of",
    "field_value",
    "remove_field",
    "set_field",
    "share_part",
    "slot_of",
    "slot_part",
]

_ZERO = b"\0"


class HashType(CrdtType):
    """A hash as Redis has it."""

    name = "hash"
    collection = True

    def value(self, view: View) -> dict[bytes, bytes]:
        """The values by field, sorted."""
        slots: dict[bytes, Siblings] = {}
        shares: dict[bytes, list[Siblings]] = {}
        for part, siblings in view.parts.items():
            if _ZERO in part and is_share(part):
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

    def owner(self, part: bytes) -> bytes | None:
        return part[part.rindex(_ZERO) + 1 :] if _ZERO in part and is_share(part) else None

    def remainders(self, view: View) -> list[tuple[bytes, Payload]]:
        """All shares are spent, and those that were spent already stay so: evidence must not go before it is stable."""
        return [(part, observed_reset(held)) for part, held in view.parts.items() if _ZERO in part and is_share(part)]

    def decode_part(self, value: Any) -> bytes:
        part = decode_text(value)
        field, replica = (part[: part.rindex(_ZERO)], part[part.rindex(_ZERO) + 1 :]) if is_share(part) else (part, b"")
        if _ZERO in field.replace(b"\0\0", b""):
            raise Malformed("part", f"{self.name}: {brief(value)} is no field")
        if replica or field != part:
            try:
                check_replica_id(replica.decode("utf-8", "replace"))
            except InvalidArgument as error:
                raise Malformed("part", f"{self.name}: {error}") from error
        return part

    def encode_payload(self, payload: Payload) -> Any:
        return encode_written(payload)

    def payload_json(self, payload: Payload) -> bytes:
        return written_json(payload)

    def decode_payload(self, value: Any) -> Payload:
        return decode_written(self.name, value)


def slot_part(field: bytes) -> bytes:
    """The part of a field's slot."""
    return field.replace(_ZERO, b"\0\0") if _ZERO in field else field


def share_part(slot: bytes, replica: str) -> bytes:
    """The part of a replica's share in the field of that slot."""
    return slot + _ZERO + replica.encode()


def is_share(part: bytes) -> bool:
    """Whether a part is a share: its last zero bytes are odd in number.

    >>> is_share(share_part(slot_part(b"a"), "n1")), is_share(slot_part(b"a\\0n1")), is_share(slot_part(b"a\\0"))
    (True, False, False)
    """
    end = part.rfind(_ZERO) + 1
    return bool((end - len(part[:end].rstrip(_ZERO))) % 2)


def slot_of(share: bytes) -> bytes:
    """The slot of the field that a share is in."""
    return share[: share.rindex(_ZERO)]


def field_of(slot: bytes) -> bytes:
    """The inverse of `slot_part`."""
    return slot.replace(b"\0\0", _ZERO) if _ZERO in slot else slot


def field_value(parts: Mapping[bytes, Siblings], slot: bytes, replica_index: ReplicaIndex) -> bytes | None:
    """The value of the field of that slot; `None` where it does not show."""
    shares = [parts[part] for part in _shares(parts, slot, replica_index)]
    return fold_written(parts.get(slot), shares, replica_index)


def field_counted(parts: Mapping[bytes, Siblings], slot: bytes, replica_index: ReplicaIndex) -> int | None:
    """The integer of the field of that slot, 0 where it does not show, beyond 64 bits too; `None` where it is none."""
    return fold_counted(parts.get(slot), [parts[part] for part in _shares(parts, slot, replica_index)], replica_index)


def set_field(view: View, slot: bytes, value: bytes, now: Stamp) -> list[tuple[bytes, Payload]]:
    """The writes that make `value` the field's: its slot, and the end of all shares seen."""
    return [(slot, overwrite(view.parts.get(slot), value, now, view.replica_index)), *_spend_shares(view, slot)]


def remove_field(view: View, slot: bytes) -> list[tuple[bytes, Payload]]:
    """The writes that remove what has been seen of a field."""
    removed = [(slot, TOMBSTONE)] if view.shows(slot) else []
    return [*removed, *_spend_shares(view, slot)]


def _spend_shares(view: View, slot: bytes) -> list[tuple[bytes, Payload]]:
    parts = view.parts
    return [
        (part, observed_reset(parts[part])) for part in _shares(parts, slot, view.replica_index) if shows(parts[part])
    ]


def _shares(parts: Mapping[bytes, Siblings], slot: bytes, replica_index: ReplicaIndex) -> list[bytes]:
    """The parts of the shares in the field of that slot."""
    return [part for replica in replica_index.encoded if (part := slot + _ZERO + replica) in parts]
