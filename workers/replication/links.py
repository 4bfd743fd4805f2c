"""The links of a node: which peers it reads from. Anybody may set them: the command, gRPC, or `redis-cli HSET`.

A reader of a peer's data calls `refresh` *after* reading and before passing the data on. So data that was sent after
the link was paused never gets in. Only the value `paused` pauses a link.

A Redis that has lost commits is not believed: it may have lost the pauses as well.
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
from workers.wire.replies import pairs, stored_turn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from redis.asyncio import Redis

    from workers.turns.mailbox import Mailbox
    from workers.wire.connection import RedisCommand
    from workers.wire.reconnecting import ReconnectingConnection

__all__ = ["Links"]

_READ_TIMEOUT_S = 1.0
_WATCH_INTERVAL_S = 0.2


class Links:
    """The links of the node behind `mailbox` to its peers, in the node's own Redis.

    They are written through `redis` and read through `connection`, a reconnecting connection: they are read once for
    everything that comes from a peer, so reading has to be quick. `paused`: the paused peers as they were last read.
    """

    def __init__(self, redis: Redis, connection: ReconnectingConnection, mailbox: Mailbox) -> None:
        self._keys = Keys(mailbox.node.name)
        self._redis = redis
        self._connection = connection
        self._mailbox = mailbox
        self.paused: frozenset[str] = frozenset()

    async def refresh(self) -> frozenset[str]:
        """Read the links, tell the node if they have changed, and return the paused peers.

        Raises `StoreUnavailable`, and `CorruptState` for a header that cannot be read.
        """
        confirmed = self._mailbox.persisted
        read: tuple[RedisCommand, ...] = (("HGETALL", self._keys.links), ("HGET", self._keys.header, "turn"))
        try:
            *_, (links, turn) = await self._connection.ask(("MULTI",), *read, ("EXEC",))
        except StoreUnavailable as error:
            raise StoreUnavailable(f"the links cannot be read: {error}") from error
        for reply in (links, turn):
            if isinstance(reply, hiredis.ReplyError):
                raise StoreUnavailable(f"the links cannot be read: {reply}")
        if stored_turn(self._keys.header, turn) < confirmed:
            self._mailbox.suspect()
            return self.paused
        states = dict(pairs(links))
        paused = frozenset(peer for peer in self._mailbox.node.peers if states.get(peer.encode()) == PAUSED.encode())
        if paused != self.paused:
            self.paused = paused
            self._mailbox.put(LinksRead(paused))
        return paused

    async def watch(self) -> None:
        """Refresh several times a second until cancelled, so that a change is noticed while nothing is read."""
        while True:
            with suppress(StoreUnavailable):
                await self.refresh()
            await asyncio.sleep(_WATCH_INTERVAL_S)

    async def set(self, peers: Iterable[str], *, paused: bool) -> dict[str, str]:
        """Pause or open the links to `peers`, and return the states of all links. Raises `StoreUnavailable`."""
        states: dict[Any, Any] = dict.fromkeys(peers, PAUSED if paused else OPEN)
        try:
            if states:
                await self._redis.hset(self._keys.links, mapping=states)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the links cannot be set: {error}") from error
        return await self.read()

    async def read(self) -> dict[str, str]:
        """Read and return the states of all links, `open` or `paused` by peer. Raises `StoreUnavailable`."""
        try:
            async with asyncio.timeout(_READ_TIMEOUT_S):
                await self.refresh()
        except TimeoutError as error:
            raise StoreUnavailable("the links cannot be read: no answer") from error
        return self._states()

    async def last_known(self) -> dict[str, str]:
        """Return the states of all links: as they are now or, where Redis does not answer, as they were last read."""
        with suppress(StoreUnavailable):
            return await self.read()
        return self._states()

    def _states(self) -> dict[str, str]:
        return {peer: PAUSED if peer in self.paused else OPEN for peer in self._mailbox.node.peers}
