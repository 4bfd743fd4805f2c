"""Expiry: when the life of a key ends. It is an attribute: it lives beside the key's value, and never shows itself.

The slot holds what was set; its payload is `Until`, a deadline in wall time. Of concurrent deadlines the longest
counts, and `PERSISTED` is longer than any other. A deadline that has seen another replaces it, also when it is shorter.

A second part, `carried`, holds what writes in place have carried on: the deadline that they saw. It counts only where
nothing in the slot does. So it survives the concurrent delete of what it was carried from, and gives way to everything
that was set:

    c with 900 s     A: DEL c, B: INCR c          the slot is empty, B has carried 900 s: 1, with 900 s
    c with 900 s     A: EXPIRE c 10, B: INCR c    the slot has 10 s, so that counts

A string is written whole, and a new value has no deadline unless it comes with one. So a deadline of a string names the
write that it saw (`of`), and counts only as long as that write is what shows. A deadline that was carried to a new
value, as by APPEND, names the new one; then any that was set counts, also for the value that was changed.

    A: SET k v       the slot's write is n1:7                   } concurrent: v shows, for ever
    B: EXPIRE k 5    until 5 s from now, of n2:3, the old write }

A key whose deadline is over is deleted by the first command or sweep that notices. The deletion takes away what it saw,
like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import Dot, check_replica_id
from crdt_core.lattice.siblings import shows, unfold
from crdt_core.types.contract import SLOT, CrdtType, View

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.contract import FormerWrite, LiveWrite, PartWrite
    from crdt_core.types.object import Object

__all__ = ["CARRIED", "EXPIRY", "PERSISTED", "ExpiryType", "Until", "deadline_of", "slot_write"]

CARRIED = b"carried"
"""The part of the deadlines that writes in place have carried on."""

PERSISTED = 2**63
"""The deadline of a key that was told to stay (`PERSIST`): later than any other."""


class Until(NamedTuple):
    """The payload: a deadline in wall ms, and the write that it is about, `None` for types without a winning write."""

    deadline_ms: int
    of: Dot | None = None


class ExpiryType(CrdtType):
    """When a key expires."""

    name = "expiry"
    event_class = "g"
    attribute = True

    def value(self, view: View) -> list[Until]:
        """Return all deadlines, sorted, those that were carried last. Which count depends on what shows beside them."""
        return [
            until
            for part in (SLOT, CARRIED)
            for until in sorted({p for _, p in view.live(part)}, key=lambda p: (p.deadline_ms, p.of or Dot("", 0)))
        ]

    def value_json(self, view: View) -> list[Any]:
        return [self.encode_payload(until) for until in self.value(view)]

    def decode_part(self, value: Any) -> bytes:
        return CARRIED if value == CARRIED.decode() else super().decode_part(value)

    def encode_payload(self, payload: Payload) -> Any:
        """Return `[deadline]`, or `[deadline,"n1",7]` for a deadline of write n1:7."""
        return [payload.deadline_ms, *(payload.of or ())]

    def decode_payload(self, value: Any) -> Payload:
        match value:
            case [int(deadline_ms)] if type(deadline_ms) is int and 0 <= deadline_ms <= PERSISTED:
                return Until(deadline_ms)
            case [int(deadline_ms), str(replica), int(counter)] if (
                type(deadline_ms) is int and 0 <= deadline_ms <= PERSISTED
            ) and (type(counter) is int and 0 < counter < 2**50):
                try:
                    return Until(deadline_ms, Dot(check_replica_id(replica), counter))
                except InvalidArgument as error:
                    raise Malformed("payload", f"{self.name}: {error}") from error
        raise Malformed("payload", f"{self.name}: {brief(value)} is no deadline")

    def explain(self, write: LiveWrite) -> str:
        until: Until = write.payload
        parts, about = write.view.parts, write.shown_dot
        if until not in _told(parts, about):
            if write.part == CARRIED and _counts(CARRIED, until, about):
                return "gives way to one that was set"
            return f"does not count: it is about {until.of or 'no write'}, and what shows is {about or 'no write'}"
        if until.deadline_ms != _deadline_ms(parts, about):
            return "is outlived by one that is concurrent"
        if until.deadline_ms == PERSISTED:
            return "the key stays"
        left_ms = until.deadline_ms - write.wall_ms
        return f"the key expires in {left_ms} ms" if left_ms > 0 else "has expired"

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:
        if part == CARRIED:
            return []
        if not shows(now):
            return [b"persist"] if shows(before) else []
        return [b"expire"] if _latest_ms(now) != PERSISTED else [b"persist"]

    def had_ended(self, before: Siblings, wall_ms: int) -> bool:
        return 0 < _latest_ms(before) <= wall_ms

    def repeat(self, write: FormerWrite) -> list[PartWrite]:
        """A deadline of a write that is repeated becomes one of the write that repeats it."""
        of = write.payload.of if type(write.payload) is Until else None
        if of is not None and of.replica == write.former and of.counter > write.former_sent:
            write = write._replace(payload=write.payload._replace(of=write.dot))
        return super().repeat(write)


EXPIRY = ExpiryType()


def deadline_of(head: Object, replica_index: ReplicaIndex) -> int | None:
    """Return when what shows among the objects of `head` expires, in wall ms; `None` for never."""
    expiry = next((link for link in head.chain() if link.type.attribute and link.live), None)
    if expiry is None:
        return None
    deadline_ms = _deadline_ms(expiry.parts, slot_write(head, replica_index))
    return None if deadline_ms == PERSISTED else deadline_ms


def slot_write(head: Object, replica_index: ReplicaIndex) -> Dot | None:
    """Return the winning write of the object that prevails among those of `head`, of types that have one."""
    shown = next(iter(head.showing()), None)
    return shown.type.winning_dot(View(shown.parts, replica_index)) if shown is not None else None


def _deadline_ms(parts: Mapping[bytes, Siblings], about: Dot | None) -> int:
    """Return the deadline of what shows, whose winning write is `about`; `PERSISTED` if none counts."""
    return max((until.deadline_ms for until in _told(parts, about)), default=PERSISTED)


def _told(parts: Mapping[bytes, Siblings], about: Dot | None) -> list[Until]:
    """Return the deadlines that count for what shows. The longest of them does in the end."""
    set_ = _untils(parts, SLOT)
    about_it = [until for until in set_ if _counts(SLOT, until, about)]
    carried = [until for until in _untils(parts, CARRIED) if _counts(CARRIED, until, about)]
    return about_it or (set_ or carried if carried else [])


def _counts(part: bytes, until: Until, about: Dot | None) -> bool:
    """Return whether a deadline is about the write `about`.

    What was carried also is where that write is gone and increments alone are left: they have carried it.
    """
    return until.of == about or (part == CARRIED and about is None)


def _untils(parts: Mapping[bytes, Siblings], part: bytes) -> list[Until]:
    return [payload for payload in unfold(parts.get(part)).values() if type(payload) is Until]


def _latest_ms(siblings: Siblings) -> int:
    """Return the longest deadline, whatever it is about; 0 if there is none."""
    return max((p.deadline_ms for p in unfold(siblings).values() if type(p) is Until), default=0)
