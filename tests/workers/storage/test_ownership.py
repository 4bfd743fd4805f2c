"""Who owns a replica: one process at a time, however Redis, or the way to it, behaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from crdt_core.errors import AlreadyRunning, CorruptState, Fenced, InvariantBroken, StoreUnavailable
from tests.support import wait_until_async
from workers.storage.ownership import SET_BACK, Ownership
from workers.wire.keys import GROUP, Keys

if TYPE_CHECKING:
    from tests.server import ValkeyServer

KEYS = Keys("n1")


@pytest.fixture(autouse=True)
def empty(server: ValkeyServer) -> None:
    server.client().flushdb()


async def owned(server: ValkeyServer, name: str = "one", *, takeover: bool = False, node: str = "n1") -> Ownership:
    ownership = Ownership(node, server.url, name)
    await ownership.acquire(takeover=takeover)
    return ownership


async def test_the_owner_writes_its_token_and_makes_its_inbox(server: ValkeyServer) -> None:
    ownership = await owned(server)
    client = server.client()
    assert client.hgetall(KEYS.header) == {b"owner": b"one", b"format": b"1"}
    assert client.xinfo_groups(KEYS.inbox)[0]["name"] == GROUP.encode()
    assert ownership.run_id.decode() == client.info("server")["run_id"]
    assert ownership.connected
    await ownership.release()
    assert not client.hexists(KEYS.header, "owner")
    assert not ownership.connected


async def test_a_second_process_is_refused_while_the_owner_is_connected(server: ValkeyServer) -> None:
    ownership = await owned(server)
    with pytest.raises(AlreadyRunning):
        await owned(server, "two")
    await ownership.transact(("SET", "still", "owned"))
    await ownership.release()
    await (await owned(server, "two")).release()


async def test_a_takeover_fences_the_owner_before_its_next_write(server: ValkeyServer) -> None:
    former = await owned(server)
    successor = await owned(server, "two", takeover=True)
    with pytest.raises(Fenced):
        await former.transact(("SET", "by the former owner", 1))
    assert not server.client().exists("by the former owner")
    await successor.transact(("SET", "by its successor", 1))
    await successor.release()
    former.wire.close()


async def test_a_process_that_gives_up_after_it_was_fenced_leaves_its_successor_the_ownership(
    server: ValkeyServer,
) -> None:
    """A restore that was taken over gave up as its last step, and so took the ownership from its successor."""
    former = await owned(server)
    successor = await owned(server, "two", takeover=True)
    with pytest.raises(Fenced):
        await former.transact(("SET", "by the former owner", 1))
    with pytest.raises(Fenced):
        await former.release()
    assert server.client().hget(KEYS.header, "owner") == b"two"
    await successor.transact(("SET", "by its successor", 1))
    await successor.release()


async def test_an_owner_that_was_killed_is_succeeded_within_moments(server: ValkeyServer) -> None:
    """Its token is still there, but its connection is gone."""
    killed = await owned(server)
    killed.wire.close()
    await (await owned(server, "two")).release()


async def test_nobody_takes_a_replica_over_because_redis_has_lost_its_owner_s_token(server: ValkeyServer) -> None:
    """The owner would have been fenced before it could give back what only it still had."""
    neighbour = await owned(server, node="n1-2")
    ownership = await owned(server)
    server.client().delete(KEYS.header)
    with pytest.raises(AlreadyRunning):
        await owned(server, "two")
    await neighbour.release()
    ownership.wire.close()


async def test_a_worker_whose_inbox_is_something_else_waits_and_does_not_take_itself_for_another(
    server: ValkeyServer,
) -> None:
    """Its first attempt made it the owner; the next ones found that owner's connection, which was its own."""
    client = server.client()
    client.config_resetstat()
    client.set(KEYS.inbox, "something else")
    ownership = Ownership("n1", server.url, "token")
    acquiring = asyncio.create_task(ownership.acquire(takeover=False))

    def refused() -> int:
        return client.info("errorstats").get("errorstat_WRONGTYPE", {}).get("count", 0)

    await wait_until_async(lambda: refused() > 3 or acquiring.done(), what="some attempts")
    assert not acquiring.done()
    assert sum("deltaic-owner" in found["name"] for found in client.client_list()) <= 1
    client.delete(KEYS.inbox)
    await acquiring
    assert client.xinfo_groups(KEYS.inbox)[0]["name"] == GROUP.encode()
    await ownership.release()


