"""Heartbeats: how old they are, whether they are any, and what they say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import orjson
import pytest
from redis.asyncio import Redis

from crdt_core.membership.decisions import Sponsor
from crdt_core.node.node import Node
from crdt_core.replica.replica import Replica
from tests.support import free_port
from workers.replication.formats import FORMAT
from workers.replication.heartbeat import (
    HEARTBEAT_FRESH_MS,
    delete_heartbeat,
    fresh_fields,
    heartbeat_fields,
    publish_heartbeat,
    read_heartbeat,
)
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from tests.server import ValkeyServer

HOUR_MS = 3_600_000


@pytest.mark.parametrize("ahead_ms", [-5 * HOUR_MS, 0, 5 * HOUR_MS])
def test_a_heartbeat_is_as_old_as_its_redis_says_whatever_its_worker_s_clock_shows(ahead_ms: int) -> None:
    value = orjson.dumps({"redis_ms": 1_000_000, "beat_ms": 1_000_000 + ahead_ms})
    young, old = read_heartbeat(value, (1001, 500_000)), read_heartbeat(value, (1004, 0))
    assert young is not None
    assert old is not None
    assert (young.age_ms, young.fresh, old.fresh) == (1500, True, False)
    assert young.wall_ms == 1_001_500 + ahead_ms


@pytest.mark.parametrize("value", [None, b"", b"junk", b"[]", b"7", b'{"beat_ms":7}', b'{"redis_ms":"7","beat_ms":7}'])
def test_what_is_no_heartbeat_is_none(value: bytes | None) -> None:
    assert read_heartbeat(value, (1000, 0)) is None
    assert fresh_fields(value, (1000, 0)) is None


def test_only_a_fresh_heartbeat_says_what_its_worker_does() -> None:
    value = orjson.dumps({"redis_ms": 0, "beat_ms": 0, "waits": "so"})
    assert fresh_fields(value, (0, 1000 * (HEARTBEAT_FRESH_MS - 1)))["waits"] == "so"
    assert fresh_fields(value, (0, 1000 * HEARTBEAT_FRESH_MS)) is None


async def test_what_is_published_is_read_back_until_it_is_deleted(server: ValkeyServer) -> None:
    own = Redis.from_url(server.url)
    await publish_heartbeat(own, "n1", "127.0.0.1:7101", serving=True, replica="n1.2")
    heartbeat = read_heartbeat(await own.hget(FLEET, "n1"), await own.time())
    assert heartbeat is not None
    assert heartbeat.fresh
    said = {name: heartbeat.fields[name] for name in ("grpc", "pid", "serving", "replica")}
    assert said == {"grpc": "127.0.0.1:7101", "pid": os.getpid(), "serving": True, "replica": "n1.2"}
    await delete_heartbeat(own, "n1")
    assert not await own.hexists(FLEET, "n1")
    await own.aclose()


async def test_a_redis_that_is_away_does_not_keep_a_worker_from_ending() -> None:
    own = Redis.from_url(f"redis://127.0.0.1:{free_port()}/0")
    await delete_heartbeat(own, "n1")
    await own.aclose()


def test_a_worker_says_whether_it_serves_and_whether_it_still_fetches_its_state() -> None:
    member = Node("n1", Replica("n1", founders=["n1", "n2"]), "s")
    assert heartbeat_fields(member, serving=True) == {"replica": "n1", "serving": True, "format": FORMAT}
    newcomer = Node("n3", Replica("n3", founders=[]), "s", sponsor=Sponsor("n1", "n1"))
    assert heartbeat_fields(newcomer, serving=False) == {
        "replica": "n3",
        "serving": False,
        "format": FORMAT,
        "joins": {},
    }
