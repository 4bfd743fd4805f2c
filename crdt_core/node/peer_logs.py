"""Deltas that were read from peers' logs: they are applied in causal order, and gaps are repaired.

A log may lack what the node needs: it was trimmed, a delta builds on one that only a third node has, or an entry makes
no sense. Then the node asks the peer for a patch, in a round that only pulls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import Malformed
from crdt_core.node.events import Reply
from crdt_core.node.large_deltas import PreparedDelta, clears_much, read_delta
from crdt_core.replica.replica import Applied

if TYPE_CHECKING:
    from collections import Counter

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.lattice.deltas import Delta
    from crdt_core.membership.membership import Membership
    from crdt_core.node.events import DeltasRead
    from crdt_core.node.ingest import Ingest
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.peers import Peers
    from crdt_core.node.rounds import Rounds
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["PeerLogs"]


class PeerLogs:
    """Takes the entries of peers' logs into `replica`, through `ingest`; `rounds` fetches what the logs do not give."""

    def __init__(
        self,
        replica: Replica,
        membership: Membership,
        *,
        peers: Peers,
        ingest: Ingest,
        rounds: Rounds,
        options: NodeOptions,
        counts: Counter[str],
    ) -> None:
        self._replica = replica
        self._membership = membership
        self._peers = peers
        self._ingest = ingest
        self._rounds = rounds
        self._options = options
        self._counts = counts
        self.waiting: list[tuple[PreparedDelta, DeltasRead, int]] = []
        """Large deltas that the next turn takes in, each with the event that brought it, and its place there."""
        self._put_aside: list[tuple[PreparedDelta, DeltasRead, int]] = []
        self.under_way = (self.waiting, self._put_aside)
        self._blocked_since_ms: dict[str, int] = {}
        self._refused: dict[str, str] = {}

    def take(self, event: DeltasRead, context: TurnContext) -> None:
        """Take entries in, in their order, up to the first that has to wait, and reply how many were passed.

        If that entry is large, the reply comes once it is taken in: at the end of the next turn.
        """
        passed = 0
        if self._peers.hears(event.peer):
            for place in range(len(event.entries)):
                if not self._take_entry(event, place, context):
                    break
                passed += 1
        if passed == len(event.entries):
            self._blocked_since_ms.pop(event.peer, None)
        if not any(aside is event for _, aside, _ in self._put_aside):
            context.effects.append(Reply(event.token, passed))

    @property
    def prepared(self) -> list[PreparedDelta]:
        """The large deltas that the next turn takes in."""
        return [prepared for prepared, _, _ in self.waiting]

    def advance(self, context: TurnContext) -> None:
        """End the large deltas that are applied by now, and have those that were put aside applied before next turn."""
        for prepared, event, place in self.waiting:
            prepared.end()
            if prepared.error is not None:
                self._refuse(event.peer, *event.entries[place], prepared.error, context)
            else:
                context.commit.earlier += prepared.slices
                self._ingest.applied(prepared.delta, prepared.outcome, event.peer, context)
                self._blocked_since_ms.pop(event.peer, None)
            is_passed = prepared.outcome in {Applied.YES, Applied.DUPLICATE}
            context.effects.append(Reply(event.token, place + is_passed))
        self.waiting[:] = self._put_aside
        self._put_aside.clear()

    def _take_entry(self, event: DeltasRead, place: int, context: TurnContext) -> bool:
        peer, (entry, content) = event.peer, event.entries[place]
        try:
            delta, start = read_delta(content, self._options)
            known = self._replica.members.ids_of(peer)
            if delta.dot.replica in known and delta.dot.replica != self._membership.peers.get(peer):
                return False  # it was read while the peer went by another id, or this node took part itself
            _check_place(delta, self._membership.peers[peer], entry)
            if start or clears_much(delta, self._replica, self._options):
                outcome = self._replica.outcome_of(delta)
                if outcome is not Applied.EARLY:
                    size = self._options.parts_per_slice
                    self._put_aside.append((PreparedDelta(self._replica, delta, content, start, size), event, place))
                    return False
            else:
                outcome = self._ingest.apply(delta, peer, context)
        except Malformed as error:
            self._refuse(peer, entry, content, error, context)
            return False
        if outcome is Applied.EARLY:
            is_gap = delta.dot.counter > self._replica.clock[delta.dot.replica] + 1
            self._repair(peer, context, delay_ms=0 if is_gap else self._options.repair_delay_ms)
            return False
        return True

    def _refuse(self, peer: str, entry: str, content: bytes, error: Malformed, context: TurnContext) -> None:
        """Quarantine the entry, once; what it should have said is fetched from the peer's state.

        If the peer has nothing to say (the entry is not its own), it is asked again now and then, until it writes.
        """
        is_known = self._refused.get(peer) == entry
        if not is_known:
            self._refused[peer] = entry
            context.quarantine(f"log of {peer}", entry, content, str(error))
        self._repair(peer, context, delay_ms=self._options.refused_delay_ms if is_known else 0)

    def _repair(self, peer: str, context: TurnContext, delay_ms: int) -> None:
        """Ask `peer` for what its log does not give, unless that is under way or may still arrive by itself."""
        since_ms = self._blocked_since_ms.setdefault(peer, context.monotonic_ms)
        if context.monotonic_ms - since_ms < delay_ms or self._rounds.awaits(peer):
            return
        self._blocked_since_ms[peer] = context.monotonic_ms
        self._counts["repairs"] += 1
        self._rounds.start([peer], context, pushes=False)


def _check_place(delta: Delta, replica: ReplicaId, entry: str) -> None:
    if f"{delta.dot.counter}-0" != entry:
        raise Malformed("delta", f"{delta.dot} stands at entry {entry}")
    if delta.dot.replica != replica:
        raise Malformed("delta", f"{delta.dot} stands in the log of {replica}")
