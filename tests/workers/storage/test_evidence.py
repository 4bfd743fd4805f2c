"""What a node's Redis says about its replica, in one transaction, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from crdt_core.errors import Malformed, StoreUnavailable
from tests.invocations import command
from workers.storage.evidence import decode_founders, decode_members, evidence_of, read_evidence

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


async def test_a_header_that_makes_no_sense_is_malformed_and_a_refusal_is_said(bench: Bench, redis: Redis) -> None:
    bench.redis.hset(bench.keys.header, mapping={"clock": "nonsense", "stable": "{}", "digest": "0", "hlc": "[0,0]"})
    with pytest.raises(Malformed):
        await read_evidence("n1", redis)
    bench.redis.set(bench.keys.met, "a string")
    with pytest.raises(StoreUnavailable, match=r"the Redis of n1 refuses: .*WRONGTYPE"):
        await read_evidence("n1", redis)


def test_any_reply_that_is_an_error_counts() -> None:
    with pytest.raises(StoreUnavailable, match="the Redis of n7 refuses: LOADING"):
        evidence_of("n7", [{}, {}, {}, None, Exception("LOADING")])


@pytest.mark.parametrize("value", [b"no JSON", b"7", b'{"n1":1}', b'["n1",2]'])
def test_founders_that_are_no_names_are_malformed(value: bytes) -> None:
    with pytest.raises(Malformed, match="founders are no"):
        decode_founders(value)


def test_founders_and_members_may_be_missing() -> None:
    assert decode_founders(None) == decode_founders(b"[]") == ()
    assert decode_founders(b'["n1","n2"]') == ("n1", "n2")
    assert decode_members({}).facts == {}
    with pytest.raises(Malformed):
        decode_members({b"n1": b"nonsense"})
