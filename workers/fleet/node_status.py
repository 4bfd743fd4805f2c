"""The status of one node, as `workers.fleet.status` reads it. Whatever cannot be known is `None`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crdt_core.types.members import Members, Standing
from workers.replication.heartbeat import HEARTBEAT_FRESH_MS

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import VersionVector
    from workers.config.settings import NodeSettings

__all__ = ["Lag", "NodeStatus"]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a node is behind a peer: the peer's commits that it has not seen, and the age of the oldest of them."""

    deltas: int | None = None
    ms: int | None = None


@dataclass(slots=True)
class NodeStatus:
    """The status of one node.

    `problem`: why its Redis cannot be read, or `None`; all fields read from Redis are empty if there is a problem.
    `serving`: whether its worker answers calls. `trouble`: why the worker cannot write, as it says itself.
    `clock_skew_ms`: how far its worker's clock is ahead of the others'.
    `round`, `audit`: the reports of the last gossip round and convergence audit.

    `standing`: that of its latest replica id, `None` if it never was a member; `left_because`: why it no longer is one.
    `heartbeat`: the fields of its last heartbeat. `absent`, `waiting`: what its last compaction found, that is for how
    many milliseconds each absent member had been away, and the tombstones that waited (`crdt_core.node.stability`).
    """

    name: str
    settings: NodeSettings
    problem: str | None = None
    serving: bool = False
    trouble: str | None = None
    beat_age_ms: int | None = None
    clock_skew_ms: int | None = None
    replica: str = ""
    clock: VersionVector | None = None
    stable: VersionVector | None = None
    digest: str | None = None
    log: int | None = None
    inbox: int | None = None
    quarantine: int | None = None
    tombstones: int | None = None
    links: dict[str, str] | None = None
    lag: dict[str, Lag] = field(default_factory=dict)
    round: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None
    agreement: str | None = None
    members: Members = field(default_factory=lambda: Members({}, {}))
    founders: tuple[str, ...] = ()
    standing: Standing | None = Standing.ACTIVE
    left_because: str = ""
    joining: bool = False
    heartbeat: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, Any] = field(default_factory=dict)

    @property
    def takes_part(self) -> bool:
        """Whether the node is a member."""
        return self.standing is Standing.ACTIVE

    @property
    def waits(self) -> str | None:
        """Why the node's worker, which runs, cannot decide yet on its replica id; `None` if it does not wait."""
        return self.heartbeat.get("waits") if self.up and not self.serving else None

    @property
    def evicts(self) -> str | None:
        """The `maxmemory-policy` of its Redis, where that may delete keys of the replica by itself; else `None`."""
        policy = self.heartbeat.get("evicts")
        return policy if isinstance(policy, str) and self.up else None

    @property
    def persisted_again(self) -> int:
        """How many records its worker had to write again, because its Redis had lost or changed them."""
        count = self.heartbeat.get("persisted_again")
        return count if type(count) is int else 0

    @property
    def loses(self) -> bool:
        """Whether its Redis may lose records by itself, or has lost or changed some since the last audit."""
        audited = (self.audit or {}).get("persisted_again")
        return self.evicts is not None or self.persisted_again > (audited if type(audited) is int else 0)

    @property
    def up(self) -> bool:
        """Whether the node's worker runs: its last heartbeat is fresh, or it answers calls."""
        return self.serving or (self.beat_age_ms is not None and self.beat_age_ms < HEARTBEAT_FRESH_MS)
