"""Proofreading: keys that vanish, change or appear while the worker runs are noticed, and mended from memory."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from crdt_core.errors import Fenced
from crdt_core.node.events import Call, RecordsDiffer
from tests.invocations import command
from tests.workers.committing import committed
from tests.workers.storage.bench import Bench
from workers.storage.proofreading import IN_FLIGHT_MAX, Proofreader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from crdt_core.node.events import Event
    from tests.server import ValkeyServer

MANY = 700
"""More members than one question asks for."""
STEPS = 3
"""More than a round over everything takes."""


class Proofread(Bench):
    """The bench, whose node takes in what the proofreader finds. `found` collects it."""

    def begin(self) -> Redis:
        own = Redis.from_url(self.url)
        self.found: list[Event] = []
        self.proofreader = Proofreader(self.node, own, self.keys, self.found.append)
        return own

    async def read(self) -> list[Event]:
        """What is found where everything is read once."""
        for _ in range(STEPS):
            await self.proofreader.go_on()
        return self.found

    async def mend(self) -> list[RecordsDiffer]:
        """Everything is read once, and what was found is mended."""
        found = [event for event in await self.read() if isinstance(event, RecordsDiffer)]
        await self.handle(*self.found)
        self.found.clear()
        return found


@pytest.fixture
async def bench(server: ValkeyServer) -> AsyncIterator[Proofread]:
    server.client().flushdb()
    made = Proofread(server)
    await made.open()
    await made.turn(*(command("SADD", b"many", b"%d" % number) for number in range(MANY)))
    await made.turn(*(command("SADD", b"few", part) for part in (b"a", b"b")), command("INCRBY", b"hits", 3))
    own = made.begin()
    yield made
    await own.aclose()
    with suppress(Fenced):
        await made.store.release()


async def test_a_redis_that_holds_what_was_committed_is_left_alone(bench: Proofread) -> None:
    assert await bench.mend() == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bench: bench.redis.delete(bench.keys.record(b"obj:few")),
        lambda bench: bench.redis.delete(bench.keys.record(b"obj:many")),
        lambda bench: bench.redis.delete(bench.keys.state),
        lambda bench: bench.redis.hdel(bench.keys.state, "hits"),
        lambda bench: bench.redis.hdel(bench.keys.record(b"obj:many"), b"7"),
        lambda bench: bench.redis.hset(bench.keys.record(b"obj:few"), b"a", '{"n9:1":true}'),
        lambda bench: bench.redis.hset(bench.keys.record(b"obj:few"), b"of a stranger", '{"n1:1":true}'),
        lambda bench: bench.redis.hset(bench.keys.state, "hits", '{"type":"pncounter","parts":{"n1":{"n1:1":[9,0]}}}'),
        lambda bench: bench.redis.hset(bench.keys.state, "of a stranger", '{"type":"ewflag","parts":{}}'),
    ],
    ids=["a set", "a large set", "all", "a key", "a member", "altered", "added", "another value", "another key"],
)
async def test_what_a_stranger_did_to_the_stored_state_is_mended(
    bench: Proofread, spoil: Callable[[Proofread], object]
) -> None:
    """Nobody noticed: the header was as before. The next start lost it, and certified the rest."""
    before = bench.stored()
    spoil(bench)
    found = await bench.mend()
    assert found
    assert bench.node.counts["records_persisted_again"] == sum(len(event.fields) for event in found)
    hashes = {name: fields for name, fields in before.items() if name != bench.keys.header.encode()}
    after = bench.stored()
    assert {name: after.get(name) for name in hashes} == hashes
    assert await bench.mend() == []
    await bench.check_reload()


async def test_what_changes_while_it_is_read_is_no_difference(bench: Proofread) -> None:
    """A commit is under way when the reading begins, and others change what is read meanwhile."""
    turn = bench.node.turn(
        [Call(command("SADD", b"few", b"z"), None), Call(command("DEL", b"hits"), None)], 2_000, 2_000
    )
    assert await bench.read() == []
    await committed(bench.store.commits, turn.commit)
    bench.node.confirm()
    assert await bench.mend() == []


async def test_a_bounded_number_of_fields_is_read_at_a_time(bench: Proofread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.storage.proofreading._FIELDS_AT_A_TIME", 1)
    bench.redis.config_resetstat()
    for times in (1, 2, 3):
        await bench.proofreader.go_on()
        assert bench.redis.info("commandstats")["cmdstat_hscan"]["calls"] == times


async def test_nothing_is_read_while_a_commit_has_much_under_way(bench: Proofread) -> None:
    """Each question listed all of it, and held the node for half a second, of a flush of a million keys."""
    bench.redis.delete(bench.keys.record(b"obj:few"))
    catalogue = bench.node.replica.catalogue
    catalogue.in_flight = {(b"k%d" % number, "string", b""): None for number in range(IN_FLIGHT_MAX + 1)}
    assert await bench.read() == []
    catalogue.in_flight = {}
    assert await bench.read()
