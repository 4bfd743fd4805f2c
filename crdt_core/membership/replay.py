"""Writing as new what a former id of this node had done and nobody had heard of when the fleet went on without it.

Its dots are refused everywhere, as they may be from before what all others have forgotten. What they meant is done
again under the new id, after all that has happened since, and as gently as their authors would have it: an add is an
add, an increment counts once more; a removal, or a value that would replace another, yields to what came up meanwhile.
Where removals win they are done again whatever came up, and an add yields to a removal that it had not seen.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import Dot
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import WINNING_TOMBSTONE, is_tombstone, unfold
from crdt_core.types import DWFLAG, EWFLAG, GCOUNTER, GSET, MEMBERS, MVREGISTER, ORSET, PNCOUNTER, RWSET, TYPES
from crdt_core.types.counters import INT64_MAX, INT64_MIN, Share, add_to_share, totals
from crdt_core.types.expiry import Until
from crdt_core.types.members import ABSENT, LOST, MEMBERS_KEY, Standing
from crdt_core.types.registers import Stamped
from crdt_core.types.strings import latest

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import ReplicaId, Stamp
    from crdt_core.lattice.deltas import Address, Delta, Write
    from crdt_core.lattice.replica_index import DenseClock
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.replica.replica import Replica

__all__ = ["Replay", "is_final"]

_COUNTERS = (PNCOUNTER, GCOUNTER)
_ADDS = frozenset({ORSET.name, GSET.name, EWFLAG.name})
_ADDS_UNLESS_DENIED = frozenset({RWSET.name, DWFLAG.name})


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
        known: dict[Address, tuple[int, int]] = {}
        sent = replica.clock_with_folded[self.former]
        made = 0
        for delta in self.deltas:
            if delta.dot.replica == self.former and delta.dot.counter > sent:
                seen = replica.dense_clock_with_open(delta.deps)
                made += sum(self._repeat(replica, write, seen, known) for write in delta.writes)
        fact = replica.members.facts.get(self.former)
        if fact is not None and fact.reason == ABSENT:
            replica.write(MEMBERS_KEY, MEMBERS, self.former.encode(), dataclasses.replace(fact, reason=LOST))
        return made

    def _repeat(self, replica: Replica, write: Write, seen: DenseClock, known: dict[Address, tuple[int, int]]) -> int:
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
        if isinstance(write.payload, Share) or type_ in _COUNTERS:
            return self._count(replica, write, known)
        payload = write.payload
        if payload is WINNING_TOMBSTONE:
            again = True
        elif is_tombstone(payload):
            again = view.shows(write.part) and _yields(held, seen)
        elif write.type in _ADDS:
            again = True
        elif write.type in _ADDS_UNLESS_DENIED:
            again = all(covered(dot, seen) for dot, said in unfold(held).items() if said is WINNING_TOMBSTONE)
        elif isinstance(payload, Stamped) and type_ is not MVREGISTER:
            winner = latest(held, replica.replica_index)
            again = winner is None or _yields(held, seen) or payload[1:] > winner[1][1:]
        else:
            again = _yields(held, seen)
        if isinstance(payload, Until):
            payload = self._renamed(replica, payload)
        if again:
            replica.write(write.key, type_, write.part, payload)
        return again

    def _renamed(self, replica: Replica, until: Until) -> Until:
        """A deadline of a write that is done again is one of the write that does it."""
        if until.of is None or until.of.replica != self.former or replica.clock_with_folded.covers(until.of):
            return until
        return until._replace(of=Dot(replica.id, replica.clock[replica.id] + 1))

    def _count(self, replica: Replica, write: Write, known: dict[Address, tuple[int, int]]) -> int:
        """Counts what a share had grown by. Shares are running totals: what was sent of them is known here."""
        address, type_ = write[:3], TYPES[write.type]
        share, part = write.payload, write.part
        if part is None or type_.owner(part) != self.former.encode() or not isinstance(share, Share):
            return 0
        view = replica.view(write.key, type_)
        if address not in known:
            sent = totals(view.parts.get(part))
            known[address] = (max(sent.increments, share.base_increments), max(sent.decrements, share.base_decrements))
        before, known[address] = known[address], (share.increments, share.decrements)
        amount = (share.increments - before[0]) - (share.decrements - before[1])
        if not amount:
            return 0
        own = part.removesuffix(self.former.encode()) + replica.id.encode()
        grown = add_to_share(view.parts.get(own), amount)
        if type_ in _COUNTERS and not INT64_MIN <= type_.value(view) + amount <= INT64_MAX:
            return 0
        replica.write(write.key, type_, own, grown)
        return 1


def _yields(siblings: Siblings, seen: DenseClock) -> bool:
    """Whether all that shows in a part had been seen."""
    return all(is_tombstone(payload) or covered(dot, seen) for dot, payload in unfold(siblings).items())
