"""How others' writes get into a replica: deltas and patches, together with the hybrid time that they carry.

What is taken in moves the replica's clock and its hybrid clock alike, so that a stamp given here is later than all that
has been seen here. Whether a sender is to be listened to is decided before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import ImpossibleClock
from crdt_core.node.events import StampAhead
from crdt_core.replica.replica import Applied

if TYPE_CHECKING:
    from collections import Counter

    from crdt_core.lattice.clocks import HybridClock, Stamp, VersionVector
    from crdt_core.lattice.deltas import Delta, Patch
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["Ingest"]


class Ingest:
    """Takes deltas and patches into `replica` and their time into `hlc`; `counts` counts what it did."""

    def __init__(self, replica: Replica, hlc: HybridClock, options: NodeOptions, counts: Counter[str]) -> None:
        self._replica = replica
        self._hlc = hlc
        self._options = options
        self._counts = counts

    def patch(self, since: VersionVector) -> Patch:
        """What a replica at `since` lacks of what was taken in and written here."""
        return self._replica.patch(since, self._hlc.last)

    def apply(self, delta: Delta, source: str, context: TurnContext) -> Applied:
        """Takes in a delta that `source` sent, if its time has come; see `Replica.apply`."""
        outcome = self._replica.apply(delta)
        if outcome is Applied.YES:
            self._observe(delta.hlc, source, context)
            self._counts["deltas_applied"] += 1
        return outcome

    def join(self, patch: Patch, source: str, context: TurnContext) -> int:
        """Takes in a patch that `source` sent; how many writes were new.

        Raises `ImpossibleClock` and what `Replica.join` raises.
        """
        own = self._replica.id
        if patch.clock[own] > self._replica.clock[own] and not self._options.believes_claims:
            raise ImpossibleClock(own, patch.clock[own], self._replica.clock[own])
        new = self._replica.join(patch)
        self._observe(patch.hlc, source, context)
        self._counts["patches_joined"] += 1
        self._counts["patch_items"] += new
        return new

    def set_clock_right(self, node: str, context: TurnContext) -> None:
        """Once the wall clock of `node`, this one, was set right, its hybrid clock leaves the future, too."""
        ahead_ms = self._hlc.reset_if_ahead(context.wall_ms, self._options.skew_refuse_ms)
        if ahead_ms:
            self._counts["clock_set_right"] += 1
            context.effects.append(StampAhead(node, ahead_ms, refused=True))

    def _observe(self, stamp: Stamp, source: str, context: TurnContext) -> None:
        """Takes over the hybrid time of what `source` sent, unless it is too far ahead; says so where it is ahead."""
        ahead_ms = self._hlc.observe(stamp, context.wall_ms, self._options.skew_refuse_ms)
        if ahead_ms > self._options.skew_warn_ms:
            refused = ahead_ms > self._options.skew_refuse_ms
            self._counts["stamps_ahead"] += 1
            self._counts["stamps_refused"] += refused
            context.effects.append(StampAhead(source, ahead_ms, refused))
