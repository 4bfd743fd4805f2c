"""A worker that is no member yet, or has peers that change: fetching the state, following who takes part, replaying.

A newcomer asks its sponsor until it sees itself among the members; only then it serves. What a former life had not sent
is written as new, once every member has closed the former id: only then it is known what was not sent.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from crdt_core.codec.deltas import decode_delta
from crdt_core.errors import Malformed, UnknownNode
from crdt_core.membership.changes import AdmitIncarnation, RetireFormer
from crdt_core.membership.replay import is_final
from crdt_core.node.events import Call, ReplayAsked, RoundAsked
from crdt_core.types.members import REMOVED_BY_HAND
from workers.config.redis_url import publishable
from workers.replication.tail import Tail
from workers.system.tasks import Children
from workers.wire.keys import DELTA_FIELD, Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis

    from crdt_core.lattice.clocks import ReplicaId
    from crdt_core.lattice.deltas import Delta
    from workers.config.settings import NodeSettings
    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox
    from workers.wire.peers import Peers
    from workers.worker.bootstrap import Bootstrap

__all__ = ["SponsorSilent", "follow", "join", "replay_former"]

log = structlog.get_logger()

_AGAIN_S = 0.3
_ROUNDS_MAX = 5
_CHECK_S = 0.2
_UNSENT_BATCH = 1000


class SponsorSilent(Exception):
    """The sponsor gave no state in several rounds: perhaps another member does."""

    def __init__(self, sponsor: str) -> None:
        super().__init__(sponsor)
        self.sponsor = sponsor


async def join(beginning: Bootstrap, node: NodeSettings, mailbox: Mailbox) -> None:
    """Returns once the replica is a member; raises `SponsorSilent`."""
    name = mailbox.node.name
    if not _joins(mailbox):
        return
    if beginning.sponsor is None:
        await mailbox.call(AdmitIncarnation(name, beginning.replica, node.grpc, publishable(node.redis)))
        return
    sponsor = beginning.sponsor.node
    log.info("join_started", node=name, replica=beginning.replica, sponsor=sponsor)
    for _ in range(_ROUNDS_MAX):
        result = await mailbox.ask(lambda token: RoundAsked((sponsor,), token))
        if not _joins(mailbox):
            log.info("join_completed", node=name, replica=beginning.replica, new_items=result.new_items)
            return
        await asyncio.sleep(_AGAIN_S)
    raise SponsorSilent(sponsor)


def _joins(mailbox: Mailbox) -> bool:
    return mailbox.node.joins


async def follow(peers: Peers, links: Links, mailbox: Mailbox, *, batch: int) -> None:
    """Reads the logs of all who take part, whoever that is at a time, until cancelled."""
    tails: dict[tuple[str, ReplicaId], asyncio.Task[None]] = {}
    async with Children() as children:
        while True:
            peers.members = mailbox.node.replica.members
            wanted = _wanted(mailbox)
            for gone in tails.keys() - wanted:
                tails.pop(gone).cancel()
            for peer, replica in wanted - tails.keys():
                try:
                    tail = Tail(peer, replica, peers.line(peer), links, mailbox, batch=batch)
                except UnknownNode:
                    tails[peer, replica] = children.start(_know_no_way(peer))
                else:
                    tails[peer, replica] = children.start(_meet_and_read(mailbox.node.name, peer, peers, tail))
            await mailbox.turned.wait_for(partial(_differ, tails, mailbox))


async def _meet_and_read(name: str, peer: str, peers: Peers, tail: Tail) -> None:
    """Reads the log of `peer`, after it was put on record from which process of its Redis.

    If that process loses commits, its node can tell that they may be known here, and takes a new id (`identity`).
    """
    while peer not in peers.met:
        try:
            info = await peers.redis(peer).info("server")
            await peers.redis(name).hset(Keys(name).met, peer, info["run_id"])
            peers.met[peer] = info["run_id"]
        except (RedisError, OSError):
            await asyncio.sleep(_AGAIN_S)
    await tail.run()


async def _know_no_way(peer: str) -> None:
    """Stands in for the reading of a peer that has no address, neither in the fleet file nor among the members."""
    log.error("peer_without_address", peer=peer, remedy=f"name nodes.{peer} in the fleet file, and start again")
    await asyncio.Event().wait()


def _differ(tails: Mapping[tuple[str, ReplicaId], object], mailbox: Mailbox) -> bool:
    """Whether others take part than those whose logs are read."""
    return tails.keys() != _wanted(mailbox)


def _wanted(mailbox: Mailbox) -> set[tuple[str, ReplicaId]]:
    membership = mailbox.node.membership
    return set(membership.peers.items()) if membership.is_admitted else set()


async def replay_former(own: Redis, beginning: Bootstrap, mailbox: Mailbox) -> None:
    """Writes as new what the former id had not sent, then lives on idly until cancelled."""
    former, node = beginning.former, mailbox.node
    if former:
        await mailbox.turned.wait_for(lambda: node.membership.is_admitted)
        await mailbox.ask(lambda token: Call(RetireFormer(node.name, former), token))
        await mailbox.turned.wait_for(lambda: is_final(node.replica, former))
        key = Keys(node.name, former).log
        deltas = await _unsent(own, key, node.replica.clock_with_folded[former])
        by_hand = node.replica.members.facts[former].reason == REMOVED_BY_HAND
        if by_hand and deltas:
            log.warning("unsent_writes_dropped", node=node.name, former=former, commits=len(deltas), reason="removed")
        asked = tuple(() if by_hand else deltas)
        replayed = await mailbox.ask(lambda token: ReplayAsked(former, asked, token))
        log.info("unsent_writes_replayed", node=node.name, former=former, commits=len(asked), writes=replayed)
        with suppress(RedisError, OSError):
            await own.unlink(key)
    await asyncio.Event().wait()


async def _unsent(own: Redis, key: str, sent: int) -> list[Delta]:
    """The deltas in the log at `key` beyond the counter `sent`; an entry that is none was none of its owner's."""
    deltas: list[Delta] = []
    start = sent + 1
    while True:
        try:
            entries: Any = await own.xrange(key, f"{start}-0", "+", count=_UNSENT_BATCH)
        except (RedisError, OSError):
            await asyncio.sleep(_CHECK_S)
            continue
        if not entries:
            return deltas
        for entry, fields in entries:
            start = int(entry.split(b"-")[0]) + 1
            with suppress(Malformed):
                deltas.append(decode_delta(fields.get(DELTA_FIELD, b"")))
