"""A connection on which Redis also says what it was not asked: messages of channels, and that a key has changed.

It speaks RESP3, in which such a push cannot be taken for a reply. Everything else is as on any reconnecting connection.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import hiredis

from workers.wire.connection import Wire
from workers.wire.reconnecting import ReconnectingConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from workers.wire.connection import RedisCommand
    from workers.wire.outages import Outages

__all__ = ["listening"]


def listening(
    url: str,
    name: str,
    silence_s: float,
    outages: Outages,
    opening: Sequence[RedisCommand],
    *,
    on_push: Callable[[list[Any]], None],
    on_lost: Callable[[], None],
) -> ReconnectingConnection:
    """Return a connection to the Redis at `url` that tells `on_push` of each push, and `on_lost` when it is lost.

    Whenever it is opened, it sends the commands `opening` first, such as `SUBSCRIBE`. The other arguments are those of
    `ReconnectingConnection`.
    """
    make = partial(_PushWire, on_push, on_lost)
    return ReconnectingConnection(url, name, silence_s, outages, make=make, opening=(("HELLO", 3), *opening))


class _PushWire(Wire):
    """A wire that tells pushes from replies. That a subscription has begun counts as the reply to its command."""

    def __init__(self, on_push: Callable[[list[Any]], None], on_lost: Callable[[], None], silence_s: float) -> None:
        super().__init__(silence_s)
        self._on_push = on_push
        self._on_lost = on_lost
        self._pushes = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        self._pushes.feed(data)
        while (found := self._pushes.gets()) is not False:
            if type(found) is hiredis.PushNotification and found[0] != b"subscribe":
                self._on_push(list(found))
            else:
                self.reply_received(found)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._on_lost()
