"""A node with its mailbox, its store and its links in the test's own process, against a real server."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from redis.asyncio import Redis

from crdt_core.errors import Fenced
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.invocations import command
from tests.workers.committing import committed
from tests.workers.mailboxes import SlowStore
from workers.replication.links import Links
from workers.storage.store import Store
from workers.system.tasks import end
from workers.turns.mailbox import Mailbox
from workers.wire.keys import Keys
from workers.wire.outages import Outages
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from crdt_core.node.events import Commit
    from tests.server import ValkeyServer

__all__ = ["NAME", "Bench", "lose_connections"]

NAME = "n1"


class Tap(SlowStore):
    """The commits of `store`, which wait until the tap is opened."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.quarantined: list[str] = []
        self._store = store

    async def persist(self, commit: Commit) -> None:
        await super().persist(commit)
        self.quarantined.extend(item.reason for item in commit.quarantined)
        await committed(self._store.commits, commit)


class Bench:
    """Node n1 of a fleet of n1 and n2, with `tap` before its store. Its Redis is emptied first. A context manager."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = Redis.from_url(url)
        self.keys = Keys(NAME)
        self.store = Store(NAME, url, "token", 1000)
        self.tap = Tap(self.store)
        self.node = Node(NAME, Replica(NAME, founders=[NAME, "n2"]), "s")
        self.mailbox = Mailbox(self.node, self.tap, lambda _: None, call_timeout_s=60)
        self._readers: list[ReconnectingConnection] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.links = Links(self.redis, self.reader(), self.mailbox)

    async def __aenter__(self) -> Self:
        try:
            return await self.open()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> Self:
        await self.redis.flushdb()
        await self.store.acquire(takeover=True)
        await self.store.load(self.node.replica)
        return self

    def reader(self) -> ReconnectingConnection:
        """A reconnecting connection to the server, closed with the bench."""
        reader = ReconnectingConnection(self.url, "deltaic-reader-n1", 5, Outages())
        self._readers.append(reader)
        return reader

    def start(self, *works: Coroutine[Any, Any, None]) -> None:
        """Run the mailbox's turns, and `works` beside them."""
        self._tasks += [asyncio.create_task(work) for work in (self.mailbox.run(), *works)]

    async def commit(self) -> None:
        """Has the mailbox, which has to run, commit a write."""
        await self.mailbox.call(command("SADD", b"fruit", b"apple"))

    async def close(self) -> None:
        await end(self._tasks)
        for reader in self._readers:
            reader.close()
        with suppress(Fenced):  # a test may have written to the header
            await self.store.release()
        await self.redis.aclose()


def lose_connections(server: ValkeyServer) -> None:
    """Cuts all connections but those of owners."""
    client = server.client()
    own = client.client_id()
    for found in client.client_list():
        if "deltaic-owner" not in found["name"] and int(found["id"]) != own:
            client.client_kill_filter(_id=found["id"])
    client.close()
