"""One raw connection to Redis for the commit path: a buffer of packed commands out, as many replies in.

redis-py is right everywhere else. Here its pipelines cost several times what the server needs, and a commit wants its
buffer sent in one write, with the replies counted off as they come. There is no retry and no pool: whoever owns the
connection decides what a broken one means. A Redis that owes replies and says nothing for too long breaks it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any, cast

import hiredis

from crdt_core.errors import StoreUnavailable
from workers.config.redis_url import options_of, tls_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

__all__ = ["RedisCommand", "Wire", "connect"]

RedisCommand = tuple[bytes | str | int, ...]
"""One command for Redis, before it is packed."""

_CONNECT_TIMEOUT_S = 5.0
"""Where packets vanish, the kernel alone would go on trying at its own pace, long after the way is free again."""

# hiredis packs tuples of any length; its type hints say one.
_pack: Callable[[RedisCommand], bytes] = hiredis.pack_command  # type: ignore[assignment]


class Wire(asyncio.Protocol):
    """A connection with at most one batch of commands under way.

    It is given up once Redis owes replies and has said nothing for `silence_s`.
    """

    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s
        self._heard_s = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._replies: list[Any] = []
        self._expected = 0
        self._waiter: asyncio.Future[list[Any]] | None = None

    async def send(self, commands: Sequence[tuple[bytes | str | int, ...]]) -> list[Any]:
        """The replies to `commands`, error replies among them as `hiredis.ReplyError` values.

        Raises `StoreUnavailable` where the connection is lost meanwhile, or given up: some, all or none of the commands
        took effect, or will.
        """
        if self._transport is None or self._transport.is_closing():
            raise StoreUnavailable("the connection to Redis is closed")
        assert self._waiter is None, "one batch at a time"
        self._expected = len(commands)
        self._waiter = self._loop.create_future()
        self._heard_s = self._loop.time()
        if self._watchdog is None:
            self._watch()
        self._transport.write(b"".join(map(_pack, commands)))
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.close()  # the replies still to come belong to nobody
            raise
        finally:
            self._waiter = None

    @property
    def open(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._replies.append(reply)
        if len(self._replies) >= self._expected and self._waiter is not None:
            replies, self._replies = self._replies, []
            if not self._waiter.done():
                self._waiter.set_result(replies)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._fail(f"the connection to Redis was lost ({exc or 'closed'})")

    def _fail(self, reason: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(StoreUnavailable(reason))

    def _watch(self) -> None:
        """Looks, now and then, whether Redis has been silent for too long: cheaper than a timer for each batch."""
        silent_s = self._loop.time() - self._heard_s
        if self._waiter is None:
            self._watchdog = None
        elif silent_s < self.silence_s:
            self._watchdog = self._loop.call_later(self.silence_s - silent_s, self._watch)
        else:
            self._fail(f"Redis gave no answer for {self.silence_s:g} s")
            self.close()


async def connect(url: str, name: str, silence_s: float) -> Wire:
    """A connection to the Redis at `url`, authenticated, on its database, named `name`.

    `silence_s`: how long Redis may owe an answer without saying anything. Raises `StoreUnavailable`, and
    `SettingsError` where the files for its TLS cannot be used.
    """
    options, tls = options_of(url), tls_of(url)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            wire = await _open(options, tls, silence_s)
            await _greet(wire, options, name)
    except OSError as error:
        raise StoreUnavailable(f"Redis cannot be reached: {_reason(error)}") from error
    return wire


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no answer within {_CONNECT_TIMEOUT_S:g} s"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)


async def _open(options: Any, tls: ssl.SSLContext | None, silence_s: float) -> Wire:
    loop = asyncio.get_running_loop()

    def made() -> Wire:
        return Wire(silence_s)

    if hasattr(options, "path"):
        _, wire = await loop.create_unix_connection(made, options.path)
    else:
        _, wire = await loop.create_connection(made, options.host, options.port, ssl=tls)
    return wire


async def _greet(wire: Wire, options: Any, name: str) -> None:
    greeting: list[tuple[bytes | str | int, ...]] = [("CLIENT", "SETNAME", name), ("SELECT", options.db)]
    if options.username or options.password:
        greeting.insert(0, ("AUTH", options.username or "default", options.password or ""))
    for reply in await wire.send(greeting):
        if isinstance(reply, hiredis.ReplyError):
            wire.close()
            raise StoreUnavailable(f"Redis refuses the connection: {reply}")


def _keep_alive(sock: socket.socket | None) -> None:
    """Lets a connection whose other end has vanished without a word break within seconds rather than hours."""
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 15_000)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
