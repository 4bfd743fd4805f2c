"""Ingest: takes the writes of others into a replica, together with the hybrid time that they carry.

A delta or a patch moves the replica's clock and its hybrid clock alike. So every stamp that this node gives is later
than all that it has seen. Who may send what is decided before (`crdt_core.node.inbox`, `crdt_core.node.peer_logs`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import ImpossibleClock
from crdt_core.node.events import StampAhead
from crdt_core.replica.replica import Applied

if TYPE_CHECKING:
    from collections import Counter

    from crdt_core.lattice.clocks import HybridClock, Stamp
    from crdt_core.lattice.deltas import Delta, Patch
    from crdt_core.node.options import NodeOptions
    from crdt_core.node.turn_context import TurnContext
    from crdt_core.replica.replica import Replica

__all__ = ["Ingest"]


class Ingest:
    """Takes deltas and patches into `replica`, and their time into `hlc`; counts in `counts` what it did."""

    def __init__(self, replica: Replica, hlc: HybridClock, options: NodeOptions, counts: Counter[str]) -> None:
        self._replica = replica
        self._hlc = hlc
        self._options = options
        self._counts = counts

    def apply(self, delta: Delta, source: str, context: TurnContext) -> Applied:
        """Apply a delta that `source` sent, if all that it builds on is here; see `Replica.apply`."""
        outcome = self._replica.apply(delta)
        self.applied(delta, outcome, source, context)
        return outcome

    def applied(self, delta: Delta, outcome: Applied | None, source: str, context: TurnContext) -> None:
        """Note what became of a delta that `source` sent."""
        if outcome is Applied.YES:
            self._observe(delta.hlc, source, context)
            self._counts["deltas_applied"] += 1

    def join(self, patch: Patch, source: str, context: TurnContext) -> int:
        """Join a patch that `source` sent, and return how many writes were new.

        Raises `ImpossibleClock` where the patch claims commits of this replica that the replica has not made, and what
        `Replica.join` raises.
        """
        self.check(patch)
        new = self._replica.join(patch)
        self.joined(patch, new, source, context)
        return new

    def check(self, patch: Patch) -> None:
        """Raise where `join` would raise, but for the replica index."""
        own = self._replica.id
        if patch.clock[own] > self._replica.clock[own] and not self._options.believes_claims:
            raise ImpossibleClock(own, patch.clock[own], self._replica.clock[own])
        self._replica.check_joinable(patch)

    def joined(self, patch: Patch, new: int, source: str, context: TurnContext) -> None:
        """Note that a patch of `source` is joined, of whose writes `new` were new."""
        self._observe(patch.hlc, source, context)
        self._counts["patches_joined"] += 1
        self._counts["patch_items"] += new

    def set_clock_right(self, node: str, context: TurnContext) -> None:
        """Bring the hybrid clock back where the wall clock of `node`, this one, was wrong and is set right now."""
        ahead_ms = self._hlc.reset_if_ahead(context.wall_ms, self._options.skew_refuse_ms)
        if ahead_ms:
            self._counts["clock_set_right"] += 1
            context.effects.append(StampAhead(node, ahead_ms, refused=True))

    def _observe(self, stamp: Stamp, source: str, context: TurnContext) -> None:
        """Follow the stamp that `source` sent, unless it is too far ahead, and report a stamp that is ahead."""
        ahead_ms = self._hlc.observe(stamp, context.wall_ms, self._options.skew_refuse_ms)
        if ahead_ms > self._options.skew_warn_ms:
            refused = ahead_ms > self._options.skew_refuse_ms
            self._counts["stamps_ahead"] += 1
            self._counts["stamps_refused"] += refused
            context.effects.append(StampAhead(source, ahead_ms, refused))
