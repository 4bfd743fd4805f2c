"""A raw connection to one Redis for what is asked again and again and has to be quick: opened, and again, when needed.

Over redis-py each of these questions takes several times as long as the hop itself, and replication consists of two.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import hiredis

from crdt_core.errors import SettingsError, StoreUnavailable
from workers.wire.connection import connect

if TYPE_CHECKING:
    from workers.wire.connection import RedisCommand, Wire

__all__ = ["ReconnectingConnection"]


class ReconnectingConnection:
    """A line to the Redis at `url`, named `name` there; whoever asks waits for those before.

    `silence_s`: how long Redis may owe an answer and say nothing before the connection is given up.
    """

    def __init__(self, url: str, name: str, silence_s: float) -> None:
        self._url = url
        self._name = name
        self._silence_s = silence_s
        self._wire: Wire | None = None
        self._turn = asyncio.Lock()

    async def ask(self, *commands: RedisCommand) -> list[Any]:
        """The replies to `commands`; raises `StoreUnavailable` where there is none, or it is an error."""
        async with self._turn:
            if self._wire is None or not self._wire.open:
                self._wire = await self._open()
            replies = await self._wire.send(commands)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise StoreUnavailable(f"Redis refuses: {reply}")
        return replies

    async def _open(self) -> Wire:
        """A connection; files of its TLS that are missing just now, as while they are replaced, are waited for."""
        try:
            return await connect(self._url, self._name, self._silence_s)
        except SettingsError as error:
            raise StoreUnavailable(str(error)) from error

    def close(self) -> None:
        """Closes the connection; whoever asks then opens it again."""
        if self._wire is not None:
            self._wire.close()
