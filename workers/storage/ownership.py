"""The ownership of a node's replica by one process: a fencing token in the header, and a connection that watches it.

Each transaction is followed at once, in the same write, by a WATCH of the header and a read of the owner's token. Both
guard the next transaction: its EXEC succeeds only if nobody has written to the header since this process saw its own
token there. So fencing costs no round trip. The name of the connection shows other processes that the owner is alive.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import hiredis
import structlog

from crdt_core.codec.canonical import FORMAT
from crdt_core.errors import AlreadyRunning, CorruptState, Fenced, InvariantBroken, StoreUnavailable, brief
from workers.storage.requests import set_header
from workers.wire.connection import Wire, connect
from workers.wire.keys import GROUP, Keys
from workers.wire.replies import run_id_in, send_checked, stored_turn, text
from workers.wire.retry import Trouble, until_redis_answers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.wire.connection import RedisCommand

__all__ = ["RETRY_S", "SET_BACK", "Ownership"]

log = structlog.get_logger()

SET_BACK = -1
"""Stands for the turn of a Redis that has lost commits which it had confirmed."""
RETRY_S = 0.2
_INFO: RedisCommand = ("INFO", "server")
_ATTEMPTS = 8


class Ownership:
    """The ownership of node `node` in the Redis at `url`; `token` identifies this process in the header.

    `silence_s`: how long Redis may owe a reply and send nothing before its connection is closed. `load_silence_s`: the
    same for replies that are large, in `slow_replies`. `turn`: the number of the last commit that Redis has confirmed
    to this process. `run_id`: that of the Redis process at the other end.
    """

    def __init__(
        self, node: str, url: str, token: str, *, silence_s: float = 5.0, load_silence_s: float = 60.0
    ) -> None:
        self.token = token
        self.turn = 0
        self.run_id = b""
        self.trouble: Trouble | None = None
        """Since when Redis has not taken what this process had for it, and why; `None` while it does."""
        self._keys = Keys(node)
        self._url = url
        self._silence_s = silence_s
        self._load_silence_s = load_silence_s
        self.wire = Wire(silence_s)
        """The connection that watches the header; before `acquire`, one that is closed."""

    @property
    def connected(self) -> bool:
        """Whether the connection that holds the ownership is open, as far as this process knows."""
        return self.wire.open

    @property
    def fields(self) -> dict[str, bytes]:
        """The header fields that say who owns the replica and in which format it is stored."""
        return {"owner": self.token.encode(), "format": b"%d" % FORMAT}

    async def acquire(self, *, takeover: bool) -> None:
        """Make this process the owner; a former owner is fenced.

        Raises `AlreadyRunning` where the present owner's connection stays open, unless `takeover`. The connection of a
        killed owner closes within moments, so this waits for that.
        """

        async def attempt() -> Wire:
            wire = await self._connect()
            try:
                await self._acquire_with(wire, takeover=takeover)
            except BaseException:
                wire.close()
                raise
            return wire

        self.wire = await until_redis_answers(attempt, self._url)
        log.info("ownership_acquired", node=self._keys.node, takeover=takeover)

    def note_trouble(self, reason: str) -> None:
        """Note that Redis does not take what this process has for it, for `reason`. That lasts since the first time."""
        self.trouble = Trouble(self.trouble.since_s if self.trouble else monotonic(), reason)

    async def renew(self) -> int:
        """Open a new connection that watches the header, and return the turn that Redis is at.

        The result is `SET_BACK` where Redis has lost commits. While Redis does not answer, that is the trouble. Raises
        `Fenced`.
        """
        self.wire.close()

        async def attempt() -> tuple[Wire, Any, Any]:
            wire = await self._connect()
            info, _, watched = await send_checked(wire, [_INFO, *self.watch()])
            return wire, info, watched

        self.wire, info, watched = await until_redis_answers(attempt, self._url, self.note_trouble)
        self.run_id = run_id_in(info)
        return self.turn_reached(watched)

    async def release(self) -> None:
        """Give the ownership up, so that the next process gets it without waiting. Raises `Fenced` if it was lost.

        The token is read again first: a WATCH that began after another process had taken over would not notice that.
        """
        wire = self.wire
        *_, watched = await wire.send(self.watch())
        is_other = isinstance(watched, list) and watched[0] not in {None, self.token.encode()}
        released = None if is_other else (await wire.send(_delete_owner(self._keys)))[-1]
        wire.close()
        if released is None:
            raise Fenced(self._keys.node)

    def close(self) -> None:
        """Close the connection, whether the node is owned or not; the token stays in the header. Idempotent."""
        self.wire.close()

    async def ask(self, *commands: RedisCommand) -> list[Any]:
        """Send `commands` and return their replies; raises as `workers.wire.replies.send_checked` does."""
        return await send_checked(self.wire, list(commands))

    async def transact(self, *commands: RedisCommand) -> int:
        """Execute `commands` in one transaction if this process still owns the node; return the turn that Redis is at.

        Raises `Fenced`; `StoreUnavailable` where the transaction did not happen; `InvariantBroken` where it did, except
        for a command that failed.
        """
        *_, executed, _, watched = await self.ask(("MULTI",), *commands, ("EXEC",), *self.watch())
        reached = self.turn_reached(watched)
        if executed is None:
            raise StoreUnavailable("another process has written to the header meanwhile")
        errors = [str(result) for result in executed if isinstance(result, hiredis.ReplyError)]
        if errors:
            raise InvariantBroken(f"{self._keys.node}: Redis holds keys that are not ours: {'; '.join(errors)}")
        return reached

    @contextmanager
    def slow_replies(self) -> Iterator[None]:
        """Allow Redis, in the block, to be silent for longer while it collects a large reply."""
        wire = self.wire
        wire.silence_s = max(self._load_silence_s, self._silence_s)
        try:
            yield
        finally:
            wire.silence_s = self._silence_s

    def watch(self) -> list[RedisCommand]:
        """Return the commands that guard the next transaction; `turn_reached` takes the last of their replies."""
        return [("WATCH", self._keys.header), ("HMGET", self._keys.header, "owner", "turn")]

    def turn_reached(self, watched: Any) -> int:
        """Return the turn that Redis is at, by the last reply to `watch`.

        The result is `SET_BACK` where Redis has lost commits. Then the owner's token in the header is of no account:
        it may have come back with an older state. Otherwise, raises `Fenced` if the token is another process's.
        """
        if isinstance(watched, hiredis.ReplyError):
            raise StoreUnavailable(f"Redis refuses: {watched}")
        owner, stored = watched
        turn = stored_turn(self._keys.header, stored)
        if turn < self.turn or (owner is None and stored is None):
            return SET_BACK
        if owner != self.token.encode():
            raise Fenced(self._keys.node)
        return turn

    def check_no_other_owner(self, owner: bytes | None, clients: bytes) -> None:
        """Raise `Fenced` if the header's `owner` is another process and that process is connected.

        `clients` is the reply to `CLIENT LIST`.
        """
        if self._is_held_by_another(owner, clients):
            raise Fenced(self._keys.node)

    async def ensure_group(self) -> None:
        """Create the consumer group of the inbox if it does not exist."""
        await self._ensure_group(self.wire)

    async def _connect(self) -> Wire:
        return await connect(self._url, _connection_name(self._keys.node, self.token), self._silence_s)

    async def _acquire_with(self, wire: Wire, *, takeover: bool) -> None:
        for attempts_left in reversed(range(_ATTEMPTS)):
            fields, clients = await send_checked(
                wire, [("HMGET", self._keys.header, "owner", "format"), ("CLIENT", "LIST")]
            )
            self._check_format(fields[1])
            held = self._is_held_by_another(fields[0], clients) or (
                fields[0] is None and self._is_held_by_anyone(clients)
            )
            if takeover or not held:
                break
            if not attempts_left:
                raise AlreadyRunning(self._keys.node, "another live process", ", or pass --takeover")
            await asyncio.sleep(RETRY_S)
        become_owner = set_header(self._keys, self.fields)
        _, info, _, watched = await send_checked(wire, [become_owner, _INFO, *self.watch()])
        self.run_id = run_id_in(info)
        self.turn_reached(watched)
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
        if owner in {None, self.token.encode()}:  # This process's own token: an earlier attempt got that far.
            return False
        name = f" name={_connection_name(self._keys.node, text(owner))} ".encode()
        return any(name in line for line in bytes(clients).splitlines())

    def _is_held_by_anyone(self, clients: bytes) -> bool:
        """Return whether another process has an owner's connection, even if Redis has lost its token."""
        prefix = _connection_name(self._keys.node, "")
        other_owner = re.compile(rf" name={re.escape(prefix)}(?!{self.token} )[^ -]+ ".encode())
        return other_owner.search(clients) is not None


def _delete_owner(keys: Keys) -> list[RedisCommand]:
    return [("MULTI",), ("HDEL", keys.header, "owner"), ("EXEC",)]


def _connection_name(node: str, token: str) -> str:
    return f"deltaic-owner-{node}-{token}"
