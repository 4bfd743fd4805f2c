"""Waits for a Redis that has not started yet, so that the processes of a fleet may start in any order."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import redis
from redis.exceptions import AuthenticationError, RedisError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, stop_never, wait_exponential

from crdt_core.errors import StoreUnavailable
from workers.config.redis_url import redacted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState

__all__ = ["wait_for_redis"]

_REPLY_TIMEOUT_S = 2.0
_REPORT_AFTER_S = 2.0


def wait_for_redis(url: str, report: Callable[[str], None], timeout_s: float | None = None) -> None:
    """Return when the Redis at `url` answers a PING; a Redis that is still loading its data does not answer yet.

    If it waits for longer than two seconds, it passes a line for people to `report`, and one more when Redis answers.
    Raises `StoreUnavailable` after `timeout_s` (`None`: never), and at once if the password is refused.
    """
    reports = _Reports(url, report)
    retrying = Retrying(
        retry=retry_if_exception_type((RedisError, OSError)),
        wait=wait_exponential(multiplier=0.05, max=1),
        stop=stop_never if timeout_s is None else stop_after_delay(timeout_s),
        before_sleep=reports.after_failure,
        reraise=True,
    )
    timeouts = {"socket_connect_timeout": _REPLY_TIMEOUT_S, "socket_timeout": _REPLY_TIMEOUT_S}
    with redis.Redis.from_url(url, **timeouts, retry=None) as client:
        try:
            retrying(_ping, client)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"{redacted(url)} does not answer: {error}") from error
    reports.after_success()


def _ping(client: redis.Redis) -> None:
    try:
        client.ping()
    except AuthenticationError as error:
        raise StoreUnavailable(f"the server refuses the user or password: {error}") from error


class _Reports:
    """Reports once what is awaited, and then that the wait is over."""

    def __init__(self, url: str, report: Callable[[str], None]) -> None:
        self._url = redacted(url)
        self._report = report
        self._begun_s = monotonic()
        self._reported = False

    def after_failure(self, state: RetryCallState) -> None:
        if not self._reported and monotonic() - self._begun_s > _REPORT_AFTER_S:
            self._reported = True
            error = state.outcome.exception() if state.outcome is not None else None
            self._report(f"waiting for Redis at {self._url}: {error}")

    def after_success(self) -> None:
        if self._reported:
            self._report(f"Redis at {self._url} answers, after {monotonic() - self._begun_s:.0f} s")
