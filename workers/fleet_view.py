"""What all nodes say of themselves, side by side: who is up, who is how far behind whom, whose states agree.

Most of it is read from Redis, so that it is known of dead workers too; only the markers, and whether a worker serves,
come from the workers. What cannot be known is `None`, never a guess. It changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import permutations
from statistics import median_low
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.clocks import VersionVector
from crdt_core.codec import decode_clock
from crdt_core.errors import DeltaicError, Malformed
from workers.clock import wall_ms
from workers.fleet_redis import NodeStoreUnavailable
from workers.keys import AUDIT, DELTA_FIELD, FLEET, OPEN, PAUSED, Keys
from workers.redis_url import shown
from workers.skew import HEARTBEAT_FRESH_MS, read_heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workers.client import FleetClient, NodeClient
    from workers.fleet_redis import Command, FleetRedis, Replies
    from workers.settings import FleetSettings, NodeSettings

__all__ = ["AGREE", "APART", "BEHIND", "MISMATCH", "FleetView", "Group", "Lag", "NodeView", "look"]

AGREE, BEHIND, APART, MISMATCH = "agree", "behind", "apart", "mismatch"
"""Of a node: nobody has seen more; some node has seen more. Of the fleet: views part. Of both: an alarm."""


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
    markers: int | None = None
    links: dict[str, str] | None = None
    lag: dict[str, Lag] = field(default_factory=dict)
    round: dict[str, Any] | None = None
    audit: dict[str, Any] | None = None
    agreement: str | None = None

    @property
    def up(self) -> bool:
        """Whether its worker lives: it has given a sign of life within three seconds, or answers here."""
        return self.serving or (self.beat_age_ms is not None and self.beat_age_ms < HEARTBEAT_FRESH_MS)


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes that have seen exactly the same commits: they must hold the same state."""

    clock: VersionVector
    digests: dict[str, list[str]]

    @property
    def nodes(self) -> list[str]:
        return [name for names in self.digests.values() for name in names]

    @property
    def mismatch(self) -> bool:
        """Whether states differ all the same."""
        return len(self.digests) > 1


