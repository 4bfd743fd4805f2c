"""Custody: looks after what a node's Redis holds, while the worker runs.

At intervals it compares some of the stored records with memory (`workers.storage.proofreading`), and checks that Redis
does not evict keys. A Redis that does not answer is left to the commits, which say so.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from workers.storage.eviction import EVICTION_REMEDY, NO_EVICTION, eviction_policy

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.storage.proofreading import Proofreader

__all__ = ["Custody"]

log = structlog.get_logger()


class Custody:
    """The custody of what node `name` has in its Redis `own`, with a look every `interval_s` seconds."""

    def __init__(self, name: str, own: Redis, proofreader: Proofreader, interval_s: float) -> None:
        self._name = name
        self._own = own
        self._proofreader = proofreader
        self._interval_s = interval_s
        self._evicts = ""

    @property
    def fields(self) -> dict[str, object]:
        """What the heartbeat says: `evicts` has the `maxmemory-policy` of a Redis that may evict keys."""
        return {"evicts": self._evicts} if self._evicts else {}

    async def run(self) -> None:
        """Look after the stored state until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            with suppress(RedisError, OSError):
                await self.look()

    async def look(self) -> None:
        """Look once. Raises the errors of the connection."""
        self._note_policy(await eviction_policy(self._own))
        await self._proofreader.go_on()

    def _note_policy(self, policy: str | None) -> None:
        """Log when the Redis begins to evict keys, and when it ceases to."""
        evicts = policy if policy not in {None, NO_EVICTION} else ""
        if evicts and not self._evicts:
            log.warning("eviction_enabled", node=self._name, policy=evicts, remedy=EVICTION_REMEDY)
        elif self._evicts and not evicts:
            log.info("eviction_disabled", node=self._name)
        self._evicts = evicts or ""
