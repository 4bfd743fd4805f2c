"""The production node and its store in the test's own process, against a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.node.events import Call, LinksRead
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.crdt_core.histories import whole_state
from tests.invocations import command
from tests.workers.committing import committed
from workers.storage.store import Store
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from redis import Redis

    from crdt_core.errors import InvariantBroken
    from crdt_core.node.events import Event, Operation
    from tests.server import ValkeyServer

__all__ = ["SET_OF_MANY", "Bench", "saved", "set_back"]

SET_OF_MANY = 5000
"""More members than Redis returns at once."""


class Bench:
    """Node `n1` and its store in the Redis at `url`, by default that of `server`.

    `history` is what the node's peers say when they are asked, before a Redis is refilled.
    """

    def __init__(
        self, server: ValkeyServer, url: str = "", *, commit_timeout_s: float = 2, load_timeout_s: float = 60
    ) -> None:
        self.redis: Redis = server.client()
        self.keys = Keys("n1")
        self.url = server.url
        self.store = Store(
            "n1",
            url or server.url,
            "token",
            1000,
            commit_timeout_s=commit_timeout_s,
            load_timeout_s=load_timeout_s,
        )
        self.node = Node("n1", Replica("n1", founders=["n1", "n2", "n3"]), "test")
        self.asked = 0
        self.history: InvariantBroken | None = None

    async def open(self) -> Bench:
        """Acquire the replica and load it; from then on, a Redis that loses commits is refilled."""
        await self.store.acquire(takeover=False)
        self.node.hlc = await self.store.load(self.node.replica)
        self.store.commits.enable_refill(self.node, self.check_history)
        return self

    async def check_history(self) -> None:
        self.asked += 1
        if self.history is not None:
            raise self.history

    async def turn(self, *operations: Operation, paused: frozenset[str] = frozenset()) -> None:
        """One turn with these operations, committed."""
        await self.handle(LinksRead(paused), *(Call(operation, None) for operation in operations))

    async def handle(self, *events: Event) -> None:
        """One turn with these events, committed, and those that large calls among them need."""
        await committed(self.store.commits, self.node.turn(list(events), wall_ms=1_000, monotonic_ms=1_000).commit)
        self.node.confirm()
        if self.node.large.calls:
            await committed(self.store.commits, self.node.end_large_call().commit)
            self.node.confirm()
            await self.handle()

    async def fill(self) -> None:
        """Objects of all shapes: of one field, of many parts, with clears, type conflicts and removals."""
        await self.turn(
            command("DELTAIC.COUNTER.ADD", b"hits", 3),
            command("DELTAIC.FLAG.SET", b"flag", 1),
            command("DELTAIC.REGISTER.SET", b"r", b"v", "TIMESTAMP", 5),
        )
        await self.turn(*(command("SADD", b"many", b"%d" % number) for number in range(SET_OF_MANY)))
        await self.turn(command("SADD", b"few", b"a"), command("SADD", b"few", b"b"), command("SADD", b"gone", b"x"))
        await self.turn(
            command("DELTAIC.SET.REMOVE", b"few", b"b"),
            command("DEL", b"gone"),
            command("DELTAIC.SET.ADD", b"again", b"x", "KIND", "gset"),
        )

    def stored(self) -> dict[bytes, Any]:
        """All of the replica's hashes, as they are in Redis."""
        names = [name for name in self.redis.scan_iter("deltaic:{n1}*") if self.redis.type(name) == b"hash"]
        return {name: self.redis.hgetall(name) for name in names}

    def log(self, replica: str = "n1") -> list[bytes]:
        """The entry ids in the log of a replica id."""
        return [entry for entry, _ in self.redis.xrange(Keys("n1", replica).log)]

    async def check_reload(self) -> None:
        """A process that starts now has exactly what this one has."""
        again = Replica("n1")
        store = Store("n1", self.url, "2", 1000)
        await store.acquire(takeover=True)
        await store.load(again)
        await store.release()
        assert whole_state(again) == whole_state(self.node.replica)
        assert again.digest == self.node.replica.digest
        assert again.stable == self.node.replica.stable


def saved(redis: Redis) -> dict[bytes, bytes]:
    """An older copy of all keys."""
    return {name: redis.dump(name) for name in redis.scan_iter()}


def set_back(redis: Redis, copy: dict[bytes, bytes]) -> None:
    """Redis holds the older copy again, as after a failover to a replica that was behind."""
    with redis.pipeline() as together:
        together.flushdb()
        for name, value in copy.items():
            together.restore(name, 0, value)
        together.execute()
