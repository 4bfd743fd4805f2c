"""A worker's heartbeat in the fleet hash of its Redis: it says that the worker runs, and what it is doing.

    {"grpc": "127.0.0.1:7101", "pid": 4711, "replica": "n1", "serving": true, "format": 1,
     "beat_ms": 1763700000000, "redis_ms": 1763700000001}

`format` says what the worker can read (`workers.replication.formats`). `beat_ms` is the time of the worker's own clock,
`redis_ms` that of its Redis. So the clock of the Redis alone tells how old a heartbeat is, and
`workers.replication.skew` can compare the clocks of workers.

A worker that does not serve yet may say more. `waits`: why it cannot decide yet on its replica id; `replica` is missing
then. `joins`: how much of the state it has fetched: `{"peer": "n2", "done": 700, "of": 20000, "bytes": 91000}`, which
is the parts that the peer has gone through, the number of all parts, and the bytes that have arrived.

`persisted_again`: how many records the worker has written again because Redis had lost or changed them. `evicts`: the
`maxmemory-policy` of a Redis that may evict keys.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from workers.replication.formats import FORMAT
from workers.system.clock import wall_ms
from workers.wire.keys import FLEET

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from crdt_core.node.node import Node

__all__ = [
    "HEARTBEAT_FRESH_MS",
    "Heartbeat",
    "delete_heartbeat",
    "fresh_fields",
    "heartbeat_fields",
    "publish_heartbeat",
    "read_heartbeat",
]

HEARTBEAT_FRESH_MS = 3000
"""A worker whose last heartbeat is older has died, or cannot reach its Redis."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A worker's last heartbeat: its age, what the worker's clock shows now, and all its fields.

    >>> beat = read_heartbeat(b'{"beat_ms": 7000, "redis_ms": 7000, "serving": true}', (8, 0))
    >>> beat.age_ms, beat.wall_ms, beat.fresh, beat.fields["serving"]
    (1000, 8000, True, True)
    """

    age_ms: int
    wall_ms: int
    fields: dict[str, Any]

    @property
    def fresh(self) -> bool:
        """Whether the worker still runs, as far as its heartbeat tells."""
        return self.age_ms < HEARTBEAT_FRESH_MS


def read_heartbeat(value: bytes | str | None, redis_time: tuple[int, int]) -> Heartbeat | None:
    """Return the heartbeat in a field of the fleet hash; `None` if the field is missing or is no heartbeat.

    `redis_time` is the reply of the same Redis to TIME, read together with the field.
    """
    try:
        fields = orjson.loads(value or b"null")
        made_ms, made_wall_ms = fields["redis_ms"], fields["beat_ms"]
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return None
    if type(made_ms) is not int or type(made_wall_ms) is not int:
        return None
    age_ms = max(0, _redis_ms(redis_time) - made_ms)
    return Heartbeat(age_ms, made_wall_ms + age_ms, fields)


def fresh_fields(value: bytes | str | None, redis_time: tuple[int, int]) -> dict[str, Any] | None:
    """Return what a worker says in its heartbeat; `None` if the heartbeat is old, missing or unreadable.

    >>> value = b'{"beat_ms": 7000, "redis_ms": 7000, "waits": "so"}'
    >>> fresh_fields(value, (8, 0))["waits"], fresh_fields(value, (11, 0)), fresh_fields(None, (8, 0))
    ('so', None, None)
    """
    heartbeat = read_heartbeat(value, redis_time)
    return heartbeat.fields if heartbeat is not None and heartbeat.fresh else None


async def publish_heartbeat(own: Redis, name: str, grpc: str, **fields: object) -> None:
    """Write a heartbeat of node `name` with `fields` into its Redis `own`; raises the errors of the connection."""
    times = {"redis_ms": _redis_ms(await own.time()), "beat_ms": wall_ms()}
    await own.hset(FLEET, name, orjson.dumps({"grpc": grpc, "pid": os.getpid(), **fields, **times}))


async def delete_heartbeat(own: Redis, name: str) -> None:
    """Delete the heartbeat of node `name`; does nothing where Redis does not answer."""
    with contextlib.suppress(RedisError, OSError):
        await own.hdel(FLEET, name)


def heartbeat_fields(node: Node, *, serving: bool) -> dict[str, Any]:
    """Return the fields in which the worker of a loaded replica says what it is doing."""
    fields: dict[str, Any] = {"replica": node.replica.id, "serving": serving, "format": FORMAT}
    if again := node.counts["records_persisted_again"]:
        fields["persisted_again"] = again
    if node.joins:
        fields["joins"] = {}
        for arriving in node.arriving:
            fields["joins"] = {
                "peer": arriving.peer,
                "done": arriving.done,
                "of": arriving.of,
                "bytes": arriving.bytes,
            }
    return fields


def _redis_ms(redis_time: tuple[int, int]) -> int:
    """Return the reply to TIME in milliseconds since 1970."""
    seconds, micros = redis_time
    return int(seconds) * 1000 + int(micros) // 1000
