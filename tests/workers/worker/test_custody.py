"""Custody of the stored state: the eviction policy is looked at again and again, and told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.asyncio import Redis

from tests.invocations import command
from tests.workers.storage.bench import Bench
from workers.storage.proofreading import Proofreader
from workers.worker.custody import Custody

if TYPE_CHECKING:
    import pytest

    from crdt_core.node.events import Event
    from tests.server import ValkeyServer


async def test_a_redis_that_begins_to_evict_keys_is_told_once_and_shown_until_it_ceases(
    server: ValkeyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.client().flushdb()
    bench, client = await Bench(server).open(), server.client()
    async with Redis.from_url(server.url) as own:
        custody = Custody("n1", own, Proofreader(bench.node, own, bench.keys, [].append), 0)
        await custody.look()
        assert custody.fields == {}
        client.config_set("maxmemory-policy", "allkeys-lfu")
        try:
            for _ in range(3):
                await custody.look()
            assert custody.fields == {"evicts": "allkeys-lfu"}
        finally:
            client.config_set("maxmemory-policy", "noeviction")
        assert capsys.readouterr().out.count("eviction_enabled") == 1
        await custody.look()
        assert custody.fields == {}
        assert capsys.readouterr().out.count("eviction_disabled") == 1
    await bench.store.release()


async def test_a_record_that_vanished_is_found_by_a_look(server: ValkeyServer) -> None:
    server.client().flushdb()
    bench = await Bench(server).open()
    await bench.turn(command("INCR", b"hits"))
    found: list[Event] = []
    async with Redis.from_url(server.url) as own:
        custody = Custody("n1", own, Proofreader(bench.node, own, bench.keys, found.append), 0)
        bench.redis.hdel(bench.keys.state, "hits")
        await custody.look()
    assert found
    await bench.store.release()
