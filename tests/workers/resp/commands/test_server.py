"""INFO, TIME, LASTSAVE and ROLE: what monitoring asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from workers.wire.retry import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

    from tests.workers.resp.inprocess import InProcess, Peer

    Client = Callable[..., Redis]


def test_info_tells_of_keys_that_expire(client: Client, key: str) -> None:
    n1 = client()
    before = n1.info("keyspace").get("db0", {"keys": 0, "expires": 0})
    n1.set(key, "v")
    n1.set(key + ":brief", "v", ex=100)
    after = n1.info("keyspace")["db0"]
    assert (after["keys"] - before["keys"], after["expires"] - before["expires"]) == (2, 1)
    n1.delete(key, key + ":brief")
    assert n1.info()["server_name"] == "deltaic"
    assert n1.info("deltaic")["node"] == "n1"


@pytest.mark.parametrize(
    "section", ["server", "clients", "memory", "persistence", "stats", "replication", "cpu", "cluster"]
)
async def test_a_section_may_be_asked_for_alone(peer: Peer, section: str) -> None:
    lines = (await peer.call(b"INFO", section.encode())).decode().splitlines()
    assert lines[0].lower() == f"# {section}"
    assert all(":" in line for line in lines[1:])


async def test_info_counts_clients_and_those_that_listen(face: InProcess, peer: Peer) -> None:
    listener = face.connect()
    await listener.call(b"SUBSCRIBE", b"news")
    info = await peer.call(b"INFO", b"clients", b"stats")
    assert b"connected_clients:2\r\n" in info
    assert b"pubsub_clients:1\r\n" in info
    assert b"total_connections_received:2\r\n" in info
    listener.closes()
    assert b"connected_clients:1\r\n" in await peer.call(b"INFO", b"clients")


async def test_the_node_says_what_it_has_seen(peer: Peer) -> None:
    assert await peer.call(b"SET", b"k", b"v") == b"OK"
    info = await peer.call(b"INFO", b"deltaic")
    assert b"node:n1\r\nreplica:n1\r\npeers:n2\r\n" in info
    assert b'clock:{"n1":1}\r\n' in info


async def test_times_and_the_role(peer: Peer) -> None:
    seconds, microseconds = await peer.call(b"TIME")
    assert abs(int(seconds) - time.time()) < 60
    assert 0 <= int(microseconds) < 1_000_000
    assert abs(await peer.call(b"LASTSAVE") - time.time()) < 60
    assert await peer.call(b"ROLE") == [b"master", 0, []]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Redis refuses: LOADING", {"loading:1", "rdb_last_bgsave_status:ok", "aof_last_write_status:err"}),
        ("Redis refuses: MISCONF", {"loading:0", "rdb_last_bgsave_status:err", "aof_last_write_status:err"}),
        (
            "Redis gave\r\nno, no answer",
            {"loading:0", "aof_last_write_status:err", "write_trouble:Redis gave  no; no answer"},
        ),
    ],
)
async def test_info_says_why_writes_cannot_succeed(face: InProcess, peer: Peer, reason: str, told: set[str]) -> None:
    asked = (b"INFO", b"persistence", b"deltaic")
    fine = {"loading:0", "rdb_last_bgsave_status:ok", "aof_last_write_status:ok", "writable:1", "write_trouble:"}
    assert fine <= set((await peer.call(*asked)).decode().split("\r\n"))
    await face.health.set(Trouble(time.monotonic() - 60, reason))
    lines = set((await peer.call(*asked)).decode().split("\r\n"))
    assert {*told, "writable:0", "write_trouble_seconds:60"} <= lines
