"""Finds out whether a node's Redis takes writes, whether anybody writes or not, so that health checks can say so.

Once a second the probe sends a write that changes nothing, on a connection of its own: `SETRANGE` of nothing to a key
that does not exist. Redis refuses it whenever it refuses writes: out of memory, unable to save, read-only, loading,
busy. A Redis that is frozen gives no answer. An answer says nothing of the commit path, so a commit that has failed
for as long as a probe may take counts as well.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import structlog

from crdt_core.errors import StoreUnavailable
from workers.wire.keys import Keys
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.wire.reconnecting import ReconnectingConnection

__all__ = ["Health", "Writability"]

log = structlog.get_logger()

_INTERVAL_S = 1.0
_TIMEOUT_S = 1.0
_LATE_S = 0.2
"""A timeout that is noticed later than this says more about this process than about Redis."""


class Health(Protocol):
    """Whether writes can succeed, as far as the faces need to know it."""

    @property
    def trouble(self) -> Trouble | None:
        """Since when and why writes cannot succeed; `None` where they can."""


class Writability:
    """Whether the Redis of `node` takes writes. `connection`: the probe's own connection to that Redis.

    `commits` tells since when and why the commit under way has failed (`Store.trouble`).
    """

    def __init__(self, node: str, connection: ReconnectingConnection, commits: Callable[[], Trouble | None]) -> None:
        self._node = node
        self._key = Keys(node).probe
        self._connection = connection
        self._commits = commits
        self._refused: Trouble | None = None
        self._news = asyncio.Condition()

    @property
    def trouble(self) -> Trouble | None:
        """Since when and why writes cannot succeed; `None` where they can."""
        failing = self._commits()
        if failing is not None and monotonic() - failing.since_s > _TIMEOUT_S:
            return failing
        return self._refused

    async def run(self) -> None:
        """Probe once a second until cancelled."""
        in_trouble = False
        while True:
            await self._probe()
            trouble = self.trouble
            if (trouble is not None) != in_trouble:
                in_trouble = trouble is not None
                if trouble is not None:
                    log.warning("writes_failing", node=self._node, reason=trouble.reason)
                else:
                    log.info("writes_succeeding", node=self._node)
            async with self._news:  # each time: who waits may have seen a trouble that came and went between two probes
                self._news.notify_all()
            await asyncio.sleep(_INTERVAL_S)

    async def changed(self, *, since: bool) -> bool:
        """Return whether writes can succeed, as soon as that is not what it was `since`."""
        async with self._news:
            await self._news.wait_for(lambda: (self.trouble is None) != since)
        return not since

    async def _probe(self) -> None:
        began_s = monotonic()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._connection.ask(("SETRANGE", self._key, 0, b""))
        except TimeoutError:
            if monotonic() - began_s < _TIMEOUT_S + _LATE_S:
                self._fail(f"Redis gave no answer for {_TIMEOUT_S:g} s")
        except StoreUnavailable as error:
            self._fail(str(error))
        else:
            self._refused = None

    def _fail(self, reason: str) -> None:
        self._refused = Trouble(self._refused.since_s if self._refused is not None else monotonic(), reason)
