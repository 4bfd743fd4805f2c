"""Looks now and then whether the fleet still takes this node for what it takes itself for.

A node may hear nothing of its own end: if another machine keeps its name, answers to its questions go there; if it was
left behind, no peer may know its address. So the node looks itself into what its peers have recorded. Only a node that
was added can be in such a place. What it does then is decided at its next start (`crdt_core.membership.identity`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from crdt_core.errors import DeltaicError, Retired
from crdt_core.membership.evidence import disowned
from workers.storage.evidence import read_evidence

if TYPE_CHECKING:
    from crdt_core.membership.evidence import NodeEvidence
    from crdt_core.node.node import Node
    from workers.wire.peers import Peers

__all__ = ["watch_recognition"]

_INTERVAL_S = 5.0
_READ_TIMEOUT_S = 2.0


async def watch_recognition(node: Node, peers: Peers, *, interval_s: float = _INTERVAL_S) -> None:
    """Look until cancelled. Raises `Retired` once the fleet goes on without this node as it is."""
    if node.replica.founders:
        await asyncio.Event().wait()
    while True:
        await asyncio.sleep(interval_s)
        own = await _evidence(node.name, peers)
        others = node.peers
        found = await asyncio.gather(*(_evidence(peer, peers) for peer in others))
        if own is not None and (reason := disowned(node.name, own, dict(zip(others, found, strict=True)))):
            raise Retired(node.replica.id, reason)


async def _evidence(name: str, peers: Peers) -> NodeEvidence | None:
    """Return the evidence in the Redis of `name`; `None` where it cannot be read."""
    try:
        async with asyncio.timeout(_READ_TIMEOUT_S):
            return await read_evidence(name, peers.redis(name))
    except (RedisError, OSError, TimeoutError, DeltaicError):
        return None
