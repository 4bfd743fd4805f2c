"""What all nodes say of themselves, side by side, as `workers.fleet.status` has found it.

What cannot be known is `None`, never a guess.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from crdt_core.types.members import Standing
from workers.config.redis_url import shown
from workers.fleet.agreement import AGREE, APART, MISMATCH
from workers.wire.keys import PAUSED

if TYPE_CHECKING:
    from crdt_core.types.members import Fact, Members
    from workers.fleet.agreement import Group
    from workers.fleet.node_view import NodeView

__all__ = ["Away", "FleetView"]


@dataclass(frozen=True, slots=True)
class Away:
    """A member that is away: for how long, after how long the others go on without it, and what it holds back.

    `fence_in_ms` is `None` where those who are present are no majority: then nobody goes on without it.
    """

    ms: int
    fence_in_ms: int | None
    tombstones: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FleetView:
    """All nodes, by name, at wall time `at_ms`; `groups`: the readable members by what they have seen.

    `members`: what all of them know together. `away`: the members that were away at the last compactions.
    """

    at_ms: int
    nodes: dict[str, NodeView]
    groups: list[Group]
    members: Members
    away: dict[str, Away]

    @property
    def taking_part(self) -> list[NodeView]:
        """The members, and before anything is known of members all nodes."""
        return [node for node in self.nodes.values() if node.takes_part]

    @property
    def healthy(self) -> bool:
        """Whether every member is up, has not to wait, and its Redis can be read."""
        return all(node.up and not node.waits and node.problem is None for node in self.taking_part)

    @property
    def agreement(self) -> str | None:
        """`agree`, `apart` or `mismatch`; `None` where no node can be read."""
        if any(group.mismatch for group in self.groups):
            return MISMATCH
        if not self.groups:
            return None
        return AGREE if len(self.groups) == 1 else APART

    @property
    def paused(self) -> list[tuple[str, str]]:
        """The links that are paused, as (node, peer that it does not listen to)."""
        return [
            (node.name, peer)
            for node in self.nodes.values()
            for peer, state in (node.links or {}).items()
            if state == PAUSED
        ]

    def to_json(self) -> dict[str, Any]:
        """What `deltaic status --json` prints. Scripts rely on it: fields may be added, none changes its meaning.

            {"at_ms": 1763700000000, "agreement": "agree", "healthy": true,
             "groups": [{"nodes": ["n1"], "clock": {"n1": 7}, "digests": {"00f3...": ["n1"]}}],
             "nodes": {"n1": {"up": true, "serving": true, "beat_age_ms": 312, "clock_skew_ms": 0, "problem": null,
               "grpc": "127.0.0.1:7101", "resp": "127.0.0.1:7201", "redis": "redis://127.0.0.1:7000/0",
               "replica": "n1",
               "clock": {"n1": 7}, "stable": {"n1": 7}, "digest": "00f3...", "agreement": "agree",
               "log": 7, "inbox": 0, "quarantine": 0, "markers": 0, "links": {"n2": "open"},
               "standing": "active", "joining": false, "waits": null,
               "joins": {"peer": "n2", "done": 700, "of": 20000, "bytes": 91000},
               "absent": {"n3": 61000}, "waiting": {"markers": 9, "bytes": 400, "held_by": {"n3": 9}},
               "lag": {"n2": {"deltas": 0, "ms": 0}},
               "round": {"at_ms": ..., "peers_contacted": [...], "peers_failed": [...], "messages_sent": 4,
                         "new_items": 0},
               "audit": {"at_ms": ..., "agree": [...], "differ_in_clock": [...], "unreachable": [...],
                         "mismatch": [...]}}},
             "away": {"n3": {"ms": 61000, "fence_in_ms": 604739000, "markers": 9, "bytes": 400}},
             "leaving": [{"replica": "n4", "node": "n4", "standing": "leaving", "reason": "removed",
                          "since_ms": 1763700000000}]}

        `standing` is `null` for a node of the fleet file that never was a member, `joins` unless a state is coming in,
        `fence_in_ms` while those present are no majority. `away` is as of the last compactions.

        `clock_skew_ms`: how far the clock of a worker that lives is ahead of the others' (behind: negative).
        `null` is what cannot be known: anything kept in a Redis that does not answer, `tombstones` of a worker that
        does not serve, `ms` of a lag whose oldest delta was trimmed, a round or audit that has not happened yet. It is
        also the `resp` of a node without a Redis face.
        """
        return {
            "at_ms": self.at_ms,
            "agreement": self.agreement,
            "healthy": self.healthy,
            "groups": [{"nodes": g.nodes, "clock": g.clock, "digests": g.digests} for g in self.groups],
            "nodes": {name: _node_json(view) for name, view in self.nodes.items()},
            "away": {name: asdict(away) for name, away in self.away.items()},
            "leaving": [
                {
                    "replica": replica,
                    "node": fact.node,
                    "standing": fact.standing.name.lower(),
                    "reason": fact.reason,
                    "since_ms": fact.at_ms,
                }
                for replica, fact in self.leaving.items()
            ],
        }

    @property
    def leaving(self) -> dict[str, Fact]:
        """The ids that are on their way out of the clocks."""
        facts = self.members.facts.items()
        return {id_: fact for id_, fact in facts if fact.standing in {Standing.LEAVING, Standing.SEALED}}


def _node_json(view: NodeView) -> dict[str, Any]:
    return {
        "up": view.up,
        "serving": view.serving,
        "beat_age_ms": view.beat_age_ms,
        "clock_skew_ms": view.clock_skew_ms,
        "problem": view.problem,
        "grpc": view.node.grpc,
        "resp": view.node.resp,
        "redis": shown(view.node.redis),
        "replica": view.replica or view.name,
        "clock": view.clock,
        "stable": view.stable,
        "digest": view.digest,
        "agreement": view.agreement,
        "log": view.log,
        "inbox": view.inbox,
        "quarantine": view.quarantine,
        "markers": view.tombstones,
        "standing": view.standing.name.lower() if view.standing is not None else None,
        "joining": view.joining,
        "joins": view.doing.get("joins") or None,
        "waits": view.waits,
        "absent": view.absent,
        "waiting": view.waiting,
        "links": view.links,
        "lag": {peer: {"deltas": lag.deltas, "ms": lag.ms} for peer, lag in view.lag.items()},
        "round": view.round,
        "audit": view.audit,
    }
