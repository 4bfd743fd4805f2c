"""The heartbeats of a worker: what they publish, and what they find out about its own ownership."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import pytest

from crdt_core.errors import CorruptState, Fenced
from tests.support import wait_until_async
from tests.workers.replication.bench import Bench
from workers.config.loading import checked
from workers.storage.proofreading import Proofreader
from workers.system.tasks import end
from workers.wire.keys import FLEET, Keys
from workers.wire.peers import Peers
from workers.worker.custody import Custody
from workers.worker.heartbeats import publish_heartbeats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis import Redis

    from tests.server import ValkeyServer


class Beating(Bench):
    """The bench whose worker publishes heartbeats."""

    def __init__(self, server: ValkeyServer) -> None:
        super().__init__(server.url)
        nodes = {name: {"grpc": f"{name}:1", "redis": server.url} for name in ("n1", "n2")}
        self.peers = Peers(checked({"nodes": nodes}), "n1")
        self.serving = asyncio.Event()
        self.client: Redis = server.client()
        self.suspected = 0
        self.mailbox.suspect = self._suspect  # type: ignore[method-assign]
        self.beating: asyncio.Task[None] | None = None

    def beat(self) -> asyncio.Task[None]:
        proofreader = Proofreader(self.node, self.peers.redis("n1"), Keys("n1"), self.mailbox.put)
        custody = Custody("n1", self.peers.redis("n1"), proofreader, 10)
        work = publish_heartbeats(self.peers, "h:1", self.store, self.mailbox, self.serving, custody=custody)
        self.beating = asyncio.create_task(work)
        return self.beating

    def published(self) -> bytes | None:
        value: bytes | None = self.client.hget(FLEET, "n1")
        return value

    def calls(self, command: str) -> int:
        """How often the server was sent the command since its statistics were reset."""
        found: dict[str, int] = self.client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})
        return found["calls"]

    def _suspect(self) -> None:
        self.suspected += 1


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[Beating]:
    opened = Beating(server)
    await opened.open()
    yield opened
    if opened.beating is not None:
        await end([opened.beating])
    await opened.peers.close()
    await opened.close()


async def test_a_heartbeat_says_that_the_worker_runs_and_from_where_it_reads(bench: Beating) -> None:
    bench.peers.met["n2"] = "run 2"
    bench.serving.set()
    bench.beat()
    await wait_until_async(bench.published, what="a heartbeat")
    fields = orjson.loads(bench.published() or b"null")
    assert (fields["replica"], fields["serving"], fields["grpc"]) == ("n1", True, "h:1")
    assert bench.client.get(Keys("n1").alive) == b"token"
    assert 0 < bench.client.pttl(Keys("n1").alive) <= 3000
    assert bench.client.hgetall(Keys("n1").met) == {b"n2": b"run 2"}
    assert bench.suspected == 0


async def test_an_idle_worker_writes_no_more_than_its_heartbeat(bench: Beating) -> None:
    """It wrote from where it reads anew with every heartbeat: half of the bytes that heartbeats cost the Redis."""
    bench.peers.met["n2"] = "run 2"
    bench.beat()
    await wait_until_async(bench.published, what="a heartbeat")
    bench.client.config_resetstat()
    first = bench.published()
    await wait_until_async(lambda: bench.published() != first, what="the next heartbeat")
    written = {name: calls for name in ("set", "hset", "hdel", "del") if (calls := bench.calls(name))}
    assert written == {"set": 1, "hset": 1}


async def test_what_a_redis_has_lost_of_where_a_worker_reads_is_written_again(bench: Beating) -> None:
    bench.peers.met["n2"] = "run 2"
    bench.beat()
    await wait_until_async(lambda: bench.client.exists(Keys("n1").met), what="a heartbeat")
    bench.client.delete(Keys("n1").met)
    await wait_until_async(lambda: bench.client.hgetall(Keys("n1").met) == {b"n2": b"run 2"}, what="the next heartbeat")


async def test_a_worker_that_was_replaced_ends_though_it_has_nothing_to_commit(bench: Beating) -> None:
    """It would go on showing a state that no longer changes."""
    bench.client.hset(Keys("n1").header, "owner", "another process")
    with pytest.raises(Fenced):
        await bench.beat()
    assert bench.published() is None


async def test_a_redis_that_has_lost_its_owner_is_looked_after(bench: Beating) -> None:
    bench.client.delete(Keys("n1").header)
    bench.beat()
    await wait_until_async(lambda: bench.suspected, what="the mailbox to be told")


async def test_a_lost_connection_of_the_owner_is_looked_after(bench: Beating) -> None:
    (owner,) = [found for found in bench.client.client_list() if "deltaic-owner-n1" in found["name"]]
    bench.client.client_kill_filter(_id=owner["id"])
    await wait_until_async(lambda: not bench.store.connected, what="the store to notice")
    bench.beat()
    await wait_until_async(lambda: bench.suspected, what="the mailbox to be told")
    await bench.store.acquire(takeover=True)


async def test_a_turn_that_somebody_has_made_unreadable_is_named(bench: Beating) -> None:
    """It ended the worker with a traceback."""
    bench.client.hset(Keys("n1").header, "turn", "many")
    with pytest.raises(CorruptState, match="turn b'many' is no number"):
        await bench.beat()
    bench.beating = None
