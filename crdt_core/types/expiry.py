"""Expiry: when the life of a key ends. It is an attribute: it lives beside the key's value, and never shows itself.

There is one slot; its payload is `Until`, a deadline in wall time. Of concurrent deadlines the longest counts, and
`PERSISTED` is longer than any other. A deadline that has seen another replaces it, also when it is shorter.

A string is written whole, and a new value has no deadline unless it comes with one. So a deadline of a string names the
write that it saw (`of`), and counts only as long as that write is what shows:

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
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types.contract import FormerWrite, LiveWrite, PartWrite
    from crdt_core.types.object import Object

__all__ = ["EXPIRY", "PERSISTED", "ExpiryType", "Until", "deadline_of", "slot_write"]

PERSISTED = 2**63
"""The deadline of a key that was told to stay (`PERSIST`): later than any other."""


class Until(NamedTuple):
    """The payload: a deadline in wall ms, and the write that it is about, `None` for types without a winning write."""

    deadline_ms: int
    of: Dot | None = None


class ExpiryType(CrdtType):
    """When a key expires."""

    name = "expiry"
    attribute = True

    def value(self, view: View) -> list[Until]:
        """Return all deadlines, sorted. Which of them count depends on what shows beside them."""
        return sorted({p for _, p in view.live(SLOT)}, key=lambda until: (until.deadline_ms, until.of or Dot("", 0)))

    def value_json(self, view: View) -> list[Any]:
        return [self.encode_payload(until) for until in self.value(view)]

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
        if until.of != write.shown_dot:
            return (
                f"does not count: it is about {until.of or 'no write'}, and what shows is "
                f"{write.shown_dot or 'no write'}"
            )
        if until.deadline_ms == PERSISTED:
            return "the key stays"
        if until.deadline_ms != _deadline_ms(write.view.parts.get(SLOT), write.shown_dot):
            return "is outlived by one that is concurrent"
        left_ms = until.deadline_ms - write.wall_ms
        return f"the key expires in {left_ms} ms" if left_ms > 0 else "has expired"

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:  # noqa: ARG002
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
    deadline_ms = _deadline_ms(expiry.parts.get(SLOT), slot_write(head, replica_index))
    return None if deadline_ms == PERSISTED else deadline_ms


def slot_write(head: Object, replica_index: ReplicaIndex) -> Dot | None:
    """Return the winning write of the object that prevails among those of `head`, of types that have one."""
    shown = next(iter(head.showing()), None)
    return shown.type.winning_dot(View(shown.parts, replica_index)) if shown is not None else None


def _deadline_ms(slot: Siblings, about: Dot | None) -> int:
    """Return the longest deadline that is about the write `about`; `PERSISTED` if there is none."""
    told = [p.deadline_ms for p in unfold(slot).values() if type(p) is Until and p.of == about]
    return max(told, default=PERSISTED)


def _latest_ms(slot: Siblings) -> int:
    """Return the longest deadline, whatever it is about; 0 if there is none."""
    return max((p.deadline_ms for p in unfold(slot).values() if type(p) is Until), default=0)
