"""Patches that callers offer: a caller may hand over what another node knows, so its patch is checked before it counts.

Peers' patches pass no such check: nodes that refused each other's patches could no longer converge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import CallerError, InvalidArgument, PeerError, TooMany
from crdt_core.node.events import Reply
from crdt_core.node.joins import PreparedJoin
from crdt_core.types.members import Standing

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.lattice.deltas import Patch
    from crdt_core.node.events import PatchOffered
    from crdt_core.node.ingest import Ingest
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["A_CALLER", "OfferedPatches"]

A_CALLER = "a caller"
"""The source of a stamp that came in a caller's patch. No node can have this name."""

_SETTING = "limits.foreign_replicas_max"


class OfferedPatches:
    """Takes callers' patches into `replica`, through `ingest`."""

    def __init__(self, replica: Replica, ingest: Ingest, options: NodeOptions) -> None:
        self._replica = replica
        self._ingest = ingest
        self._options = options
        self.waiting: list[tuple[PreparedJoin, PatchOffered]] = []
        """Large patches that the next turn takes in (`crdt_core.node.joins`)."""
        self._put_aside: list[tuple[PreparedJoin, PatchOffered]] = []
        self.under_way = (self.waiting, self._put_aside)

    def take(self, event: PatchOffered, context: TurnContext) -> None:
        """Join the patch, and reply how many of its writes were new, or why it was refused.

        A large patch is put aside: the next turn replies.
        """
        patch, options = event.patch, self._options
        try:
            self._check_strangers(patch)
            self._check_leaving(patch)
            if len(patch.parts) > options.parts_per_turn:
                self._ingest.check(patch)
                join = PreparedJoin(self._replica, patch, options.parts_per_slice, is_offered=True)
                self._put_aside.append((join, event))
                return
            self._check_payloads(patch)
            context.effects.append(Reply(event.token, self._ingest.join(patch, A_CALLER, context)))
        except (CallerError, PeerError) as error:
            context.effects.append(Reply(event.token, error=error))

    @property
    def prepared(self) -> list[PreparedJoin]:
        """The large patches that the next turn takes in."""
        return [join for join, _ in self.waiting]

    def advance(self, context: TurnContext) -> None:
        """Reply to those whose large patches are joined by now, and have those that were put aside joined."""
        for join, event in self.waiting:
            join.end()
            if join.error is None:
                context.commit.earlier += join.slices
                self._ingest.joined(join.patch, join.new, A_CALLER, context)
            context.effects.append(Reply(event.token, None if join.error else join.new, join.error))
        self.waiting[:] = self._put_aside
        self._put_aside.clear()

    def _check_strangers(self, patch: Patch) -> None:
        """Raise `TooMany` where the patch brings too many replica ids that are no node's.

        Each such id lengthens every clock of the fleet for good.
        """
        known = sum(map(self._is_stranger, self._replica.clock))
        new = sum(replica not in self._replica.clock for replica in patch.clock if self._is_stranger(replica))
        if new and known + new > self._options.strangers_max:
            raise TooMany("patch", known + new, self._options.strangers_max, "replica ids of no node", _SETTING)

    def _check_leaving(self, patch: Patch) -> None:
        """Raise `InvalidArgument` where the patch has more commits of a leaving id: its end must be one for all."""
        for replica, counter in self._replica.clock_with_folded.lacks(patch.clock).items():
            if self._replica.members.standing(replica) not in {None, Standing.ACTIVE}:
                raise InvalidArgument("patch", f"it claims {replica}:{counter}, and {replica} has left the fleet")

    def _check_payloads(self, patch: Patch) -> None:
        """Raise `InvalidArgument` where a dot has another payload here: no caller may stop the node with that."""
        if found := self._replica.contradiction(patch):
            raise InvalidArgument("patch", found)

    def _is_stranger(self, replica: ReplicaId) -> bool:
        """Whether this is the id of no node that takes part, or once did."""
        return replica != self._replica.id and replica not in self._replica.members.facts
