"""Looking at the fleet: who is up, who is how far behind whom, whose states agree.

Most of it is read from Redis, so that it is known of dead workers too; only the markers, and whether a worker serves,
come from the workers. It changes nothing.
"""

from __future__ import annotations

import asyncio
from statistics import median_low
from typing import TYPE_CHECKING, Any

import orjson

from crdt_core.codec.clocks import decode_clock
from crdt_core.errors import DeltaicError, Malformed
from crdt_core.membership.evidence import NodeEvidence, combined_members
from workers.fleet.agreement import grouped, judge
from workers.fleet.lag import measure_lag, measure_logs
from workers.fleet.node_view import NodeView
from workers.fleet.stores import NodeStoreUnavailable
from workers.fleet.view import Away, FleetView
from workers.replication.skew import read_heartbeat
from workers.storage.evidence import founders_in, members_in
from workers.system.clock import wall_ms
from workers.wire.keys import AUDIT, FLEET, OPEN, PAUSED, Keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from crdt_core.lattice.clocks import VersionVector
    from workers.config.settings import FleetSettings
    from workers.fleet.stores import FleetRedis, Replies
    from workers.rpc.client import FleetClient, NodeClient
    from workers.wire.connection import RedisCommand

__all__ = ["look"]

_MEMBERSHIP_FIELDS = ("founders", "joining", "absent", "waiting")


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
    members = combined_members((_evidence(view) for view in views.values()), settings.nodes)
    for name, view in views.items():
        ids = members.ids_of(name)
        fact = members.facts[members.active.get(name, ids[-1])] if ids else None
        view.standing, view.left_for = (fact.standing, fact.reason) if fact else (None, "")
    part = {name: view for name, view in views.items() if view.takes_part}
    await measure_logs(views, redis)
    await measure_lag(part, redis)
    await asked
    _compare_clocks(part.values())
    groups = grouped(view for view in part.values() if not view.joining)
    judge(views, groups)
    return FleetView(at_ms, views, groups, members, _away(part, settings.membership.fence_after_s * 1000))


def _evidence(view: NodeView) -> NodeEvidence | None:
    """What is known of the members from a node that could be read."""
    return (
        None if view.clock is None else NodeEvidence(replica=view.replica, members=view.members, founders=view.founders)
    )


def _away(views: Mapping[str, NodeView], fence_after_ms: int) -> dict[str, Away]:
    """Who is away, as the nodes found out that did so last: those that can be reached."""
    reports = [view for view in views.values() if view.up and view.problem is None]
    names = {name for view in reports for name in view.absent if name in views and not views[name].up}
    decidable = 2 * (len(views) - len(names)) > len(views)
    found = {}
    for name in sorted(names):
        ms = max(view.absent.get(name, 0) for view in reports)
        held = max((view.waiting for view in reports), key=lambda waiting: _held(waiting, name), default={})
        tombstones = _held(held, name)
        size = round(_count(held, "bytes") * tombstones / max(1, _count(held, "markers")))
        found[name] = Away(ms, max(0, fence_after_ms - ms) if decidable else None, tombstones, size)
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
        view.tombstones = (await client.status(timeout_s=1.0)).metrics.get("markers")
    except DeltaicError:
        view.tombstones = None


# What Redis holds


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
