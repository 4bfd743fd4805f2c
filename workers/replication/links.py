"""Whom a node listens to: the hash `links`, as anybody may have set it (the command, gRPC, plain `redis-cli HSET`).

Whoever reads from a peer asks here *after* reading and before passing it on: what was sent after a link was paused is
then never let in. Only the word `paused` pauses. What a Redis says that has lost commits is not believed: it may have
forgotten who was paused.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hiredis
from redis.exceptions import RedisError

from crdt_core.errors import StoreUnavailable
from crdt_core.node.events import LinksRead
from workers.wire.keys import OPEN, PAUSED, Keys
from workers.wire.replies import pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis

    from workers.turns.mailbox import Mailbox
    from workers.wire.connection import RedisCommand
    from workers.wire.reconnecting import ReconnectingConnection

__all__ = ["Links"]

_READ_TIMEOUT_S = 1.0


class Links:
    """The links of the node behind `mailbox` towards its peers: in its own Redis, read through `line`.

    They are read once for whatever came from a peer, hence the line.
    """

    def __init__(self, redis: Redis, line: ReconnectingConnection, mailbox: Mailbox) -> None:
        self._keys = Keys(mailbox.node.name)
        self._redis = redis
        self._line = line
        self._mailbox = mailbox
        self.paused: frozenset[str] = frozenset()

    async def refresh(self) -> frozenset[str]:
        """The peers that are paused now. Raises `StoreUnavailable`."""
        confirmed = self._mailbox.persisted
        read: tuple[RedisCommand, ...] = (("HGETALL", self._keys.links), ("HGET", self._keys.header, "turn"))
        try:
            *_, (links, turn) = await self._line.ask(("MULTI",), *read, ("EXEC",))
        except StoreUnavailable as error:
            raise StoreUnavailable(f"the links cannot be read: {error}") from error
        for reply in (links, turn):
            if isinstance(reply, hiredis.ReplyError):
                raise StoreUnavailable(f"the links cannot be read: {reply}")
        if int(turn or 0) < confirmed:
            self._mailbox.suspect()
            return self.paused
        states = dict(pairs(links))
        paused = frozenset(peer for peer in self._mailbox.node.peers if states.get(peer.encode()) == PAUSED.encode())
        if paused != self.paused:
            self.paused = paused
            self._mailbox.put(LinksRead(paused))
        return paused

    async def set(self, peers: Iterable[str], *, paused: bool) -> dict[str, str]:
        """Pauses or opens the links to `peers`; all links as they are then. Raises `StoreUnavailable`."""
        states: dict[Any, Any] = dict.fromkeys(peers, PAUSED if paused else OPEN)
        try:
            if states:
                await self._redis.hset(self._keys.links, mapping=states)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the links cannot be set: {error}") from error
        return await self.read()

    async def read(self) -> dict[str, str]:
        """All links as they are now. Raises `StoreUnavailable`."""
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                await self.refresh()
        except TimeoutError as error:
            raise StoreUnavailable("the links cannot be read: no answer") from error
        return self._all()

    async def last_known(self) -> dict[str, str]:
        """All links as they are now or, where Redis does not say, as they were last."""
        with suppress(StoreUnavailable):
            return await self.read()
        return self._all()

    def _all(self) -> dict[str, str]:
        return {peer: PAUSED if peer in self.paused else OPEN for peer in self._mailbox.node.peers}
