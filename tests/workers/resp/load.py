"""A load through redis-py whose every command can be accounted for afterwards."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError, TryAgainError
from redis.retry import Retry

from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RespLoad"]

_PAUSE_S = 0.02
_TIMEOUT_S = 5
_CHUNK = 1000
_NOTHING_CHANGED = (BusyLoadingError, OutOfMemoryError, ReadOnlyError, TryAgainError)


class RespLoad:
    """A context manager: within it, writers increment at 127.0.0.1:`port`, as fast as they are answered.

    `pause_s`: how long a writer waits after each answer, where the load must leave the machine room for more.

    Each command is a transaction that increments a counter that no other command uses, and one that all share. What
    was acknowledged must have taken effect exactly once; what was refused with a word that says that nothing was
    changed, not at all; and what got no answer, or an error that does not say so, at most once.
    """

    def __init__(self, port: int, prefix: str, writers: int = 4, *, pause_s: float = 0) -> None:
        self._port = port
        self._pause_s = pause_s
        self._prefix = prefix
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self.unknown: list[str] = []
        self._stop = threading.Event()
        self._writers = [threading.Thread(target=self._write, args=(number,)) for number in range(writers)]

    def __enter__(self) -> Self:
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for writer in self._writers:
            writer.join()

    def wait_for_acknowledgements(self, more: int = 100) -> None:
        """Returns once so many more writes have been acknowledged."""
        target = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= target, 60, f"{more} more acknowledgements")

    def check(self, node: Redis) -> None:
        """What every command has come to, as `node` shows it."""
        shown = {}
        names = [*self.acknowledged, *self.refused, *self.unknown]
        for chunk in _chunks(names):
            shown.update(zip(chunk, node.mget(chunk), strict=True))
        assert [name for name in self.acknowledged if shown[name] != b"1"] == []
        assert [name for name in self.refused if shown[name] is not None] == []
        assert [name for name in self.unknown if shown[name] not in {None, b"1"}] == []
        happened = sum(value is not None for value in shown.values())
        assert int(node.get(self._total) or 0) == happened

    @property
    def _total(self) -> str:
        return f"{self._prefix}:total"

    def _write(self, writer: int) -> None:
        client = Redis(port=self._port, socket_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), 0))
        with client:
            for number in count():
                if self._stop.is_set():
                    return
                if self._pause_s:
                    self._stop.wait(self._pause_s)
                name = f"{self._prefix}:{writer}:{number}"
                if not self._increment(client, name):
                    self._stop.wait(_PAUSE_S)  # a client that is refused does not come back at once

    def _increment(self, client: Redis, name: str) -> bool:
        try:
            with client.pipeline(transaction=True) as pipe:
                pipe.incr(name).incr(self._total).execute()
        except RedisError as error:
            (self.refused if isinstance(error, _NOTHING_CHANGED) else self.unknown).append(name)
            return False
        self.acknowledged.append(name)
        return True


def _chunks(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]
