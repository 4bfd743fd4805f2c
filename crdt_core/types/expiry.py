"""Expiry: when what stands under a key is over. An attribute: it lives beside the key's value, and never shows itself.

One slot; payload: `Until`, a deadline in wall time. Of concurrent ones the longest counts, and `PERSISTED` is the
longest of all; one that has seen another replaces it, also when it is shorter.

A string is written whole, and a new value has no time to live unless it comes with one. So an expiry of a string names
the write that it saw (`of`), and counts only as long as that write is what shows:

    A: SET k v       the slot's write is n1:7                   } concurrent: v shows, for ever
    B: EXPIRE k 5    until 5 s from now, of n2:3, the old write }

What has expired is deleted by whoever notices; the deletion takes away what it saw, like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.errors import InvalidArgument, Malformed, brief
from crdt_core.lattice.clocks import Dot, check_replica_id
from crdt_core.lattice.siblings import unfold
from crdt_core.types.contract import SLOT, CrdtType, View

if TYPE_CHECKING:
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types.object import Object

__all__ = ["PERSISTED", "ExpiryType", "Until", "deadline_of"]

PERSISTED = 2**63
"""The deadline of what was told to stay: one more than any other."""


class Until(NamedTuple):
    """The payload: a deadline in wall ms, and which write of a slot it is about, where that matters."""

    deadline_ms: int
    of: Dot | None = None


class ExpiryType(CrdtType):
    """When a key expires."""

    name = "expiry"
    attribute = True

    def value(self, view: View) -> list[Until]:
        """What is said of it, sorted; which of them count depends on what shows beside it."""
        return sorted({p for _, p in view.live(SLOT)}, key=lambda until: (until.deadline_ms, until.of or Dot("", 0)))

    def encode_payload(self, payload: Payload) -> Any:
        """`[deadline]`, or `[deadline,"n1",7]`."""
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


def deadline_of(head: Object, replica_index: ReplicaIndex) -> int | None:
    """When what shows in the chain of `head` expires, in wall ms; `None` for never."""
    expiry = next((link for link in head.chain() if link.type.attribute and link.live), None)
    if expiry is None:
        return None
    about = slot_write(head, replica_index)
    said = [p.deadline_ms for p in unfold(expiry.parts.get(SLOT)).values() if type(p) is Until and p.of == about]
    deadline_ms = max(said, default=PERSISTED)
    return None if deadline_ms == PERSISTED else deadline_ms


def slot_write(head: Object, replica_index: ReplicaIndex) -> Dot | None:
    """The write that shows in the slot of what prevails in the chain of `head`, of types that have one."""
    shown = next(iter(head.showing()), None)
    return shown.type.winning_dot(View(shown.parts, replica_index)) if shown is not None else None
