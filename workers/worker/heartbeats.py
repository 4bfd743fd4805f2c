"""Publishes the node's heartbeats, and checks with each of them that this process still owns the replica."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from crdt_core.errors import Fenced
from workers.replication.heartbeat import heartbeat_fields, publish_heartbeat
from workers.wire.keys import Keys
from workers.wire.replies import stored_turn

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.storage.store import Store
    from workers.turns.mailbox import Mailbox
    from workers.wire.peers import Peers
    from workers.worker.custody import Custody

__all__ = ["ALIVE_MS", "publish_heartbeats"]

_INTERVAL_S = 1.0
_JOINING_INTERVAL_S = 0.2
ALIVE_MS = 3000
"""For so long a worker counts as running after it has said so."""


async def publish_heartbeats(
    peers: Peers, grpc: str, store: Store, mailbox: Mailbox, serving: asyncio.Event, *, custody: Custody
) -> None:
    """Publish heartbeats until cancelled: one a second, and more while the node joins, so that its progress shows.

    A node without writes has no commit that would tell it that another process has replaced it, that Redis has lost
    commits, or that the connection which holds the ownership is gone. So each heartbeat checks that. Raises `Fenced` if
    another process owns the replica: otherwise this node would go on showing a state that no longer changes. Raises
    `CorruptState` for a header that cannot be read.
    """
    name = mailbox.node.name
    own = peers.redis(name)
    while True:
        with contextlib.suppress(RedisError, OSError):
            confirmed = store.turn
            found: list[Any] = await own.hmget(Keys(name).header, "owner", "turn")
            owner, turn = found
            if owner is None or stored_turn(Keys(name).header, turn) < confirmed or not store.connected:
                mailbox.suspect()
            elif owner != store.token.encode():
                raise Fenced(name)
            await own.set(Keys(name).alive, store.token, px=ALIVE_MS)
            await _publish_met(own, Keys(name).met, peers)
            fields = heartbeat_fields(mailbox.node, serving=serving.is_set()) | custody.fields
            await publish_heartbeat(own, name, grpc, **fields)
        await asyncio.sleep(_JOINING_INTERVAL_S if mailbox.node.joins else _INTERVAL_S)


async def _publish_met(own: Redis, key: str, peers: Peers) -> None:
    """Write from where this worker reads, if Redis does not say so already: an idle node does not write it anew."""
    found = await own.hgetall(key)
    if any(found.get(peer.encode()) != run_id.encode() for peer, run_id in peers.met.items()):
        await own.hset(key, mapping={str(peer): run_id for peer, run_id in peers.met.items()})
