"""The store before the first turn and after the last: what is loaded, what a new id or another name keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from tests.invocations import command
from workers.wire.keys import Keys

if TYPE_CHECKING:
    from tests.server import ValkeyServer
    from tests.workers.storage.bench import Bench


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
