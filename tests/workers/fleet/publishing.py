"""Nodes without workers: what they would have published, written into a server by a test."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from tests.support import free_port
from workers.config.loading import checked
from workers.wire.keys import DELTA_FIELD, FLEET, Keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis import Redis

    from workers.config.settings import FleetSettings

__all__ = ["AWAY", "publish_beat", "publish_delta", "publish_header", "publish_members", "settings_of"]

AWAY = f"redis://127.0.0.1:{free_port()}/0"
"""A Redis that is not there."""


def settings_of(**urls: str) -> FleetSettings:
    """A fleet whose nodes have their Redis at `urls`, and no worker."""
    return checked({"nodes": {name: {"grpc": f"127.0.0.1:{free_port()}", "redis": url} for name, url in urls.items()}})


def publish_header(client: Redis, node: str, clock: Mapping[str, int], digest: str = "0" * 16, **fields: Any) -> None:
    """The header of `node`, whose fields are JSON unless they are text."""
    values = {"clock": clock, "stable": {}, "hlc": [1, 0], "replica": node, "founders": ["n1", "n2", "n3"], **fields}
    plain = {name: value if isinstance(value, str) else orjson.dumps(value) for name, value in values.items()}
    run_id = client.info("server")["run_id"]
    client.hset(Keys(node).header, mapping={"digest": digest, "run_id": run_id, **plain})


def publish_members(client: Redis, node: str, *facts: tuple[Any, ...]) -> None:
    """What `node` knows of the members: per fact a replica id, its standing, its node, and the rest."""
    parts = {fact[0]: orjson.dumps({f"{node}:{number}": list(fact[1:])}) for number, fact in enumerate(facts, 100)}
    client.hset(Keys(node).members.decode(), mapping=parts)


def publish_beat(client: Redis, node: str, age_ms: int = 0, skew_ms: int = 0, **fields: Any) -> None:
    """A heartbeat of `node` that is `age_ms` old, of a worker whose clock is `skew_ms` ahead."""
    seconds, micros = client.time()
    redis_ms = seconds * 1000 + micros // 1000 - age_ms
    wall_ms = time.time_ns() // 1_000_000 - age_ms + skew_ms
    client.hset(FLEET, node, orjson.dumps({"redis_ms": redis_ms, "beat_ms": wall_ms, **fields}))


def publish_delta(client: Redis, node: str, counter: int, made_ms: int) -> None:
    """An entry of the log of `node`, as far as its age can be told by it."""
    client.xadd(Keys(node).log, {DELTA_FIELD: orjson.dumps({"hlc": [made_ms, 0]})}, id=f"{counter}-0")
