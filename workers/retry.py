"""Waiting for Redis: with back-off, saying so, and without an end (what cannot be written cannot be acknowledged)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import structlog
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential, wait_random

from crdt_core.errors import StoreUnavailable
from workers.redis_url import shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

__all__ = ["until_redis_answers"]

T = TypeVar("T")

log = structlog.get_logger()

_FIRST_S = 0.05
_LONGEST_S = 2.0
_SILENT_ATTEMPTS = 4


async def until_redis_answers(attempt: Callable[[], Awaitable[T]], url: str) -> T:
    """The result of `attempt`, repeated while it raises `StoreUnavailable` or a connection's error."""

    def say(state: RetryCallState) -> None:
        if state.attempt_number % _SILENT_ATTEMPTS == 0 and state.outcome is not None:
            log.warning("redis_awaited", url=shown(url), reason=str(state.outcome.exception()))

    retrying = AsyncRetrying(
        retry=retry_if_exception_type((StoreUnavailable, RedisError, OSError)),
        wait=wait_exponential(multiplier=_FIRST_S, max=_LONGEST_S) + wait_random(0, _FIRST_S),
        before_sleep=say,
        reraise=True,
    )
    return await retrying(attempt)
