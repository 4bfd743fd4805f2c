"""The eviction policy of a Redis: read in either way, refused unless nothing is evicted."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from crdt_core.errors import EvictingRedis
from workers.storage.eviction import check_eviction, eviction_policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer


@asynccontextmanager
async def user(server: ValkeyServer, *rights: str) -> AsyncIterator[Redis]:
    """A connection of a user with these rights."""
    server.client().execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", "+@all", *rights)
    async with Redis.from_url(f"redis://limited:any@127.0.0.1:{server.port}") as redis:
        try:
            yield redis
        finally:
            server.client().acl_deluser("limited")


@pytest.mark.parametrize("rights", [(), ("-config",), ("-info",)])
async def test_the_policy_is_read_in_the_way_that_is_permitted(server: ValkeyServer, rights: tuple[str, ...]) -> None:
    async with user(server, *rights) as redis:
        assert await eviction_policy(redis) == "noeviction"
        await check_eviction("n1", redis)
        server.client().config_set("maxmemory-policy", "volatile-ttl")
        try:
            with pytest.raises(EvictingRedis, match="maxmemory-policy volatile-ttl") as refused:
                await check_eviction("n1", redis)
        finally:
            server.client().config_set("maxmemory-policy", "noeviction")
        assert (refused.value.node, refused.value.policy) == ("n1", "volatile-ttl")


async def test_a_policy_that_may_not_be_read_is_only_logged(
    server: ValkeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with user(server, "-config", "-info") as redis:
        assert await eviction_policy(redis) is None
        await check_eviction("n1", redis)
    assert capsys.readouterr().out.count("eviction_policy_unreadable") == 1
