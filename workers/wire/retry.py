"""Waiting for Redis: with back-off, saying so, and without an end (what cannot be written cannot be acknowledged)."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import structlog
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential, wait_random

from crdt_core.errors import StoreUnavailable
from workers.config.redis_url import shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

__all__ = ["Trouble", "until_redis_answers"]

T = TypeVar("T")

log = structlog.get_logger()

_FIRST_S = 0.05
_LONGEST_S = 2.0
_SILENT_ATTEMPTS = 4
_SILENT_S = 2.0


class Trouble(NamedTuple):
    """Redis has not done what it was asked since `since_s` (monotonic); `reason` is what it said last."""

    since_s: float
    reason: str


async def until_redis_answers(
    attempt: Callable[[], Awaitable[T]], url: str, heard: Callable[[str], None] = lambda _: None
) -> T:
    """The result of `attempt`, repeated while it raises `StoreUnavailable` or a connection's error.

    `heard` is told the reason of each failure; the log is told now and then.
    """
    said_s = monotonic()

    def say(state: RetryCallState) -> None:
        nonlocal said_s
        reason = str(state.outcome.exception()) if state.outcome is not None else ""
        heard(reason)
        if state.attempt_number % _SILENT_ATTEMPTS == 0 or monotonic() - said_s > _SILENT_S:
            said_s = monotonic()
            log.warning("redis_awaited", url=shown(url), reason=reason)

    retrying = AsyncRetrying(
        retry=retry_if_exception_type((StoreUnavailable, RedisError, OSError)),
        wait=wait_exponential(multiplier=_FIRST_S, max=_LONGEST_S) + wait_random(0, _FIRST_S),
        before_sleep=say,
        reraise=True,
    )
    return await retrying(attempt)
