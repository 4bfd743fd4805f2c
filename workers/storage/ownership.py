"""The claim of one process to a node's replica: its token in the header, and the connection that watches the header.

The WATCH and the owner's token for the next transaction ride behind the one before, so that fencing costs no round
trip: an EXEC goes through only if nobody has touched the header since this process saw its own token there. The name of
the connection tells others that the owner lives.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hiredis
import structlog

from crdt_core.codec.canonical import FORMAT
from crdt_core.errors import AlreadyRunning, CorruptState, Fenced, StoreUnavailable, brief
from workers.storage.requests import header_set
from workers.wire.connection import Wire, connect
from workers.wire.keys import GROUP, Keys
from workers.wire.replies import number, ok, reading, run_id, text
from workers.wire.retry import until_redis_answers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workers.wire.connection import RedisCommand

__all__ = ["NOWHERE", "RETRY_S", "Ownership"]

log = structlog.get_logger()

NOWHERE = -1
"""The turn of a Redis that has lost what it had confirmed."""
RETRY_S = 0.2
_LOAD_SILENCE_S = 60.0
"""What Redis answers in one piece may be large, and it says nothing while it collects it."""
_SERVER: RedisCommand = ("INFO", "server")
_ATTEMPTS = 8


class Ownership:
    """The claim to node `node` in the Redis at `url`; `token` marks this process as the owner.

    `silence_s`: how long Redis may owe an answer and say nothing before its connection is given up. `turn`: the number
    of the last commit that Redis has confirmed to this process. `run_id`: of the Redis process that it speaks to.
    `wire`: the connection that watches the header; before `take`, one that is closed.
    """

    def __init__(self, node: str, url: str, token: str, *, silence_s: float = 5.0) -> None:
        self.token = token
        self.turn = 0
        self.run_id = b""
        self._keys = Keys(node)
        self._url = url
        self._silence_s = silence_s
        self.wire = Wire(silence_s)

    @property
    def connected(self) -> bool:
        """Whether the connection that holds the replica stands, as far as is known."""
        return self.wire.open

    @property
    def fields(self) -> dict[str, bytes]:
        """What the owner says of itself in the header."""
        return {"owner": self.token.encode(), "format": b"%d" % FORMAT}

    async def take(self, *, takeover: bool) -> None:
        """Makes this process the owner, fencing any former one.

        Raises `AlreadyRunning` where the present owner keeps its connection, unless `takeover`; that of one that was
        killed goes within moments.
        """

        async def attempt() -> Wire:
            wire = await self._connect()
            try:
                await self._take_by(wire, takeover=takeover)
            except BaseException:
                wire.close()
                raise
            return wire

        self.wire = await until_redis_answers(attempt, self._url)
        log.info("replica_claimed", node=self._keys.node, takeover=takeover)

    async def renew(self, heard: Callable[[str], None]) -> int:
        """A new connection that watches the header; the turn that Redis is at. Raises `Fenced`.

        `heard` is told why, as long as Redis does not answer.
        """
        self.wire.close()

        async def attempt() -> tuple[Wire, Any, Any]:
            wire = await self._connect()
            info, _, watched = await ok(wire, [_SERVER, *self.watch()])
            return wire, info, watched

        self.wire, info, watched = await until_redis_answers(attempt, self._url, heard)
        self.run_id = run_id(info)
        return self.place(watched)

    async def release(self) -> None:
        """Gives the replica up, if it is still owned, so that the next process need not ask."""
        wire = self.wire
        replies = await wire.send([("MULTI",), ("HDEL", self._keys.header, "owner"), ("EXEC",)])
        wire.close()
        if replies[-1] is None:
            raise Fenced(self._keys.node)

    async def ask(self, *commands: RedisCommand) -> list[Any]:
        """The replies to `commands`; raises as `workers.wire.replies.ok` does."""
        return await ok(self.wire, list(commands))

    async def put(self, *commands: RedisCommand) -> None:
        """Does `commands` at once, if the node is still owned; raises `Fenced` and `StoreUnavailable`."""
        *_, executed, _, watched = await self.ask(("MULTI",), *commands, ("EXEC",), *self.watch())
        self.place(watched)
        if executed is None:
            raise StoreUnavailable("the header was written to by somebody else meanwhile")
        for result in executed:
            if isinstance(result, hiredis.ReplyError):
                raise StoreUnavailable(f"Redis refuses: {result}")

    @contextmanager
    def patience(self) -> Iterator[None]:
        """In the block, Redis may take its time to collect an answer."""
        wire = self.wire
        wire.silence_s = max(_LOAD_SILENCE_S, self._silence_s)
        try:
            yield
        finally:
            wire.silence_s = self._silence_s

    def watch(self) -> list[RedisCommand]:
        """What guards the next transaction; the last of its replies is for `place`."""
        return [("WATCH", self._keys.header), ("HMGET", self._keys.header, "owner", "turn")]

    def place(self, watched: Any) -> int:
        """The turn that Redis is at, by the last reply to `watch`; `NOWHERE` where it has lost what it had confirmed.

        Raises `Fenced`. An owner's token that came back with an older state says nothing.
        """
        if isinstance(watched, hiredis.ReplyError):
            raise StoreUnavailable(f"Redis refuses: {watched}")
        owner, turn = watched
        with reading(self._keys.header):
            now_at = number(turn or b"0")
        if now_at < self.turn or (owner is None and turn is None):
            return NOWHERE
        if owner != self.token.encode():
            raise Fenced(self._keys.node)
        return now_at

    def check_sole(self, owner: bytes | None, clients: bytes) -> None:
        """Raises `Fenced` where `owner`, as the header says, is another process that is connected (`CLIENT LIST`)."""
        if self._is_held_by_another(owner, clients):
            raise Fenced(self._keys.node)

    async def ensure_group(self) -> None:
        """Makes the consumer group of the inbox, if there is none."""
        await self._ensure_group(self.wire)

    async def _connect(self) -> Wire:
        return await connect(self._url, _connection_name(self._keys.node, self.token), self._silence_s)

    async def _take_by(self, wire: Wire, *, takeover: bool) -> None:
        for patience in reversed(range(_ATTEMPTS)):
            fields, clients = await ok(wire, [("HMGET", self._keys.header, "owner", "format"), ("CLIENT", "LIST")])
            self._check_format(fields[1])
            held = self._is_held_by_another(fields[0], clients) or (
                fields[0] is None and self._is_held_by_anyone(clients)
            )
            if takeover or not held:
                break
            if not patience:
                raise AlreadyRunning(self._keys.node, "another live process")
            await asyncio.sleep(RETRY_S)
        claimed = header_set(self._keys, self.fields)
        _, info, _, watched = await ok(wire, [claimed, _SERVER, *self.watch()])
        self.run_id = run_id(info)
        self.place(watched)
        await self._ensure_group(wire)

    async def _ensure_group(self, wire: Wire) -> None:
        (created,) = await wire.send([("XGROUP", "CREATE", self._keys.inbox, GROUP, "0", "MKSTREAM")])
        if isinstance(created, hiredis.ReplyError) and "BUSYGROUP" not in str(created):
            wire.close()
            raise StoreUnavailable(f"Redis refuses: {created}")

    def _check_format(self, format_: bytes | None) -> None:
        if format_ is not None and format_ != b"%d" % FORMAT:
            raise CorruptState(f"{self._keys.header} format", f"{brief(format_)} is not {FORMAT}, as here")

    def _is_held_by_another(self, owner: bytes | None, clients: bytes) -> bool:
        if owner in {None, self.token.encode()}:  # its own: an earlier attempt got that far
            return False
        held = f" name={_connection_name(self._keys.node, text(owner))} ".encode()
        return any(held in line for line in bytes(clients).splitlines())

    def _is_held_by_anyone(self, clients: bytes) -> bool:
        """Whether a process holds an owner's connection, whatever Redis has lost of its claim."""
        prefix = _connection_name(self._keys.node, "")
        held = re.compile(rf" name={re.escape(prefix)}(?!{self.token} )[^ -]+ ".encode())
        return held.search(clients) is not None


def _connection_name(node: str, token: str) -> str:
    return f"deltaic-owner-{node}-{token}"
