"""What one node says of itself, as `workers.fleet.status` has found it. What cannot be known is `None`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from crdt_core.types.members import Members, Standing
from workers.replication.skew import HEARTBEAT_FRESH_MS

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import VersionVector
    from workers.config.settings import NodeSettings

__all__ = ["Lag", "NodeView"]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a node is behind a peer: commits of the peer that it has not seen, and the age of the oldest of them."""

    deltas: int | None = None
    ms: int | None = None


@dataclass(slots=True)
class NodeView:
    """One node.

    `problem`: why its Redis cannot be read, `None` if it can; what stands there is `None` otherwise. `serving`: whether
    its worker answers here. `round`, `audit`: the last gossip round's and convergence audit's report.

    `standing`: that of its latest id, `None` for a node that never was a member; `left_for`: why it is none any more.
    `doing`: what its worker said of itself in its last sign of life. `absent`, `waiting`: what its last compaction
    found: for how long which member was away by then, and the removal markers that wait (`crdt_core.node.stability`).
    """

    name: str
    node: NodeSettings
    problem: str | None = None
    serving: bool = False
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
    left_for: str = ""
    joining: bool = False
    doing: dict[str, Any] = field(default_factory=dict)
    absent: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, Any] = field(default_factory=dict)

    @property
    def takes_part(self) -> bool:
        """Whether it is a member."""
        return self.standing is Standing.ACTIVE

    @property
    def waits(self) -> str | None:
        """Why its worker, which lives, cannot decide under which id it goes on."""
        return self.doing.get("waits") if self.up and not self.serving else None

    @property
    def up(self) -> bool:
        """Whether its worker lives: it has given a sign of life within three seconds, or answers here."""
        return self.serving or (self.beat_age_ms is not None and self.beat_age_ms < HEARTBEAT_FRESH_MS)
