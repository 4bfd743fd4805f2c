"""Checks that a node's Redis never evicts keys: an eviction deletes a part of the replica, and tells nobody.

`INFO memory` names the policy; where that is not permitted, `CONFIG GET` does.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import ResponseError

from crdt_core.errors import EvictingRedis

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["EVICTION_REMEDY", "NO_EVICTION", "check_eviction", "eviction_policy"]

log = structlog.get_logger()

NO_EVICTION = "noeviction"
"""The policy of a Redis that refuses writes when its memory is full, and deletes nothing."""
EVICTION_REMEDY = "redis-cli CONFIG SET maxmemory-policy noeviction"
_SETTING = "maxmemory-policy"


async def check_eviction(node: str, redis: Redis) -> None:
    """Raise `EvictingRedis` if `redis`, which holds the replica of `node`, may evict keys.

    A policy that cannot be read is only logged. Raises the errors of the connection.
    """
    policy = await eviction_policy(redis)
    if policy is None:
        log.warning("eviction_policy_unreadable", node=node, remedy=EVICTION_REMEDY)
    elif policy != NO_EVICTION:
        raise EvictingRedis(node, policy)


async def eviction_policy(redis: Redis) -> str | None:
    """Return the setting `maxmemory-policy` of `redis`, or `None` if it may not be read.

    Raises the errors of the connection.
    """
    for ask, name in ((redis.info, "memory"), (redis.config_get, _SETTING)):
        with suppress(ResponseError):
            found = await ask(name)
            policy = found.get("maxmemory_policy") or found.get(_SETTING)
            if policy is not None:
                return str(policy)
    return None
