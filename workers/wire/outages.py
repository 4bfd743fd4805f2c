"""Logs a failure that lasts when it begins and when it ends, and nothing in between.

`Outages`: a Redis is lost when the first of this worker's connections to it fails, and it has returned when all of them
answer again. `PeerFailures`: one thing that the worker does with each peer fails, until it succeeds with that peer.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from workers.config.redis_url import redacted

__all__ = ["Outages", "PeerFailures"]


class Outages:
    """Which of a worker's connections fail at present, by the URL of the Redis at their other end."""

    def __init__(self) -> None:
        self._failing: dict[str, set[object]] = {}
        self._since_s: dict[str, float] = {}

    def failed(self, url: str, connection: object, reason: str) -> None:
        """Note that `connection` does not get through to the Redis at `url`. Idempotent."""
        if url not in self._failing:
            self._failing[url], self._since_s[url] = set(), monotonic()
            _warn("redis_lost", url=redacted(url), reason=reason)
        self._failing[url].add(connection)

    def answered(self, url: str, connection: object) -> None:
        """Note that `connection` gets through again. Does nothing if it was not noted as failing."""
        failing = self._failing.get(url)
        if failing is not None and connection in failing:
            self._forget(url, connection)
            if url not in self._failing:
                _warn("redis_returned", url=redacted(url), after_s=round(monotonic() - self._since_s[url], 1))

    def closed(self, url: str, connection: object) -> None:
        """Note that `connection` is not used any more."""
        if connection in self._failing.get(url, ()):
            self._forget(url, connection)

    def _forget(self, url: str, connection: object) -> None:
        self._failing[url].remove(connection)
        if not self._failing[url]:
            del self._failing[url]


class PeerFailures:
    """With which peers one thing fails at present. The event is called `failed` or `succeeded`, and has `fields`."""

    def __init__(self, failed: str, succeeded: str, **fields: str) -> None:
        self._failed = failed
        self._succeeded = succeeded
        self._fields = fields
        self._since_s: dict[str, float] = {}

    def failed(self, peer: str, reason: str) -> None:
        """Note that it has failed with `peer`. Idempotent."""
        if peer not in self._since_s:
            self._since_s[peer] = monotonic()
            _warn(self._failed, **self._fields, peer=peer, reason=reason)

    def succeeded(self, peer: str) -> None:
        """Note that it has succeeded with `peer`. Logs that only after a failure."""
        since_s = self._since_s.pop(peer, None)
        if since_s is not None:
            _warn(self._succeeded, **self._fields, peer=peer, after_s=round(monotonic() - since_s, 1))

    def forget(self, peer: str) -> None:
        """Note that `peer` has left."""
        self._since_s.pop(peer, None)


def _warn(event: str, **fields: Any) -> None:
    """Log a warning. Only the first one imports the log: a command that meets no outage starts without it."""
    import structlog  # noqa: PLC0415

    structlog.get_logger().warning(event, **fields)
