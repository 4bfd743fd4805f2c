"""Patches that callers offer: a caller may hand over what another node knows, so its patch is checked before it counts.

Peers' patches pass no such check: nodes that refused each other's patches could no longer converge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import CallerError, InvalidArgument, PeerError, TooMany
from crdt_core.node.events import Reply
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

    def take(self, event: PatchOffered, context: TurnContext) -> None:
        """Join the patch, and reply how many of its writes were new, or why it was refused."""
        try:
            self._check_strangers(event.patch)
            self._check_leaving(event.patch)
            self._check_payloads(event.patch)
            context.effects.append(Reply(event.token, self._ingest.join(event.patch, A_CALLER, context)))
        except (CallerError, PeerError) as error:
            context.effects.append(Reply(event.token, error=error))

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
