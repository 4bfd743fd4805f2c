"""Repeating under a new id what a former id of this node did, and no member had heard of, before the fleet went on.

All members refuse the former id's dots, which may be older than what they have forgotten. So its writes are made again
under the new id, after everything that has happened since. Each type says what a write means then (`CrdtType.repeat`).
A deleted collection is repeated for each part that shows only what the delete had seen.

There may be many of them, so they are repeated a piece at a time, and the header says how far that has come
(`replayed`). A process that takes up the replay of another begins with the first piece again, and repeats only what the
other had not.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.codec.deltas import encode_delta
from crdt_core.lattice.clocks import Dot
from crdt_core.lattice.siblings import all_covered, is_tombstone
from crdt_core.types import MEMBERS, TYPES
from crdt_core.types.contract import FormerWrite, Shape
from crdt_core.types.members import LOST, MAY_HAVE_UNSENT, MEMBERS_KEY, REMOVED_BY_HAND, Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from crdt_core.lattice.clocks import ReplicaId, Stamp
    from crdt_core.lattice.deltas import Address, Delta, Write
    from crdt_core.lattice.replica_index import DenseClock
    from crdt_core.lattice.siblings import Payload
    from crdt_core.replica.replica import Replica
    from crdt_core.types.contract import PartWrite

__all__ = ["GAVE_WAY", "Replay", "is_final", "to_replay"]

GAVE_WAY = "this value of a multi-value register would have replaced a concurrent one"
"""Why a write is set aside. All concurrent values of such a register are to be kept; a repeated one cannot be."""


def is_final(replica: Replica, former: ReplicaId) -> bool:
    """Return whether no member will ever have more commits of `former` than this replica has."""
    standing = replica.members.standing(former)
    return standing is not None and (standing > Standing.LEAVING or replica.members.all_closed)


def to_replay(replica: Replica, former: ReplicaId, unsent: Iterable[Delta]) -> tuple[Delta, ...]:
    """Return those of the deltas `unsent` of `former` that are repeated: all, or none after a removal by hand.

    Whoever removed the node by hand did not want its writes any more.
    """
    return () if replica.members.facts[former].reason == REMOVED_BY_HAND else tuple(unsent)


@dataclass(frozen=True, slots=True)
class Replay:
    """An operation that repeats `deltas` of the id `former`, given in order. It yields how many writes it made.

    The deltas up to the counter `replayed` were repeated before. `before` has the last live payload by address that the
    pieces before this one wrote; this one adds its own. `ends`: there is no further piece. `set_aside` takes the entry
    of the log, the bytes and the reason, where a value yields that should have been kept.
    """

    former: ReplicaId
    deltas: tuple[Delta, ...]
    replayed: int
    before: dict[Address, Payload]
    ends: bool
    set_aside: Callable[[str, bytes, str], None]

    def run(self, replica: Replica, now: Stamp) -> int:  # noqa: ARG002
        """Write what no other member has of the deltas."""
        sent = replica.clock_with_folded[self.former]
        made = 0
        for delta in self.deltas:
            if delta.dot.replica == self.former and delta.dot.counter > sent:
                if delta.dot.counter > self.replayed:
                    seen = replica.dense_clock_with_open(delta.deps)
                    made += sum(self._repeat(replica, delta, write, seen, sent) for write in delta.writes)
                self._note(delta)
        fact = replica.members.facts.get(self.former)
        if self.ends and fact is not None and fact.reason in MAY_HAVE_UNSENT:
            replica.write(MEMBERS_KEY, MEMBERS, self.former.encode(), dataclasses.replace(fact, reason=LOST))
        return made

    def _note(self, delta: Delta) -> None:
        for write in delta.writes:
            if write.key != MEMBERS_KEY and write.part is not None and not is_tombstone(write.payload):
                self.before[write[:3]] = write.payload

    def _repeat(self, replica: Replica, delta: Delta, write: Write, seen: DenseClock, sent: int) -> int:
        """Repeat one write of `delta`, and return how many writes that made."""
        if write.key == MEMBERS_KEY:
            return 0
        type_ = TYPES[write.type]
        view = replica.view(write.key, type_)
        writes: list[PartWrite]
        if write.part is None:
            cleared = [part for part in view.shown() if all_covered(view.parts.get(part), seen)]
            writes = [(part, type_.removal(view, part)) for part in cleared]
        else:
            address = write[:3]
            dot = Dot(replica.id, replica.clock[replica.id] + 1)
            last = self.before.get(address)
            writes = type_.repeat(FormerWrite(view, write.part, write.payload, last, seen, self.former, sent, dot))
            if not writes and type_.shape is Shape.ALTERNATIVES and not is_tombstone(write.payload):
                lost = dataclasses.replace(delta, writes=(write,))
                self.set_aside(f"{delta.dot.counter}-0", encode_delta(lost), GAVE_WAY)
        replica.write_parts(write.key, type_, writes)
        return len(writes)
