"""Finds the replica id under which a starting worker goes on. `crdt_core.membership.identity` makes the decision.

This module gathers what the decision needs from the Redis of all nodes, has a running member write a new id down, and
writes into the node's own header what the node is about to do. A worker that is killed meanwhile resumes from there.

Nodes that all start after their Redis servers were restarted do not wait for each other: each says in its Redis that it
is starting, and so knows no more than that Redis holds. It takes that back before it reads from its peers.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import NoPermissionError, RedisError

from crdt_core.codec.messages import Admit, encode_message
from crdt_core.errors import CorruptState, Malformed, NotAMember, PeerError, StoreUnavailable, UnknownNode, WorldError
from crdt_core.membership.decisions import ComeBack, Wait, start_of
from crdt_core.membership.evidence import all_told, departed, members_for
from crdt_core.membership.identity import decide
from crdt_core.membership.incarnations import name_at_addition
from crdt_core.types.members import machine_of
from workers.replication.heartbeat import publish_heartbeat
from workers.replication.inbox import discard_outdated
from workers.storage.evidence import STARTING, read_evidence, starting_mark
from workers.wire.keys import MESSAGE_FIELD, Keys
from workers.wire.outages import PeerFailures
from workers.wire.replies import text
from workers.wire.retry import until_redis_answers
from workers.worker.heartbeats import ALIVE_MS

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crdt_core.membership.decisions import Sponsor, Start
    from crdt_core.membership.evidence import NodeEvidence, OperatorOverride
    from crdt_core.types.members import Members
    from workers.config.settings import NodeSettings
    from workers.storage.store import Store
    from workers.wire.peers import Peers

__all__ = ["Renamed", "bootstrap", "end_start"]

log = structlog.get_logger()

_RETRY_S = 0.3
_PATIENCE_S = 10.0
_LOG_AFTER_S = 2.0
"""The nodes of a fleet that start together wait for each other for a moment, which is nothing to warn of."""
_READ_TIMEOUT_S = 2.0
_MEET_TIMEOUT_S = 1.0
_ADMISSION_TIMEOUT_S = 5.0
_ADMISSION_CHECK_S = 0.2
_NONCE_BYTES = 2
_OPTIONS = {"trusting": "--trust-redis", "unsponsored": "--unsponsored", "accepting": "--accept-damage"}


class Renamed(Exception):
    """The machine goes on as node `node`.

    Another machine keeps its former name. Or what it has written is still under the former name `node` (`is_former`).
    """

    def __init__(self, node: str, *, is_former: bool = False) -> None:
        super().__init__(node)
        self.node = node
        self.is_former = is_former


async def bootstrap(name: str, node: NodeSettings, store: Store, peers: Peers, override: OperatorOverride) -> Start:
    """Return how the node starts, however long the decision takes. This process must own `store`.

    Raises `Renamed`, `NotAMember`, `DamagedState`, `CorruptState` and `Fenced`.
    """
    await until_redis_answers(partial(_publish_start, name, store, peers.redis(name)), node.redis)
    begun_s = asyncio.get_running_loop().time()
    unresponsive: set[str] = set()
    failures = PeerFailures("peer_read_failed", "peer_read_succeeded", node=name)
    logged_reason = ""
    while True:
        try:
            own = await until_redis_answers(partial(read_evidence, name, peers.redis(name)), node.redis)
        except Malformed as error:
            raise CorruptState(Keys(name).header, str(error)) from error
        if own.renamed:
            raise Renamed(own.renamed)
        if not own.replica and (former := await _former_name(name, peers.redis(name), node.redis)):
            raise Renamed(former, is_former=True)
        others = await _evidence_of_peers(name, own, peers, unresponsive, failures)
        waited_s = asyncio.get_running_loop().time() - begun_s
        nonce = secrets.token_hex(_NONCE_BYTES)
        await _check_lives_nowhere_else(name, own, peers)
        decision = decide(name, own, others, nonce=nonce, patient=waited_s < _PATIENCE_S, override=override)
        if isinstance(decision, Wait):
            if waited_s > _LOG_AFTER_S and decision.reason != logged_reason:
                logged_reason = decision.reason
                log.warning("bootstrap_delayed", node=name, reason=decision.reason, **_remedy(decision))
            with suppress(RedisError, OSError):
                fields = {"serving": False, "waits": decision.reason, **_remedy(decision)}
                await publish_heartbeat(peers.redis(name), name, node.grpc, **fields)
            await asyncio.sleep(_RETRY_S)
            continue
        if isinstance(decision, ComeBack):
            log.warning("incarnation_chosen", node=name, replica=decision.replica, reason=decision.reason)
            if decision.sponsor and not await _is_admitted(name, node, decision, decision.sponsor, peers):
                unresponsive.add(decision.sponsor.node)
                continue
        start = start_of(own, decision, departed(name, own, others))
        if start.renamed:
            assert start.header is not None, "a node that takes another name also takes a new id"
            await store.move(start.renamed, start.replica, start.header)
            raise Renamed(start.renamed)
        if start.header is not None:
            await store.begin(start.replica, start.header, discard=start.discard)
        return start


async def end_start(name: str, token: str, peers: Peers) -> None:
    """Say that the worker with `token` runs, and starts no longer: from now on, it reads. Raises its Redis's errors.

    First it records which process the Redis of each other node is. If a node loses commits that it sends from now on,
    it finds there that this one may hold them. What was sent before is discarded if it may tell of something lost.
    """
    own, keys = peers.redis(name), Keys(name)
    nodes = {*peers.in_fleet_file(), *(peers.members.active if peers.members is not None else ())} - {name}
    await asyncio.gather(*(_meet(node, peers) for node in nodes))
    if peers.met:
        await own.hset(keys.met, mapping={str(node): run_id for node, run_id in peers.met.items()})
    await discard_outdated(name, own)
    async with own.pipeline(transaction=True) as pipeline:
        pipeline.hdel(keys.met, STARTING)
        pipeline.set(keys.alive, token, px=ALIVE_MS)
        await pipeline.execute()


async def _meet(node: str, peers: Peers) -> None:
    """Meet `node`, unless its Redis is away: then it is met before its log is read."""
    with suppress(RedisError, OSError, TimeoutError, UnknownNode):
        async with asyncio.timeout(_MEET_TIMEOUT_S):
            peers.met[node] = await peers.run_id(node)


async def _publish_start(name: str, store: Store, redis: Redis) -> None:
    """Say that the worker is starting, in place of which peers' Redis a former worker process has read from."""
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.delete(Keys(name).met)
        pipeline.hset(Keys(name).met, STARTING, starting_mark(store.token, store.run_id))
        await pipeline.execute()


