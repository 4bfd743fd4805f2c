"""Reads the status of the fleet: which nodes are up, how far they are behind each other, whether their states agree.

Most of it comes from Redis, so it is known of dead workers too. Only the number of tombstones, and whether a worker
serves, come from the workers. Reading the status changes nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from statistics import median_low
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.clocks import decode_clock
from crdt_core.errors import DeltaicError, Malformed
from crdt_core.membership.evidence import NodeEvidence, combined_members
from workers.fleet.agreement import fill_in_agreement, group_by_clock
from workers.fleet.fleet_status import Away, FleetStatus
from workers.fleet.lag import fill_in_lag, fill_in_log_lengths
from workers.fleet.node_status import NodeStatus
from workers.fleet.stores import NodeStoreUnavailable
from workers.replication.heartbeat import read_heartbeat
from workers.storage.evidence import decode_members, decode_names
from workers.system.clock import wall_ms
from workers.wire.keys import AUDIT, FLEET, OPEN, PAUSED, Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.lattice.clocks import VersionVector
    from workers.config.settings import FleetSettings
    from workers.fleet.stores import FleetRedis, Replies
    from workers.rpc.client import FleetClient, NodeClient
    from workers.wire.connection import RedisCommand

__all__ = ["read_status"]

_STATUS_TIMEOUT_S = 2.0
_MEMBERSHIP_FIELDS = ("founders", "joining", "absent", "waiting")


async def read_status(settings: FleetSettings, redis: FleetRedis, clients: FleetClient) -> FleetStatus:
    """Return the fleet's present status. Takes a few seconds where a Redis or a worker does not answer."""
    nodes = {name: NodeStatus(name, node) for name, node in settings.nodes.items()}
    asking_workers = asyncio.create_task(_ask_workers(nodes.values(), clients))
    replies = await redis.ask({name: _commands(name) for name in nodes})
    at_ms = wall_ms()
    for name, answer in replies.items():
        if isinstance(answer, NodeStoreUnavailable):
            nodes[name].problem = answer.reason
        else:
            _fill_in(nodes[name], answer, list(settings.peers_of(name)), at_ms)
    members = combined_members((_evidence(node) for node in nodes.values()), settings.nodes)
    for name, node in nodes.items():
        ids = members.ids_of(name)
        fact = members.facts[members.active.get(name, ids[-1])] if ids else None
        node.standing, node.left_because = (fact.standing, fact.reason) if fact else (None, "")
    taking_part = {name: node for name, node in nodes.items() if node.takes_part}
    await fill_in_log_lengths(nodes, redis)
    await fill_in_lag(taking_part, redis)
    await asking_workers
    _compare_clocks(taking_part.values())
    groups = group_by_clock(node for node in taking_part.values() if not node.joining)
    fill_in_agreement(nodes, groups)
    away = _away(taking_part, settings.membership.fence_after_s * 1000)
    return FleetStatus(at_ms, nodes, groups, members, away)


def _evidence(node: NodeStatus) -> NodeEvidence | None:
    """Return what a node's Redis says about the members; `None` if it could not be read."""
    if node.clock is None:
        return None
    return NodeEvidence(replica=node.replica, members=node.members, founders=node.founders)


def _away(nodes: Mapping[str, NodeStatus], fence_after_ms: int) -> dict[str, Away]:
    """Return the members that are away, from the last compactions of the nodes that can be reached."""
    reporting = [node for node in nodes.values() if node.up and node.problem is None]
    names = {name for node in reporting for name in node.absent if name in nodes and not nodes[name].up}
    has_majority = 2 * (len(nodes) - len(names)) > len(nodes)
    found = {}
    for name in sorted(names):
        ms = max(node.absent.get(name, 0) for node in reporting)
        waiting = max((node.waiting for node in reporting), key=lambda waiting: _held_back(waiting, name), default={})
        tombstones = _held_back(waiting, name)
        size = round(_count(waiting, "bytes") * tombstones / max(1, _count(waiting, "markers")))
        found[name] = Away(ms, max(0, fence_after_ms - ms) if has_majority else None, tombstones, size)
    return found


