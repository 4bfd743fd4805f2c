"""Whether a Redis takes writes is found out without writing anything, and told as it changes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

from tests.support import wait_until_async
from workers.storage.writability import Writability
from workers.system.tasks import end
from workers.wire.keys import Keys
from workers.wire.outages import Outages
from workers.wire.reconnecting import ReconnectingConnection
from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer


class Commits:
    """What the store says of its commits."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None

    def __call__(self) -> Trouble | None:
        return self.trouble


@asynccontextmanager
async def probing(server: ValkeyServer) -> AsyncIterator[tuple[Writability, Commits]]:
    connection, commits = ReconnectingConnection(server.url, "probe", 1.0, Outages()), Commits()
    writability = Writability("n1", connection, commits)
    running = asyncio.create_task(writability.run())
    try:
        yield writability, commits
    finally:
        await end([running])
        connection.close()


async def test_a_redis_that_takes_writes_is_left_as_it_is(server: ValkeyServer) -> None:
    with server.client() as client:
        before = client.info("persistence")["rdb_changes_since_last_save"]
        async with probing(server) as (writability, _):
            calls = "cmdstat_setrange"
            await wait_until_async(lambda: calls in client.info("commandstats"), what="a probe")
            assert writability.trouble is None
        assert client.info("persistence")["rdb_changes_since_last_save"] == before
        assert not client.exists(Keys("n1").probe)


async def test_what_redis_refuses_writes_for_is_known_though_nobody_writes(server: ValkeyServer) -> None:
    with server.client() as client:
        async with probing(server) as (writability, _):
            client.config_set("maxmemory", 1)
            try:
                assert await writability.changed(since=True) is False
                trouble = writability.trouble
                assert trouble is not None
                assert "OOM" in trouble.reason
                assert trouble.since_s <= monotonic()
            finally:
                client.config_set("maxmemory", 0)
            assert await writability.changed(since=False) is True
            assert writability.trouble is None


async def test_a_frozen_redis_is_noticed_within_two_seconds(server: ValkeyServer) -> None:
    async with probing(server) as (writability, _):
        await writability.changed(since=False)
        server.suspend()
        try:
            async with asyncio.timeout(5):
                await writability.changed(since=True)
            assert writability.trouble is not None
            assert writability.trouble.reason == "Redis gave no answer for 1 s"
        finally:
            server.resume()
        assert await writability.changed(since=False) is True


async def test_a_commit_that_has_failed_for_a_while_counts_though_the_probe_succeeds(server: ValkeyServer) -> None:
    async with probing(server) as (writability, commits):
        commits.trouble = Trouble(monotonic(), "the connection is cut")
        assert writability.trouble is None, "it may be over in a moment"
        commits.trouble = Trouble(monotonic() - 2, "the connection is cut")
        assert writability.trouble is commits.trouble
        commits.trouble = None
        assert writability.trouble is None


async def test_a_trouble_that_is_over_before_the_next_probe_is_not_taken_to_last(server: ValkeyServer) -> None:
    """Who had asked in between heard of no end of it, and health checks said `NOT_SERVING` until the next trouble."""
    async with probing(server) as (writability, commits):
        await wait_until_async(lambda: server_is_probed(server), what="a probe")
        commits.trouble = Trouble(monotonic() - 2, "slow")
        assert not await writability.changed(since=True)
        waiting = asyncio.create_task(writability.changed(since=False))
        await asyncio.sleep(0)
        commits.trouble = None
        async with asyncio.timeout(5):
            assert await waiting


def server_is_probed(server: ValkeyServer) -> bool:
    with server.client() as client:
        return "cmdstat_setrange" in client.info("commandstats")
