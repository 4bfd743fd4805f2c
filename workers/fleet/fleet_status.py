"""The status of all nodes side by side, as `workers.fleet.status` reads it. Whatever cannot be known is `None`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crdt_core.types.members import Standing
from workers.config.redis_url import redacted
from workers.fleet.agreement import AGREE, APART, MISMATCH
from workers.wire.keys import PAUSED

if TYPE_CHECKING:
    from crdt_core.types.members import Fact, Members
    from workers.fleet.agreement import Group
    from workers.fleet.node_status import NodeStatus

__all__ = ["Away", "FleetStatus"]


@dataclass(frozen=True, slots=True)
class Away:
    """A member that is away: for `ms` milliseconds, and the tombstones and bytes that it holds back.

    `fence_in_ms`: after how many milliseconds the others fence it. It is `None` where the present members are no
    majority, because then they do not fence anybody.
    """

    ms: int
    fence_in_ms: int | None
    tombstones: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """The status of all nodes, by name, at wall time `at_ms`.

    `groups`: the members that could be read, grouped by what they have seen. `members`: what all nodes know together
    about the members. `away`: the members that were away at the last compactions.
    """

    at_ms: int
    nodes: dict[str, NodeStatus]
    groups: list[Group]
    members: Members
    away: dict[str, Away]

    @property
    def taking_part(self) -> list[NodeStatus]:
        """The members; all nodes where nothing is known about members yet."""
        return [node for node in self.nodes.values() if node.takes_part]

    @property
    def healthy(self) -> bool:
        """Whether every member is up, does not wait and can write, and its Redis can be read and loses nothing."""
        return all(
            node.up and not node.waits and not node.loses and node.problem is None and node.trouble is None
            for node in self.taking_part
        )

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
        """The paused links, as (node, peer from which it does not read)."""
        return [
            (node.name, peer)
            for node in self.nodes.values()
            for peer, state in (node.links or {}).items()
            if state == PAUSED
        ]

    @property
    def leaving(self) -> dict[str, Fact]:
        """The replica ids that have left the fleet and are still in the clocks."""
        facts = self.members.facts.items()
        return {id_: fact for id_, fact in facts if fact.standing in {Standing.LEAVING, Standing.SEALED}}

    def to_json(self) -> dict[str, Any]:
        """Return what `deltaic status --json` prints.

        Scripts rely on this form: fields may be added, but no field changes its meaning.

            {"at_ms": 1763700000000, "agreement": "agree", "healthy": true,
             "groups": [{"nodes": ["n1"], "clock": {"n1": 7}, "digests": {"00f3...": ["n1"]}}],
             "nodes": {"n1": {"up": true, "serving": true, "beat_age_ms": 312, "clock_skew_ms": 0, "problem": null,
               "trouble": null, "grpc": "127.0.0.1:7101", "resp": "127.0.0.1:7201", "redis": "redis://127.0.0.1:7000/0",
               "replica": "n1",
               "clock": {"n1": 7}, "stable": {"n1": 7}, "digest": "00f3...", "agreement": "agree",
               "log": 7, "inbox": 0, "quarantine": 0, "markers": 0, "links": {"n2": "open"},
               "standing": "active", "joining": false, "waits": null, "evicts": null, "persisted_again": 0,
               "joins": {"peer": "n2", "done": 700, "of": 20000, "bytes": 91000},
               "absent": {"n3": 61000}, "waiting": {"markers": 9, "bytes": 400, "held_by": {"n3": 9}},
               "lag": {"n2": {"deltas": 0, "ms": 0}},
               "round": {"at_ms": ..., "peers_contacted": [...], "peers_failed": [...], "messages_sent": 4,
                         "new_items": 0},
               "audit": {"at_ms": ..., "agree": [...], "differ_in_clock": [...], "unreachable": [...],
                         "mismatch": [...], "persisted_again": 0}}},
             "away": {"n3": {"ms": 61000, "fence_in_ms": 604739000, "markers": 9, "bytes": 400}},
             "leaving": [{"replica": "n4", "node": "n4", "standing": "leaving", "reason": "removed",
                          "since_ms": 1763700000000}]}

        `problem` says why a node's Redis cannot be read, `trouble` why its worker cannot write.

        `standing` is `null` for a node of the fleet file that never was a member. `joins` is `null` unless the node is
        fetching its state. `fence_in_ms` is `null` while the present members are no majority. `away` is as of the last
        compactions. `markers` counts tombstones.

        `evicts` is the `maxmemory-policy` of a Redis that may delete keys of the replica by itself. `persisted_again`
        counts the records that the worker has written again, because its Redis had lost or changed them. A fleet is not
        healthy while a Redis may evict keys, and from such a loss to the next audit.

        `clock_skew_ms` is how far the clock of a running worker is ahead of the others' (behind: negative).

        Otherwise `null` means that a value cannot be known: anything in a Redis that does not answer, `markers` of a
        worker that does not serve, `ms` of a lag whose oldest delta was trimmed, a round or audit that has not happened
        yet. It is also the `resp` of a node without a Redis face.
        """
        return {
            "at_ms": self.at_ms,
            "agreement": self.agreement,
            "healthy": self.healthy,
            "groups": [{"nodes": g.nodes, "clock": g.clock, "digests": g.digests} for g in self.groups],
            "nodes": {name: _node_json(node) for name, node in self.nodes.items()},
            "away": {name: _away_json(away) for name, away in self.away.items()},
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


def _away_json(away: Away) -> dict[str, Any]:
    return {"ms": away.ms, "fence_in_ms": away.fence_in_ms, "markers": away.tombstones, "bytes": away.bytes}


def _node_json(node: NodeStatus) -> dict[str, Any]:
    return {
        "up": node.up,
        "serving": node.serving,
        "beat_age_ms": node.beat_age_ms,
        "clock_skew_ms": node.clock_skew_ms,
        "problem": node.problem,
        "trouble": node.trouble,
        "grpc": node.settings.grpc,
        "resp": node.settings.resp,
        "redis": redacted(node.settings.redis),
        "replica": node.replica or node.name,
        "clock": node.clock,
        "stable": node.stable,
        "digest": node.digest,
        "agreement": node.agreement,
        "log": node.log,
        "inbox": node.inbox,
        "quarantine": node.quarantine,
        "markers": node.tombstones,
        "standing": node.standing.name.lower() if node.standing is not None else None,
        "joining": node.joining,
        "joins": node.heartbeat.get("joins") or None,
        "waits": node.waits,
        "evicts": node.evicts,
        "persisted_again": node.persisted_again,
        "absent": node.absent,
        "waiting": node.waiting,
        "links": node.links,
        "lag": {peer: {"deltas": lag.deltas, "ms": lag.ms} for peer, lag in node.lag.items()},
        "round": node.round,
        "audit": node.audit,
    }
