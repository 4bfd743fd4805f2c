"""Puts a change of the stored replica that is too large for one transaction into Redis: staged first, then applied.

Redis limits what a client may have queued (`client-query-buffer-limit`), and serves nobody else while it executes a
transaction. So no transaction has more than a bounded number of bytes. A larger change takes three steps:

    put       the commands go into the list `Keys.staged`, a piece at a time; the replica's keys stay as they are
    (commit)  one transaction sets the header to the new turn, and says `staged`: the change is durable
    apply     piece by piece, the commands are executed and taken from the list; in the end `staged` goes

A process that ends before the commit leaves the old state, and a list that means nothing. One that ends after it leaves
a list whose commands the next process executes before it reads anything. A Redis may also be set back between the two,
under a process that has confirmed the commit. So whenever a process does not know where its Redis is, it first finishes
what is staged there (`Staging.finish`). Every command may be executed twice.

`restoring` stands beside `staged`, for workers of version 0.1.0: they refuse to start on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import hiredis

from crdt_core.errors import StoreUnavailable
from workers.wire.connection import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from workers.storage.ownership import Ownership
    from workers.wire.connection import RedisCommand
    from workers.wire.keys import Keys

__all__ = ["STAGED_FIELDS", "Staging"]

STAGED_FIELDS = {"staged": b"1", "restoring": b"staged"}
"""What the header says while a staged change is not applied as a whole."""
_LOST = "Redis has lost what it had confirmed"


class Staging:
    """The staged change at `keys`, which the process with `ownership` makes."""

    def __init__(self, ownership: Ownership, keys: Keys) -> None:
        self._ownership = ownership
        self._keys = keys

    async def put(self, batches: Iterable[list[RedisCommand]], owner: bytes | None) -> None:
        """Stage `batches`, in place of what was only staged before. The caller's next transaction commits them.

        That transaction fails if anybody touches the header or the list meanwhile. `owner` is whom the header names.
        Raises `StoreUnavailable` if the list is not complete, or the header names somebody else.
        """
        ownership, staged = self._ownership, self._keys.staged
        await ownership.transact(("UNLINK", staged))
        pieces = 0
        for batch in batches:
            await ownership.transact(("RPUSH", staged, b"".join(map(pack, batch))))
            pieces += 1
        _, found, named = await ownership.ask(("WATCH", staged), ("LLEN", staged), ("HGET", self._keys.header, "owner"))
        if (found, named) != (pieces, owner):
            raise StoreUnavailable(_LOST)

    async def finish(self) -> None:
        """Apply what is staged and committed, or delete what is only staged. It may be called again after errors.

        Only the sole owner may call it. Raises what `Ownership.transact` raises; `StoreUnavailable`, too, where Redis
        is set back meanwhile.
        """
        header, staged = self._keys.header, self._keys.staged
        (is_committed, *owned), is_left = await self._ownership.ask(
            ("HMGET", header, "staged", "owner", "turn"), ("EXISTS", staged)
        )
        if is_committed:
            await self._apply(self._ownership.turn_reached(owned))
        elif is_left:
            await self._ownership.transact(("UNLINK", staged))

    async def _apply(self, reached: int) -> None:
        """Execute what is staged, and clear the marks in the header, as long as Redis is at `reached`."""
        ownership, staged = self._ownership, self._keys.staged
        while True:
            (piece,) = await ownership.ask(("LINDEX", staged, 0))
            if piece is None:
                break
            if await ownership.transact(*_commands(piece), ("LTRIM", staged, 1, -1)) != reached:
                raise StoreUnavailable(_LOST)
        await ownership.transact(("HDEL", self._keys.header, *STAGED_FIELDS))


def _commands(piece: bytes) -> Iterator[RedisCommand]:
    reader = hiredis.Reader()
    reader.feed(piece)
    while (words := reader.gets()) is not False:
        yield tuple(words)
