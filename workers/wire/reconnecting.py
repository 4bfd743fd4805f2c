"""A raw connection to one Redis that opens itself again, for questions that are asked all the time.

Over redis-py, each of these questions would take several times as long as the network hop, and replication consists of
two such questions.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import hiredis

from crdt_core.errors import SettingsError, StoreUnavailable
from workers.wire.connection import Wire, connect
from workers.wire.replies import send_checked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.wire.connection import RedisCommand
    from workers.wire.outages import Outages

__all__ = ["ReconnectingConnection"]


class ReconnectingConnection:
    """A connection to the Redis at `url`, named `name` there. Concurrent callers of `ask` wait for each other.

    `silence_s`: how long Redis may owe a reply and send nothing before the connection is closed. `outages` is told when
    Redis cannot be reached, and when it can be again. `make`: what makes the wire (`workers.wire.connection.connect`).
    `opening`: what is sent first whenever the connection is opened.
    """

    def __init__(
        self,
        url: str,
        name: str,
        silence_s: float,
        outages: Outages,
        *,
        make: Callable[[float], Wire] = Wire,
        opening: Sequence[RedisCommand] = (),
    ) -> None:
        self._url = url
        self._name = name
        self._silence_s = silence_s
        self._outages = outages
        self._make = make
        self._opening = opening
        self._reaches = True
        self._wire: Wire | None = None
        self._in_use = asyncio.Lock()

    async def ask(self, *commands: RedisCommand) -> list[Any]:
        """Send `commands` and return their replies; opens the connection first if it is not open.

        Raises `StoreUnavailable` where Redis cannot be reached, or a reply is an error.
        """
        async with self._in_use:
            try:
                if self._wire is None or not self._wire.open:
                    self._wire = await self._open()
                replies = await self._wire.send(commands)
            except StoreUnavailable as error:
                self._reaches = False
                self._outages.failed(self._url, self, str(error))
                raise
        if not self._reaches:
            self._reaches = True
            self._outages.answered(self._url, self)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise StoreUnavailable(f"Redis refuses: {reply}")
        return replies

    async def _open(self) -> Wire:
        """Return a new connection.

        TLS files that are missing count as a Redis that is away: they may just be in the middle of a replacement.
        """
        try:
            wire = await connect(self._url, self._name, self._silence_s, make=self._make)
        except SettingsError as error:
            raise StoreUnavailable(str(error)) from error
        if self._opening:
            await send_checked(wire, list(self._opening))
        return wire

    def close(self) -> None:
        """Close the connection. The next `ask` opens it again."""
        self._outages.closed(self._url, self)
        if self._wire is not None:
            self._wire.close()
