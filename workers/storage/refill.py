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


class Refill:
    """The state of `node` in memory, from which a Redis that has lost commits is refilled.

    `check_history` raises `InvariantBroken` if a peer has seen commits of the replica that `node` does not have.
    """

    def __init__(self, node: Node, check_history: Callable[[], Awaitable[None]]) -> None:
        self.node = node
        self._check_history = check_history

    async def stage(self, ownership: Ownership, keys: Keys, staging: Staging) -> None:
        """Stage all objects of the node, in place of those in Redis. The caller's next transaction commits them.

        Raises `Fenced` or `InvariantBroken` if another process has continued the history that Redis lost.
        """
        owner = await self._check_sole_owner(ownership, keys)
        await self._check_history()
        await ownership.ensure_group()
        present = [key async for found in scan_objects(ownership, keys) for key in found]
        commands = whole_state(keys, self.node.replica, present)
        await staging.put(self._logged(batches(commands)), owner)

    def _logged(self, pieces: Iterator[list[RedisCommand]]) -> Iterator[list[RedisCommand]]:
        """Yield `pieces`, and log now and then how many there were."""
        said_s = monotonic()
        for number, piece in enumerate(pieces, 1):
            yield piece
            if monotonic() - said_s > _LOG_INTERVAL_S:
                said_s = monotonic()
                log.info("redis_refilling", node=self.node.name, pieces=number, parts=self.node.replica.catalogue.size)

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
