"""A client goes through something large in steps: SCAN, SSCAN and HSCAN give everything once, in EXEC, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from crdt_core.node.options import NodeOptions
from crdt_core.replica.part_orders import ORDERED_FROM
from tests.support import free_port
from tests.workers.resp.inprocess import InProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MEMBERS = [b"m%d" % number for number in range(2 * ORDERED_FROM)]
FIELDS = {member: b"of " + member for member in MEMBERS}
OPTIONS = NodeOptions(parts_per_slice=4, parts_per_turn=10)
"""Bounds so low that the orders of these collections are made in slices."""


@pytest.fixture
async def client() -> AsyncIterator[Redis]:
    """redis-py at the face of a node that has a large set and a large hash."""
    async with InProcess(options=OPTIONS) as made:
        port = free_port()
        await made.face.start("n1", f"127.0.0.1:{port}")
        async with Redis(port=port) as connected:
            await connected.sadd("set", *MEMBERS)
            await connected.hset("hash", mapping=FIELDS)
            yield connected
        await made.face.stop()


@pytest.mark.parametrize("count", [None, 37, 100_000])
async def test_a_scan_of_something_large_gives_all_of_it_once(client: Redis, count: int | None) -> None:
    assert sorted([member async for member in client.sscan_iter("set", count=count)]) == sorted(MEMBERS)
    pairs = [pair async for pair in client.hscan_iter("hash", count=count)]
    assert len(pairs) == len(FIELDS)
    assert dict(pairs) == FIELDS


async def test_a_step_of_a_scan_runs_in_a_transaction_and_the_others_outside(client: Redis) -> None:
    """EXEC makes the orders in slices, and shows what it wrote itself. Its cursors hold outside."""
    async with client.pipeline(transaction=True) as transaction:
        transaction.sadd("set", "new")
        transaction.sscan("set", count=500)
        transaction.hdel("hash", *MEMBERS[:100])
        transaction.hscan("hash", count=500)
        added, (set_cursor, members), removed, (hash_cursor, fields) = await transaction.execute()
    assert (added, removed, len(members)) == (1, 100, 500)
    assert 0 < len(fields) <= 500
    while set_cursor:
        set_cursor, more = await client.sscan("set", set_cursor, count=500)
        members += more
    while hash_cursor:
        hash_cursor, rest = await client.hscan("hash", hash_cursor, count=500)
        assert not fields.keys() & rest.keys()
        fields |= rest
    assert sorted(members) == sorted([*MEMBERS, b"new"])
    assert fields == {field: FIELDS[field] for field in MEMBERS[100:]}


async def test_a_match_looks_at_all_and_returns_few(client: Redis) -> None:
    assert sorted([member async for member in client.sscan_iter("set", match="m7?")]) == [
        b"m%d" % n for n in range(70, 80)
    ]
    assert [pair async for pair in client.hscan_iter("hash", match="m77")] == [(b"m77", b"of m77")]
    assert sorted([key async for key in client.scan_iter(match="*")]) == [b"hash", b"set"]


async def test_a_scan_goes_on_with_its_cursor_while_others_come_and_go(client: Redis) -> None:
    cursor, found = await client.sscan("set", count=200)
    while cursor:
        await client.srem("set", *found)
        await client.sadd("set", *(b"new " + member for member in found if not member.startswith(b"new ")))
        cursor, more = await client.sscan("set", cursor, count=200)
        assert not {*more} & {*found}
        found += more
    assert {*MEMBERS} <= {*found}
