"""Waiting for a Redis that is not there yet, so that the order in which a fleet's processes start does not matter."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import redis
from redis.exceptions import AuthenticationError, RedisError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, stop_never, wait_exponential

from crdt_core.errors import StoreUnavailable
from workers.config.redis_url import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

__all__ = ["wait_for_redis"]

FIRST_WORD_S = 2.0
EVERY_S = 5.0


def wait_for_redis(url: str, say: Callable[[str], None], timeout_s: float | None = None) -> None:
    """Returns once the Redis at `url` answers a PING; what it waits for goes to `say`, a line every few seconds.

    A Redis that is still loading its data does not answer yet. Raises `StoreUnavailable` after `timeout_s` (`None`:
    never), and at once if the password is refused.
    """
    talk = _Talk(url, say)
    retrying = Retrying(
        retry=retry_if_exception_type((RedisError, OSError)),
        wait=wait_exponential(multiplier=0.05, max=1),
        stop=stop_never if timeout_s is None else stop_after_delay(timeout_s),
        before_sleep=talk.about,
        reraise=True,
    )
    with redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2, retry=None) as client:
        try:
            retrying(_ping, client)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"{shown(url)} does not answer: {error}") from error


def _ping(client: redis.Redis) -> None:
    try:
        client.ping()
    except AuthenticationError as error:
        raise StoreUnavailable(f"the server refuses the user or password: {error}") from error


class _Talk:
    """Says what is waited for: after the first moments, then now and then."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._url = url
        self._say = say
        self._next_s = monotonic() + FIRST_WORD_S

    def about(self, state: RetryCallState) -> None:
        if monotonic() >= self._next_s:
            self._next_s = monotonic() + EVERY_S
            error = state.outcome.exception() if state.outcome is not None else None
            self._say(f"waiting for Redis at {shown(self._url)}: {error}")
