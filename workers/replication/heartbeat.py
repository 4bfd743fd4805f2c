"""A worker's sign of life in the fleet hash of its Redis: that it lives, and what it is doing.

    {"grpc": "127.0.0.1:7101", "pid": 4711, "replica": "n1", "serving": true,
     "beat_ms": 1763700000000, "redis_ms": 1763700000001}

`beat_ms` is by the worker's own clock, `redis_ms` by that of its Redis: see `workers.replication.skew`.
Before it serves it may say more. `waits`: why it cannot decide yet under which id it goes on; there is no `replica`
then. `joins`: what has arrived of the state that it fetches: `{"peer": "n2", "done": 700, "of": 20000, "bytes": 91000}`
(parts that the peer has looked at, of how many, and bytes that are here).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from workers.replication.skew import read_heartbeat, redis_ms
from workers.system.clock import wall_ms
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crdt_core.node.node import Node

__all__ = ["beat", "doing", "last_beat", "said_lately"]


async def beat(own: Redis, name: str, grpc: str, **doing: object) -> None:
    """Says that node `name` lives; raises what the connection raises."""
    at = {"redis_ms": redis_ms(await own.time()), "beat_ms": wall_ms()}
    fields = {"grpc": grpc, "pid": os.getpid(), **doing, **at}
    await own.hset(FLEET, name, orjson.dumps(fields))


async def last_beat(own: Redis, name: str) -> None:
    """Takes the sign of life away, where Redis answers."""
    with contextlib.suppress(RedisError, OSError):
        await own.hdel(FLEET, name)


def doing(node: Node, *, serving: bool) -> dict[str, Any]:
    """What the worker of a loaded replica says."""
    said: dict[str, Any] = {"replica": node.replica.id, "serving": serving}
    if node.joins:
        said["joins"] = {}
        for arriving in node.arriving:
            said["joins"] = {
                "peer": arriving.peer,
                "done": arriving.done,
                "of": arriving.of,
                "bytes": arriving.bytes,
            }
    return said


def said_lately(value: bytes | str | None, redis_time: tuple[int, int]) -> dict[str, Any] | None:
    """What a worker says in its field of the fleet hash, by the TIME of that Redis; `None` if that is old, or nonsense.

    >>> value = b'{"beat_ms": 7000, "redis_ms": 7000, "waits": "so"}'
    >>> said_lately(value, (8, 0))["waits"], said_lately(value, (11, 0)), said_lately(None, (8, 0))
    ('so', None, None)
    """
    heartbeat = read_heartbeat(value, redis_time)
    if heartbeat is None or not heartbeat.fresh or value is None:
        return None
    said: dict[str, Any] = orjson.loads(value)
    return said