async def _former_name(name: str, redis: Redis, url: str) -> str:
    """Return the name under which the machine `name` has written into its Redis, the one at `url`; empty if it has not.

    That is so if the machine was added under a name that another one keeps, and has been added anew under its own.
    """
    former = name_at_addition(name)

    async def read() -> str:
        with suppress(NoPermissionError):  # a user with fewer rights than `deltaic acl` gives
            return text(await redis.hget(Keys(former).header, "replica") or b"")
        return ""

    replica = await until_redis_answers(read, url) if former else ""
    return former if machine_of(replica, former) == name else ""


def _remedy(decision: Wait) -> dict[str, str]:
    """Return the option of `deltaic replica` that would end the waiting, if there is one.

    The option's help says when it is safe.
    """
    return {"remedy": _OPTIONS[decision.override]} if decision.override else {}


async def _evidence_of_peers(
    name: str, own: NodeEvidence, peers: Peers, unresponsive: set[str], failures: PeerFailures
) -> dict[str, NodeEvidence | None]:
    """Return the evidence of all other nodes, `None` for a Redis that cannot be read.

    A node that only others know is read at the address that was published when it was added. It is read again where
    the others turn out to know a later address: another machine may keep its name, by what the members know. What was
    read at another address counts under the name of the machine there. So does what only a node knows that the fleet
    has left behind. The nodes in `unresponsive` count as not running this time; the set is empty afterwards. `failures`
    is told of each read.
    """
    read: dict[tuple[str, str], NodeEvidence | None] = {}

    async def read_one(node: str) -> NodeEvidence | None:
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                evidence = await read_evidence(node, peers.redis(node))
        except (RedisError, OSError, TimeoutError, WorldError, PeerError, UnknownNode) as error:
            failures.failed(node, str(error) or type(error).__name__)
            return None
        failures.succeeded(node)
        return replace(evidence, running=False) if node in unresponsive else evidence

    def place(node: str) -> str:
        try:
            return peers.url(node)
        except UnknownNode:
            return ""

    async def read_all_of(members: Members) -> dict[str, NodeEvidence | None]:
        peers.members = members
        places = {node: place(node) for node in {*peers.in_fleet_file(), *members.active} - {name}}
        new = sorted(places.items() - read.keys())
        read.update(zip(new, await asyncio.gather(*(read_one(node) for node, _ in new)), strict=True))
        return {node: read[node, url] for node, url in places.items()}

    evidence: dict[str, NodeEvidence | None] = {}
    while True:
        known = len(read)
        evidence |= await read_all_of(all_told((own, *read.values())))
        evidence |= await read_all_of(members_for(own, read.values(), ()))
        if len(read) == known:
            unresponsive.clear()
            former = [(node, found) for (node, _), found in read.items() if found and found is not evidence[node]]
            return {machine_of(found.replica, node): found for node, found in former if found.replica} | evidence


