"""Repeats an attempt until Redis answers: with back-off, with log lines, and without an end.

There is no end because a write that is not in Redis must not be acknowledged.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import structlog
from redis.exceptions import RedisError
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential, wait_random

from crdt_core.errors import StoreUnavailable
from workers.config.redis_url import redacted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tenacity import RetryCallState

__all__ = ["Trouble", "until_redis_answers"]

T = TypeVar("T")

log = structlog.get_logger()

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_LOG_AFTER_ATTEMPTS = 4
_LOG_AFTER_S = 2.0


class Trouble(NamedTuple):
    """Redis has not taken a commit since `since_s` (monotonic seconds); `reason` is its last failure."""

    since_s: float
    reason: str


async def until_redis_answers(
    attempt: Callable[[], Awaitable[T]], url: str, on_failure: Callable[[str], None] = lambda _: None
) -> T:
    """Return the result of `attempt`, repeated while it raises `StoreUnavailable` or an error of a connection.

    `on_failure` is called with the reason of each failure. The log gets a line after the fourth failure, or when two
    seconds have passed; another one for each further kind of failure, such as a refused password first, and then no
    connection; and one when Redis answers then.
    """
    begun_s = monotonic()
    logged: set[type[BaseException]] = set()

    def note_failure(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        on_failure(str(error))
        has_lasted = state.attempt_number >= _LOG_AFTER_ATTEMPTS or monotonic() - begun_s > _LOG_AFTER_S
        if error is not None and has_lasted and type(error) not in logged:
            logged.add(type(error))
            log.warning("redis_awaited", url=redacted(url), reason=str(error))

    retrying = AsyncRetrying(
        retry=retry_if_exception_type((StoreUnavailable, RedisError, OSError)),
        wait=wait_exponential(multiplier=_FIRST_PAUSE_S, max=_LONGEST_PAUSE_S) + wait_random(0, _FIRST_PAUSE_S),
        before_sleep=note_failure,
        reraise=True,
    )
    result: T = await retrying(attempt)
    if logged:
        log.warning("redis_answered", url=redacted(url), after_s=round(monotonic() - begun_s, 1))
    return result
