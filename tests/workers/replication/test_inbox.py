"""The inbox against a real server: what waits for a turn is bounded, and a lost entry is no message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from crdt_core.codec.messages import Ask, encode_message
from crdt_core.lattice.clocks import VersionVector
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.server import ValkeyServer
from tests.support import wait_until_async
from workers.replication.inbox import _CONSUMER, _WAITING_MAX, Inbox
from workers.replication.links import Links
from workers.storage.store import Store
from workers.turns.mailbox import Mailbox
from workers.wire.keys import GROUP, MESSAGE_FIELD, Keys
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from crdt_core.node.events import Commit
    from workers.wire.retry import Trouble

NAME = "n1"
BATCH_MAX = 64


class Tap:
    """A store whose commits wait until it is opened."""

    def __init__(self, store: Store) -> None:
        self.open = asyncio.Event()
        self.quarantined: list[str] = []
        self._store = store

    @property
    def turn(self) -> int:
        return self._store.turn

    @property
    def trouble(self) -> Trouble | None:
        return self._store.trouble

    async def commit(self, commit: Commit) -> None:
        await self.open.wait()
        self.quarantined.extend(item.reason for item in commit.quarantined)
        await self._store.commit(commit)


class Bench:
    """A node's inbox, mailbox and store in the test's own process, with `tap` before the store."""

    def __init__(self, store: Store, redis: Redis, url: str) -> None:
        self.redis = redis
        self.tap = Tap(store)
        self.key = Keys(NAME).inbox
        node = Node(NAME, Replica(NAME, founders=[NAME, "n2"]), "s")
        self.mailbox = Mailbox(node, self.tap, lambda _: None, call_timeout_s=60)
        self._line = ReconnectingConnection(url, "deltaic-reader-n1", 5)
        links = Links(redis, self._line, self.mailbox)
        self._inbox = Inbox(NAME, redis, links, self.mailbox)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self.mailbox.run()), asyncio.create_task(self._inbox.run())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._line.close()

    async def send(self, messages: int) -> list[bytes]:
        content = encode_message(Ask("n2", "r", VersionVector()))
        return [await self.redis.xadd(self.key, {MESSAGE_FIELD: content}) for _ in range(messages)]

    async def pending(self) -> int:
        summary = await self.redis.xpending(self.key, GROUP)
        return int(summary["pending"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    valkey = ValkeyServer(tmp_path_factory.mktemp("valkey"), appendfsync="no").start()
    yield valkey
    valkey.stop()


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[Bench]:
    store = Store(NAME, server.url, "token", 1000)
    await store.claim(takeover=True)
    await store.load(Replica(NAME))
    redis = Redis.from_url(server.url)
    bench = Bench(store, redis, server.url)
    yield bench
    await bench.stop()
    await store.release()
    await redis.aclose()


async def test_no_more_messages_are_read_while_many_wait_for_their_turn(bench: Bench) -> None:
    messages = 4 * _WAITING_MAX
    await bench.send(messages)
    bench.start()
    await wait_until_async(lambda: bench.mailbox.messages_waiting > _WAITING_MAX, what="many to wait")
    for _ in range(50):
        await bench.redis.ping()  # time enough to read all of them
    assert bench.mailbox.messages_waiting <= _WAITING_MAX + BATCH_MAX
    bench.tap.open.set()

    async def all_taken() -> bool:
        return bench.mailbox.node.counts["patches_sent"] == messages and not await bench.redis.xlen(bench.key)

    await wait_until_async(all_taken, what="all to be taken in")
    assert await bench.pending() == 0


async def test_an_entry_that_was_trimmed_while_it_was_pending_is_acknowledged_and_nothing_else(bench: Bench) -> None:
    """It comes without fields, and once was set aside as a message that made no sense."""
    trimmed, kept = await bench.send(2)
    await bench.redis.xreadgroup(GROUP, _CONSUMER, {bench.key: ">"})  # a former worker, which then died
    await bench.redis.xtrim(bench.key, minid=kept, approximate=False)
    assert [entry["message_id"] for entry in await bench.redis.xpending_range(bench.key, GROUP, "-", "+", 10)] == [
        trimmed,
        kept,
    ]
    bench.tap.open.set()
    bench.start()

    async def none_pending() -> bool:
        return await bench.pending() == 0

    await wait_until_async(none_pending, what="both to be acknowledged")
    assert bench.mailbox.node.counts["patches_sent"] == 1
    assert bench.tap.quarantined == []
