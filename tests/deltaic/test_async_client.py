"""What only the asyncio client has: tasks that share it, and calls that are cancelled. The rest is in test_client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

import deltaic
from deltaic import AsyncClient
from tests.deltaic.real import PATIENT, urls_of
from tests.support import wait_until_async
from tools.blocking import PACKAGE, blocking

if TYPE_CHECKING:
    from tests.fleet import Fleet


async def test_tasks_share_a_client(fleet: Fleet, key: str) -> None:
    async with AsyncClient(urls_of(fleet, "n1"), PATIENT) as client:
        await asyncio.gather(*(client.counter(key).increment() for _ in range(300)))
        assert await client.counter(key).value() == 300


async def test_a_cancelled_call_spoils_no_reply_of_another(fleet: Fleet, key: str) -> None:
    async with AsyncClient(urls_of(fleet, "n1"), PATIENT) as client:
        await client.register(key).set("x" * 100_000)
        for _ in range(20):
            reading = asyncio.create_task(client.register(key).get())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])  # it may have come to its end just before
            assert reading.cancelled() or reading.result() == "x" * 100_000
            assert await client.counter(key + "+").increment() > 0
        assert await client.counter(key + "+").value() == 20


async def test_plain_redis_at_the_node_of_the_session(fleet: Fleet, key: str) -> None:
    async with AsyncClient(urls_of(fleet, "n1"), PATIENT) as client:
        await client.register(key).set("here")
        plain = await client.redis()
        assert await plain.get(key) == b"here"
        await plain.set(key, "there")
        client.read_after(await plain.execute_command("DELTAIC.TOKEN"))
    async with AsyncClient(urls_of(fleet, "n2"), PATIENT) as other:
        other.read_after(client.token())
        assert await other.register(key).get() == "there"


async def test_a_call_that_waits_for_a_node_lets_the_others_run(fleet: Fleet, key: str) -> None:
    async with AsyncClient(urls_of(fleet, "n1"), PATIENT) as client:
        waiting = client.session(deltaic.Token.parse("eyJub2JvZHkiOjF9"))  # of a replica that nobody knows
        task = asyncio.create_task(waiting.counter(key).value())
        await wait_until_async(lambda: _increment(client, key), what="another session to go on")
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def _increment(client: AsyncClient, key: str) -> bool:
    return await client.counter(key).increment() > 10


def test_the_blocking_client_is_made_from_this_one() -> None:
    assert blocking("async_client.py") == (PACKAGE / "client.py").read_text(), "run `make blocking`"
