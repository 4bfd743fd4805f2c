"""How far the peers have seen this node's commits: what WAIT waits for.

A peer publishes what it has seen in its header, in the same commit that persists it. So a peer that crashes still has
what it has acknowledged. Peers are looked at only while somebody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from crdt_core.errors import DeltaicError
from workers.system.tasks import end

if TYPE_CHECKING:
    from workers.replication.published import Published
    from workers.resp.node_access import NodeAccess

__all__ = ["Acknowledgements"]

_LOOK_S = 0.005
_LOOK_AGAIN_S = 0.2


class Acknowledgements:
    """The commits of `node` that its peers have seen, as `published` says."""

    def __init__(self, node: NodeAccess, published: Published) -> None:
        self._node = node
        self._published = published
        self._seen: dict[str, int] = {}
        self._news = asyncio.Condition()
        self._waiters = 0
        self._looking: list[asyncio.Task[None]] = []

    async def wait(self, counter: int, wanted: int, timeout_s: float | None) -> int:
        """Return how many peers have seen the commit `counter`, as soon as `wanted` have, or the time is up.

        `timeout_s`: `None` for no limit.
        """
        if self._count(counter) < wanted:
            self._waiters += 1
            if self._waiters == 1:
                self._looking = [asyncio.create_task(self._look_at(peer)) for peer in self._node.peers]
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(timeout_s), self._news:
                        await self._news.wait_for(lambda: self._count(counter) >= wanted)
            finally:
                self._waiters -= 1
                if not self._waiters:
                    looking, self._looking = self._looking, []
                    await end(looking)
        return self._count(counter)

    def _count(self, counter: int) -> int:
        return sum(self._seen.get(peer, -1) >= counter for peer in self._node.peers)

    async def _look_at(self, peer: str) -> None:
        while True:
            try:
                seen = (await self._published.clock(peer))[self._node.replica_id]
            except (DeltaicError, OSError):
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            if seen > self._seen.get(peer, -1):
                self._seen[peer] = seen
                async with self._news:
                    self._news.notify_all()
            await asyncio.sleep(_LOOK_S)
