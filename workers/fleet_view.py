"""What all nodes say of themselves, side by side: who is up, who is how far behind whom, whose states agree.

Most of it is read from Redis, so that it is known of dead workers too; only the markers, and whether a worker serves,
come from the workers. What cannot be known is `None`, never a guess. It changes nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field
from itertools import permutations
from statistics import median_low
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.clocks import VersionVector
from crdt_core.codec import decode_clock
from crdt_core.errors import DeltaicError, Malformed
from crdt_core.identity import Record, known_members
from crdt_core.types.members import Members, Standing
from workers.clock import wall_ms
from workers.fleet_redis import NodeStoreUnavailable
from workers.keys import AUDIT, DELTA_FIELD, FLEET, OPEN, PAUSED, Keys
from workers.record import founders_in, members_in
from workers.redis_url import shown
from workers.skew import HEARTBEAT_FRESH_MS, read_heartbeat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.types.members import Fact
    from workers.client import FleetClient, NodeClient
    from workers.fleet_redis import Command, FleetRedis, Replies
    from workers.settings import FleetSettings, NodeSettings

__all__ = ["AGREE", "APART", "BEHIND", "MISMATCH", "Away", "FleetView", "Group", "Lag", "NodeView", "look"]

_MEMBERSHIP_FIELDS = ("founders", "joining", "absent", "waiting")

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

    `standing`: that of its latest id, `None` for a node that never was a member; `left_for`: why it is none any more.
    `doing`: what its worker said of itself in its last sign of life. `absent`, `waiting`: what its last compaction
    found: for how long which member was away by then, and the removal markers that wait (`crdt_core.stability`).
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
class Away:
    """A member that is away: for how long, after how long the others go on without it, and what it holds back.

    `fence_in_ms` is `None` where those who are present are no majority: then nobody goes on without it.
    """

    ms: int
    fence_in_ms: int | None
    markers: int
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
        `null` is what cannot be known: anything kept in a Redis that does not answer, `markers` of a worker that does
        not serve, `ms` of a lag whose oldest delta was trimmed, a round or audit that has not happened yet. It is also
        the `resp` of a node without a Redis face.
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
    members = known_members((_record(view) for view in views.values()), settings.nodes)
    for name, view in views.items():
        ids = members.ids_of(name)
        fact = members.facts[members.active.get(name, ids[-1])] if ids else None
        view.standing, view.left_for = (fact.standing, fact.reason) if fact else (None, "")
    part = {name: view for name, view in views.items() if view.takes_part}
    await _measure_logs(views, redis)
    await _measure_lag(part, redis)
    await asked
    _compare_clocks(part.values())
    groups = grouped(view for view in part.values() if not view.joining)
    _judge(views, groups)
    return FleetView(at_ms, views, groups, members, _away(part, settings.membership.fence_after_s * 1000))


def _record(view: NodeView) -> Record | None:
    """What is known of the members from a node that could be read."""
    return None if view.clock is None else Record(replica=view.replica, members=view.members, founders=view.founders)


def _away(views: Mapping[str, NodeView], fence_after_ms: int) -> dict[str, Away]:
    """Who is away, as the nodes found out that did so last: those that can be reached."""
    reports = [view for view in views.values() if view.up and view.problem is None]
    names = {name for view in reports for name in view.absent if name in views and not views[name].up}
    decidable = 2 * (len(views) - len(names)) > len(views)
    found = {}
    for name in sorted(names):
        ms = max(view.absent.get(name, 0) for view in reports)
        held = max((view.waiting for view in reports), key=lambda waiting: _held(waiting, name), default={})
        markers = _held(held, name)
        size = round(_count(held, "bytes") * markers / max(1, _count(held, "markers")))
        found[name] = Away(ms, max(0, fence_after_ms - ms) if decidable else None, markers, size)
    return found


def _held(waiting: Mapping[str, Any], name: str) -> int:
    held_by = waiting.get("held_by")
    return _count(held_by, name) if isinstance(held_by, dict) else 0


def _count(fields: Mapping[str, Any], name: str) -> int:
    found = fields.get(name)
    return found if type(found) is int else 0


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
        ("HMGET", keys.header, "clock", "stable", "digest", "replica", "round", *_MEMBERSHIP_FIELDS),
        ("HGETALL", keys.members),
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
    header, members, view.inbox, view.quarantine, links, beat, time, audit = replies
    clock, stable, digest, replica, round_, founders, joining, absent, waiting = header
    try:
        view.clock, view.stable = _clock(clock), _clock(stable)
        view.members, view.founders = members_in(members), founders_in(founders)
    except (Malformed, orjson.JSONDecodeError) as error:
        view.clock = view.stable = None
        view.problem = f"{Keys(view.name).header} cannot be read: {error}"
        return
    view.digest = digest.decode("ascii", "backslashreplace") if digest else None
    view.replica = replica.decode("utf-8", "backslashreplace") if replica else view.name
    view.links = {peer: PAUSED if links.get(peer.encode()) == PAUSED.encode() else OPEN for peer in peers}
    view.round, view.audit = _report(round_), _report(audit)
    view.joining, view.doing = bool(joining), _object(beat)
    view.absent = {name: ms for name, ms in _object(absent).items() if type(ms) is int}
    view.waiting = _object(waiting)
    heartbeat = read_heartbeat(beat, time)
    if heartbeat is not None:
        view.beat_age_ms = heartbeat.age_ms
        view.clock_skew_ms = heartbeat.wall_ms - at_ms if heartbeat.fresh else None


def _clock(value: bytes | None) -> VersionVector:
    return decode_clock(orjson.loads(value or b"{}"))


def _object(value: bytes | None) -> dict[str, Any]:
    """The JSON object in a field that is only shown; anything else there is as good as nothing."""
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


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


async def _measure_logs(views: Mapping[str, NodeView], redis: FleetRedis) -> None:
    """Fills in how long the logs are; which log is a node's, its header says."""
    readable = {name: view for name, view in views.items() if view.clock is not None}
    replies = await redis.ask({name: [("XLEN", Keys(name, view.replica).log)] for name, view in readable.items()})
    for name, answer in replies.items():
        if not isinstance(answer, NodeStoreUnavailable) and isinstance(answer[0], int):
            views[name].log = answer[0]


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
        commands.setdefault(peer.name, []).append(
            ("XRANGE", Keys(peer.name, peer.replica).log, f"{counter}-0", f"{counter}-0")
        )
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
        "markers": view.markers,
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
