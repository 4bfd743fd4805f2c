"""How far the peers have seen this node's commits: what WAIT waits for.

A peer publishes what it has seen in its header, in the same commit that persists it. So a peer that crashes still has
what it has acknowledged. Peers are followed only while somebody waits, and a wait ends with the news that it waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from crdt_core.errors import DeltaicError
from workers.system.tasks import Children, end
from workers.turns.turned import Turned

if TYPE_CHECKING:
    from workers.replication.published import Published
    from workers.resp.node_access import NodeAccess

__all__ = ["Acknowledgements"]

_RETRY_S = 0.2
"""After so long, a peer whose Redis does not answer is asked again."""


class Acknowledgements:
    """The commits of `node` that its peers have seen, as `published` says."""

    def __init__(self, node: NodeAccess, published: Published) -> None:
        self._node = node
        self._published = published
        self._seen: dict[str, int] = {}
        self._news = Turned()
        self._following: asyncio.Task[None] | None = None

    async def wait(self, counter: int, wanted: int, timeout_s: float | None) -> int:
        """Return how many peers have seen the commit `counter`, as soon as `wanted` have, or the time is up.

        `timeout_s`: `None` for no limit.
        """
        if self._count(counter) < wanted:
            if self._following is None:
                self._following = asyncio.create_task(self._follow_all())
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout_s):
                        await self._news.wait_for(lambda: self._count(counter) >= wanted)
            finally:
                if not self._news.waiting and self._following is not None:
                    following, self._following = self._following, None
                    await end([following])
        return self._count(counter)

    def _count(self, counter: int) -> int:
        return sum(self._seen.get(peer, -1) >= counter for peer in self._node.peers)

    async def _follow_all(self) -> None:
        """Follow all peers until cancelled, as they come and go."""
        followed: dict[str, asyncio.Task[None]] = {}
        async with Children() as children:
            while True:
                peers = self._node.peers
                for gone in followed.keys() - set(peers):
                    children.start(end([followed.pop(gone)]))
                for peer in peers:
                    if peer not in followed:
                        followed[peer] = children.start(self._follow(peer))
                self._news.notify()
                await self._node.wait_for_other_peers(peers)

    async def _follow(self, peer: str) -> None:
        while True:
            try:
                seen = (await self._published.next_clock(peer))[self._node.replica_id]
            except (DeltaicError, OSError):
                await asyncio.sleep(_RETRY_S)
                continue
            if seen > self._seen.get(peer, -1):
                self._seen[peer] = seen
                self._news.notify()
