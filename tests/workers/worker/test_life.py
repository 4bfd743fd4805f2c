"""One life of a worker: from the ownership of its replica to the end of it, whatever ends it."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from crdt_core.errors import AlreadyRunning, DamagedState, EvictingRedis, Fenced
from crdt_core.membership.evidence import OperatorOverride
from tests.server import ValkeyServer
from tests.support import free_port, wait_until_async
from workers.config.loading import checked
from workers.processes.supervision import STAY_DOWN
from workers.storage.ownership import Ownership
from workers.system.ports import split_address
from workers.system.tasks import end
from workers.wire.keys import FLEET, Keys
from workers.worker.life import Life

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from workers.config.settings import FleetSettings

pytestmark = pytest.mark.usefixtures("usual_gc")


class Living:
    """A life under way."""

    def __init__(self, settings: FleetSettings, override: OperatorOverride) -> None:
        self.stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        life = Life(settings, "n1", self.stop, override)
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
async def living(settings: FleetSettings, *, accepting: bool = False) -> AsyncIterator[Living]:
    found = Living(settings, OperatorOverride(accepting=accepting))
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


async def test_a_search_for_cycles_looks_at_a_bounded_number_of_objects(alone: FleetSettings) -> None:
    """It looked at 250 000 objects now and then, and held the node for 50 to 70 ms."""
    async with living(alone) as life:
        await life.serves()
        new, searches, _ = gc.get_threshold()
        assert new * (searches + 2) <= 150_000, "those of the searches before, of the one that is due, and of this one"
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


async def test_a_node_without_peers_refuses_a_state_of_which_a_set_is_gone_until_an_operator_accepts_that(
    alone: FleetSettings, server: ValkeyServer
) -> None:
    """It was loaded: the set was gone, and the digest in the header certified the rest as the whole state."""
    client, keys = server.client(), Keys("n1")
    async with living(alone) as life:
        await life.serves()
        await life.client.sadd("fruit", *range(50))
        await life.client.incr("hits")
        life.stop.set_result(None)
        await life.task
    client.delete(keys.record(b"obj:fruit"))
    for _ in range(2):  # the second time it is known already
        async with living(alone) as life:
            with pytest.raises(DamagedState, match=r"deltaic:\{n1\}:obj:fruit is gone.* --accept-damage") as refused:
                await asyncio.wait_for(life.task, 20)
            assert refused.value.exit_code in STAY_DOWN
    async with living(alone, accepting=True) as life:
        await life.serves()
        assert (await life.client.get("hits"), await life.client.exists("fruit")) == (b"1", 0)
        assert await life.client.sadd("fruit", "new") == 1
        life.stop.set_result(None)
        await life.task
    async with living(alone) as life:
        await life.serves()
        assert await life.client.smembers("fruit") == {b"new"}
        life.stop.set_result(None)
        await life.task
    assert client.hget(keys.header, "replica") == b"n1.2"


async def test_a_redis_that_may_evict_keys_is_refused(alone: FleetSettings, server: ValkeyServer) -> None:
    """Nothing looked at the policy, and the node lost what Redis deleted."""
    server.client().config_set("maxmemory-policy", "allkeys-lru")
    try:
        async with living(alone) as life:
            with pytest.raises(EvictingRedis, match="`redis-cli CONFIG SET maxmemory-policy noeviction`"):
                await asyncio.wait_for(life.task, 20)
    finally:
        server.client().config_set("maxmemory-policy", "noeviction")
    assert not server.client().exists(Keys("n1").header)


async def test_keys_that_vanish_while_a_node_runs_are_written_again_and_counted(
    alone: FleetSettings, server: ValkeyServer
) -> None:
    """Nobody noticed them before the next start, and that took what was left for all."""
    jobs = alone.jobs.model_copy(update={"audit_interval_s": 0.05})
    client, fruit = server.client(), Keys("n1").record(b"obj:fruit")
    async with living(alone.model_copy(update={"jobs": jobs})) as life:
        await life.serves()
        await life.client.sadd("fruit", *range(50))
        before = client.hgetall(fruit)
        client.delete(fruit)
        await wait_until_async(lambda: client.hgetall(fruit) == before, what="the set to be written again")

        def counted() -> int:
            return int(orjson.loads(client.hget(FLEET, "n1") or b"{}").get("persisted_again", 0))

        await wait_until_async(counted, what="the heartbeat to count the records")
        assert counted() >= 50
        life.stop.set_result(None)
        await life.task


async def test_an_outage_of_redis_is_said_when_it_begins_and_when_it_ends_and_not_in_between(tmp_path: Path) -> None:
    """Five nodes wrote 25 lines a second for as long as their Redis was away."""
    valkey = ValkeyServer(tmp_path / "valkey").start()
    faces = {face: f"127.0.0.1:{free_port()}" for face in ("grpc", "resp")}
    settings = checked({"nodes": {"n1": {**faces, "redis": valkey.url}}, "limits": {"write_timeout_ms": 3000}})
    try:
        async with living(settings) as life:
            await life.serves()
            await life.client.incr("hits")
            with structlog.testing.capture_logs() as logs:
                await asyncio.to_thread(valkey.stop)
                with pytest.raises(RedisError):  # three seconds later
                    await life.client.incr("hits")
                during = [line["event"] for line in logs]
                await asyncio.to_thread(valkey.start)
                ends = {"redis_returned", "redis_answered", "writes_succeeding"}
                await wait_until_async(lambda: ends <= {line["event"] for line in logs}, 20, "its return to be said")
            life.stop.set_result(None)
            await life.task
    finally:
        valkey.stop()
    assert sorted(during) == ["commit_interrupted", "redis_awaited", "redis_lost", "writes_failing"]
    after = [line["event"] for line in logs][len(during) :]
    assert sorted(after) == ["redis_answered", "redis_returned", "writes_succeeding"]