def _held_back(waiting: Mapping[str, Any], name: str) -> int:
    """Return how many of the `waiting` tombstones wait for node `name`."""
    held_by = waiting.get("held_by")
    return _count(held_by, name) if isinstance(held_by, dict) else 0


def _count(fields: Mapping[str, Any], name: str) -> int:
    found = fields.get(name)
    return found if type(found) is int else 0


async def _ask_workers(nodes: Iterable[NodeStatus], clients: FleetClient) -> None:
    await asyncio.gather(*(_ask_worker(node, clients.nodes[node.name]) for node in nodes))


async def _ask_worker(node: NodeStatus, client: NodeClient) -> None:
    """Ask the worker of `node` for what only it knows. One that cannot write answers, though it is not healthy."""
    node.serving = await client.serving()
    with suppress(DeltaicError):
        status = await client.status(timeout_s=_STATUS_TIMEOUT_S)
        node.tombstones, node.trouble = status.metrics.get("markers"), status.trouble or None
        node.serving = node.serving or node.trouble is not None


def _commands(name: str) -> list[RedisCommand]:
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


def _fill_in(node: NodeStatus, replies: Replies, peers: list[str], at_ms: int) -> None:
    """Set the fields of `node` from the replies to `_commands`, which arrived at wall time `at_ms`."""
    errors = [reply for reply in replies if isinstance(reply, Exception)]
    if errors:
        node.problem = str(errors[0])
        return
    header, members, node.inbox, node.quarantine, links, beat, redis_time, audit = replies
    clock, stable, digest, replica, round_, founders, joining, absent, waiting = header
    try:
        node.clock, node.stable = _clock(clock), _clock(stable)
        node.members, node.founders = decode_members(members), decode_names("founders", founders)
    except (Malformed, orjson.JSONDecodeError) as error:
        node.clock = node.stable = None
        node.problem = f"{Keys(node.name).header} cannot be read: {error}"
        return
    node.digest = digest.decode("ascii", "backslashreplace") if digest else None
    node.replica = replica.decode("utf-8", "backslashreplace") if replica else node.name
    node.links = {peer: PAUSED if links.get(peer.encode()) == PAUSED.encode() else OPEN for peer in peers}
    node.round, node.audit = _report(round_), _report(audit)
    node.joining, node.heartbeat = bool(joining), _object(beat)
    node.absent = {name: ms for name, ms in _object(absent).items() if type(ms) is int}
    node.waiting = _object(waiting)
    heartbeat = read_heartbeat(beat, redis_time)
    if heartbeat is not None:
        node.beat_age_ms = heartbeat.age_ms
        node.clock_skew_ms = heartbeat.wall_ms - at_ms if heartbeat.fresh else None


def _clock(value: bytes | None) -> VersionVector:
    return decode_clock(orjson.loads(value or b"{}"))


def _object(value: bytes | None) -> dict[str, Any]:
    """Return the JSON object in a field that is only shown to people; an empty one if there is none."""
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _report(value: bytes | None) -> dict[str, Any] | None:
    """Return a job's report: a time, counts, and lists of names; `None` if the field holds anything else."""
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict) or type(found.get("at_ms")) is not int:
        return None
    return found if all(map(_is_count_or_names, found.values())) else None


def _is_count_or_names(value: Any) -> bool:
    return type(value) is int or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _compare_clocks(nodes: Iterable[NodeStatus]) -> None:
    """Make every node's clock skew relative to the median clock, this process's own included.

    Any single clock may be wrong, that of this process too.
    """
    known = [node for node in nodes if node.clock_skew_ms is not None]
    usual_ms = median_low([0, *(node.clock_skew_ms or 0 for node in known)])
    for node in known:
        node.clock_skew_ms = (node.clock_skew_ms or 0) - usual_ms
