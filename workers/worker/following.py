"""Keeps one tail per peer while the members of the fleet change.

Before a tail starts, the node records from which process of the peer's Redis it reads, unless its start could do so. If
that process loses commits, the peer's node can tell that this node may have seen them, and takes a new replica id
(`crdt_core.membership.identity`).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from crdt_core.errors import UnknownNode
from workers.replication.tail import Tail
from workers.system.tasks import Children, end
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crdt_core.lattice.clocks import ReplicaId
    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox
    from workers.wire.peers import Peers

__all__ = ["follow_peers"]

log = structlog.get_logger()

_RETRY_S = 0.3


async def follow_peers(
    peers: Peers, links: Links, mailbox: Mailbox, left: Callable[[str], None], *, batch: int
) -> None:
    """Read the logs of all peers until cancelled; start and end tails as members come and go.

    Each tail passes at most `batch` deltas at once to the mailbox. `left` is told of each peer that has left.
    """
    tails: dict[tuple[str, ReplicaId], asyncio.Task[None]] = {}
    async with Children() as children:
        while True:
            peers.follow(mailbox.node.replica.members, joins=mailbox.node.joins)
            wanted = mailbox.node.membership.logs_to_read
            for gone in tails.keys() - wanted:
                children.start(end([tails.pop(gone)]))
                if gone[0] not in {peer for peer, _ in wanted}:
                    left(gone[0])
            for peer, replica in wanted - tails.keys():
                try:
                    tail = Tail(peer, replica, peers.reader(peer), links, mailbox, batch=batch)
                except UnknownNode:
                    tails[peer, replica] = children.start(_wait_without_address(peer))
                else:
                    tails[peer, replica] = children.start(_record_and_read(mailbox.node.name, peer, peers, tail))
            await mailbox.turned.wait_for(partial(_peers_changed, tails, mailbox))


async def _record_and_read(name: str, peer: str, peers: Peers, tail: Tail) -> None:
    """Record the run id of the peer's Redis in the node's own Redis, then run the tail."""
    while peer not in peers.met:
        try:
            run_id = await peers.run_id(peer)
            await peers.redis(name).hset(Keys(name).met, peer, run_id)
            peers.met[peer] = run_id
        except (RedisError, OSError):
            await asyncio.sleep(_RETRY_S)
    await tail.run()


async def _wait_without_address(peer: str) -> None:
    """Stand in for the tail of a peer whose address neither the fleet file nor the members have."""
    log.error("peer_skipped", peer=peer, remedy=f"name nodes.{peer} in the fleet file, and start again")
    await asyncio.Event().wait()


def _peers_changed(tails: Mapping[tuple[str, ReplicaId], object], mailbox: Mailbox) -> bool:
    return tails.keys() != mailbox.node.membership.logs_to_read
