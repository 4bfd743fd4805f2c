"""Stream replies have one shape, whatever came over the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from workers.wire.streams import entries_of

if TYPE_CHECKING:
    from tests.server import ValkeyServer


@pytest.mark.parametrize("protocol", [2, 3])
async def test_replies_of_either_protocol_are_the_same_entries(server: ValkeyServer, protocol: int) -> None:
    redis = Redis.from_url(server.url, protocol=protocol)
    await redis.delete("log")
    ids = [await redis.xadd("log", {"d": value}) for value in ("x", "y")]
    expected = [(ids[0], {b"d": b"x"}), (ids[1], {b"d": b"y"})]
    assert entries_of(await redis.xread({"log": "0"})) == expected
    await redis.xgroup_create("log", "worker", "0")
    assert entries_of(await redis.xreadgroup("worker", "one", {"log": ">"})) == expected
    await redis.aclose()


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_deleted_entry_that_is_still_pending_has_no_fields(server: ValkeyServer, protocol: int) -> None:
    redis = Redis.from_url(server.url, protocol=protocol)
    await redis.delete("log")
    entry = await redis.xadd("log", {"d": "x"})
    await redis.xgroup_create("log", "worker", "0")
    await redis.xreadgroup("worker", "one", {"log": ">"})
    await redis.xdel("log", entry)
    assert entries_of(await redis.xreadgroup("worker", "one", {"log": "0"})) == [(entry, {})]
    await redis.aclose()


@pytest.mark.parametrize("reply", [None, [], {}])
def test_nothing_new_is_no_entry(reply: Any) -> None:
    assert entries_of(reply) == []
