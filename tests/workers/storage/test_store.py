"""The store: a commit is there whole or not at all, exactly once, and what is loaded is what was committed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson
import pytest

from crdt_core.errors import Fenced, InvariantBroken
from crdt_core.lattice.clocks import Stamp
from crdt_core.node.events import MessagesRead
from crdt_core.replica.replica import Replica
from tests.invocations import command
from tests.proxy import Proxy
from tests.support import wait_until_async
from tests.workers.storage.bench import Bench
from workers.storage.store import Store
from workers.wire.keys import Keys

if TYPE_CHECKING:
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
    assert bench.store.header["turn"] == b"1"


async def test_what_is_loaded_is_what_was_committed(bench: Bench) -> None:
    await bench.fill()
    await bench.check_reload()


async def test_a_machine_that_takes_another_name_takes_its_unsent_writes_along_and_nothing_else(bench: Bench) -> None:
    await bench.turn(command("SADD", b"fruit", b"apple"))
    bench.redis.rename(bench.keys.log, Keys("n1", "n1-4f2a91").log)
    await bench.store.move("n1-4f2a91", "n1-4f2a91.2", {"joining": b"1", "former": b"n1-4f2a91"})
    assert bench.redis.xrange(Keys("n1-4f2a91", "n1-4f2a91").log)[0][0] == b"1-0"
    assert bench.stored() == {b"deltaic:{n1}": {b"renamed": b"n1-4f2a91", b"owner": b"token", b"format": b"1"}}
    found = bench.redis.hgetall(Keys("n1-4f2a91").header)
    assert (found[b"replica"], found[b"joining"], found[b"clock"]) == (b"n1-4f2a91.2", b"1", b"{}")
    assert found[b"run_id"].decode() == bench.redis.info("server")["run_id"], "its Redis is in no doubt"


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


async def test_a_node_that_goes_on_under_a_new_id_keeps_its_state_and_drops_the_old_log(bench: Bench) -> None:
    await bench.fill()
    await bench.store.begin("n1.2", {"founders": b'["n1"]'})
    assert not bench.log()
    header = bench.redis.hgetall(bench.keys.header)
    assert (header[b"replica"], header[b"founders"]) == (b"n1.2", b'["n1"]')
    again = Replica("n1.2")
    await bench.store.load(again)
    assert bench.store.keys == Keys("n1", "n1.2")
    assert again.clock == {"n1": 4}
    assert again.digest == bench.node.replica.digest


async def test_a_state_that_belongs_to_a_former_incarnation_goes_and_its_log_stays(bench: Bench) -> None:
    """The log may hold writes that were never sent. The hybrid clock goes on: stamps must not repeat."""
    await bench.fill()
    hlc = bench.node.hlc.last
    await bench.store.begin("n1.2", {"former": b"n1"}, discard=True)
    assert bench.log() == [b"%d-0" % counter for counter in (1, 2, 3, 4)]
    assert bench.stored().keys() == {bench.keys.header.encode()}
    again = Replica("n1.2")
    assert (await bench.store.load(again)).last == hlc != Stamp(0, 0)
    assert again.clock == {}


async def test_a_load_that_is_interrupted_begins_again_and_leaves_no_trouble_behind(
    bench: Bench, server: ValkeyServer
) -> None:
    """A trouble that was never declared over would have had all writes refused, and so none that could end it."""
    await bench.fill()
    client = server.client()
    (owner,) = [found for found in client.client_list() if "deltaic-owner" in found["name"]]
    client.client_kill_filter(_id=owner["id"])
    again = Replica("n1")
    await bench.store.load(again)
    assert bench.store.trouble is None
    assert bench.store.connected
    assert again.digest == bench.node.replica.digest


@pytest.mark.parametrize("discard", [False, True])
async def test_a_redis_whose_connection_is_lost_while_a_new_id_begins_does_not_end_the_worker(
    bench: Bench, *, discard: bool
) -> None:
    """It raised, for a catalogue that took its time: only the loading was patient."""
    await bench.fill()
    client = bench.redis
    (owner,) = [found for found in client.client_list() if "deltaic-owner-n1" in found["name"]]
    client.client_kill_filter(_id=owner["id"])
    client.delete(bench.keys.state)  # the collections are listed nowhere now
    await bench.store.begin("n1.2", {"former": b"n1"}, discard=discard)
    assert client.hmget(bench.keys.header, "replica", "damaged") == [b"n1.2", b"" if discard else None]
    collections = list(client.scan_iter("deltaic:{n1}:obj:*"))
    assert bool(collections) != discard
    assert client.exists(bench.keys.log) == discard
