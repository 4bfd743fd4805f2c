"""Follows the log of one peer: the first level of replication, one stream hop from commit to commit.

The cursor is the replica's own clock entry for the peer, so after a restart the tail resumes exactly. A delta that the
node does not accept yet, because it depends on a missing one, is read again once the clock has moved. The tail of a
paused link does not read.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from crdt_core.errors import StoreUnavailable
from crdt_core.node.events import DeltasRead
from workers.turns.weights import slices
from workers.wire.keys import DELTA_FIELD, Keys
from workers.wire.replies import pairs

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import ReplicaId
    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox
    from workers.wire.reconnecting import ReconnectingConnection

__all__ = ["Tail"]

_BLOCK_MS = 1000
_RETRY_S = 0.1
_PROGRESS_TIMEOUT_S = 0.1


class Tail:
    """Passes the deltas of `peer` to the mailbox, at most `batch` at once.

    `replica` is the peer's replica id, and so determines which log is read. `connection` goes to the peer's Redis, and
    is closed when the tail ends.
    """

    def __init__(
        self,
        peer: str,
        replica: ReplicaId,
        connection: ReconnectingConnection,
        links: Links,
        mailbox: Mailbox,
        *,
        batch: int,
    ) -> None:
        self._peer = peer
        self._replica = replica
        self._log = Keys(peer, replica).log
        self._connection = connection
        self._links = links
        self._mailbox = mailbox
        self._batch = batch

    async def run(self) -> None:
        """Follow the log until cancelled. While the peer's Redis is away, try again and again."""
        try:
            await self._follow()
        finally:
            self._connection.close()

    async def _follow(self) -> None:
        while True:
            try:
                await self._step()
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)

    async def _step(self) -> None:
        """Read one batch of deltas and pass it on, some at a time, unless the link is paused."""
        if self._peer in await self._links.refresh():
            await asyncio.sleep(_RETRY_S)
            return
        cursor = self._cursor()
        where = ("COUNT", self._batch, "BLOCK", _BLOCK_MS, "STREAMS", self._log, f"{cursor}-0")
        (reply,) = await self._connection.ask(("XREAD", *where))
        if not reply or self._peer in await self._links.refresh():
            return
        ((_, found),) = reply
        entries = [(entry.decode(), dict(pairs(fields)).get(DELTA_FIELD, b"")) for entry, fields in found]
        passed = 0
        for piece in slices(entries, _size):
            passed += (accepted := await self._mailbox.ask(partial(DeltasRead, self._peer, piece)))
            if accepted < len(piece):
                await self._wait_for_progress(cursor + passed)
                return

    def _cursor(self) -> int:
        return self._mailbox.node.replica.clock[self._replica]

    async def _wait_for_progress(self, stuck_at: int) -> None:
        """Return when a commit may have brought what the next delta depends on, and after 0.1 s at the latest."""
        clock = self._mailbox.node.replica.clock
        before = clock.copy()

        def progressed() -> bool:
            return clock != before or self._cursor() > stuck_at

        with suppress(TimeoutError):
            # Not `asyncio.wait_for`: where a turn wakes it, it swallows a cancellation that the same turn causes.
            async with asyncio.timeout(_PROGRESS_TIMEOUT_S):
                await self._mailbox.turned.wait_for(progressed)


def _size(entry: tuple[str, bytes]) -> int:
    return len(entry[1])
