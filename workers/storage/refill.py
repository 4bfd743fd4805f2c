"""Refills a Redis that has lost commits: writes the whole replica from memory into it.

Only the process that still owns the replica does so. The state is staged first (`workers.storage.staging`), so no
transaction is long, and a crash leaves Redis as it was, or with a state that the next process completes.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import structlog

from crdt_core.codec.header import decode_header
from crdt_core.errors import InvariantBroken
from workers.storage.object_keys import scan_objects
from workers.storage.requests import batches, whole_state
from workers.wire.replies import pairs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from crdt_core.node.node import Node
    from workers.storage.ownership import Ownership
    from workers.storage.staging import Staging
    from workers.wire.connection import RedisCommand
    from workers.wire.keys import Keys

__all__ = ["Refill"]

log = structlog.get_logger()

_LOG_INTERVAL_S = 5.0
_REASON = "Redis has lost commits; the worker writes all it knows again"


class Refill:
    """The state of `node` in memory, from which a Redis that has lost commits is refilled.

    `check_history` raises `InvariantBroken` if a peer has seen commits of the replica that `node` does not have.
    """

    def __init__(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        self.node = node
        self._check_history = check_history

    async def stage(self, ownership: Ownership, keys: Keys, staging: Staging, tell: Callable[[str], None]) -> None:
        """Stage all objects of the node, in place of those in Redis. The caller's next transaction commits them.

        `tell` is told why writes wait, and how far the refill has come. Raises `Fenced` or `InvariantBroken` if another
        process has continued the history that Redis lost.
        """
        tell(_REASON)
        owner = await self._check_sole_owner(ownership, keys)
        await self._check_history()
        await staging.finish()  # an older commit: its mark in the header must not stand above the pieces of this one
        await ownership.ensure_group()
        present = [key async for found in scan_objects(ownership, keys) for key in found]
        commands = whole_state(keys, self.node.replica, present)
        await staging.put(self._told(batches(commands), tell), owner)

    def _told(self, pieces: Iterator[list[RedisCommand]], tell: Callable[[str], None]) -> Iterator[list[RedisCommand]]:
        """Yield `pieces`, and tell after each how much there was; log it now and then."""
        logged_s, records, parts = monotonic(), 0, self.node.replica.catalogue.size
        for piece in pieces:
            yield piece
            records += sum(len(words) // 2 for name, _, *words in piece if name == "HSET")
            tell(f"{_REASON}: {records} records of about {parts}")
            if monotonic() - logged_s > _LOG_INTERVAL_S:
                logged_s = monotonic()
                log.info("redis_refilling", node=self.node.name, records=records, parts=parts)

    async def _check_sole_owner(self, ownership: Ownership, keys: Keys) -> bytes | None:
        """Return whom the header names as the owner; raises `Fenced` and `InvariantBroken`."""
        with ownership.slow_replies():
            fields, clients = await ownership.ask(("HGETALL", keys.header), ("CLIENT", "LIST"))
        header = dict(pairs(fields))
        owner = header.get(b"owner")
        ownership.check_no_other_owner(owner, clients)
        if not decode_header(header).clock <= self.node.replica.clock_with_folded:
            raise InvariantBroken(f"{keys.node}: another process has gone on with the history that Redis lost")
        return owner
