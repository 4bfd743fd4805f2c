"""One raw connection to Redis for the commit path: packed commands go out in one write, as many replies come in.

Commands with very large words go out in slices, and nothing of them is copied (`workers.wire.large_commands`).

redis-py is used everywhere else. On the commit path its pipelines cost several times what the server needs, and a
commit wants all commands in one write and the replies counted as they arrive. There is no retry and no pool: the owner
of a connection decides what to do when it breaks. A Redis that owes replies and is silent for too long breaks it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import hiredis

from crdt_core.errors import StoreUnavailable
from workers.config.redis_url import options_of, tls_of
from workers.wire.large_commands import BUFFER_BYTES_MAX, Word, buffers_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

__all__ = ["OnAnswer", "RedisCommand", "Wire", "connect", "pack"]

RedisCommand = tuple[Word, ...]
"""One Redis command as its words, before it is packed. A word in pieces is sent in slices only (`Wire.send`)."""
OnAnswer: TypeAlias = "Callable[[list[Any] | StoreUnavailable], None]"
"""Is told the replies to a batch; the error where the connection is lost or closed before all of them are there."""

_CONNECT_TIMEOUT_S = 5.0
"""Where packets are dropped, the kernel alone would retry at its own pace, long after the network works again."""

# hiredis packs tuples of any length; its type hints say one.
pack: Callable[[RedisCommand], bytes] = hiredis.pack_command  # type: ignore[assignment]


class Wire(asyncio.Protocol):
    """A connection on which at most one batch of commands is under way.

    The connection is closed when Redis owes replies and has neither sent nor taken anything for `silence_s` seconds.
    """

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._received_s = 0.0
        self._watchdog: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._replies: list[Any] = []
        self._expected = 0
        self._on_answer: OnAnswer | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()

    def submit(self, packed: bytes, count: int, on_answer: OnAnswer) -> None:
        """Send `count` commands, `packed` by `pack`; `on_answer` is told their replies, later and once.

        An error reply is a `hiredis.ReplyError` value in the list. Where `on_answer` is told an error, any number of
        the commands may have taken effect, or may still do so. Raises `StoreUnavailable` where the connection is
        closed; no command was sent then.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise StoreUnavailable("the connection to Redis is closed")
        assert self._on_answer is None, "one batch at a time"
        self._expected, self._on_answer = count, on_answer
        self._received_s = self._loop.time()
        if self._watchdog is None:
            self._check_silence()
        if packed:
            transport.write(packed)

    async def send(self, commands: Sequence[RedisCommand], *, in_slices: bool = False) -> list[Any]:
        """Send `commands`, and return their replies, or raise the error: see `submit`.

        With `in_slices`, the commands may have words of any size: others have the event loop between two slices.
        """
        if not in_slices:
            return await self.exchange(b"".join(map(pack, commands)), len(commands))
        return await self.exchange(b"", len(commands), in_slices=commands)

    async def exchange(self, packed: bytes, count: int, in_slices: Sequence[RedisCommand] = ()) -> list[Any]:
        """Do as `send`, for `count` commands: those that are `packed`, and behind them those to be sent `in_slices`."""
        replies: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.submit(packed, count, partial(_settle, replies))
        try:
            if in_slices:
                await self._write_in_slices(in_slices)
            return await replies
        except BaseException:
            self._on_answer = None
            self.close()  # the next batch must not get what Redis owes, and who is cancelled does not close it
            raise

    def give_up(self) -> None:
        """Expect no replies any more. The connection is closed if it owes some: the next batch must not get them."""
        if self.owes:
            self._on_answer = None
            self.close()

    async def _write_in_slices(self, commands: Sequence[RedisCommand]) -> None:
        """Write `commands` as fast as Redis takes them; stop where the connection is lost, of which `send` hears."""
        written = 0
        for buffer in buffers_of(commands):
            if self._transport is None or self._transport.is_closing():
                return
            self._transport.write(buffer)
            written += len(buffer)
            if written >= BUFFER_BYTES_MAX:
                written = 0
                await asyncio.sleep(0)
                await self._has_room.wait()

    @property
    def owes(self) -> bool:
        """Whether Redis owes replies that somebody waits for."""
        return self._on_answer is not None

    @property
    def silence_s(self) -> float:
        """How long Redis may owe replies and send nothing; a new value applies at once."""
        return self._silence_s

    @silence_s.setter
    def silence_s(self, silence_s: float) -> None:
        self._silence_s = silence_s
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._check_silence()

    @property
    def open(self) -> bool:
        """Whether the connection is open. A connection that broke without notice still counts as open."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close the connection at once. Idempotent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        self._loop = asyncio.get_running_loop()
        _keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        self._received_s = self._loop.time()
        self._reader.feed(data)
        next_reply, replies = self._reader.gets, self._replies
        while (reply := next_reply()) is not False:
            replies.append(reply)
        on_answer = self._on_answer
        if len(replies) >= self._expected and on_answer is not None:
            self._replies, self._on_answer = [], None
            on_answer(replies)  # who may submit the next batch at once

    def reply_received(self, reply: Any) -> None:
        """Take one reply that was parsed elsewhere."""
        self._received_s = self._loop.time()
        self._replies.append(reply)
        on_answer, replies = self._on_answer, self._replies
        if len(replies) >= self._expected and on_answer is not None:
            self._replies, self._on_answer = [], None
            on_answer(replies)

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._received_s = self._loop.time()  # a Redis that takes what is sent is not silent
        self._has_room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._has_room.set()
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._fail(f"the connection to Redis was lost ({exc or 'closed'})")

    def _fail(self, reason: str) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(StoreUnavailable(reason))

    def _check_silence(self) -> None:
        """Close the connection if Redis has been silent for too long, else check again later.

        One timer that runs while batches are sent is cheaper than a timer for each batch.
        """
        silent_s = self._loop.time() - self._received_s
        if self._on_answer is None:
            self._watchdog = None
        elif silent_s < self._silence_s:
            self._watchdog = self._loop.call_later(self._silence_s - silent_s, self._check_silence)
        else:
            self._fail(f"Redis gave no answer for {self._silence_s:g} s")
            self.close()


def _settle(replies: asyncio.Future[list[Any]], answer: list[Any] | StoreUnavailable) -> None:
    if replies.done():
        return
    if isinstance(answer, StoreUnavailable):
        replies.set_exception(answer)
    else:
        replies.set_result(answer)


async def connect(
    url: str,
    name: str,
    silence_s: float,
    *,
    timeout_s: float = _CONNECT_TIMEOUT_S,
    make: Callable[[float], Wire] = Wire,
) -> Wire:
    """Return a connection to the Redis at `url`: authenticated, on the URL's database, named `name` in CLIENT LIST.

    `silence_s` is how long Redis may owe a reply without sending anything, `timeout_s` how long connecting may take.
    `make` makes the wire, from `silence_s`.
    Raises `StoreUnavailable`, and `SettingsError` where the URL's TLS files cannot be used.
    """
    options, tls = options_of(url), tls_of(url)
    try:
        async with asyncio.timeout(timeout_s):
            wire = await _open(options, tls, partial(make, silence_s))
            await _log_in(wire, options, name)
    except OSError as error:
        raise StoreUnavailable(f"Redis cannot be reached: {_reason(error, timeout_s)}") from error
    return wire


def _reason(error: OSError, timeout_s: float) -> str:
    if isinstance(error, TimeoutError) and not error.errno:
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno).lower()
    return str(error)


async def _open(options: Any, tls: ssl.SSLContext | None, new_wire: Callable[[], Wire]) -> Wire:
    loop = asyncio.get_running_loop()
    if hasattr(options, "path"):
        _, wire = await loop.create_unix_connection(new_wire, options.path)
    else:
        _, wire = await loop.create_connection(new_wire, options.host, options.port, ssl=tls)
    return wire


async def _log_in(wire: Wire, options: Any, name: str) -> None:
    commands: list[RedisCommand] = [("CLIENT", "SETNAME", name), ("SELECT", options.db)]
    if options.username or options.password:
        commands.insert(0, ("AUTH", options.username or "default", options.password or ""))
    for reply in await wire.send(commands):
        if isinstance(reply, hiredis.ReplyError):
            wire.close()
            raise StoreUnavailable(f"Redis refuses the connection: {reply}")


def _keep_alive(sock: socket.socket | None) -> None:
    """Make a connection whose other end has vanished break within seconds instead of hours."""
    if sock is None or sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 15_000)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
