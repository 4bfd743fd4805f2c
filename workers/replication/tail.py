"""Following one peer's log: level 1 of replication, one stream hop from commit to commit.

The cursor is the replica's own clock entry for the peer, so a restart resumes exactly, and a delta that was not passed
(it builds on something that is missing) is simply read again once the clock has moved. A paused link is not read.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from crdt_core.errors import StoreUnavailable
from crdt_core.node.events import DeltasRead
from workers.wire.keys import DELTA_FIELD, Keys
from workers.wire.replies import pairs

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import ReplicaId
    from workers.replication.links import Links
    from workers.turns.mailbox import Mailbox
    from workers.wire.reconnecting import ReconnectingConnection

__all__ = ["Tail"]

log = structlog.get_logger()

_BLOCK_MS = 1000
_PAUSE_S = 0.1
_STUCK_S = 0.1


class Tail:
    """Passes the deltas of `peer`, read through `line` (to the peer's Redis), to the mailbox.

    `replica`: the id under which it takes part, and so which log is read.
    """

    def __init__(
        self,
        peer: str,
        replica: ReplicaId,
        line: ReconnectingConnection,
        links: Links,
        mailbox: Mailbox,
        *,
        batch: int,
    ) -> None:
        self._peer = peer
        self._replica = replica
        self._log = Keys(peer, replica).log
        self._line = line
        self._links = links
        self._mailbox = mailbox
        self._batch = batch

    async def run(self) -> None:
        """Follows the log until cancelled; a Redis that is away is waited for."""
        try:
            await self._follow()
        finally:
            self._line.close()

    async def _follow(self) -> None:
        reachable = True
        while True:
            try:
                await self._step()
                reachable = True
            except StoreUnavailable as error:
                if reachable:
                    log.warning("peer_unreachable", peer=self._peer, reason=str(error))
                reachable = False
                await asyncio.sleep(_PAUSE_S)

    async def _step(self) -> None:
        if self._peer in await self._links.refresh():
            await asyncio.sleep(_PAUSE_S)
            return
        cursor = self._cursor()
        where = ("COUNT", self._batch, "BLOCK", _BLOCK_MS, "STREAMS", self._log, f"{cursor}-0")
        (reply,) = await self._line.ask(("XREAD", *where))
        if not reply or self._peer in await self._links.refresh():
            return
        ((_, found),) = reply
        entries = [(entry.decode(), dict(pairs(fields)).get(DELTA_FIELD, b"")) for entry, fields in found]
        passed = await self._mailbox.ask(lambda token: DeltasRead(self._peer, entries, token))
        if passed < len(entries):
            await self._wait_for_progress(cursor + passed)

    def _cursor(self) -> int:
        return self._mailbox.node.replica.clock[self._replica]

    async def _wait_for_progress(self, stuck_at: int) -> None:
        """Returns when something was committed that may let the next delta in, or soon, to ask again."""
        clock = self._mailbox.node.replica.clock
        before = clock.copy()

        def progressed() -> bool:
            return clock != before or self._cursor() > stuck_at

        with suppress(TimeoutError):
            await asyncio.wait_for(self._mailbox.turned.wait_for(progressed), _STUCK_S)
