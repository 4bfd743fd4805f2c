"""Reads the Redis of all nodes at once for an operator's command, with short timeouts and without retries.

Nodes that share a Redis share a connection. The questions about these nodes form one transaction, so their answers are
of the same moment. A Redis that does not answer is part of the result and not an error.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError

from crdt_core.errors import StoreUnavailable
from workers.config.redis_url import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from workers.config.settings import FleetSettings
    from workers.wire.connection import RedisCommand

__all__ = ["REFUSED", "FleetRedis", "NodeStoreUnavailable", "Replies"]

Replies = list[Any]
"""One reply per command. If Redis refused a command, its reply is the exception."""

REFUSED = "connection refused"
"""The reason why a Redis did not answer if nothing listens at its address."""

_TIMEOUT_S = 1.5
_LOCKED = "it wants another user or password (in its URL; for the embedded server: setting valkey.password_file)"


class NodeStoreUnavailable(StoreUnavailable):
    """The Redis at `url` (without its password) did not answer; `reason` is a few words."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"Redis at {url}: {reason}" if url else reason)
        self.url = url
        self.reason = reason


class FleetRedis:
    """The connections to the Redis of all nodes, open for one `async with` block."""

    def __init__(self, settings: FleetSettings) -> None:
        self._urls = {name: node.redis for name, node in settings.nodes.items()}
        self._clients: dict[str, Redis] = {}

    async def __aenter__(self) -> Self:
        self._clients = {url: _client(url) for url in self._urls.values()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(client.aclose() for client in self._clients.values()))

    async def ask(self, commands: Mapping[str, Sequence[RedisCommand]]) -> dict[str, Replies | NodeStoreUnavailable]:
        """Send each node's `commands` to its Redis, and return the replies, or why there are none, by node.

        The result has the order of `commands`.
        """
        nodes_at: dict[str, list[str]] = {}
        for name in commands:
            nodes_at.setdefault(self._urls[name], []).append(name)
        answers = await asyncio.gather(
            *(self._ask_one(url, {name: commands[name] for name in names}) for url, names in nodes_at.items())
        )
        merged = {name: answer for part in answers for name, answer in part.items()}
        return {name: merged[name] for name in commands}

    async def _ask_one(
        self, url: str, commands: Mapping[str, Sequence[RedisCommand]]
    ) -> dict[str, Replies | NodeStoreUnavailable]:
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._clients[url].pipeline(transaction=True) as pipeline:
                for command in (command for node in commands.values() for command in node):
                    pipeline.execute_command(*command)
                replies = iter(await pipeline.execute(raise_on_error=False))
        except (RedisError, OSError) as error:
            unavailable = NodeStoreUnavailable(redacted(url), _reason(error))
            return dict.fromkeys(commands, unavailable)
        return {name: [next(replies) for _ in asked] for name, asked in commands.items()}


def _client(url: str) -> Redis:
    return Redis.from_url(
        url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), retries=0)
    )


def _reason(error: BaseException) -> str:
    """Return why Redis did not answer, in a few words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return REFUSED
        if isinstance(cause, TimeoutError):
            return f"no answer within {_TIMEOUT_S:g} s"
        if isinstance(cause, AuthenticationError):
            return _LOCKED
        cause = cause.__cause__ or cause.__context__
    return str(error).split("\n", maxsplit=1)[0] or type(error).__name__
