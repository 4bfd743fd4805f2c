"""Writing as new what a former id of this node had done and nobody had heard of when the fleet went on without it.

Its dots are refused everywhere, as they may be from before what all others have forgotten. What they meant is done
again under the new id, after all that has happened since, and as gently as their authors would have it: an add is an
add, an increment counts once more; a removal, or a value that would replace another, yields to what came up meanwhile.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.errors import CounterOverflow
from crdt_core.siblings import covered, is_removal, unfold
from crdt_core.types import EWFLAG, GCOUNTER, GSET, LWWREGISTER, MEMBERS, ORSET, PNCOUNTER, TYPES
from crdt_core.types.counters import Share, adjust, totals
from crdt_core.types.members import ABSENT, LOST, MEMBERS_KEY, Standing

if TYPE_CHECKING:
    from crdt_core.clocks import ReplicaId, Stamp
    from crdt_core.deltas import Delta, Write
    from crdt_core.replica import Replica
    from crdt_core.siblings import Horizon, Siblings

__all__ = ["Replay", "is_final"]

_COUNTERS = frozenset({PNCOUNTER.name, GCOUNTER.name})
_ADDS = frozenset({ORSET.name, GSET.name, EWFLAG.name})


def is_final(replica: Replica, former: ReplicaId) -> bool:
    """Whether nobody will ever hear more of `former` than is known here."""
    standing = replica.members.standing(former)
    return standing is not None and (standing > Standing.LEAVING or replica.members.all_closed)


@dataclass(frozen=True, slots=True)
class Replay:
    """Does again what `deltas` of id `former`, in their order, had done; yields how many writes that made."""

    former: ReplicaId
    deltas: tuple[Delta, ...]

    def run(self, replica: Replica, now: Stamp) -> int:  # noqa: ARG002
        known: dict[tuple[bytes, str], tuple[int, int]] = {}
        sent = replica.whole_clock[self.former]
        made = 0
        for delta in self.deltas:
            if delta.dot.replica == self.former and delta.dot.counter > sent:
                seen = replica.horizon_with_open(delta.deps)
                made += sum(self._repeat(replica, write, seen, known) for write in delta.writes)
        fact = replica.members.facts.get(self.former)
        if fact is not None and fact.reason == ABSENT:
            replica.write(MEMBERS_KEY, MEMBERS, self.former.encode(), dataclasses.replace(fact, reason=LOST))
        return made

    def _repeat(
        self, replica: Replica, write: Write, seen: Horizon, known: dict[tuple[bytes, str], tuple[int, int]]
    ) -> int:
        type_ = TYPES[write.type]
        view = replica.view(write.key, type_)
        if write.key == MEMBERS_KEY:
            return 0
        if write.part is None:
            parts = [part for part in view.shown() if _yields(view.parts.get(part), seen)]
            for part in parts:
                replica.write(write.key, type_, part, type_.removal(view, part))
            return len(parts)
        held = view.parts.get(write.part)
        if write.type in _COUNTERS:
            return self._count(replica, write, known)
        if is_removal(write.payload):
            again = view.shows(write.part) and _yields(held, seen)
        elif write.type in _ADDS:
            again = True
        elif type_ is LWWREGISTER:
            winner = LWWREGISTER.winner(view)
            again = winner is None or _yields(held, seen) or write.payload[1:] > winner[1:]
        else:
            again = _yields(held, seen)
        if again:
            replica.write(write.key, type_, write.part, write.payload)
        return again

    def _count(self, replica: Replica, write: Write, known: dict[tuple[bytes, str], tuple[int, int]]) -> int:
        """Counts what a share had grown by. Shares are running totals: what was sent of them is known here."""
        address = (write.key, write.type)
        share = write.payload
        if write.part != self.former.encode() or not isinstance(share, Share):
            return 0
        if address not in known:
            sent = totals(replica.view(write.key, TYPES[write.type]).parts.get(write.part))
            known[address] = (max(sent.increments, share.base_increments), max(sent.decrements, share.base_decrements))
        before, known[address] = known[address], (share.increments, share.decrements)
        amount = (share.increments - before[0]) - (share.decrements - before[1])
        if not amount:
            return 0
        type_ = TYPES[write.type]
        try:
            part, grown = adjust(replica.view(write.key, type_), replica.id.encode(), amount, write.key)
        except CounterOverflow:
            return 0
        replica.write(write.key, type_, part, grown)
        return 1


def _yields(siblings: Siblings, seen: Horizon) -> bool:
    """Whether all that shows in a part had been seen."""
    return all(is_removal(payload) or covered(dot, seen) for dot, payload in unfold(siblings).items())