async def test_a_replica_in_another_format_is_not_touched(server: ValkeyServer) -> None:
    server.client().hset(KEYS.header, "format", "2")
    with pytest.raises(CorruptState, match="format"):
        await owned(server)
    assert server.client().hgetall(KEYS.header) == {b"format": b"2"}


async def test_a_renewed_connection_finds_where_redis_is(server: ValkeyServer) -> None:
    ownership = await owned(server)
    server.client().hset(KEYS.header, "turn", 7)
    assert await ownership.renew() == 7
    ownership.turn = 7
    server.client().hset(KEYS.header, "turn", 6)
    assert await ownership.renew() == SET_BACK
    server.client().hset(KEYS.header, mapping={"turn": 7, "owner": "two"})
    with pytest.raises(Fenced):
        await ownership.renew()
    assert ownership.trouble is None
    ownership.wire.close()


async def test_a_token_that_came_back_with_an_older_state_says_nothing(server: ValkeyServer) -> None:
    ownership = await owned(server)
    ownership.turn = 7
    assert ownership.turn_reached([b"somebody else", b"6"]) == SET_BACK
    assert ownership.turn_reached([None, None]) == SET_BACK
    assert ownership.turn_reached([b"one", b"8"]) == 8
    with pytest.raises(Fenced):
        ownership.turn_reached([b"somebody else", b"7"])
    with pytest.raises(CorruptState, match="turn"):
        ownership.turn_reached([b"one", b"many"])
    await ownership.release()


async def test_a_transaction_of_which_a_command_fails_has_happened_and_is_not_repeated(server: ValkeyServer) -> None:
    """It counted as one that had not happened."""
    ownership = await owned(server)
    with pytest.raises(InvariantBroken, match="n1: Redis holds keys that are not ours: WRONGTYPE"):
        await ownership.transact(("SET", "a string", 1), ("HGET", "a string", "field"))
    assert server.client().exists("a string")
    await ownership.release()


async def test_a_transaction_that_another_process_forestalls_has_not_happened(server: ValkeyServer) -> None:
    ownership = await owned(server)
    server.client().hset(KEYS.header, "anything", 1)  # Somebody writes to the header between WATCH and EXEC.
    with pytest.raises(StoreUnavailable, match="another process has written to the header"):
        await ownership.transact(("SET", "another", 1))
    assert not server.client().exists("another")
    await ownership.transact(("SET", "another", 1))
    await ownership.release()


async def test_only_a_connected_process_counts_as_another_owner(server: ValkeyServer) -> None:
    ownership = await owned(server)
    clients = b"id=1 name=deltaic-owner-n1-two age=1\nid=2 name=deltaic-owner-n1-one age=1\n"
    ownership.check_no_other_owner(b"one", clients)
    ownership.check_no_other_owner(b"gone", clients)
    ownership.check_no_other_owner(None, clients)
    with pytest.raises(Fenced):
        ownership.check_no_other_owner(b"two", clients)
    await ownership.release()


async def test_a_large_reply_may_take_its_time_and_none_after_it(server: ValkeyServer) -> None:
    """The timer of the large reply went on: for a minute after a load, a silent Redis went unnoticed."""
    ownership = Ownership("n1", server.url, "one", silence_s=0.1, load_silence_s=5)
    await ownership.acquire(takeover=False)
    with ownership.slow_replies():
        assert await ownership.ask(("BLPOP", "nothing", 0.3)) == [None]
    with pytest.raises(StoreUnavailable, match=r"no answer for 0\.1 s"):
        await ownership.ask(("BLPOP", "nothing", 0.3))


async def test_before_it_is_acquired_there_is_no_connection(server: ValkeyServer) -> None:
    ownership = Ownership("n1", server.url, "one")
    assert not ownership.connected
    with pytest.raises(StoreUnavailable, match="the connection to Redis is closed"):
        await ownership.ask(("PING",))
