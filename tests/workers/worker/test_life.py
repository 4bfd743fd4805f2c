"""One life of a worker: from the ownership of its replica to the end of it, whatever ends it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from crdt_core.errors import AlreadyRunning, Fenced
from crdt_core.membership.evidence import OperatorOverride
from tests.support import wait_until_async
from workers.storage.ownership import Ownership
from workers.system.ports import split_address
from workers.system.tasks import end
from workers.wire.keys import FLEET, Keys
from workers.worker.life import Life

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer
    from workers.config.settings import FleetSettings

pytestmark = pytest.mark.usefixtures("usual_gc")


class Living:
    """A life under way."""

    def __init__(self, settings: FleetSettings) -> None:
        self.stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        life = Life(settings, "n1", self.stop, OperatorOverride())
        self.task = asyncio.create_task(life.run(takeover=False))
        _, port = split_address(settings.node("n1").resp or "")
        self.client = Redis(port=port, socket_timeout=10)

    async def serves(self) -> None:
        async def answers() -> bool:
            try:
                return bool(await self.client.ping())
            except RedisError:
                assert not self.task.done(), self.task
                return False

        await wait_until_async(answers, 20, "the worker to serve")


@asynccontextmanager
async def living(settings: FleetSettings) -> AsyncIterator[Living]:
    found = Living(settings)
    try:
        yield found
    finally:
        await end([found.task])
        await found.client.aclose()


async def test_a_worker_serves_until_it_is_told_to_stop_and_leaves_its_writes_and_no_claim(
    alone: FleetSettings, server: ValkeyServer
) -> None:
    async with living(alone) as life:
        await life.serves()
        assert await life.client.incr("hits") == 1
        client = server.client()
        await wait_until_async(lambda: client.hexists(FLEET, "n1"), what="a heartbeat")
        life.stop.set_result(None)
        await life.task
        header = client.hgetall(Keys("n1").header)
        assert b"owner" not in header
        assert header[b"turn"] != b"0"
        assert not client.hexists(FLEET, "n1")
        assert not client.exists(Keys("n1").alive)
    async with living(alone) as life:
        await life.serves()
        assert await life.client.get("hits") == b"1"
        life.stop.set_result(None)
        await life.task


async def test_a_node_that_has_stopped_does_not_count_as_up(
    alone: FleetSettings, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heartbeat under way once published again what the stopping worker had just deleted."""
    monkeypatch.setattr("workers.worker.heartbeats._INTERVAL_S", 0)
    monkeypatch.setattr("workers.worker.heartbeats._JOINING_INTERVAL_S", 0)
    client = server.client()
    for _ in range(5):
        async with living(alone) as life:
            await life.serves()
            life.stop.set_result(None)
            await life.task
        assert (client.exists(Keys("n1").alive), client.hexists(FLEET, "n1")) == (0, False)


async def test_it_may_be_told_to_stop_before_it_serves(alone: FleetSettings, server: ValkeyServer) -> None:
    """Its Redis does not answer: to stop, it need not come back."""
    server.suspend()
    try:
        async with living(alone) as life:
            life.stop.set_result(None)
            await asyncio.wait_for(life.task, 10)
    finally:
        server.resume()


async def test_a_worker_that_is_taken_over_stops_serving_and_leaves_the_ownership(
    alone: FleetSettings, server: ValkeyServer
) -> None:
    async with living(alone) as life:
        await life.serves()
        successor = Ownership("n1", server.url, "successor")
        await successor.acquire(takeover=True)
        with pytest.raises(Fenced):
            await asyncio.wait_for(life.task, 20)
        with pytest.raises(RedisError):
            await life.client.ping()
        assert server.client().hget(Keys("n1").header, "owner") == b"successor"
        await successor.release()


async def test_a_node_that_runs_already_is_left_alone(alone: FleetSettings, server: ValkeyServer) -> None:
    owner = Ownership("n1", server.url, "owner")
    await owner.acquire(takeover=False)
    async with living(alone) as life:
        with pytest.raises(AlreadyRunning):
            await life.task
    await owner.transact(("SET", "still", "owned"))
    await owner.release()