@dataclass(frozen=True, slots=True)
class FleetView:
    """All nodes, by name, at wall time `at_ms`; `groups`: the readable ones by what they have seen."""

    at_ms: int
    nodes: dict[str, NodeView]
    groups: list[Group]

    @property
    def healthy(self) -> bool:
        """Whether every node is up and its Redis can be read."""
        return all(node.up and node.problem is None for node in self.nodes.values())

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
               "grpc": "127.0.0.1:7101", "redis": "redis://127.0.0.1:7000/0", "replica": "n1",
               "clock": {"n1": 7}, "stable": {"n1": 7}, "digest": "00f3...", "agreement": "agree",
               "log": 7, "inbox": 0, "quarantine": 0, "markers": 0, "links": {"n2": "open"},
               "lag": {"n2": {"deltas": 0, "ms": 0}},
               "round": {"at_ms": ..., "peers_contacted": [...], "peers_failed": [...], "messages_sent": 4,
                         "new_items": 0},
               "audit": {"at_ms": ..., "agree": [...], "differ_in_clock": [...], "unreachable": [...],
                         "mismatch": [...]}}}}

        `clock_skew_ms`: how far the clock of a worker that lives is ahead of the others' (behind: negative).
        `null` is what cannot be known: anything kept in a Redis that does not answer, `markers` of a worker that does
        not serve, `ms` of a lag whose oldest delta was trimmed, a round or audit that has not happened yet.
        """
        return {
            "at_ms": self.at_ms,
            "agreement": self.agreement,
            "healthy": self.healthy,
            "groups": [{"nodes": g.nodes, "clock": g.clock, "digests": g.digests} for g in self.groups],
            "nodes": {name: _node_json(view) for name, view in self.nodes.items()},
        }


async def look(settings: FleetSettings, redis: FleetRedis, clients: FleetClient) -> FleetView:
    """The fleet as it is now; takes a few seconds where something does not answer."""
    views = {name: NodeView(name, node) for name, node in settings.nodes.items()}
    asked = asyncio.create_task(_ask_workers(views.values(), clients))
    replies = await redis.ask({name: _commands(name) for name in views})
    at_ms = wall_ms()
    for name, answer in replies.items():
        if isinstance(answer, NodeStoreUnavailable):
            views[name].problem = answer.reason
        else:
            _read(views[name], answer, list(settings.peers_of(name)), at_ms)
    await _measure_lag(views, redis)
    await asked
    _compare_clocks(views.values())
    groups = grouped(views.values())
    _judge(views, groups)
    return FleetView(at_ms, views, groups)


# What workers say


async def _ask_workers(views: Iterable[NodeView], clients: FleetClient) -> None:
    await asyncio.gather(*(_ask_worker(view, clients.nodes[view.name]) for view in views))


async def _ask_worker(view: NodeView, client: NodeClient) -> None:
    view.serving = await client.serving()
    if not view.serving:
        return
    try:
        view.markers = (await client.status(timeout_s=1.0)).metrics.get("markers")
    except DeltaicError:
        view.markers = None


# What Redis holds


def _commands(name: str) -> list[Command]:
    keys = Keys(name)
    return [
        ("HMGET", keys.header, "clock", "stable", "digest", "replica", "round"),
        ("XLEN", keys.log),
        ("XLEN", keys.inbox),
        ("XLEN", keys.quarantine),
        ("HGETALL", keys.links),
        ("HGET", FLEET, name),
        ("TIME",),
        ("HGET", AUDIT, name),
    ]


def _read(view: NodeView, replies: Replies, peers: list[str], at_ms: int) -> None:
    errors = [reply for reply in replies if isinstance(reply, Exception)]
    if errors:
        view.problem = str(errors[0])
        return
    header, view.log, view.inbox, view.quarantine, links, beat, time, audit = replies
    clock, stable, digest, replica, round_ = header
    try:
        view.clock, view.stable = _clock(clock), _clock(stable)
    except (Malformed, orjson.JSONDecodeError) as error:
        view.problem = f"{Keys(view.name).header} cannot be read: {error}"
        return
    view.digest = digest.decode("ascii", "backslashreplace") if digest else None
    view.replica = replica.decode("utf-8", "backslashreplace") if replica else view.name
    view.links = {peer: PAUSED if links.get(peer.encode()) == PAUSED.encode() else OPEN for peer in peers}
    view.round, view.audit = _report(round_), _report(audit)
    heartbeat = read_heartbeat(beat, time)
    if heartbeat is not None:
        view.beat_age_ms = heartbeat.age_ms
        view.clock_skew_ms = heartbeat.wall_ms - at_ms if heartbeat.fresh else None


def _clock(value: bytes | None) -> VersionVector:
    return decode_clock(orjson.loads(value or b"{}"))


def _report(value: bytes | None) -> dict[str, Any] | None:
    """What a job reported: a time, counts, and lists of names. Anything else there is as good as nothing."""
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or type(found.get("at_ms")) is not int:
        return None
    return found if all(map(_is_count_or_names, found.values())) else None


def _is_count_or_names(value: Any) -> bool:
    return type(value) is int or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _compare_clocks(views: Iterable[NodeView]) -> None:
    """Has every node's skew speak of what most clocks show, this process's own among them: one of them may be wrong."""
    known = [view for view in views if view.clock_skew_ms is not None]
    usual_ms = median_low([0, *(view.clock_skew_ms or 0 for view in known)])
    for view in known:
        view.clock_skew_ms = (view.clock_skew_ms or 0) - usual_ms


# Lag


async def _measure_lag(views: Mapping[str, NodeView], redis: FleetRedis) -> None:
    """Fills in every node's lag; the age comes from the peer's log, from the first delta that the node lacks."""
    behind: list[tuple[NodeView, NodeView, int]] = []
    for view, peer in permutations(views.values(), 2):
        deltas = _deltas_behind(view, peer)
        view.lag[peer.name] = Lag(deltas, 0 if deltas == 0 else None)
        if deltas and view.clock is not None:
            behind.append((view, peer, view.clock[peer.replica] + 1))
    commands: dict[str, list[Command]] = {}
    for _, peer, counter in behind:
        commands.setdefault(peer.name, []).append(("XRANGE", Keys(peer.name).log, f"{counter}-0", f"{counter}-0"))
    replies = await redis.ask(commands)
    at_ms = wall_ms()
    for view, peer, _ in behind:
        entries = replies[peer.name]
        if not isinstance(entries, NodeStoreUnavailable):
            view.lag[peer.name] = Lag(view.lag[peer.name].deltas, _age_ms(entries.pop(0), at_ms))


def _deltas_behind(view: NodeView, peer: NodeView) -> int | None:
    if view.clock is None or peer.clock is None:
        return None
    return max(0, peer.clock[peer.replica] - view.clock[peer.replica])


def _age_ms(entries: Any, at_ms: int) -> int | None:
    """The age of the delta in the one entry that was asked for; `None` if it was trimmed."""
    try:
        ((_, fields),) = entries
        made_ms, _ = orjson.loads(fields[DELTA_FIELD])["hlc"]
        return max(0, at_ms - int(made_ms))
    except (ValueError, TypeError, KeyError):
        return None


# Agreement


def grouped(views: Iterable[NodeView]) -> list[Group]:
    """The readable nodes by what they have seen, the largest group first."""
    groups: dict[tuple[tuple[str, int], ...], Group] = {}
    for view in views:
        if view.clock is not None:
            group = groups.setdefault(tuple(sorted(view.clock.items())), Group(view.clock, {}))
            group.digests.setdefault(view.digest or "", []).append(view.name)
    return sorted(groups.values(), key=lambda group: -len(group.nodes))


def _judge(views: Mapping[str, NodeView], groups: list[Group]) -> None:
    everything = VersionVector()
    for group in groups:
        everything.merge(group.clock)
    for group in groups:
        seen_all = AGREE if everything <= group.clock else BEHIND
        for name in group.nodes:
            views[name].agreement = MISMATCH if group.mismatch else seen_all


def _node_json(view: NodeView) -> dict[str, Any]:
    return {
        "up": view.up,
        "serving": view.serving,
        "beat_age_ms": view.beat_age_ms,
        "clock_skew_ms": view.clock_skew_ms,
        "problem": view.problem,
        "grpc": view.node.grpc,
        "redis": shown(view.node.redis),
        "replica": view.replica or view.name,
        "clock": view.clock,
        "stable": view.stable,
        "digest": view.digest,
        "agreement": view.agreement,
        "log": view.log,
        "inbox": view.inbox,
        "quarantine": view.quarantine,
        "markers": view.markers,
        "links": view.links,
        "lag": {peer: {"deltas": lag.deltas, "ms": lag.ms} for peer, lag in view.lag.items()},
        "round": view.round,
        "audit": view.audit,
    }
