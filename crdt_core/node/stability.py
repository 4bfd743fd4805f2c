"""Stability: what every member has seen. Up to this frontier, tombstones are forgotten and the log is trimmed.

A member publishes its clock. The clock counts once everything that the member had done by then is applied here. From
then on, whatever still comes from the member has seen what its clock covers (causal stability; Baquero, Almeida, Shoker
2014).

An id that leaves publishes nothing more, and some of its last writes may have reached only one member: they have not
seen what the other members' clocks cover. So while an id leaves, the frontier stands still until this replica has heard
that all members have closed that id. Then it has all writes of it that any member will ever take in.

A member that is away holds the frontier back. The node adds up how long the member has been away, from one report to
the next, in time that does not jump, and persists the sum. Past a deadline, the members that are present go on without
it, if they are a majority. So the two sides of a partition can never exclude each other.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import is_tombstone, unfold
from crdt_core.node.events import JobAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crdt_core.codec.messages import Compact
    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.membership.membership import Membership
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["Stability"]

_TOMBSTONES_WEIGHED = 1000
"""How many tombstones are looked at for the estimate of all."""
_DOT_BYTES = 24
"""About what a persisted tombstone takes beside its names: `{"n1:123456":null}` and its place in the hash."""
_ABSENT_MS_MAX = 1 << 53
"""More than any member was ever away. JSON can still represent the sum after some more has been added."""
_GAP_MS_MAX = 60_000
"""The longest time between two reports that counts as absence: what happened in a longer gap is not known."""


class Stability:
    """The stable frontier of `replica`. `absent_ms`: per member that is away, for how long by now."""

    def __init__(self, replica: Replica, membership: Membership, options: NodeOptions) -> None:
        self._replica = replica
        self._membership = membership
        self._options = options
        self._published: dict[ReplicaId, VersionVector] = {}
        self._reported_ms: int | None = None
        self.absent_ms: dict[str, int] = {}

    def restore(self, header: Mapping[str, bytes]) -> None:
        """Take up the absences that `take` put into the persisted header; anything else there is ignored."""
        try:
            absent = orjson.loads(header.get("absent", b"{}"))
        except orjson.JSONDecodeError:
            return
        known = absent.items() if isinstance(absent, dict) else ()
        self.absent_ms = {node: ms for node, ms in known if type(ms) is int and 0 <= ms < _ABSENT_MS_MAX}

    def take(self, message: Compact, context: TurnContext) -> list[str]:
        """Take in a job's report of published clocks, and return the members to go on without."""
        replica, peers = self._replica, self._membership.peers
        for peer, clock in message.clocks.items():
            if peer in peers.values() and self.may_count(peer, clock):
                self._published.setdefault(peer, VersionVector()).merge(clock)
        self._published = {peer: clock for peer, clock in self._published.items() if peer in peers.values()}
        is_heard_out = self._membership.is_admitted and replica.members.all_closed
        if is_heard_out and self._published.keys() == set(peers.values()):
            stable = VersionVector.floor([replica.clock, *self._published.values()])
            replica.stabilise(stable, self._options.tombstones_per_compaction)
            self._membership.stability_moved()
        overdue = self._count_absent(message.absent, context)
        waiting = self._waiting()
        context.commit.trim = max(0, replica.stable[replica.id] - self._options.log_entries_kept)
        context.commit.header["compacted_ms"] = b"%d" % context.wall_ms
        context.commit.header["absent"] = orjson.dumps(self.absent_ms)
        context.commit.header["waiting"] = orjson.dumps(waiting)
        summary = {"stable": dict(sorted(replica.stable.items())), "markers_waiting": waiting["markers"]}
        context.effects.append(JobAnswer(message.answer_to, summary))
        return overdue

    def may_count(self, peer: ReplicaId, clock: VersionVector) -> bool:
        """Whether the published `clock` of `peer` may count: all that the peer had done by then is applied here."""
        return clock[peer] <= self._replica.clock[peer]

    def _count_absent(self, absent: tuple[str, ...], context: TurnContext) -> list[str]:
        """Return the members that have been away for too long, if those that are present may decide that."""
        since_ms, self._reported_ms = self._reported_ms, context.monotonic_ms
        passed_ms = 0 if since_ms is None else min(context.monotonic_ms - since_ms, _GAP_MS_MAX)
        peers = self._membership.peers
        away = [node for node in absent if node in peers]
        self.absent_ms = {node: self.absent_ms.get(node, 0) + passed_ms for node in away}
        present = 1 + len(peers) - len(away)
        if 2 * present <= 1 + len(peers):
            return []
        return [node for node, ms in self.absent_ms.items() if ms >= self._options.fence_after_ms]

    def _waiting(self) -> dict[str, Any]:
        """How many tombstones wait, about how many bytes they take, and how many of them each member holds back.

        The header and the job's answer call them markers, as those names are stored and shown.
        """
        tombstones, replica_index = self._replica.catalogue.tombstones, self._replica.catalogue.replica_index
        known = replica_index.dense_clock_of_known
        weighed = weight = 0
        dense_clocks = {
            node: known(replica_index.with_folded(self._published.get(id_, VersionVector())))
            for node, id_ in self._membership.peers.items()
        }
        held = dict.fromkeys(dense_clocks, 0)
        for key, type_name, part in islice(tombstones, _TOMBSTONES_WEIGHED):
            found = self._replica.catalogue.find(key, type_name)
            assert found is not None
            if part is None:
                dots = list(found.clears)
            else:
                dots = [dot for dot, payload in unfold(found.get(part)).items() if is_tombstone(payload)]
            weighed += 1
            weight += len(key) + len(part or b"") + _DOT_BYTES * len(dots)
            for node, dense_clock in dense_clocks.items():
                held[node] += not all(covered(dot, dense_clock) for dot in dots)
        scale = len(tombstones) / weighed if weighed else 0
        return {
            "markers": len(tombstones),
            "bytes": round(weight * scale),
            "held_by": {node: round(count * scale) for node, count in held.items() if count},
        }
