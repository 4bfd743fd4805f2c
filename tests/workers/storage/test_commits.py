"""Commits: one is there whole or not at all, exactly once, whatever happens to Redis and its connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
import pytest

from crdt_core.errors import Fenced, InvariantBroken
from crdt_core.node.events import Call, MessagesRead
from tests.invocations import command
from tests.proxy import Proxy
from tests.support import wait_until_async
from tests.workers.storage.bench import Bench
from workers.storage.store import Store

if TYPE_CHECKING:
    from crdt_core.node.events import Commit
    from tests.proxy import Direction, Link
    from tests.server import ValkeyServer


async def test_a_commit_writes_the_objects_the_header_and_the_delta(bench: Bench) -> None:
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 3), command("SADD", b"fruit", b"apple"))
    stored = bench.stored()
    assert orjson.loads(stored[b"deltaic:{n1}:state"][b"hits"])["type"] == "pncounter"
    assert stored[b"deltaic:{n1}:obj:fruit"].keys() == {b"apple"}
    header = stored[b"deltaic:{n1}"]
    assert (header[b"turn"], orjson.loads(header[b"clock"]), header[b"owner"]) == (b"1", {"n1": 1}, b"token")
    assert header[b"run_id"].decode() == bench.redis.info("server")["run_id"]
    assert bench.log() == [b"1-0"]
    assert bench.store.turn == 1
    assert bench.store.commits.header["turn"] == b"1"


async def test_a_message_is_acknowledged_in_the_commit_that_used_it_and_nonsense_is_quarantined(bench: Bench) -> None:
    entry = bench.redis.xadd(bench.keys.inbox, {"m": "nonsense"}).decode()
    bench.redis.xreadgroup("worker", "replica", {bench.keys.inbox: ">"})
    await bench.handle(MessagesRead([(entry, b"nonsense")]))
    assert not bench.redis.xlen(bench.keys.inbox)
    assert bench.redis.xpending(bench.keys.inbox, "worker")["pending"] == 0
    ((_, fields),) = bench.redis.xrange(bench.keys.quarantine)
    assert (fields[b"entry"].decode(), fields[b"content"]) == (entry, b"nonsense")


async def test_a_commit_whose_confirmation_was_lost_is_found_and_not_done_twice(server: ValkeyServer) -> None:
    server.client().flushdb()
    lost: list[bytes] = []

    def lose_one_confirmation(link: Link, direction: Direction, data: bytes) -> bytes:
        if direction == "reply" and link.owns and not lost and armed:
            lost.append(data)
            link.cut()
            return b""
        return data

    armed: list[bool] = []
    with Proxy(server.port) as proxy:
        proxy.script = lose_one_confirmation
        bench = await Bench(server, proxy.url).open()
        armed.append(True)
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
        assert lost
        assert bench.store.turn == 1
        assert bench.log() == [b"1-0"]
        assert bench.store.trouble is None
        await bench.check_reload()
        with suppress(Fenced):
            await bench.store.release()


async def test_a_commit_waits_for_a_redis_that_is_away_and_says_since_when(bench: Bench, server: ValkeyServer) -> None:
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    server.suspend()
    try:
        committing = asyncio.create_task(bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1)))
        await wait_until_async(lambda: bench.store.trouble is not None, what="the store to notice")
        assert bench.store.trouble is not None
        assert "Redis" in bench.store.trouble.reason
        assert not committing.done()
    finally:
        server.resume()
    await committing
    assert bench.store.trouble is None
    assert bench.store.turn == 2


async def test_a_process_that_was_taken_over_commits_nothing(bench: Bench, server: ValkeyServer) -> None:
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    successor = Store("n1", server.url, "other", 1000)
    await successor.acquire(takeover=True)
    before = bench.stored()
    with pytest.raises(Fenced):
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert bench.stored() == before
    await successor.release()


async def test_foreign_entries_ahead_in_the_log_are_set_aside_and_the_log_begins_anew(bench: Bench) -> None:
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    bench.redis.xadd(bench.keys.log, {"d": "not the owner's"}, id="9-0")
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert bench.log() == [b"2-0"]
    ((_, fields),) = bench.redis.xrange(bench.keys.quarantine)
    assert (fields[b"source"], fields[b"entry"], fields[b"content"]) == (b"own log", b"9-0", b"d not the owner's")
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    assert bench.log() == [b"2-0", b"3-0"]


async def test_a_key_that_somebody_else_made_breaks_an_invariant(bench: Bench) -> None:
    bench.redis.set(bench.keys.record(b"obj:fruit"), "a string")
    with pytest.raises(InvariantBroken, match="keys that are not ours: WRONGTYPE"):
        await bench.turn(command("SADD", b"fruit", b"apple"))


async def test_a_loss_without_a_refill_breaks_an_invariant(server: ValkeyServer) -> None:
    server.client().flushdb()
    store = Store("n1", server.url, "token", 1000)
    await store.acquire(takeover=False)
    bench = Bench(server)
    bench.store = store
    await store.load(bench.node.replica)
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    server.client().flushdb()
    with pytest.raises(InvariantBroken, match="Redis has lost commits; it had confirmed 1"):
        await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    await store.release()


class Told:
    """Whoever waits for a commit, and what it was told."""

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []

    def __call__(self, error: Exception | None) -> None:
        self.errors.append(error)


def commit_of(bench: Bench, *words: bytes | str) -> Commit:
    return bench.node.turn([Call(command(*words), None)], wall_ms=1_000, monotonic_ms=1_000).commit


async def test_an_ordinary_commit_takes_no_task_and_is_told_by_the_answer_of_redis(bench: Bench) -> None:
    told = Told()
    before = asyncio.all_tasks()
    bench.store.commits.commit(commit_of(bench, "INCR", b"hits"), told)
    assert asyncio.all_tasks() == before
    assert told.errors == []
    await wait_until_async(lambda: told.errors, what="the answer")
    assert told.errors == [None]
    assert asyncio.all_tasks() == before


async def test_a_commit_that_is_given_up_is_told_to_nobody_and_its_connection_is_closed(server: ValkeyServer) -> None:
    """Its replies would have been taken for those of the next batch."""
    server.client().flushdb()
    bench, told = await Bench(server).open(), Told()
    bench.store.commits.commit(commit_of(bench, "INCR", b"hits"), told)
    bench.store.commits.give_up()
    bench.store.commits.give_up()
    await wait_until_async(lambda: not bench.store.connected, what="the connection to be closed")
    assert told.errors == []


async def test_a_commit_in_trouble_that_is_given_up_is_not_tried_again(server: ValkeyServer) -> None:
    server.client().flushdb()
    bench, told = await Bench(server).open(), Told()
    server.suspend()
    try:
        bench.store.commits.commit(commit_of(bench, "INCR", b"hits"), told)
        await wait_until_async(lambda: bench.store.trouble is not None, what="the store to notice")
        bench.store.commits.give_up()
    finally:
        server.resume()
    await wait_until_async(lambda: not bench.store.connected, what="the connection to be closed")
    await asyncio.sleep(0)
    assert told.errors == []


async def test_an_idle_connection_outlives_that_nothing_is_given_up(bench: Bench) -> None:
    await bench.turn(command("INCR", b"hits"))
    bench.store.commits.give_up()
    assert bench.store.connected
    await bench.turn(command("INCR", b"hits"))
    assert bench.store.turn == 2


async def test_a_commit_on_a_connection_that_is_closed_already_takes_a_new_one(bench: Bench) -> None:
    await bench.turn(command("INCR", b"hits"))
    bench.store.close()
    await wait_until_async(lambda: not bench.store.connected, what="the connection to be closed")
    await bench.turn(command("INCR", b"hits"))
    assert (bench.store.turn, bench.log()) == (2, [b"1-0", b"2-0"])
