"""The sweep: it deletes expired keys, now and then, as one more caller of the mailbox.

An expired key shows nowhere, swept or not (`crdt_core.commands.session`). The sweep frees what the key holds. Each key
is swept by one node, or by the next one if that node is away (`crdt_core.commands.expiry`). Deletes of the same key at
two nodes do no harm to each other, nor to a concurrent write.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from crdt_core.commands.expiry import DeleteExpired
from crdt_core.errors import WorldError
from workers.system.clock import wall_ms

if TYPE_CHECKING:
    from workers.turns.mailbox import Mailbox

__all__ = ["sweep"]

_EVERY_S = 1.0
_LOOKS = 1000


async def sweep(mailbox: Mailbox) -> None:
    """Sweep once a second, and again at once while much of this node's share has expired. Never ends."""
    while True:
        await asyncio.sleep(_EVERY_S)
        swept = _LOOKS
        while swept > _LOOKS // 4 // (1 + len(mailbox.node.peers)) and mailbox.node.replica.catalogue.expiring:
            swept = 0
            with suppress(WorldError):
                swept = await mailbox.call(DeleteExpired(wall_ms(), _LOOKS))
