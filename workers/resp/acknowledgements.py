"""WAIT: up to where the peers have published that they have seen this node's commits.

What a peer has published is in its header, committed together with the commits that it speaks of: so it would know them
after a crash, too. Peers are looked at only while somebody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from crdt_core.commands import ErrorReply
from crdt_core.errors import DeltaicError
from workers.resp.handler import Handler
from workers.system.tasks import end

if TYPE_CHECKING:
    from crdt_core.node.node import Node
    from workers.replication.published import Published
    from workers.resp.connection import Connection

__all__ = ["HANDLERS", "Acknowledgements"]

_LOOK_S = 0.005
_LOOK_AGAIN_S = 0.2


class Acknowledgements:
    """What the peers of `node` have seen of it."""

    def __init__(self, node: Node, published: Published) -> None:
        self._node = node
        self._published = published
        self._seen: dict[str, int] = {}
        self._news = asyncio.Condition()
        self._waiters = 0
        self._looking: list[asyncio.Task[None]] = []

    async def wait(self, counter: int, wanted: int, timeout_s: float | None) -> int:
        """How many peers have seen the commit `counter`, once `wanted` have or the time is up."""
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
                seen = (await self._published.clock(peer))[self._node.replica.id]
            except (DeltaicError, OSError):
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            if seen > self._seen.get(peer, -1):
                self._seen[peer] = seen
                async with self._news:
                    self._news.notify_all()
            await asyncio.sleep(_LOOK_S)


def _wait(connection: Connection, args: list[bytes]) -> Any:
    try:
        wanted, timeout_ms = int(args[0]), int(args[1])
    except ValueError:
        return ErrorReply("ERR value is not an integer or out of range")
    if timeout_ms < 0:
        return ErrorReply("ERR timeout is negative")
    return connection.face.acknowledgements.wait(connection.written, wanted, timeout_ms / 1000 or None)


HANDLERS = (Handler(b"WAIT", 3, _wait),)
