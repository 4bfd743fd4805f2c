"""Attempts are repeated until Redis answers, and said to be, but other errors are not held back."""

from __future__ import annotations

import pytest
import structlog
from redis.exceptions import ConnectionError as RedisConnectionError

from crdt_core.errors import Fenced, StoreUnavailable
from workers.wire.retry import until_redis_answers

URL = "redis://:s3cret@10.0.0.1:6379/0"


class Attempts:
    """Raises `errors` one after another, and then returns `done`."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_an_attempt_is_repeated_until_it_succeeds_and_every_failure_is_told() -> None:
    reasons: list[str] = []
    attempts = Attempts(StoreUnavailable("one"), RedisConnectionError("two"), OSError("three"))
    assert await until_redis_answers(attempts, URL, reasons.append) == "done"
    assert reasons == ["one", "two", "three"]


async def test_any_other_error_ends_the_attempts() -> None:
    with pytest.raises(Fenced):
        await until_redis_answers(Attempts(StoreUnavailable("one"), Fenced("n1")), URL)


async def test_the_log_tells_once_that_redis_is_awaited_and_once_that_it_answers_without_the_password() -> None:
    with structlog.testing.capture_logs() as logs:
        await until_redis_answers(Attempts(*[StoreUnavailable("away")] * 6), URL)
    awaited, answered = logs
    url = "redis://:***@10.0.0.1:6379/0"
    assert awaited == {"event": "redis_awaited", "log_level": "warning", "url": url, "reason": "away"}
    assert (answered["event"], answered["url"]) == ("redis_answered", url)
