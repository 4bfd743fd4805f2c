"""What a node's Redis says about its replica, in one transaction, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from crdt_core.errors import Malformed, StoreUnavailable
from tests.invocations import command
from workers.storage.evidence import (
    STARTING,
    decode_members,
    decode_names,
    evidence_of,
    read_evidence,
    starting_mark,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.server import ValkeyServer
    from tests.workers.storage.bench import Bench


@pytest.fixture
async def redis(server: ValkeyServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(server.url)
    yield client
    await client.aclose()


async def test_an_empty_redis_holds_no_replica(server: ValkeyServer, redis: Redis) -> None:
    server.client().flushdb()
    found = await read_evidence("n1", redis)
    assert (found.replica, found.clock, found.founders, found.members.facts) == ("", {}, (), {})
    assert (found.owned, found.running, found.joining, found.restoring) == (False, False, False, False)


async def test_it_says_under_which_id_the_node_goes_on_and_how_far_it_has_come(bench: Bench, redis: Redis) -> None:
    await bench.store.begin("n1", {"founders": b'["n1","n2"]', "former": b"n1 n1.2", "joining": b"1"})
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    found = await read_evidence("n1", redis)
    assert (found.replica, found.clock, found.founders) == ("n1", {"n1": 1}, ("n1", "n2"))
    assert found.formers == ("n1", "n1.2")
    assert (found.joining, found.owned, found.doubtful) == (True, True, False)


async def test_a_redis_that_was_restarted_since_the_last_commit_is_in_doubt(bench: Bench, redis: Redis) -> None:
    await bench.turn(command("DELTAIC.COUNTER.ADD", b"hits", 1))
    bench.redis.hset(bench.keys.header, "run_id", "of another process")
    assert (await read_evidence("n1", redis)).doubtful


async def test_a_worker_runs_while_its_key_has_not_expired_and_it_is_still_the_owner(
    bench: Bench, redis: Redis
) -> None:
    assert not (await read_evidence("n1", redis)).running
    bench.redis.set(bench.keys.alive, bench.store.token)
    assert (await read_evidence("n1", redis)).running
    bench.redis.set(bench.keys.alive, "the owner before")
    assert not (await read_evidence("n1", redis)).running


async def test_whose_logs_it_has_read_from_which_process(bench: Bench, redis: Redis) -> None:
    bench.redis.hset(bench.keys.met, mapping={"n2": "run 2", "n3": "run 3"})
    assert (await read_evidence("n1", redis)).met == {"n2": "run 2", "n3": "run 3"}


async def test_names_that_are_no_text_end_nobody_who_reads_them(bench: Bench, redis: Redis) -> None:
    """Whoever could write to the Redis of one node could end the starting workers of all others with it."""
    bench.redis.hset(bench.keys.met, mapping={b"\xff": b"\xfe"})
    assert dict((await read_evidence("n1", redis)).met) == {"\\xff": "\\xfe"}


async def test_under_which_ids_the_machine_was_added_and_which_name_it_has_now(bench: Bench, redis: Redis) -> None:
    bench.redis.sadd(bench.keys.added, "n1-4f2a91")
    bench.redis.hset(bench.keys.header, "renamed", "n1-4f2a91")
    found = await read_evidence("n1", redis)
    assert (found.added, found.renamed) == (("n1-4f2a91",), "n1-4f2a91")


async def test_a_worker_is_starting_while_its_mark_is_of_this_owner_and_this_process_of_redis(
    bench: Bench, redis: Redis
) -> None:
    token, run_id = bench.store.token, bench.store.run_id
    assert run_id == bench.redis.info("server")["run_id"]
    for mark, counts in ((starting_mark(token, run_id), True), (starting_mark(token, "former"), False),
                         (starting_mark("former", run_id), False)):  # fmt: skip
        bench.redis.hset(bench.keys.met, STARTING, mark)
        found = await read_evidence("n1", redis)
        assert (found.starting, found.met) == (counts, {})
    bench.redis.hdel(bench.keys.met, STARTING)
    assert not (await read_evidence("n1", redis)).starting


async def test_a_header_that_makes_no_sense_is_malformed_and_a_refusal_is_said(bench: Bench, redis: Redis) -> None:
    bench.redis.hset(bench.keys.header, mapping={"clock": "nonsense", "stable": "{}", "digest": "0", "hlc": "[0,0]"})
    with pytest.raises(Malformed):
        await read_evidence("n1", redis)
    bench.redis.set(bench.keys.met, "a string")
    with pytest.raises(StoreUnavailable, match=r"the Redis of n1 refuses: .*WRONGTYPE"):
        await read_evidence("n1", redis)


def test_any_reply_that_is_an_error_counts() -> None:
    with pytest.raises(StoreUnavailable, match="the Redis of n7 refuses: LOADING"):
        evidence_of("n7", [{}, {}, {}, set(), None, Exception("LOADING")])


@pytest.mark.parametrize("value", [b"no JSON", b"7", b'{"n1":1}', b'["n1",2]'])
def test_founders_that_are_no_names_are_malformed(value: bytes) -> None:
    with pytest.raises(Malformed, match="founders are no"):
        decode_names("founders", value)


def test_founders_and_members_may_be_missing() -> None:
    assert decode_names("founders", None) == decode_names("founders", b"[]") == ()
    assert decode_names("founders", b'["n1","n2"]') == ("n1", "n2")
    assert decode_members({}).facts == {}
    with pytest.raises(Malformed):
        decode_members({b"n1": b"nonsense"})
