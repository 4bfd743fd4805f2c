"""What INFO counts: commands, errors, bytes, hits and misses, and keys that have expired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from crdt_core.commands.expiry import DeleteExpired
from tests.support import wait_until_async
from tests.workers.resp.raw import packed
from workers.resp.statistics import Rate
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from tests.fleet import Fleet
    from tests.workers.resp.inprocess import InProcess, Peer


async def info(peer: Peer, *sections: bytes) -> dict[str, str]:
    """The fields of INFO."""
    text: bytes = await peer.call(b"INFO", *sections)
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


async def stats_of(peer: Peer, command: str) -> dict[str, float]:
    """What INFO says of one command."""
    fields = (await info(peer, b"commandstats")).get(f"cmdstat_{command}", "")
    return {name: float(value) for name, value in (pair.split("=") for pair in fields.split(",") if pair)}


async def test_reads_count_as_hits_and_misses_and_writes_as_neither(peer: Peer) -> None:
    await peer.send((b"SET", b"k", b"v"), (b"INCR", b"c"), (b"SADD", b"s", b"a")).replies(3)
    await peer.send((b"GET", b"k"), (b"MGET", b"k", b"c", b"none"), (b"SCARD", b"s"), (b"TTL", b"none")).replies(4)
    found = await info(peer, b"stats")
    assert (found["keyspace_hits"], found["keyspace_misses"]) == ("4", "2")


async def test_every_command_counts_its_calls_its_time_and_its_failures(peer: Peer) -> None:
    await peer.send(*[(b"INCR", b"c")] * 20, *[(b"GET", b"c")] * 3).replies(23)
    await peer.send((b"SADD", b"c", b"x"), (b"GET", b"c"), (b"SMEMBERS", b"c"), (b"INCR",), (b"nonsense",)).replies(5)
    await peer.send((b"MULTI",), (b"INCR", b"c"), (b"PING",), (b"SADD", b"c", b"x"), (b"EXEC",)).replies(5)
    incr, get, sadd = [await stats_of(peer, name) for name in ("incr", "get", "sadd")]
    assert (incr["calls"], incr["rejected_calls"], incr["failed_calls"]) == (21, 1, 0)
    assert (get["calls"], get["failed_calls"]) == (4, 0)
    assert (sadd["calls"], sadd["failed_calls"]) == (2, 2)
    assert incr["usec"] > 0
    assert incr["usec_per_call"] == pytest.approx(incr["usec"] / 21, abs=0.01)
    assert (await stats_of(peer, "smembers"))["failed_calls"] == 1
    assert (await stats_of(peer, "multi"))["calls"] == 1
    assert (await stats_of(peer, "ping"))["calls"] == 1
    assert "cmdstat_nonsense" not in await info(peer, b"commandstats")


async def test_a_subcommand_counts_under_its_own_name(peer: Peer) -> None:
    await peer.call(b"CLIENT", b"ID")
    assert (await stats_of(peer, "client|id"))["calls"] == 1


async def test_errors_count_by_their_first_word(peer: Peer) -> None:
    await peer.send((b"INCR", b"c"), (b"SMEMBERS", b"c"), (b"nonsense",), (b"INCR",)).replies(4)
    await peer.send((b"MULTI",), (b"SADD", b"c", b"x"), (b"EXEC",)).replies(3)
    found = await info(peer, b"errorstats", b"stats")
    assert (found["errorstat_WRONGTYPE"], found["errorstat_ERR"]) == ("count=2", "count=2")
    assert found["total_error_replies"] == "4"


async def test_bytes_are_counted_in_both_directions(peer: Peer) -> None:
    before = await info(peer, b"stats")
    assert await peer.call(b"ECHO", b"x" * 1000) == b"x" * 1000
    after = await info(peer, b"stats")
    received = int(after["total_net_input_bytes"]) - int(before["total_net_input_bytes"])
    sent = int(after["total_net_output_bytes"]) - int(before["total_net_output_bytes"])
    assert received == len(packed(b"ECHO", b"x" * 1000)) + len(packed(b"INFO", b"stats"))
    assert sent >= 1000 + len(b"$1000\r\n\r\n")


async def test_a_key_counts_as_expired_when_it_is_swept_and_when_a_write_finds_it(face: InProcess, peer: Peer) -> None:
    """It once stayed 0 for ever."""
    await peer.send((b"SET", b"swept", b"v", b"PX", b"1"), (b"SET", b"found", b"1", b"PX", b"1")).replies(2)

    async def both_are_over() -> bool:
        return await peer.call(b"MGET", b"swept", b"found") == [None, None]

    await wait_until_async(both_are_over, what="both to expire")
    assert await peer.call(b"INCR", b"found") == 1
    assert (await info(peer, b"stats"))["expired_keys"] == "1"
    await face.mailbox.call(DeleteExpired(wall_ms(), 100))
    assert (await info(peer, b"stats"))["expired_keys"] == "2"


async def test_counts_begin_anew(peer: Peer) -> None:
    await peer.send((b"INCR", b"c"), (b"GET", b"c"), (b"GET", b"none"), (b"SMEMBERS", b"c")).replies(4)
    await peer.call(b"CONFIG", b"RESETSTAT")
    found = await info(peer, b"stats", b"errorstats", b"commandstats")
    names = ("keyspace_hits", "keyspace_misses", "expired_keys", "total_error_replies", "rejected_connections")
    assert [found[name] for name in names] == ["0"] * 5
    assert not {"cmdstat_incr", "cmdstat_get", "errorstat_WRONGTYPE"} & found.keys()


async def test_statistics_of_commands_are_shown_only_to_those_who_ask(peer: Peer) -> None:
    await peer.call(b"GET", b"k")
    assert "cmdstat_get" not in await info(peer)
    for section in (b"all", b"everything", b"commandstats"):
        assert "cmdstat_get" in await info(peer, section)


async def test_redis_py_reads_all_of_it(fleet: Fleet, key: str) -> None:
    async with Redis(port=fleet["n1"].resp_port) as client:
        await client.set(key, "v")
        found: dict[str, Any] = await client.info("everything")
    assert found["cmdstat_set"]["calls"] >= 1
    assert found["instantaneous_ops_per_sec"] >= 0
    assert found["total_net_input_bytes"] > 0


def test_a_rate_is_that_of_the_last_second_or_since_it_was_last_asked_for() -> None:
    rate = Rate(0.0)
    assert rate.at(10.0, 500) == 50
    assert rate.at(10.5, 900) == 50, "not even a second has passed"
    assert rate.at(12.0, 900) == 200
    assert rate.at(13.0, 0) == 0, "the count began anew"