async def _check_lives_nowhere_else(name: str, own: NodeEvidence, peers: Peers) -> None:
    """Raise `NotAMember` if a worker of this name lives at another Redis, and this one has no state of its own.

    The members send the state to that one. This one could only take the id from it, again and again. Additions under
    one name are left to the decision.
    """
    assert peers.members is not None, "the evidence of all nodes has been read"
    active = peers.members.active.get(name)
    machines = {machine_of(id_, name) for id_ in (own.replica, *own.added) if id_}
    recorded = peers.recorded()
    is_whole = own.replica and not own.joining
    if recorded is None or active is None or is_whole or (machines and machine_of(active, name) not in machines):
        return
    try:
        async with asyncio.timeout(_READ_TIMEOUT_S):
            other = await read_evidence(name, recorded)
    except (RedisError, OSError, TimeoutError, WorldError, PeerError):
        return
    if other.running and other.replica and other.run_id != own.run_id:
        where = peers.members.facts[active].grpc
        raise NotAMember(name, f"another machine runs under its name, at {where}", "deltaic node add ANOTHER-NAME")


async def _is_admitted(name: str, node: NodeSettings, decision: ComeBack, sponsor: Sponsor, peers: Peers) -> bool:
    """Ask `sponsor` to write the new id down, and return whether its Redis shows the id within some seconds."""
    new = decision.replica
    message = encode_message(Admit(decision.renamed or name, new, node.grpc, node.published_redis))
    redis = peers.redis(sponsor.node)
    try:
        async with asyncio.timeout(_ADMISSION_TIMEOUT_S):
            key = Keys(sponsor.node).inbox
            await redis.xadd(key, {MESSAGE_FIELD: message}, maxlen=peers.inbox_entries_max, approximate=True)
            while new not in (await read_evidence(sponsor.node, redis)).members.facts:  # noqa: ASYNC110
                await asyncio.sleep(_ADMISSION_CHECK_S)
    except (RedisError, OSError, TimeoutError, StoreUnavailable) as error:
        log.warning("sponsor_timed_out", node=name, sponsor=sponsor.node, reason=str(error) or "no answer")
        return False
    return True
