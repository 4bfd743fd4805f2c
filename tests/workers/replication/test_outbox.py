"""The outbox: messages go out in order, answers reach their jobs, and what cannot be delivered is reported."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog
from redis.asyncio import Redis

from crdt_core.codec.messages import Ask, Done, decode_message
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.events import JobAnswer, Send, SendFailed
from tests.server import ValkeyServer
from tests.support import free_port, wait_until_async
from workers.config.loading import checked
from workers.replication.outbox import Outbox
from workers.system.tasks import end
from workers.wire.keys import MESSAGE_FIELD, Keys
from workers.wire.peers import Peers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Failures:
    """Stands for the mailbox: what is put there."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def put(self, event: Any) -> None:
        self.events.append(event)


@asynccontextmanager
async def running(own: str, n2: str) -> AsyncIterator[tuple[Outbox, Failures]]:
    """The outbox of n1, whose Redis is at `own`, that of its peer at `n2`."""
    nodes = {"n1": {"grpc": "h:1", "redis": own}, "n2": {"grpc": "h:2", "redis": n2}}
    peers, failures = Peers(checked({"nodes": nodes}), "n1"), Failures()
    outbox = Outbox(peers.redis("n1"), peers)
    mailbox: Any = failures
    serving = asyncio.create_task(outbox.run(mailbox))
    try:
        yield outbox, failures
    finally:
        await end([serving])
        await peers.close()


@pytest.fixture(autouse=True)
def empty(server: ValkeyServer) -> None:
    server.client().flushdb()


async def test_messages_arrive_in_the_order_in_which_they_left(server: ValkeyServer) -> None:
    async with running(server.url, server.url) as (outbox, failures):
        for number in range(90):
            outbox.release(Send("n2", Ask("n1", str(number), VersionVector())))
        redis = Redis.from_url(server.url)

        async def arrived() -> bool:
            return await redis.xlen(Keys("n2").inbox) == 90

        await wait_until_async(arrived, what="all messages")
        entries = await redis.xrange(Keys("n2").inbox)
        rounds = [decode_message(fields[MESSAGE_FIELD]).round for _, fields in entries]
        assert rounds == [str(number) for number in range(90)]
        assert failures.events == []
        await redis.aclose()


async def test_a_message_that_cannot_be_delivered_is_reported_with_its_round(server: ValkeyServer) -> None:
    async with running(server.url, f"redis://127.0.0.1:{free_port()}/0") as (outbox, failures):
        outbox.release(Send("n2", Done("n1", "round-7", 0)))
        outbox.release(Send("n3", Done("n1", "round-8", 0)))  # nobody knows where n3 is
        await wait_until_async(lambda: len(failures.events) == 2, what="both to be reported")
    assert set(failures.events) == {SendFailed("n2", "round-7"), SendFailed("n3", "round-8")}


async def test_a_peer_that_goes_away_is_one_line_and_so_is_its_return(server: ValkeyServer, tmp_path: Path) -> None:
    """Each message to a peer that was away was a line."""
    away = ValkeyServer(tmp_path)
    with structlog.testing.capture_logs() as logs:
        async with running(server.url, away.url) as (outbox, failures):
            for number in range(3):
                outbox.release(Send("n2", Done("n1", str(number), 0)))
            await wait_until_async(lambda: len(failures.events) == 3, what="all three to be reported")
            away.start()
            try:
                outbox.release(Send("n2", Done("n1", "there", 0)))
                await wait_until_async(lambda: away.client().exists(Keys("n2").inbox), what="a message to arrive")
                await wait_until_async(lambda: len(logs) > 1, what="a line about that")
            finally:
                away.stop()
    assert [(line["event"], line["peer"]) for line in logs] == [("send_failed", "n2"), ("send_succeeded", "n2")]
    assert "after_s" in logs[1]


async def test_a_peer_that_takes_nothing_does_not_hold_up_the_others(server: ValkeyServer) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        writer.close()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    try:
        async with running(server.url, f"redis://127.0.0.1:{port}/0") as (outbox, _):
            outbox.release(Send("n2", Done("n1", "stuck", 0)))
            outbox.release(Send("n1", Done("n1", "through", 0)))
            client = server.client()
            await wait_until_async(lambda: client.xlen(Keys("n1").inbox), what="the other message")
    finally:
        silent.close()
        await silent.wait_closed()


async def test_the_queue_to_a_peer_that_has_left_goes_once_it_is_empty(server: ValkeyServer) -> None:
    """It once stayed, with its task, for as long as the worker lived."""
    async with running(server.url, server.url) as (outbox, _):
        before = asyncio.all_tasks()
        client = server.client()
        for number in range(3):
            outbox.release(Send("n2", Done("n1", str(number), 0)))
        outbox.forget("n2")
        outbox.forget("n3")
        await wait_until_async(lambda: client.xlen(Keys("n2").inbox) == 3, what="what was on its way")
        await wait_until_async(lambda: asyncio.all_tasks() == before, what="the task to end")
        outbox.release(Send("n2", Done("n1", "back", 0)))
        await wait_until_async(lambda: client.xlen(Keys("n2").inbox) == 4, what="a message to a peer that is back")


async def test_an_answer_reaches_the_job_that_waits_and_expires(server: ValkeyServer) -> None:
    async with running(server.url, server.url) as (outbox, _):
        outbox.release(JobAnswer("deltaic:{n1}:answer:7", {"new_items": 3}))
        await outbox.drain()
        client = server.client()
        answer: Any = client.blpop(["deltaic:{n1}:answer:7"], timeout=5)
        assert orjson.loads(answer[1]) == {"new_items": 3}
        outbox.release(JobAnswer("deltaic:{n1}:answer:8", {}))
        await outbox.drain()
        assert 0 < client.ttl("deltaic:{n1}:answer:8") <= 60


@pytest.mark.parametrize("key", [Keys("n1").header, Keys("n1").state, "rq:queue:deltaic-n1", Keys("n2").answer("7")])
async def test_an_answer_is_put_where_jobs_wait_and_nowhere_else(server: ValkeyServer, key: str) -> None:
    """A message said where its answer goes: with another key, the node let its own state expire."""
    client = server.client()
    client.hset(Keys("n1").header, "replica", "n1")
    client.hset(Keys("n1").state, "fruit", "[]")
    async with running(server.url, server.url) as (outbox, _):
        outbox.release(JobAnswer(key, {}))
        outbox.release(JobAnswer(Keys("n1").answer("8"), {}))
        await outbox.drain()
    assert client.llen(Keys("n1").answer("8")) == 1
    assert [client.ttl(kept) for kept in (Keys("n1").header, Keys("n1").state)] == [-1, -1]
    assert not client.exists("rq:queue:deltaic-n1", Keys("n2").answer("7"))


async def test_a_job_s_redis_that_is_away_does_not_keep_the_worker_from_ending() -> None:
    away = f"redis://127.0.0.1:{free_port()}/0"
    async with running(away, away) as (outbox, failures):
        outbox.release(JobAnswer("deltaic:{n1}:answer:7", {}))
        await asyncio.wait_for(outbox.drain(), 5)
        assert failures.events == []
