"""Tails: deltas are passed in order, from where the replica's clock stands, and never across a paused link."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.codec.deltas import encode_delta
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import DeltasRead
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.invocations import value_of
from tests.support import wait_until_async
from tests.workers.replication.bench import Bench, lose_connections
from workers.replication.tail import Tail
from workers.wire.keys import DELTA_FIELD, Keys
from workers.wire.outages import Outages
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer


class Peer:
    """n2, which writes its deltas into its log."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._replica = Replica("n2", founders=["n1", "n2"])

    def delta(self, element: bytes) -> tuple[str, bytes]:
        """The next delta, which adds an element to the set `fruit`, with its entry id."""
        self._replica.write(b"fruit", ORSET, element, True)
        delta = self._replica.commit(Stamp(1, 0))
        return f"{self._replica.clock['n2']}-0", encode_delta(delta)

    async def write(self, element: bytes) -> None:
        entry, content = self.delta(element)
        await self._bench.redis.xadd(Keys("n2").log, {DELTA_FIELD: content}, id=entry)


class TailBench(Bench):
    def follow(self) -> None:
        self.start(Tail("n2", "n2", self.reader(), self.links, self.mailbox, batch=2).run())

    def fruit(self) -> list[bytes]:
        return sorted(value_of(self.node.confirmed, b"fruit") or [])

    async def shows(self, *elements: bytes) -> None:
        await wait_until_async(lambda: self.fruit() == sorted(elements), what=f"{elements}")


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[TailBench]:
    async with TailBench(server.url) as opened:
        opened.tap.back.set()
        yield opened


async def test_every_delta_of_the_log_is_joined_in_batches_and_as_it_comes(bench: TailBench) -> None:
    peer = Peer(bench)
    for element in (b"apple", b"fig", b"kiwi", b"lime", b"pear"):
        await peer.write(element)
    bench.follow()
    await bench.shows(b"apple", b"fig", b"kiwi", b"lime", b"pear")
    await peer.write(b"plum")
    await bench.shows(b"apple", b"fig", b"kiwi", b"lime", b"pear", b"plum")
    assert bench.node.replica.clock["n2"] == 6


async def test_large_deltas_are_passed_on_one_after_the_other_though_they_are_read_together(bench: TailBench) -> None:
    """A log of large commits once was one event: 512 of them in one turn."""
    peer = Peer(bench)
    large = [b"%d" % number * 40_000 for number in range(3)]
    for element in large:
        await peer.write(element)
    turns: list[int] = []
    bench.mailbox.observers.append(lambda changed: turns.append(len(changed)))
    bench.start(Tail("n2", "n2", bench.reader(), bench.links, bench.mailbox, batch=512).run())
    await bench.shows(*large)
    assert turns == [1, 1, 1]


async def test_it_begins_where_the_replica_s_clock_stands(bench: TailBench, server: ValkeyServer) -> None:
    """What the replica has already is not read again."""
    peer = Peer(bench)
    await peer.write(b"apple")
    bench.follow()
    await bench.shows(b"apple")
    await bench.redis.xtrim(Keys("n2").log, maxlen=0, approximate=False)
    await peer.write(b"fig")
    await bench.shows(b"apple", b"fig")


async def test_nothing_is_passed_across_a_paused_link(bench: TailBench) -> None:
    await bench.links.set(["n2"], paused=True)
    peer = Peer(bench)
    await peer.write(b"apple")
    bench.follow()
    for _ in range(20):
        await bench.links.refresh()
    assert bench.fruit() == []
    await bench.links.set(["n2"], paused=False)
    await bench.shows(b"apple")


async def test_a_delta_that_builds_on_a_missing_one_is_read_again_when_that_has_come(bench: TailBench) -> None:
    peer = Peer(bench)
    first = peer.delta(b"apple")
    await peer.write(b"fig")  # The log begins with the second delta.
    bench.follow()
    assert await bench.mailbox.ask(lambda token: DeltasRead("n2", [], token)) == 0
    assert bench.fruit() == []
    accepted = await bench.mailbox.ask(lambda token: DeltasRead("n2", [first], token))
    assert accepted == 1
    await bench.shows(b"apple", b"fig")


async def test_a_redis_that_was_away_is_read_again(bench: TailBench, server: ValkeyServer) -> None:
    peer = Peer(bench)
    bench.follow()
    await peer.write(b"apple")
    await bench.shows(b"apple")
    lose_connections(server)
    entry, content = peer.delta(b"fig")
    server.client().xadd(Keys("n2").log, {DELTA_FIELD: content}, id=entry)
    await bench.shows(b"apple", b"fig")


async def test_a_tail_that_ends_while_its_link_is_paused_closes_its_connection() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            writer.write(b"+OK\r\n" * 2)
        ended.set()
        writer.close()

    class PausedLinks:
        def __init__(self) -> None:
            self.asked = asyncio.Event()

        async def refresh(self) -> frozenset[str]:
            self.asked.set()
            return frozenset({"n2"})

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        connection = ReconnectingConnection(url, "deltaic-reader-n1", 5, Outages())
        await connection.ask(("PING",), ("PING",))
        links: Any = PausedLinks()
        mailbox: Any = None
        following = asyncio.create_task(Tail("n2", "n2", connection, links, mailbox, batch=10).run())
        await links.asked.wait()
        following.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(following, return_exceptions=True)
            await ended.wait()
