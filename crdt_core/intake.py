"""How others' writes get into a replica: deltas and patches, together with the hybrid time that they carry.

What is taken in moves the replica's clock and its hybrid clock alike, so that a stamp given here is later than all that
has been seen here. Whether a sender is to be listened to is decided before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.errors import ClaimRefused
from crdt_core.replica import Applied

if TYPE_CHECKING:
    from collections import Counter

    from crdt_core.clocks import HybridClock, Stamp, VersionVector
    from crdt_core.deltas import Delta, Patch
    from crdt_core.options import NodeOptions
    from crdt_core.replica import Replica

__all__ = ["Intake"]


class Intake:
    """Takes deltas and patches into `replica` and their time into `hlc`; `counts` counts what it did."""

    def __init__(self, replica: Replica, hlc: HybridClock, options: NodeOptions, counts: Counter[str]) -> None:
        self._replica = replica
        self._hlc = hlc
        self._options = options
        self._counts = counts

    def patch(self, since: VersionVector) -> Patch:
        """What a replica at `since` lacks of what was taken in and written here."""
        return self._replica.patch(since, self._hlc.last)

    def apply(self, delta: Delta, wall_ms: int) -> Applied:
        """Takes in a delta if its time has come; see `Replica.apply`."""
        outcome = self._replica.apply(delta)
        if outcome is Applied.YES:
            self._observe(delta.hlc, wall_ms)
            self._counts["deltas_applied"] += 1
        return outcome

    def join(self, patch: Patch, wall_ms: int) -> int:
        """Takes in a patch; how many writes were new. Raises `ClaimRefused` and what `Replica.join` raises."""
        own = self._replica.id
        if patch.clock[own] > self._replica.clock[own] and not self._options.believes_claims:
            raise ClaimRefused(own, patch.clock[own], self._replica.clock[own])
        new = self._replica.join(patch)
        self._observe(patch.hlc, wall_ms)
        self._counts["patches_joined"] += 1
        self._counts["patch_items"] += new
        return new

    def _observe(self, stamp: Stamp, wall_ms: int) -> None:
        ahead_ms = self._hlc.observe(stamp, wall_ms, self._options.skew_refuse_ms)
        self._counts["stamps_ahead"] += ahead_ms > self._options.skew_warn_ms
        self._counts["stamps_refused"] += ahead_ms > self._options.skew_refuse_ms
